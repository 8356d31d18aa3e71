extension BarChart {
    private static let valueSize = 11.0

    /// Lying bars below the legend; returns the height.
    func drawLying(on canvas: inout Canvas, x: Double, y: Double, width: Double) -> Double {
        let axis = drawnAxis
        let count = arrangement == .stacked ? 1 : max(1, series.count)
        let barHeight = count == 1 ? 22.0 : count <= 4 ? 17 : 14
        let gap = count == 1 ? 10.0 : 16
        let plotHeight = (barHeight * Double(count) + gap) * Double(categories.count) + 4

        let names = categories.map { TextMetrics.fit($0, width: width * 0.38, size: Layout.textSize) }
        let nameWidth = names.map { TextMetrics.width($0, size: Layout.textSize) }.max() ?? 0
        let left = x + nameWidth + 12
        let values =
            arrangement == .stacked
            ? categories.indices.map { axis.text(total($0)) }
            : categories.indices.flatMap { bars($0).map { axis.text($0.value) } }
        // The value of the longest bar stands behind it.
        let widest = values.map { TextMetrics.width($0, size: Self.valueSize) }.max() ?? 0
        let room = showsValues ? min(widest + 10, width * 0.3) : 18
        let right = max(left + 40, x + width - room)
        let hasNegative = extent.contains { $0 < 0 }
        let scale = Layout.horizontalScale(right - left) {
            Scale(axis, values: extent, includesZero: true, target: $0)
        }.placed(from: hasNegative && showsValues ? left + room : left, to: right)

        let bottom = y + plotHeight
        for tick in scale.ticks {
            guard let place = scale.position(tick) else { continue }
            canvas.line((place, y), (place, bottom), stroke: Palette.grid)
        }
        for category in categories.indices {
            let top = y + gap / 2 + 2 + (barHeight * Double(count) + gap) * Double(category)
            let shown = names[category] == categories[category] ? nil : categories[category]
            canvas.text(
                names[category], x: left - 8, y: top + barHeight * Double(count) / 2 + 4, size: Layout.textSize,
                anchor: .end, tooltip: shown)
            for bar in bars(category) {
                let place = top + barHeight * Double(arrangement == .stacked ? 0 : bar.series)
                drawLying(bar, axis, scale, at: place, height: barHeight, on: &canvas)
            }
            if arrangement == .stacked, showsValues {
                let end = scale.position(bars(category).map(\.to).max() ?? 0) ?? scale.baseline
                canvas.text(
                    axis.text(total(category)), x: end + 6, y: top + barHeight / 2 + 4, size: Self.valueSize,
                    isBold: series.count > 1)
            }
        }
        canvas.line((scale.baseline, y), (scale.baseline, bottom), stroke: Palette.axis)
        return plotHeight + Layout.bottomAxis(axis, scale, on: &canvas, left: left, right: right, y: bottom)
    }

    private func drawLying(
        _ bar: Bar, _ axis: Axis, _ scale: Scale, at top: Double, height: Double, on canvas: inout Canvas
    ) {
        let middle = top + height / 2
        guard let end = scale.position(bar.to) else {
            if showsValues {
                canvas.text(
                    "–", x: scale.baseline + 6, y: middle + 4, size: Self.valueSize, fill: Palette.quietText,
                    tooltip: tooltip(bar))
            }
            return
        }
        let begin = arrangement == .stacked ? scale.position(bar.from) ?? scale.baseline : scale.baseline
        canvas.rectangle(
            x: min(begin, end), y: top + 1, width: abs(begin - end), height: height - 2,
            fill: Palette.color(bar.series), tooltip: tooltip(bar))
        guard arrangement == .grouped else {
            let text = axis.format.text(bar.value)
            if showsValues, series.count > 1, TextMetrics.width(text, size: Self.valueSize) <= abs(begin - end) - 6 {
                canvas.text(
                    text, x: (begin + end) / 2, y: middle + 4, size: Self.valueSize,
                    fill: Palette.textOnColor(bar.series), anchor: .middle)
            }
            return
        }
        var edge = end
        if let error = error(bar), let high = scale.position(bar.to + error) {
            let low = scale.position(bar.to - error) ?? scale.baseline
            canvas.line((low, middle), (high, middle), stroke: Palette.text)
            for place in [low, high] { canvas.line((place, middle - 4), (place, middle + 4), stroke: Palette.text) }
            edge = bar.value < 0 ? min(low, end) : max(high, end)
        }
        guard showsValues else { return }
        let isLeft = bar.value < 0
        canvas.text(
            axis.text(bar.value), x: isLeft ? edge - 6 : edge + 6, y: middle + 4, size: Self.valueSize,
            anchor: isLeft ? .end : .start)
    }
}
