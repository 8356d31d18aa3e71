extension String {
    /// The text without control characters, ends of lines and changes of direction: strangers' names must not drive a terminal.
    package var printable: String {
        guard unicodeScalars.contains(where: \.drivesTerminal) else { return self }
        var result = UnicodeScalarView()
        for scalar in unicodeScalars { result.append(scalar.drivesTerminal ? "\u{FFFD}" : scalar) }
        return String(result)
    }

    /// A stranger's name in a sentence: in quotation marks, printable, at most 64 characters of it.
    package var quoted: String {
        // A character may be made of any number of scalars.
        let scalars = unicodeScalars.prefix(65)
        let start = String(UnicodeScalarView(scalars.prefix(64))).printable
        return scalars.count > 64 ? "\"\(start)…\"" : "\"\(start)\""
    }
}

extension Unicode.Scalar {
    fileprivate var drivesTerminal: Bool {
        switch value {
        case 0..<0x20, 0x7F...0x9F, 0x2028...0x202E, 0x2066...0x2069: true
        default: false
        }
    }
}
