import Platform
import Testing

@Suite("Time") struct TimeTests {
    @Test("A duration in milliseconds is what its seconds and attoseconds say, of either sign")
    func milliseconds() {
        #expect(Duration.milliseconds(1500).milliseconds == 1500)
        #expect(Duration.zero.milliseconds == 0)
        #expect(Duration.nanoseconds(-250_000).milliseconds == -0.25)
        #expect(Duration.seconds(86_400 * 365).milliseconds == 31_536_000_000)
        for nanoseconds in [1, -1, 999, 123_456_789, -9_876_543_210, 1 << 52, -(1 << 52)] as [Int64] {
            let found = Duration.nanoseconds(nanoseconds).milliseconds
            #expect(abs(found - Double(nanoseconds) / 1e6) <= abs(Double(nanoseconds)) * 1e-21 + 2e-12)
        }
    }
}
