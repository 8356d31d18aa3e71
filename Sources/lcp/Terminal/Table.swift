import Glibc

/// Columns that line up, and fit into the terminal.
struct Table {
    private var rows: [[String]]
    private let rightAligned: Set<Int>
    private let optional: [Int]

    /// - Parameter optional: the columns that are left out where all have no room, the first first.
    init(_ header: [String], rightAligned: Set<Int> = [], optional: [Int] = []) {
        rows = [header]
        self.rightAligned = rightAligned
        self.optional = optional
    }

    mutating func add(_ row: [String]) { rows.append(row) }

    /// As wide as it gets where standard output is no terminal.
    var text: String { text(columns: terminalColumns(STDOUT_FILENO) ?? .max) }

    /// The table in so many columns. Where it does not fit without those that may be left out, every row becomes a few lines.
    func text(columns: Int) -> String {
        let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        var shown = Array(rows[0].indices)
        func width() -> Int { shown.reduce(0) { $0 + widths[$1] + 2 } }
        for column in optional where width() > columns { shown.removeAll { $0 == column } }
        guard width() <= columns || rows.count == 1 else { return records(columns) }
        return rows.map { row in
            let cells = shown.map { column in
                let padding = String(repeating: " ", count: widths[column] - row[column].count)
                return rightAligned.contains(column) ? padding + row[column] : row[column] + padding
            }
            var line = "  " + cells.joined(separator: "  ")
            while line.hasSuffix(" ") { line.removeLast() }
            return line
        }.joined(separator: "\n")
    }

    /// Every row by itself: its first cell, and below it the others that say something, with their names; what is too long is cut.
    private func records(_ columns: Int) -> String {
        let names = rows[0]
        let width = names.dropFirst().map(\.count).max() ?? 0
        return rows.dropFirst().map { row in
            let lines = zip(names, row).dropFirst().filter { !$1.isEmpty }.map { name, cell in
                let start = "    " + name + String(repeating: " ", count: width - name.count + 2)
                let room = max(1, columns - start.count)
                return start + (cell.count > room ? cell.prefix(room - 1) + "…" : cell)
            }
            return (["  " + row[0]] + lines).joined(separator: "\n")
        }.joined(separator: "\n")
    }
}
