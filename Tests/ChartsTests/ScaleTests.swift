import Testing

@testable import Charts

@Suite struct ScaleTests {
    @Test func linearTicksAreNice() {
        let percent = Scale(Axis("", format: .percent(1)), values: [0.25, 0.9928], target: 5)
        #expect(percent.labels == ["20 %", "40 %", "60 %", "80 %", "100 %"])
        let fine = Scale(Axis("", format: .percent(1)), values: [0.991, 0.9932], target: 5)
        #expect(fine.labels == ["99.10 %", "99.15 %", "99.20 %", "99.25 %", "99.30 %", "99.35 %"])
        let tenths = Scale(Axis(), values: [0, 0.7], target: 7)
        #expect(tenths.labels == ["0.0", "0.1", "0.2", "0.3", "0.4", "0.5", "0.6", "0.7"])
        let whole = Scale(Axis("", isWhole: true), values: [0, 1], isTight: true, target: 8)
        #expect(whole.labels == ["0", "1"])
        let thousands = Scale(Axis(), values: [0, 12_000], target: 3)
        #expect(thousands.labels == ["0", "5,000", "10,000", "15,000"])
        let negative = Scale(Axis(), values: [-3, 5], target: 4)
        #expect(negative.labels == ["-4", "-2", "0", "2", "4", "6"])
        let huge = Scale(Axis(), values: [0, 2e9], target: 2)
        #expect(huge.labels == ["0", "10⁹", "2×10⁹"])
        let tiny = Scale(Axis(), values: [0, 3e-7], target: 3)
        #expect(tiny.labels == ["0", "10⁻⁷", "2×10⁻⁷", "3×10⁻⁷"])
    }

    @Test func logarithmicTicksAreDecades() {
        let axis = Axis("", isLogarithmic: true)
        #expect(Scale(axis, values: [0.02, 300], target: 6).labels == ["0.01", "0.1", "1", "10", "100", "1,000"])
        #expect(Scale(axis, values: [3, 40], target: 6).labels == ["1", "2", "5", "10", "20", "50", "100"])
        #expect(Scale(axis, values: [1, 1e12], target: 4).labels == ["1", "1,000", "10⁶", "10⁹", "10¹²"])
        // What has no logarithm does not count, and has no place.
        let scale = Scale(axis, values: [-1, 0, .nan, 10, 100], target: 4)
        #expect(scale.position(0) == nil && scale.position(-1) == nil && scale.position(.nan) == nil)
        #expect(scale.position(10) == 0 && scale.position(100) == 1)
    }

    @Test func emptyAndSingleValuesHaveAScale() {
        #expect(Scale(Axis(), values: [], target: 5).position(0.5) == 0.5)
        #expect(Scale(Axis(), values: [7], target: 5).position(7).map { $0 > 0 && $0 < 1 } == true)
        #expect(Scale(Axis(), values: [0], includesZero: true, target: 5).position(0) == 0)
        #expect(Scale(Axis(), values: [.nan, .infinity], target: 5).ticks.count > 1)
        #expect(Scale(Axis(), values: [-1.7e308, 1.7e308], target: 5).ticks.count < 20)
        #expect(Scale(Axis(), values: [1e15, 1e15 + 1], target: 5).ticks.count < 20)
        #expect(Scale(Axis(), values: [1e17, 1e17 + 16], target: 50).ticks.count <= 101)
    }

    @Test func numbersAreShort() {
        let automatic = NumberFormat.automatic
        let texts = [0, 1, 42, 0.5, 1.0 / 3, 1234.5, 999_999, 1_234_567, 1e-5, -2.5, 0.00123, 1e300].map(automatic.text)
        #expect(
            texts == [
                "0", "1", "42", "0.5", "0.333", "1,235", "999,999", "1.23×10⁶", "10⁻⁵", "-2.5", "0.00123", "10³⁰⁰",
            ])
        #expect(automatic.text(.nan) == "–" && automatic.text(-.infinity) == "–")
        #expect(NumberFormat.percent(2).text(0.98957) == "98.96 %")
        #expect(NumberFormat.fixed(1).text(-0.04) == "0.0")
        #expect(NumberFormat.fixed(3).text(1_234_567.8) == "1,234,567.800")
    }

    @Test func textIsCutAndWrapped() {
        #expect(TextMetrics.fit("short", width: 100, size: 12) == "short")
        let cut = TextMetrics.fit("a name that is too long", width: 60, size: 12)
        #expect(cut.hasSuffix("…") && TextMetrics.width(cut, size: 12) <= 60)
        #expect(TextMetrics.wrap("one two three", width: 40, size: 12, lines: 5) == ["one", "two", "three"])
        let lines = TextMetrics.wrap("one two three four five six", width: 60, size: 12, lines: 2)
        #expect(lines.count == 2 && lines[1].hasSuffix("…"))
        #expect(TextMetrics.wrap("", width: 40, size: 12, lines: 2).isEmpty)
    }

    @Test func noTwoOf21SeriesLookTheSame() {
        #expect(Set((0..<21).map(Palette.color)).count == 21)
        #expect(Set((0..<28).map { "\(Palette.color($0)) \(Palette.dash($0) ?? "")" }).count == 28)
        #expect(Palette.color(1_000_000).count == 7)
        #expect([0, 0.5, 1, -1, 7, .nan].map(Palette.heat).allSatisfy { $0.count == 7 && $0.hasPrefix("#") })
    }
}
