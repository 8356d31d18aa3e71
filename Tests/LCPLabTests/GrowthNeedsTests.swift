import LCPLocal
import Testing

@testable import LCPLab

@Suite struct GrowthNeedsTests {
    private static func growth(work: Double = 10) -> Growth {
        Growth(
            costs: .usual,
            frame: .init(
                branches: 4, inputBytes: 12_000, featureBytes: 2200, predictionBytes: 600,
                joinMultiplications: 1_000_000),
            workMilliseconds: work, brokerMegabitsPerSecond: 1_000_000)
    }

    @Test("One of each is enough for a little, and nobody is busy with nothing")
    func little() {
        let needs = Self.growth().needs(.init(framesPerSecond: 1))
        #expect(needs.workers.count == 4 && needs.aggregators.count == 1 && needs.brokers.count == 1)
        #expect(needs.connections == 6)
        #expect(abs(needs.workers.utilisation - 0.01) < 0.001)
        #expect((0..<0.01).contains(needs.brokers.utilisation))
        // Four inputs, four feature maps, a prediction.
        #expect(abs(needs.megabitsPerSecond - Double(4 * 12_000 + 4 * 2200 + 600) * 8 / 1e6) < 1e-9)
    }

    @Test("A broker whose link is full is too few, however little it computes")
    func link() {
        var growth = Self.growth()
        growth.brokerMegabitsPerSecond = 10
        let needs = growth.needs(.init(framesPerSecond: 50))
        #expect(needs.brokers.count == 4 && needs.brokers.utilisation < 0.05)
        #expect(needs.megabitsPerSecond <= Growth.limit * 10 && needs.limitedByLink)
        #expect(!Self.growth().needs(.init(framesPerSecond: 50)).limitedByLink)
    }

    @Test("Just below what it is enough for nothing changes, and just above there is one more, none too busy")
    func thresholds() {
        let kinds: [(Growth.Needs) -> Growth.Need] = [\.workers, \.aggregators, \.brokers]
        for kind in kinds {
            var rate = 1.0
            for _ in 0..<6 {
                let before = kind(Self.growth().needs(.init(framesPerSecond: rate)))
                let full = kind(Self.growth().needs(.init(framesPerSecond: before.enoughFor * 0.999)))
                #expect(full.count == before.count)
                #expect((Growth.limit * 0.99...Growth.limit).contains(full.utilisation))
                rate = before.enoughFor * 1.001
                let more = kind(Self.growth().needs(.init(framesPerSecond: rate)))
                #expect(more.count > before.count && more.utilisation <= Growth.limit)
                #expect(more.enoughFor > rate)
            }
        }
    }

    @Test("A second aggregator adds less than a first one gives, as was measured")
    func aggregators() {
        let growth = Self.growth()
        let one = growth.needs(.init(framesPerSecond: 1)).aggregators
        let two = growth.needs(.init(framesPerSecond: one.enoughFor * 1.01)).aggregators
        #expect(two.count == 2)
        #expect(abs(two.enoughFor / one.enoughFor - 1 / growth.costs.eachOfTwoAggregators) < 1e-6)
    }

    @Test("Pipelines need workers and aggregators each, and share brokers, also those in which nothing happens")
    func pipelines() {
        let growth = Self.growth()
        let one = growth.needs(.init(framesPerSecond: 5))
        let many = growth.needs(.init(pipelines: 1000, framesPerSecond: 5))
        #expect(many.workers.count == 1000 * one.workers.count && many.aggregators.count == 1000)
        #expect(many.workers.utilisation == one.workers.utilisation)
        #expect((2..<10).contains(many.brokers.count) && many.brokers.utilisation <= Growth.limit)
        let quiet = growth.needs(.init(pipelines: 10_000, framesPerSecond: 0.001))
        let standing = 60_000 * growth.costs.standing.brokerMicroseconds / 1e6
        #expect(quiet.brokers.count >= Int(standing / Growth.limit))
        // Whatever is asked for is answered at once.
        let most = growth.needs(.init(pipelines: 1_000_000, framesPerSecond: 1_000_000))
        #expect(most.brokers.count > 1_000_000 && most.brokers.utilisation <= Growth.limit)
    }

    @Test("Acknowledged messages need more")
    func acknowledged() {
        let growth = Self.growth()
        let plain = growth.needs(.init(framesPerSecond: 5))
        let sure = growth.needs(.init(framesPerSecond: 5, isAcknowledged: true))
        #expect(sure.brokers.enoughFor < plain.brokers.enoughFor)
        #expect(sure.aggregators.enoughFor < plain.aggregators.enoughFor)
    }
}
