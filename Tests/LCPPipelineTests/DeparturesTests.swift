import Testing

@testable import LCPPipeline

@Suite struct DeparturesTests {
    @Test("Who is gone for a day is named once, and who came back is not")
    func days() {
        let start = ContinuousClock.now
        var departures = Departures<String>()
        departures.heard("a", isGone: true, now: start)
        departures.heard("b", isGone: true, now: start)
        departures.heard("a", isGone: true, now: start + .seconds(80_000))
        departures.heard("b", isGone: false, now: start + .seconds(80_000))
        departures.heard("c", isGone: true, now: start + .seconds(80_000))
        #expect(departures.expired(now: start + .seconds(86_399)).isEmpty)
        #expect(departures.expired(now: start + .seconds(86_400)) == ["a"])
        #expect(departures.expired(now: start + .seconds(86_401)).isEmpty)
        #expect(departures.expired(now: start + .seconds(166_400)) == ["c"])
    }
}
