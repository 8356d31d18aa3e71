/// Lines through points, with axes and a legend; for every point there may be a range.
public struct LineChart: Sendable, Hashable {
    /// A point, and where there is one the range around it.
    public struct Point: Sendable, Hashable {
        public var x: Double
        public var y: Double
        /// The lower and upper end of the range; nil for none.
        public var low: Double?
        public var high: Double?

        public init(_ x: Double, _ y: Double, low: Double? = nil, high: Double? = nil) {
            self.x = x
            self.y = y
            self.low = low
            self.high = high
        }
    }

    /// How a series is drawn.
    public enum Style: Sendable, Hashable {
        /// A line with marks, and error bars for the ranges.
        case line
        /// A line with marks, and a band for the ranges.
        case band
        /// Marks only.
        case points
        /// A thin grey line to compare with.
        case reference
    }

    /// The points of one line, in the order in which they are joined.
    public struct Series: Sendable, Hashable {
        public var name: String
        public var points: [Point]
        public var style: Style

        public init(_ name: String, _ points: [Point], style: Style = .line) {
            self.name = name
            self.points = points
            self.style = style
        }
    }

    public var title: String
    /// One sentence below the title, and the description for screen readers.
    public var summary: String
    public var x: Axis
    public var y: Axis
    public var series: [Series]
    /// The height of the plot itself, in pixels.
    public var plotHeight: Double

    public init(
        title: String, summary: String = "", x: Axis, y: Axis, series: [Series], plotHeight: Double = 300
    ) {
        self.title = title
        self.summary = summary
        self.x = x
        self.y = y
        self.series = series
        self.plotHeight = plotHeight
    }

    /// The chart as an SVG file of the given width in pixels.
    public func svg(width: Double = 720) -> String { document(width: width) }
}

extension LineChart: Drawable {
    /// More points than these in one series are drawn without marks.
    private static let maximumMarked = 60

    func draw(on canvas: inout Canvas, x left: Double, y top: Double, width: Double) -> Double {
        var height = Layout.heading(title, summary, on: &canvas, x: left, y: top, width: width)
        height += Layout.legend(series.map(\.name), on: &canvas, x: left, y: top + height, width: width) {
            canvas, index, place in
            let color = color(index)
            let dash = dash(index)
            if series[index].style != .points {
                canvas.line((place.x - 9, place.y), (place.x + 9, place.y), stroke: color, width: 2, dash: dash)
            }
            if series[index].style != .reference {
                canvas.marker(Palette.marker(index), x: place.x, y: place.y, radius: 4, fill: color)
            }
        }

        let points = series.flatMap(\.points)
        let values = points.flatMap { [$0.y, $0.low ?? $0.y, $0.high ?? $0.y] }
        let plotHeight = max(60, min(4000, self.plotHeight.isFinite ? self.plotHeight : 300))
        var vertical = Scale(y, values: values, target: max(2, Int(plotHeight / 55)))
        let plotLeft = left + Layout.leftRoom(y, vertical)
        // The last number below the axis is centred on the edge, and half of it stands out.
        let plotRight = left + width - 18
        let plotTop = top + height + 4
        let plotBottom = plotTop + plotHeight
        let horizontal = Layout.horizontalScale(plotRight - plotLeft) {
            Scale(x, values: points.map(\.x), isTight: !x.isLogarithmic, target: $0)
        }.placed(from: plotLeft + 12, to: plotRight - 12)
        vertical = vertical.placed(from: plotBottom, to: plotTop)
        Layout.leftAxis(
            y, vertical, on: &canvas, x: left, left: plotLeft, right: plotRight, top: plotTop, bottom: plotBottom)
        canvas.line((plotLeft, plotBottom), (plotRight, plotBottom), stroke: Palette.axis)
        for tick in horizontal.ticks {
            guard let place = horizontal.position(tick) else { continue }
            canvas.line((place, plotBottom), (place, plotBottom + 4), stroke: Palette.axis)
        }

        for index in series.indices { drawRanges(index, horizontal, vertical, on: &canvas) }
        for index in series.indices { drawLine(index, horizontal, vertical, on: &canvas) }
        for index in series.indices { drawMarks(index, horizontal, vertical, on: &canvas) }
        if !points.contains(where: { horizontal.position($0.x) != nil && vertical.position($0.y) != nil }) {
            canvas.text(
                "no data", x: (plotLeft + plotRight) / 2, y: (plotTop + plotBottom) / 2, size: 14,
                fill: Palette.quietText, anchor: .middle)
        }
        height += 4 + plotHeight
        return height
            + Layout.bottomAxis(x, horizontal, on: &canvas, left: plotLeft, right: plotRight, y: plotBottom)
    }

    private func color(_ index: Int) -> String {
        series[index].style == .reference ? Palette.axis : Palette.color(index)
    }

    private func dash(_ index: Int) -> String? {
        series[index].style == .reference ? "5 4" : Palette.dash(index)
    }

    private func drawRanges(_ index: Int, _ horizontal: Scale, _ vertical: Scale, on canvas: inout Canvas) {
        let ranges = series[index].points.compactMap { point -> (x: Double, low: Double, high: Double)? in
            guard let x = horizontal.position(point.x), let low = point.low.flatMap({ vertical.position($0) }),
                let high = point.high.flatMap({ vertical.position($0) })
            else { return nil }
            return (x, low, high)
        }
        switch series[index].style {
        case .reference: return
        case .band where ranges.count > 1:
            let outline = ranges.map { ($0.x, $0.high) } + ranges.reversed().map { ($0.x, $0.low) }
            canvas.polygon(outline, fill: color(index), opacity: 0.16)
        case .band, .line, .points:
            for (x, low, high) in ranges {
                canvas.line((x, low), (x, high), stroke: color(index), width: 1.5)
                for end in [low, high] { canvas.line((x - 4, end), (x + 4, end), stroke: color(index), width: 1.5) }
            }
        }
    }

    private func drawLine(_ index: Int, _ horizontal: Scale, _ vertical: Scale, on canvas: inout Canvas) {
        guard series[index].style != .points else { return }
        // A point without a place, such as NaN, is a gap.
        var run: [(x: Double, y: Double)] = []
        for point in series[index].points {
            if let x = horizontal.position(point.x), let y = vertical.position(point.y) {
                run.append((x, y))
            } else {
                canvas.polyline(run, stroke: color(index), width: 2, dash: dash(index))
                run = []
            }
        }
        let width = series[index].style == .reference ? 1.5 : 2
        canvas.polyline(run, stroke: color(index), width: width, dash: dash(index))
    }

    private func drawMarks(_ index: Int, _ horizontal: Scale, _ vertical: Scale, on canvas: inout Canvas) {
        let one = series[index]
        guard one.style != .reference, one.points.count <= Self.maximumMarked || one.style == .points else { return }
        for point in one.points {
            guard let left = horizontal.position(point.x), let top = vertical.position(point.y) else { continue }
            var words = one.name.isEmpty ? "" : "\(one.name): "
            words += "\(y.text(point.y)) at \(x.text(point.x))"
            if let low = point.low, let high = point.high {
                words += ", \(y.format.text(low)) to \(y.format.text(high))"
            }
            canvas.marker(Palette.marker(index), x: left, y: top, radius: 4, fill: color(index), tooltip: words)
        }
    }
}
