import Platform

extension ClassNames {
    /// Reads a text file with the name of a class in each line.
    ///
    /// A byte-order mark, line ends of any system, numbers that count the lines ("0 cat") and a first line for the background are
    /// no part of the names.
    ///
    /// - Parameter classes: how many there have to be.
    /// - Throws: ``DatasetError`` for a file that cannot be read, another number of names, or an empty line.
    public static func read(_ path: String, classes: Int) throws(DatasetError) -> [String] {
        let bytes: [UInt8]
        do { bytes = try FileIO.read(path, limit: 64 << 20) } catch { throw DatasetError("\(error)") }
        guard var text = String(validating: bytes, as: UTF8.self) else {
            throw DatasetError("\(path) is not UTF-8: save it as UTF-8")
        }
        // As Windows writes it.
        if text.unicodeScalars.first == "\u{FEFF}" { text.unicodeScalars.removeFirst() }
        var lines = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).map(trimmed)
        while lines.last?.isEmpty == true { lines.removeLast() }
        if lines.count == classes + 1, ["background", "__background__"].contains(withoutNumber(lines[0]).lowercased()) {
            lines.removeFirst()
        }
        let numbers = lines.map { Int($0.prefix { $0.isASCII && $0.isNumber }) }
        if let first = numbers.first, let first, numbers.indices.allSatisfy({ numbers[$0] == first + $0 }),
            lines.allSatisfy({ !withoutNumber($0).isEmpty })
        {
            // "1 star", "2 stars": where the numbers tell the names apart, they are part of them.
            let names = lines.map(withoutNumber)
            if Set(names).count * 10 >= names.count * 9 { lines = names }
        }
        lines = lines.map(\.printable)
        guard lines.count == classes else {
            throw DatasetError(
                "\(path) has \(lines.count) lines, and the network has \(classes) classes: give a line for each")
        }
        if let empty = lines.firstIndex(where: \.isEmpty) {
            throw DatasetError("\(path) has no name in line \(empty + 1): every class has one")
        }
        return lines
    }

    private static func trimmed(_ line: Substring) -> String {
        var line = line.drop(while: \.isWhitespace)
        while line.last?.isWhitespace == true { line.removeLast() }
        return String(line)
    }

    /// A line behind a number and what parts it from the name: a space, a tab, a colon, a comma, a full stop and a space.
    private static func withoutNumber(_ line: String) -> String {
        let rest = line.drop { $0.isASCII && $0.isNumber }
        guard rest.count < line.count, let first = rest.first, separators.contains(first) else { return line }
        return String(rest.drop { separators.contains($0) })
    }

    private static let separators = " \t:,;.)"
}
