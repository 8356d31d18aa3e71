import LCPWire
import Platform
import Testing

@testable import LCPPipeline

@Suite("Models that are signed") struct ModelTrustTests {
    private static let start = ContinuousClock.now
    private static let key = SigningKey()
    private static let trust = ModelTrust(key: key.verificationKey, root: "lcp/kitchen")

    private static func offer(_ name: String, _ number: UInt64) -> ModelOffer {
        var offer = RolloutStand.offer(name, 2)
        offer.givenNumber = number
        return offer
    }

    private static func signed(_ name: String, _ number: UInt64) -> ModelOffer {
        offer(name, number).signed(with: key, root: "lcp/kitchen")
    }

    @Test("A signature holds for one pipeline, one key and every word of an offer") func refusals() throws {
        let offer = Self.signed("A", 5)
        #expect(Self.trust.refusal(of: offer) == nil)
        #expect(try Self.trust.refusal(of: ModelOffer(offer.json)) == nil, "also as it is sent")
        #expect(Self.trust.refusal(of: Self.offer("A", 5)) == .unsigned)
        #expect(Self.trust.refusal(of: offer.signed(with: SigningKey(), root: "lcp/kitchen")) == .foreign)
        #expect(Self.trust.refusal(of: offer.signed(with: Self.key, root: "lcp/garage")) == .forged)
        let changes: [(inout ModelOffer) -> Void] = [
            { $0.name += "x" }, { $0.givenNumber = 6 }, { $0.givenNumber = nil }, { $0.chunkBytes += 1 },
            { $0.model = String($0.model.reversed()) + "0" }, { $0.files[1].bytes += 1 }, { $0.files.swapAt(1, 2) },
            { $0.files[0].sha256 = $0.files[1].sha256 + "0" }, { $0.signature?.value = "" },
            { $0.signature?.value = "not base64" },
        ]
        for (index, change) in changes.enumerated() {
            var changed = offer
            change(&changed)
            #expect(Self.trust.refusal(of: changed) == .forged, "\(index)")
        }
    }

    @Test("Where a key is set, unsigned, foreign and older models are refused, and the right one is put back")
    func watch() {
        var watch = OfferWatch()
        watch.trust = Self.trust
        func hear(_ offer: ModelOffer, at time: Duration = .zero) -> [OfferWatch.Action] {
            watch.heard(offer.json, isRetained: true, now: Self.start + time, chance: .zero)
        }
        let (a, b) = (Self.signed("A", 5), Self.signed("B", 6))
        #expect(hear(Self.offer("X", 9)) == [.refuse(.unsigned, "X")] && watch.offer == nil && watch.isUnreadable)
        #expect(watch.nextDue == nil, "this one knows no better")
        #expect(hear(b) == [.offer(b)])
        let foreign = Self.offer("X", 99).signed(with: SigningKey(), root: "lcp/kitchen")
        #expect(hear(foreign) == [.refuse(.foreign, "X")] && watch.offer == b)
        #expect(watch.time(Self.start + OfferWatch.patience) == [.restore(b)])
        // Played again: it is signed, and older.
        guard case .ignore(let reason)? = hear(a, at: .seconds(1)).first else {
            Issue.record("an older model was taken")
            return
        }
        #expect(reason.contains("older") && watch.offer == b)
        #expect(watch.time(Self.start + .seconds(3)) == [.republish(b)])
    }

    @Test("What is remembered from before a key was set is not taken") func recalled() {
        var watch = OfferWatch()
        watch.trust = Self.trust
        watch.recall(Self.offer("A", 5), now: Self.start, chance: .zero)
        #expect(watch.offer == nil)
        watch.recall(Self.signed("A", 5), now: Self.start, chance: .zero)
        #expect(watch.offer != nil)
    }
}
