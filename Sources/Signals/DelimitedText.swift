import Platform

/// Rows of a text with separators (RFC 4180), as its bytes come: commas, semicolons or tabs, whichever its first line has most
/// of; quotes around cells; lines that end in LF or CRLF.
public struct DelimitedText: Sendable {
    /// One row.
    public struct Row: Sendable, Hashable {
        public var cells: [String]
        /// The line that it begins in, from 1.
        public var line: Int
    }

    public static let longestRow = 1 << 20
    public static let mostCells = 10_000

    private var bytes: [UInt8] = []
    /// Where the next row begins, and how far it was looked at.
    private var (start, seen) = (0, 0)
    private var isQuoted = false
    private var separator: UInt8?
    private var line = 1
    private var isFirst = true

    public init() {}

    public mutating func add(_ more: some Sequence<UInt8>) {
        if start > 1 << 16 {
            bytes.removeFirst(start)
            (start, seen) = (0, seen - start)
        }
        bytes += more
    }

    /// The next row; empty lines are passed over.
    ///
    /// - Parameter isEnd: whether no more bytes come, so that a last line without an end is one.
    /// - Returns: nil where no whole row is there.
    /// - Throws: ``SignalError`` for a row that is too long, or that ends inside quotes.
    public mutating func next(isEnd: Bool) throws(SignalError) -> Row? {
        if isFirst, bytes.count >= 3 || isEnd {
            isFirst = false
            // A byte-order mark.
            if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { (start, seen) = (3, 3) }
        }
        guard !isFirst else { return nil }
        while seen < bytes.count || isEnd && start < bytes.count {
            if seen == bytes.count {
                guard !isQuoted else { throw SignalError("bad_row", "line \(line) ends inside quotes") }
                if let row = try take(upTo: seen, after: seen) { return row }
                continue
            }
            let byte = bytes[seen]
            if byte == UInt8(ascii: "\"") { isQuoted.toggle() }
            seen += 1
            guard seen - start <= Self.longestRow else {
                throw SignalError("bad_row", "line \(line) has more than 1,048,576 bytes: is a quote missing?")
            }
            if byte == UInt8(ascii: "\n"), !isQuoted, let row = try take(upTo: seen - 1, after: seen) { return row }
        }
        return nil
    }

    /// The row up to a place; nil where it is empty.
    private mutating func take(upTo end: Int, after next: Int) throws(SignalError) -> Row? {
        var content = bytes[start..<end]
        if content.last == UInt8(ascii: "\r") { content.removeLast() }
        let number = line
        line += 1 + content.count { $0 == UInt8(ascii: "\n") }
        start = next
        guard content.contains(where: { $0 != UInt8(ascii: " ") }) else { return nil }
        let separator = separator ?? Self.separator(of: content)
        self.separator = separator
        let cells = Self.cells(content, separator)
        guard cells.count <= Self.mostCells else {
            throw SignalError("bad_row", "line \(number) has \(cells.count) cells, and 10,000 are read at most")
        }
        return Row(cells: cells, line: number)
    }

    private static func separator(of line: ArraySlice<UInt8>) -> UInt8 {
        var (isQuoted, counts) = (false, [UInt8: Int]())
        for byte in line {
            if byte == UInt8(ascii: "\"") { isQuoted.toggle() }
            if !isQuoted { counts[byte, default: 0] += 1 }
        }
        let known = [UInt8(ascii: ","), UInt8(ascii: ";"), UInt8(ascii: "\t")]
        // Of as many the first.
        return known.reversed().max { counts[$0, default: 0] < counts[$1, default: 0] } ?? known[0]
    }

    private static func cells(_ line: ArraySlice<UInt8>, _ separator: UInt8) -> [String] {
        var (cells, cell) = ([String](), [UInt8]())
        var (isQuoted, wasQuoted) = (false, false)
        let quote = UInt8(ascii: "\"")
        func text() -> String {
            let text = String(decoding: cell, as: UTF8.self)
            return wasQuoted ? text : text.trimmed
        }
        var index = line.startIndex
        while index < line.endIndex {
            let byte = line[index]
            index += 1
            if byte == quote {
                if isQuoted, index < line.endIndex, line[index] == quote {
                    cell.append(quote)
                    index += 1
                } else {
                    if !isQuoted, !wasQuoted { cell.removeAll() }
                    isQuoted.toggle()
                    wasQuoted = true
                }
            } else if byte == separator, !isQuoted {
                cells.append(text())
                (cell, wasQuoted) = ([], false)
            } else if isQuoted || !wasQuoted {
                cell.append(byte)
            }
        }
        cells.append(text())
        return cells
    }
}

extension String {
    /// Without spaces at both ends.
    var trimmed: String {
        let scalars = unicodeScalars
        guard let first = scalars.firstIndex(where: { $0 != " " }), let last = scalars.lastIndex(where: { $0 != " " })
        else { return "" }
        return String(scalars[first...last])
    }
}
