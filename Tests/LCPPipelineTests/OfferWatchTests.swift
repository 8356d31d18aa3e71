import LCPWire
import Testing

@testable import LCPPipeline

@Suite struct OfferWatchTests {
    static let start = ContinuousClock.now
    static let a = RolloutStand.offer("A", 1)
    static let b = RolloutStand.offer("B", 2)

    /// Someone's rubbish in the manifest's place, and why it is none.
    static let rubbish = Array("rubbish".utf8)
    static let ignored = OfferWatch.Action.ignore("the model's manifest is not the JSON of one")

    var watch = OfferWatch()

    mutating func hear(
        _ payload: [UInt8], isRetained: Bool = false, at time: Duration = .zero, chance: Duration = .zero
    ) -> [OfferWatch.Action] {
        watch.heard(payload, isRetained: isRetained, now: Self.start + time, chance: chance)
    }

    @Test("Every new offer is told once")
    mutating func offers() {
        #expect(hear(Self.a.json, isRetained: true) == [.offer(Self.a)] && watch.offer == Self.a)
        #expect(hear(Self.a.json) == [])
        #expect(hear(Self.b.json) == [.offer(Self.b)] && watch.offer == Self.b)
        #expect(hear(Self.a.json) == [.offer(Self.a)])
        #expect(hear([]) == [] && watch.offer == Self.a, "taken away: what is known stays")
        #expect(watch.nextDue == nil && !watch.isUnreadable)
    }

    @Test("A manifest that cannot be read is ignored, and put right by those who know the model")
    mutating func restores() {
        #expect(hear(Self.rubbish) == [Self.ignored] && watch.isUnreadable)
        #expect(watch.nextDue == nil, "this one does not know it")
        _ = hear(Self.a.json)
        #expect(hear(Self.rubbish, at: .seconds(1), chance: .milliseconds(7)) == [Self.ignored])
        let due = Self.start + .seconds(1) + OfferWatch.patience + .milliseconds(7)
        #expect(watch.nextDue == due)
        _ = hear(Self.rubbish, at: .seconds(1) + .milliseconds(100))
        #expect(watch.nextDue == due, "more of it does not put that off")
        #expect(watch.time(due - .milliseconds(1)) == [])
        #expect(watch.time(due) == [.restore(Self.a)])
        #expect(watch.nextDue == nil && watch.time(due + .seconds(1)) == [])
    }

    @Test("A manifest that another has put right already is not published again")
    mutating func isRestored() {
        _ = hear(Self.a.json)
        _ = hear(Self.rubbish)
        #expect(hear(Self.a.json) == [] && watch.nextDue == nil)
        _ = hear(Self.rubbish)
        #expect(hear(Self.b.json) == [.offer(Self.b)] && watch.nextDue == nil, "another was pushed")
    }

    @Test("The manifest of a later version is left alone")
    mutating func newer() {
        _ = hear(Self.a.json)
        let newer = Array(#"{"format":2}"#.utf8)
        #expect(hear(newer) == [Self.ignored] && watch.nextDue == nil && watch.offer == Self.a)
        #expect(ModelOffer.isNewer(newer) && !ModelOffer.isNewer(Self.a.json) && !ModelOffer.isNewer(Self.rubbish))
    }

    @Test("After a reconnect, a model that the broker has forgotten is published again")
    mutating func republishes() {
        _ = hear(Self.a.json, isRetained: true)
        watch.reconnected(now: Self.start, chance: .milliseconds(5))
        let due = Self.start + OfferWatch.patience + .milliseconds(5)
        #expect(watch.nextDue == due)
        #expect(watch.time(due - .milliseconds(1)) == [])
        #expect(watch.time(due) == [.republish(Self.a)] && watch.nextDue == nil)
    }

    @Test("What the broker has kept is not published again", arguments: [a.json, b.json, rubbish])
    mutating func isKept(payload: [UInt8]) {
        _ = hear(Self.a.json)
        watch.reconnected(now: Self.start, chance: .zero)
        _ = hear(payload, isRetained: true)
        #expect(
            !watch.time(Self.start + OfferWatch.patience).contains { if case .republish = $0 { true } else { false } })
        // The next broker is asked anew.
        watch.reconnected(now: Self.start, chance: .zero)
        #expect(watch.time(Self.start + OfferWatch.patience).contains(.republish(watch.offer!)))
    }

    @Test("One that never heard of a model publishes none")
    mutating func knowsNothing() {
        watch.reconnected(now: Self.start, chance: .zero)
        #expect(watch.time(Self.start + .seconds(1)) == [] && watch.nextDue == nil)
    }

    @Test("A device follows another that publishes the model again, with the files that only it has")
    mutating func follows() {
        _ = hear(Self.a.json)
        watch.reconnected(now: Self.start, chance: .zero)
        let moment = Duration.milliseconds(10)
        #expect(hear(Self.a.json, at: moment) == [])
        #expect(watch.nextDue == Self.start + moment + OfferWatch.following)
        #expect(watch.time(Self.start + moment + OfferWatch.following) == [.republish(Self.a)])
        // Its own echo starts nothing.
        #expect(hear(Self.a.json, at: .seconds(1)) == [] && watch.nextDue == nil)
    }
}
