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

    static func numbered(_ offer: ModelOffer, _ number: UInt64) -> ModelOffer {
        var offer = offer
        offer.givenNumber = number
        return offer
    }

    @Test("Of two pushes the one with the higher number holds, and of two with the same that with the larger hash")
    mutating func numbers() {
        let (old, new) = (Self.numbered(Self.a, 7), Self.numbered(Self.b, 8))
        _ = hear(new.json, isRetained: true)
        #expect(hear(old.json).count == 1 && watch.offer == new, "it is told, and not taken")
        let due = Self.start + OfferWatch.patience
        #expect(watch.time(due) == [.republish(new)])
        let newer = Self.numbered(Self.a, 9)
        #expect(hear(newer.json) == [.offer(newer)])
        let (one, other) = (Self.numbered(Self.a, 9), Self.numbered(Self.b, 9))
        #expect(
            one.supersedes(other) == (one.model > other.model) && other.supersedes(one) == (other.model > one.model))
        #expect(!Self.a.supersedes(Self.b) && !Self.b.supersedes(Self.a), "without numbers the last one heard holds")
        #expect(new.supersedes(Self.a) && !Self.a.supersedes(new))
    }

    @Test("The same model pushed once more is no other model")
    mutating func again() {
        _ = hear(Self.numbered(Self.a, 7).json)
        #expect(hear(Self.numbered(Self.a, 8).json) == [] && watch.offer?.number == 8)
    }

    @Test("What was kept on disk is offered to a broker that has no model, or an older one, and gives way to a newer")
    mutating func recalled() {
        let kept = Self.numbered(Self.a, 7)
        func recalling() -> OfferWatch {
            var watch = OfferWatch()
            watch.recall(kept, now: Self.start, chance: .zero)
            return watch
        }
        let due = Self.start + OfferWatch.patience
        watch = recalling()
        #expect(watch.offer == kept && watch.time(due) == [.republish(kept)])
        watch = recalling()
        _ = hear(Self.numbered(Self.b, 6).json, isRetained: true)
        #expect(watch.offer == kept && watch.time(due) == [.republish(kept)])
        watch = recalling()
        _ = hear(kept.json, isRetained: true)
        #expect(watch.time(due) == [], "the broker has it")
        watch = recalling()
        let newer = Self.numbered(Self.b, 8)
        #expect(hear(newer.json, isRetained: true) == [.offer(newer)] && watch.time(due) == [] && watch.offer == newer)
    }

    @Test("A push's number is the time, or one more than that of the push before")
    func nextNumber() {
        #expect(ModelOffer.number(after: nil, milliseconds: 5) == 5)
        #expect(ModelOffer.number(after: Self.a, milliseconds: -5) == 1)
        #expect(ModelOffer.number(after: Self.numbered(Self.a, 7), milliseconds: 5) == 8)
        #expect(ModelOffer.number(after: Self.numbered(Self.a, 7), milliseconds: 9) == 9)
        let last = Self.numbered(Self.a, ModelOffer.maximumNumber)
        #expect(ModelOffer.number(after: last, milliseconds: 9) == ModelOffer.maximumNumber)
        #expect(throws: PipelineError.self) { try ModelOffer(Self.numbered(Self.a, ModelOffer.maximumNumber + 1).json) }
    }
}
