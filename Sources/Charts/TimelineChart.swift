/// Spans of time in lanes, one below the other: what happened when.
public struct TimelineChart: Sendable, Hashable {
    /// A stretch of time in a lane.
    public struct Span: Sendable, Hashable {
        /// What it is; all of the same kind have one colour.
        public var kind: String
        public var begin: Double
        public var end: Double

        public init(_ kind: String, from begin: Double, to end: Double) {
            self.kind = kind
            self.begin = begin
            self.end = end
        }
    }

    public struct Lane: Sendable, Hashable {
        public var name: String
        public var spans: [Span]

        public init(_ name: String, _ spans: [Span]) {
            self.name = name
            self.spans = spans
        }
    }

    public var title: String
    /// One sentence below the title, and the description for screen readers.
    public var summary: String
    public var lanes: [Lane]
    public var axis: Axis

    public init(title: String, summary: String = "", lanes: [Lane], axis: Axis) {
        self.title = title
        self.summary = summary
        self.lanes = lanes
        self.axis = axis
    }

    /// The chart as an SVG file of the given width in pixels.
    public func svg(width: Double = 720) -> String { document(width: width) }
}

extension TimelineChart: Drawable {
    private static let laneHeight = 22.0

    /// The kinds in the order in which they appear.
    private var kinds: [String] {
        var kinds: [String] = []
        for span in lanes.flatMap(\.spans) where !kinds.contains(span.kind) { kinds.append(span.kind) }
        return kinds
    }

    func draw(on canvas: inout Canvas, x: Double, y: Double, width: Double) -> Double {
        let kinds = kinds
        var height = Layout.heading(title, summary, on: &canvas, x: x, y: y, width: width)
        height += Layout.legend(kinds, on: &canvas, x: x, y: y + height, width: width) { canvas, index, place in
            canvas.rectangle(
                x: place.x - 7, y: place.y - 6, width: 14, height: 12, fill: Palette.color(index), radius: 2)
        }
        let top = y + height + 4
        let names = lanes.map { TextMetrics.fit($0.name, width: width * 0.3, size: Layout.textSize) }
        let left = x + (names.map { TextMetrics.width($0, size: Layout.textSize) }.max() ?? 0) + 12
        let right = max(left + 40, x + width - 12)
        let times = lanes.flatMap { $0.spans.flatMap { [$0.begin, $0.end] } }
        let scale = Layout.horizontalScale(right - left) {
            Scale(axis, values: times, includesZero: true, isTight: true, target: $0)
        }.placed(from: left, to: right)
        let bottom = top + Self.laneHeight * Double(lanes.count) + 4
        for tick in scale.ticks {
            guard let place = scale.position(tick) else { continue }
            canvas.line((place, top), (place, bottom), stroke: Palette.grid)
        }
        for (index, lane) in lanes.enumerated() {
            let middle = top + Self.laneHeight * (Double(index) + 0.5) + 2
            canvas.text(
                names[index], x: left - 8, y: middle + 4, size: Layout.textSize, anchor: .end,
                tooltip: names[index] == lane.name ? nil : lane.name)
            for span in lane.spans {
                guard let begin = scale.position(span.begin), let end = scale.position(span.end) else { continue }
                canvas.rectangle(
                    x: min(begin, end), y: middle - 7, width: max(1, abs(end - begin)), height: 14,
                    fill: Palette.color(kinds.firstIndex(of: span.kind) ?? 0),
                    tooltip:
                        "\(lane.name), \(span.kind): \(axis.text(span.end - span.begin)), from \(axis.text(span.begin))"
                )
            }
        }
        canvas.line((left, top), (left, bottom), stroke: Palette.axis)
        return bottom - y + Layout.bottomAxis(axis, scale, on: &canvas, left: left, right: right, y: bottom)
    }
}
