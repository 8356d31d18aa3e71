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
        var text: String
        do { text = String(decoding: try FileIO.read(path, limit: 64 << 20), as: UTF8.self) } catch {
            throw DatasetError("\(error)")
        }
        // As Windows writes it.
        if text.unicodeScalars.first == "\u{FEFF}" { text.unicodeScalars.removeFirst() }
        var lines = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).map {
            String($0).printable
        }
        while lines.last?.isEmpty == true { lines.removeLast() }
        if lines.count == classes + 1, ["background", "__background__"].contains(withoutNumber(lines[0]).lowercased()) {
            lines.removeFirst()
        }
        let numbers = lines.map { Int($0.prefix { $0.isASCII && $0.isNumber }) }
        if let first = numbers.first, let first, numbers.indices.allSatisfy({ numbers[$0] == first + $0 }),
            lines.allSatisfy({ !withoutNumber($0).isEmpty })
        {
            lines = lines.map(withoutNumber)
        }
        guard lines.count == classes else {
            throw DatasetError(
                "\(path) has \(lines.count) lines, and the network has \(classes) classes: give a line for each")
        }
        if let empty = lines.firstIndex(where: \.isEmpty) {
            throw DatasetError("\(path) has no name in line \(empty + 1): every class has one")
        }
        return lines
    }

    /// A line behind a number and what parts it from the name: a space, a tab, a colon, a comma, a full stop and a space.
    private static func withoutNumber(_ line: String) -> String {
        let rest = line.drop { $0.isASCII && $0.isNumber }
        guard rest.count < line.count, let first = rest.first, separators.contains(first) else { return line }
        return String(rest.drop { separators.contains($0) })
    }

    private static let separators = " \t:,;.)"
}
