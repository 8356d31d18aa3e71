import Testing

@testable import LCPLocal

@Suite struct SpreadTests {
    @Test("A spread has the median, the quartiles and the ends of its values")
    func quantiles() {
        let spread = PairedBenchmark.Spread([5, 1, 4, 2, 3])
        #expect(
            [spread.lowest, spread.lowerQuartile, spread.median, spread.upperQuartile, spread.highest] == [
                1, 2, 3, 4, 5,
            ])
        let even = PairedBenchmark.Spread([4, 1, 2, 3])
        #expect([even.lowerQuartile, even.median, even.upperQuartile] == [1.75, 2.5, 3.25])
        #expect(PairedBenchmark.Spread([7]).lowerQuartile == 7)
        #expect(PairedBenchmark.Spread([7]).highest == 7)
    }

    @Test("Ratios are taken within a round, before their median")
    func ratios() {
        let comparison = PairedBenchmark.Comparison([10, 200, 30], [20, 100, 30])
        #expect((comparison.this, comparison.other) == (30, 30))
        #expect(comparison.ratio.median == 1)
        #expect((comparison.ratio.lowest, comparison.ratio.highest) == (0.5, 2))
    }
}
