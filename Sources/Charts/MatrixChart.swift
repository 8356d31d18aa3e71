import Glibc

/// Numbers in rows and columns, each in a cell whose colour grows darker with it: a confusion matrix, for example.
public struct MatrixChart: Sendable, Hashable {
    /// What the colour of a cell shows.
    public enum Shading: Sendable, Hashable {
        /// The value, from 0 to the largest of all.
        case value
        /// The share of the row, with its square root as darkness: rare confusions stay visible.
        case shareOfRow
    }

    public var title: String
    /// One sentence below the title, and the description for screen readers.
    public var summary: String
    /// What the rows are, for example the truth.
    public var rowTitle: String
    public var columnTitle: String
    public var rows: [String]
    public var columns: [String]
    /// A row of numbers for each of ``rows``. What is missing or not finite leaves its cell empty.
    public var values: [[Double]]
    public var format: NumberFormat
    public var shading: Shading

    public init(
        title: String, summary: String = "", rowTitle: String = "", columnTitle: String = "", rows: [String],
        columns: [String], values: [[Double]], format: NumberFormat = .automatic, shading: Shading = .value
    ) {
        self.title = title
        self.summary = summary
        self.rowTitle = rowTitle
        self.columnTitle = columnTitle
        self.rows = rows
        self.columns = columns
        self.values = values
        self.format = format
        self.shading = shading
    }

    /// The chart as an SVG file of the given width in pixels.
    public func svg(width: Double = 720) -> String { document(width: width) }
}

extension MatrixChart: Drawable {
    private static let largestCell = 46.0
    private static let smallestText = 6.0

    func draw(on canvas: inout Canvas, x: Double, y: Double, width: Double) -> Double {
        var height = Layout.heading(title, summary, on: &canvas, x: x, y: y, width: width)
        guard !rows.isEmpty, !columns.isEmpty else {
            canvas.text(
                "no data", x: x + width / 2, y: y + height + 30, size: 14, fill: Palette.quietText, anchor: .middle)
            return height + 50
        }
        var left = x + (rowTitle.isEmpty ? 0 : 22)
        // Names in a small matrix are as small as its cells.
        let guess = min(Self.largestCell, (width - 60) / Double(columns.count))
        let nameSize = max(7, min(Layout.textSize, guess * 0.62))
        let rowNames = rows.map { TextMetrics.fit($0, width: width * 0.25, size: nameSize) }
        left += (rowNames.map { TextMetrics.width($0, size: nameSize) }.max() ?? 0) + 8
        let cell = max(2, min(Self.largestCell, (x + width - left) / Double(columns.count)))
        let columnNames = columns.map { TextMetrics.fit($0, width: 110, size: nameSize) }
        let widest = columnNames.map { TextMetrics.width($0, size: nameSize) }.max() ?? 0
        let isTurned = widest + 3 > cell

        if !columnTitle.isEmpty {
            let middle = left + cell * Double(columns.count) / 2
            canvas.text(columnTitle, x: middle, y: y + height + 12, size: Layout.textSize, anchor: .middle)
            height += 20
        }
        height += isTurned ? widest + 6 : nameSize + 6
        let top = y + height
        for (index, name) in columnNames.enumerated() {
            let middle = left + cell * (Double(index) + 0.5)
            canvas.text(
                name, x: isTurned ? middle + nameSize * 0.35 : middle, y: top - 5, size: nameSize,
                fill: Palette.quietText, anchor: isTurned ? .start : .middle, angle: isTurned ? -90 : 0,
                tooltip: name == columns[index] ? nil : columns[index])
        }
        if !rowTitle.isEmpty {
            let middle = top + cell * Double(rows.count) / 2
            canvas.text(rowTitle, x: x + 13, y: middle, size: Layout.textSize, anchor: .middle, angle: -90)
        }
        let textSize = cellTextSize(cell)
        let largest = values.joined().filter(\.isFinite).max() ?? 0
        for row in rows.indices {
            let cellTop = top + cell * Double(row)
            canvas.text(
                rowNames[row], x: left - 6, y: cellTop + cell / 2 + nameSize * 0.35, size: nameSize,
                fill: Palette.quietText, anchor: .end, tooltip: rowNames[row] == rows[row] ? nil : rows[row])
            let sum = (values.indices.contains(row) ? values[row] : []).filter(\.isFinite).reduce(0, +)
            for column in columns.indices {
                let cellLeft = left + cell * Double(column)
                let value =
                    values.indices.contains(row) && values[row].indices.contains(column) ? values[row][column] : .nan
                let darkness = darkness(value, largest: largest, sum: sum)
                let edge = cell > 8 ? 0.75 : 0
                canvas.rectangle(
                    x: cellLeft + edge, y: cellTop + edge, width: cell - 2 * edge, height: cell - 2 * edge,
                    fill: Palette.heat(darkness), radius: cell > 20 ? 2 : 0,
                    tooltip: "\(rows[row]) → \(columns[column]): \(format.text(value))")
                guard let textSize, value.isFinite, value != 0 else { continue }
                canvas.text(
                    format.text(value), x: cellLeft + cell / 2, y: cellTop + cell / 2 + textSize * 0.35,
                    size: textSize, fill: Palette.textOnHeat(darkness), anchor: .middle)
            }
        }
        return height + cell * Double(rows.count) + 4
    }

    private func darkness(_ value: Double, largest: Double, sum: Double) -> Double {
        guard value.isFinite, value > 0 else { return 0 }
        switch shading {
        case .value: return largest > 0 ? value / largest : 0
        case .shareOfRow: return sum > 0 ? (value / sum).squareRoot() : 0
        }
    }

    /// The size in which every number fits into its cell; nil where it would be too small to read.
    private func cellTextSize(_ cell: Double) -> Double? {
        let widest =
            values.joined().filter { $0.isFinite && $0 != 0 }
            .map { TextMetrics.width(format.text($0), size: 1) }.max() ?? 1
        let size = min(12, (cell - 3) / widest, cell * 0.6)
        return size >= Self.smallestText ? size : nil
    }
}
