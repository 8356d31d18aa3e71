/// Several charts on one card: rows from top to bottom, in each row the charts side by side.
public struct Figure: Sendable, Hashable {
    /// One chart of the figure.
    public enum Panel: Sendable, Hashable {
        case bars(BarChart)
        case lines(LineChart)
        case matrix(MatrixChart)

        var chart: any Drawable {
            switch self {
            case .bars(let chart): chart
            case .lines(let chart): chart
            case .matrix(let chart): chart
            }
        }
    }

    public var title: String
    /// One sentence below the title, and the description for screen readers.
    public var summary: String
    public var rows: [[Panel]]

    public init(title: String, summary: String = "", rows: [[Panel]]) {
        self.title = title
        self.summary = summary
        self.rows = rows
    }

    /// The figure as an SVG file of the given width in pixels.
    public func svg(width: Double = 960) -> String { document(width: width) }
}

extension Figure: Drawable {
    func draw(on canvas: inout Canvas, x: Double, y: Double, width: Double) -> Double {
        let gap = 36.0
        var height = Layout.heading(title, summary, on: &canvas, x: x, y: y, width: width)
        for row in rows where !row.isEmpty {
            if height > 0 {
                canvas.line((x, y + height + 4), (x + width, y + height + 4), stroke: Palette.grid)
                height += 18
            }
            let each = (width - gap * Double(row.count - 1)) / Double(row.count)
            var tallest = 0.0
            for (index, panel) in row.enumerated() {
                let left = x + (each + gap) * Double(index)
                tallest = max(tallest, panel.chart.draw(on: &canvas, x: left, y: y + height, width: each))
            }
            height += tallest + 10
        }
        return height
    }
}
