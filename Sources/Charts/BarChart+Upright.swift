import Glibc

extension BarChart {
    private static let valueSize = 11.0
    private static let longestName = 190.0

    /// Upright bars below the legend; returns the height.
    func drawUpright(on canvas: inout Canvas, x: Double, y: Double, width: Double) -> Double {
        let axis = drawnAxis
        let plotHeight = max(60, min(4000, self.plotHeight.isFinite ? self.plotHeight : 300))
        var scale = Scale(axis, values: extent, includesZero: true, target: max(2, Int(plotHeight / 55)))
        let right = x + width
        var left = x + Layout.leftRoom(axis, scale)
        let names = categories.map { TextMetrics.fit($0, width: Self.longestName, size: Layout.textSize) }
        let widths = names.map { TextMetrics.width($0, size: Layout.textSize) }
        let widest = widths.max() ?? 0
        var band = (right - left) / Double(max(1, categories.count))
        let isSloped = widest + 8 > band
        // Names that do not fit side by side are sloped, steeply where they are many, and some left out where they are very many.
        let slope = band < 30 ? 60.0 : 35
        let everyName = isSloped ? max(1, Int((14 / band).rounded(.up))) : 1
        if isSloped {
            // A sloped name ends below its bars and begins on the left of them.
            let reach = cos(slope * .pi / 180)
            for (index, width) in widths.enumerated() {
                let start = left + band * (Double(index) + 0.5) + 4 - width * reach
                if start < x { left += min(x - start, self.plotWidthLimit(width: right - left)) }
            }
            band = (right - left) / Double(max(1, categories.count))
        }

        let count = arrangement == .stacked ? 1 : max(1, series.count)
        let gap = min(band * 0.25, 24)
        let barWidth = min(72, (band - gap) / Double(count))
        let texts = categories.indices.flatMap { bars($0).map { axis.format.text($0.value) } }
        let widestValue = texts.map { TextMetrics.width($0, size: Self.valueSize) }.max() ?? 0
        let isTurned = arrangement == .grouped && widestValue > (count == 1 ? band : barWidth) - 2
        let isValued = showsValues && (!isTurned || barWidth >= 11)
        // The values of the longest bars stand above the plot.
        let head = isValued ? (isTurned ? widestValue + 8 : 18) : 6
        let hasNegative = extent.contains { $0 < 0 }
        let foot = isValued && hasNegative ? head : 0
        let (top, bottom) = (y + head, y + head + plotHeight)
        scale = scale.placed(from: bottom - foot, to: top)
        Layout.leftAxis(
            axis, scale, on: &canvas, x: x, left: left, right: right, top: top, bottom: bottom)

        for category in categories.indices {
            let middle = left + band * (Double(category) + 0.5)
            let start = middle - barWidth * Double(count) / 2
            for bar in bars(category) {
                let place = start + barWidth * Double(arrangement == .stacked ? 0 : bar.series)
                drawUpright(
                    bar, axis, scale, at: place, width: barWidth, showsValue: isValued, isTurned: isTurned, on: &canvas)
            }
            if arrangement == .stacked, isValued, series.count > 1 {
                let end = scale.position(bars(category).map(\.to).max() ?? 0) ?? scale.baseline
                canvas.text(
                    axis.format.text(total(category)), x: middle, y: end - 5, size: Self.valueSize, anchor: .middle,
                    isBold: true)
            }
            guard category % everyName == 0 else { continue }
            let shown = names[category] == categories[category] ? nil : categories[category]
            canvas.text(
                names[category], x: isSloped ? middle + 4 : middle, y: bottom + (isSloped ? 14 : 18),
                size: Layout.textSize, anchor: isSloped ? .end : .middle, angle: isSloped ? -slope : 0,
                tooltip: shown)
        }
        canvas.line((left, scale.baseline), (right, scale.baseline), stroke: Palette.axis)
        let below = isSloped ? 20 + widest * sin(slope * .pi / 180) : 26
        return head + plotHeight + (categories.isEmpty ? 6 : below)
    }

    /// How much a plot may give away to long names.
    private func plotWidthLimit(width: Double) -> Double { max(0, width * 0.25) }

    private func drawUpright(
        _ bar: Bar, _ axis: Axis, _ scale: Scale, at left: Double, width: Double, showsValue: Bool, isTurned: Bool,
        on canvas: inout Canvas
    ) {
        let middle = left + width / 2
        let text = axis.format.text(bar.value)
        guard let end = scale.position(bar.to) else {
            if showsValue {
                canvas.text(
                    "–", x: middle, y: scale.baseline - 5, size: Self.valueSize, fill: Palette.quietText,
                    anchor: .middle, tooltip: tooltip(bar))
            }
            return
        }
        let begin = arrangement == .stacked ? scale.position(bar.from) ?? scale.baseline : scale.baseline
        let inset = width > 6 ? 1.0 : width * 0.08
        canvas.rectangle(
            x: left + inset, y: min(begin, end), width: width - 2 * inset, height: abs(begin - end),
            fill: Palette.color(bar.series), tooltip: tooltip(bar))
        guard arrangement == .grouped else {
            if showsValue, abs(begin - end) >= 16, TextMetrics.width(text, size: Self.valueSize) <= width - 4 {
                canvas.text(
                    text, x: middle, y: (begin + end) / 2 + 4, size: Self.valueSize,
                    fill: Palette.textOnColor(bar.series), anchor: .middle)
            }
            return
        }
        var edge = end
        if let error = error(bar), let low = scale.position(bar.to - error) ?? Optional(scale.baseline),
            let high = scale.position(bar.to + error)
        {
            canvas.line((middle, low), (middle, high), stroke: Palette.text)
            for place in [low, high] { canvas.line((middle - 4, place), (middle + 4, place), stroke: Palette.text) }
            edge = bar.value < 0 ? max(low, end) : min(high, end)
        }
        guard showsValue else { return }
        let isBelow = bar.value < 0
        if isTurned {
            canvas.text(
                text, x: middle + 4, y: isBelow ? edge + 5 : edge - 5, size: Self.valueSize,
                anchor: isBelow ? .end : .start, angle: -90)
        } else {
            canvas.text(
                text, x: middle, y: isBelow ? edge + 13 : edge - 5, size: Self.valueSize, anchor: .middle)
        }
    }
}
