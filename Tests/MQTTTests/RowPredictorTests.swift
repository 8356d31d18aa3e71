import Testing

@testable import MQTT

@Suite("Messages in a row") struct RowPredictorTests {
    private var predictor = RowPredictor()
    private var now = ContinuousClock.now

    /// Reads a row as a connection does, and says how often the system was asked.
    private mutating func read(_ row: Int, rest: Duration = .milliseconds(1)) -> Int {
        var asked = 0
        var left = row
        while left > 0 {
            predictor.begin(now)
            repeat {
                left -= 1
                now += .microseconds(5)
                guard predictor.expectsMore else { break }
                asked += 1
                predictor.saw(more: left > 0)
            } while left > 0
            predictor.end(now)
            now += .microseconds(2)
        }
        now += rest
        return asked
    }

    @Test("Behind messages that come one by one nobody asks for more")
    mutating func oneByOne() {
        let asked = (0..<100).map { _ in read(1) }
        #expect(asked.allSatisfy { $0 == 0 })
    }

    @Test("In rows it is asked behind every message, also behind the first of a row")
    mutating func rows() {
        _ = read(8)
        let asked = (0..<100).map { _ in read(8) }
        #expect(asked.allSatisfy { $0 == 8 })
    }

    @Test("When rows end, a message alone is enough to stop asking")
    mutating func rowsEnd() {
        for _ in 0..<10 { _ = read(8) }
        let asked = (0..<10).map { _ in read(1) }
        #expect(asked == [1, 0, 0, 0, 0, 0, 0, 0, 0, 0])
    }
}
