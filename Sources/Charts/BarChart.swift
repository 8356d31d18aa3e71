/// Bars for categories, one or several in each: side by side or on top of each other, upright or lying.
public struct BarChart: Sendable, Hashable {
    /// How the bars of one category lie.
    public enum Arrangement: Sendable, Hashable {
        case grouped
        /// One on the other. Lengths add up on a linear axis only, so a logarithmic one is drawn as linear.
        case stacked
    }

    /// Which way the bars grow.
    public enum Orientation: Sendable, Hashable {
        case vertical
        /// To the right: for long names.
        case horizontal
    }

    /// One value for each category. A value that is missing or not finite has no bar.
    public struct Series: Sendable, Hashable {
        public var name: String
        public var values: [Double]
        /// Half the length of the error bar of each value; empty for none. Grouped bars show them.
        public var errors: [Double]

        public init(_ name: String, _ values: [Double], errors: [Double] = []) {
            self.name = name
            self.values = values
            self.errors = errors
        }
    }

    public var title: String
    /// One sentence below the title, and the description for screen readers.
    public var summary: String
    public var categories: [String]
    public var series: [Series]
    public var axis: Axis
    public var arrangement: Arrangement
    public var orientation: Orientation
    /// Whether every bar has its value written on it, where there is room.
    public var showsValues: Bool
    /// The height of the plot of upright bars, in pixels. Lying bars take what they need.
    public var plotHeight: Double

    public init(
        title: String, summary: String = "", categories: [String], series: [Series], axis: Axis,
        arrangement: Arrangement = .grouped, orientation: Orientation = .vertical, showsValues: Bool = true,
        plotHeight: Double = 300
    ) {
        self.title = title
        self.summary = summary
        self.categories = categories
        self.series = series
        self.axis = axis
        self.arrangement = arrangement
        self.orientation = orientation
        self.showsValues = showsValues
        self.plotHeight = plotHeight
    }

    /// The chart as an SVG file of the given width in pixels.
    public func svg(width: Double = 720) -> String { document(width: width) }
}

extension BarChart: Drawable {
    func draw(on canvas: inout Canvas, x: Double, y: Double, width: Double) -> Double {
        var height = Layout.heading(title, summary, on: &canvas, x: x, y: y, width: width)
        height += Layout.legend(series.map(\.name), on: &canvas, x: x, y: y + height, width: width) {
            canvas, index, place in
            canvas.rectangle(
                x: place.x - 7, y: place.y - 6, width: 14, height: 12, fill: Palette.color(index), radius: 2)
        }
        height += 4
        return height
            + (orientation == .vertical
                ? drawUpright(on: &canvas, x: x, y: y + height, width: width)
                : drawLying(on: &canvas, x: x, y: y + height, width: width))
    }

    /// One bar between two values.
    struct Bar {
        var series: Int
        var category: Int
        var from: Double
        var to: Double
        var value: Double
    }

    /// The bars of a category from its first to its last series; `from` is 0 where it begins at the baseline.
    func bars(_ category: Int) -> [Bar] {
        var (above, below) = (0.0, 0.0)
        return series.indices.compactMap { index in
            guard series[index].values.indices.contains(category) else { return nil }
            let value = series[index].values[category]
            guard arrangement == .stacked else {
                return Bar(series: index, category: category, from: 0, to: value, value: value)
            }
            guard value.isFinite else { return nil }
            let from = value < 0 ? below : above
            if value < 0 { below += value } else { above += value }
            return Bar(series: index, category: category, from: from, to: from + value, value: value)
        }
    }

    /// The axis as it is drawn.
    var drawnAxis: Axis {
        var drawn = axis
        if arrangement == .stacked { drawn.isLogarithmic = false }
        return drawn
    }

    /// Everything that the scale has to show.
    var extent: [Double] {
        categories.indices.flatMap { category in
            bars(category).flatMap { bar in
                let error = arrangement == .grouped ? error(bar) ?? 0 : 0
                return [bar.to, bar.to + error, bar.to - error]
            }
        }
    }

    func error(_ bar: Bar) -> Double? {
        let errors = series[bar.series].errors
        guard errors.indices.contains(bar.category), errors[bar.category].isFinite, errors[bar.category] > 0 else {
            return nil
        }
        return errors[bar.category]
    }

    func tooltip(_ bar: Bar) -> String {
        let name = series[bar.series].name
        return "\(categories[bar.category])\(name.isEmpty ? "" : ", \(name)"): \(axis.text(bar.value))"
    }

    /// What stands at the end of a whole stack.
    func total(_ category: Int) -> Double { bars(category).reduce(0) { $0 + $1.value } }
}
