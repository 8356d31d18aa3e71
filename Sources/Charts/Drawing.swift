/// What can be drawn: it has a width from outside and a height of its own.
protocol Drawable {
    var title: String { get }
    var summary: String { get }
    /// Draws with the upper left corner at (x, y), and returns the height.
    func draw(on canvas: inout Canvas, x: Double, y: Double, width: Double) -> Double
}

extension Drawable {
    /// A file with nothing else in it.
    func document(width: Double) -> String {
        let width = max(240, min(10_000, width.isFinite ? width : 720))
        let margin = Layout.margin
        var canvas = Canvas()
        let height = draw(on: &canvas, x: margin, y: margin, width: width - 2 * margin)
        return canvas.document(width: width, height: height + 2 * margin, title: title, summary: summary)
    }
}

/// Sizes that all charts share, and the parts that they share.
enum Layout {
    static let margin = 18.0
    static let titleSize = 16.0
    static let textSize = 12.0

    /// The title and the sentence below it; returns their height.
    static func heading(
        _ title: String, _ summary: String, on canvas: inout Canvas, x: Double, y: Double, width: Double
    ) -> Double {
        var height = 0.0
        for line in TextMetrics.wrap(title, width: width, size: titleSize, isBold: true, lines: 3) {
            canvas.text(line, x: x, y: y + height + 15, size: titleSize, isBold: true)
            height += 21
        }
        for line in TextMetrics.wrap(summary, width: width, size: textSize, lines: 4) {
            canvas.text(line, x: x, y: y + height + 12, size: textSize, fill: Palette.quietText)
            height += 16
        }
        return height > 0 ? height + 10 : 0
    }

    /// The names of the series, in as many lines as they need; returns the height.
    ///
    /// - Parameter swatch: draws the sign of a series, 18 pixels wide, around the given middle.
    static func legend(
        _ names: [String], on canvas: inout Canvas, x: Double, y: Double, width: Double,
        swatch: (inout Canvas, Int, (x: Double, y: Double)) -> Void
    ) -> Double {
        guard names.contains(where: { !$0.isEmpty }) else { return 0 }
        let (line, gap, sign) = (20.0, 16.0, 24.0)
        var (left, top) = (x, y)
        for (index, name) in names.enumerated() {
            let shown = TextMetrics.fit(name, width: min(260, width - sign), size: textSize)
            let needed = sign + TextMetrics.width(shown, size: textSize)
            if left > x, left + needed > x + width { (left, top) = (x, top + line) }
            swatch(&canvas, index, (left + 9, top + 8))
            canvas.text(shown, x: left + sign, y: top + 12, size: textSize, tooltip: shown == name ? nil : name)
            left += needed + gap
        }
        return top + line - y + 8
    }

    /// A horizontal axis below a plot: its numbers and its title; returns the height.
    static func bottomAxis(
        _ axis: Axis, _ scale: Scale, on canvas: inout Canvas, left: Double, right: Double, y: Double
    ) -> Double {
        for (tick, label) in zip(scale.ticks, scale.labels) {
            guard let position = scale.position(tick) else { continue }
            canvas.text(
                label, x: position, y: y + 16, size: textSize, fill: Palette.quietText, anchor: .middle)
        }
        guard !axis.heading.isEmpty else { return 22 }
        let heading = TextMetrics.fit(axis.heading, width: right - left, size: textSize)
        canvas.text(heading, x: (left + right) / 2, y: y + 36, size: textSize, anchor: .middle)
        return 42
    }

    /// The room that the numbers and the title of a vertical axis take on the left.
    static func leftRoom(_ axis: Axis, _ scale: Scale) -> Double {
        let labels = scale.labels.map { TextMetrics.width($0, size: textSize) }.max() ?? 0
        return labels + 10 + (axis.heading.isEmpty ? 0 : 20)
    }

    /// A vertical axis on the left of a plot, with lines across it.
    static func leftAxis(
        _ axis: Axis, _ scale: Scale, on canvas: inout Canvas, x: Double, left: Double, right: Double, top: Double,
        bottom: Double
    ) {
        for (tick, label) in zip(scale.ticks, scale.labels) {
            guard let position = scale.position(tick) else { continue }
            canvas.line((left, position), (right, position), stroke: Palette.grid)
            canvas.text(
                label, x: left - 8, y: position + 4, size: textSize, fill: Palette.quietText, anchor: .end)
        }
        guard !axis.heading.isEmpty else { return }
        let heading = TextMetrics.fit(axis.heading, width: bottom - top, size: textSize)
        canvas.text(heading, x: x + 12, y: (top + bottom) / 2, size: textSize, anchor: .middle, angle: -90)
    }

    /// A scale whose numbers fit side by side into a width.
    static func horizontalScale(_ width: Double, _ make: (_ target: Int) -> Scale) -> Scale {
        for target in [8, 6, 5, 4, 3, 2] {
            let scale = make(target)
            let widest = scale.labels.map { TextMetrics.width($0, size: textSize) }.max() ?? 0
            if (widest + 14) * Double(max(1, scale.ticks.count - 1)) <= width { return scale }
        }
        return make(1)
    }
}
