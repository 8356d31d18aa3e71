import LCPModels
import LCPWire
import Testing

@testable import LCPLab

@Suite struct PlannerTests {
    /// A network that takes 20 ms here in one piece, and a branch of it a share and a little more.
    private static func planner(devices: Int = 8, mbit: Double = 62.24, slowness: Double = 10) -> Planner {
        Planner(
            link: .init(megabitsPerSecond: mbit, delayMilliseconds: 0.2, source: ""), slowness: slowness,
            devices: devices,
            frames: [
                .init(encoding: "raw", bytes: 150_688, encodeMilliseconds: 0, decodeMilliseconds: 0),
                .init(encoding: "jpeg:80", bytes: 12_160, encodeMilliseconds: 0.2, decodeMilliseconds: 0.3),
            ],
            splits: [(1, 0, 20), (2, 0, 6), (4, 0, 2), (8, 0, 0.5), (8, 40, 0.9), (16, 0, 0.2)].map {
                .init(branches: $0.0, fatten: $0.1, networkMilliseconds: $0.2, outputs: 4096 / $0.0)
            })
    }

    @Test("The least latency is found, never with more branches than devices")
    func leastLatency() throws {
        let all = Self.planner().candidates(for: .latency)
        let best = try #require(all.first)
        #expect(all.allSatisfy { $0.branches <= 8 && $0.branches * $0.replicas <= 8 })
        #expect(best.branches == 8 && best.fatten == 0 && best.encoding == "jpeg:80" && best.features != "fp32")
        #expect(all.map(\.latencyMilliseconds) == all.map(\.latencyMilliseconds).sorted())
        #expect(try #require(Self.planner(devices: 2).candidates(for: .latency).first).branches == 2)
    }

    @Test("A slow link makes fewer branches best, a fast one more")
    func links() throws {
        let slow = try #require(Self.planner(mbit: 2).candidates(for: .latency).first { $0.fatten == 0 })
        let fast = try #require(Self.planner(mbit: 1000).candidates(for: .latency).first { $0.fatten == 0 })
        #expect(slow.branches < 8 && fast.branches == 8)
    }

    @Test("A latency is its parts, and frames a second what the busiest part lets through")
    func parts() throws {
        let one = try #require(
            Self.planner().candidates(for: .latency).first {
                $0.branches == 1 && $0.encoding == "jpeg:80" && $0.features == "fp16"
            })
        let sum = one.linkMilliseconds + one.decodeMilliseconds + one.networkMilliseconds + 0.2 + 1.5
        #expect(abs(one.latencyMilliseconds - sum) < 1e-9)
        // Eight whole networks, a frame each.
        #expect(one.replicas == 8 && one.bottleneck == "the devices")
        #expect(abs(one.framesPerSecond - 8 * 1000 / (200 + 3)) < 0.01)
        let eight = try #require(
            Self.planner().candidates(for: .latency).first {
                $0.branches == 8 && $0.encoding == "jpeg:80" && $0.features == "fp16"
            })
        #expect(eight.bottleneck == "the broker's link")
    }

    @Test("Where links are fast, the broker's processor or the aggregator's limits the frames")
    func processors() throws {
        var planner = Self.planner(mbit: 100_000, slowness: 0.01)
        func best(_ branches: Int) throws -> Planner.Candidate {
            try #require(planner.candidates(for: .frames).first { $0.branches == branches && $0.fatten == 0 })
        }
        #expect(try best(8).bottleneck == "the broker")
        // In: an input, eight feature maps, a prediction; out: eight inputs and feature maps, a prediction.
        (planner.costs.broker.busy.messageMicroseconds, planner.costs.broker.busy.kilobyteMicroseconds) = (10, 0)
        planner.costs.broker.light = planner.costs.broker.busy
        #expect(abs(try best(8).framesPerSecond - 1e6 / (10 * 27)) < 0.01)
        for index in planner.splits.indices { planner.splits[index].joinMultiplications = 4_000_000 }
        #expect(try best(8).bottleneck == "the aggregator")
    }

    @Test("At the break-even, branches take as long as the whole network")
    func breakEven() throws {
        let planner = Self.planner()
        let best = try #require(planner.candidates(for: .latency).first)
        let found = try #require(planner.breakEven(best))
        let original = try #require(found.originalMilliseconds)
        // A network of that size, its branches in the same proportion.
        var small = planner
        let part = original / (20 * 10)
        small.splits = planner.splits.map {
            .init(
                branches: $0.branches, fatten: $0.fatten, networkMilliseconds: $0.networkMilliseconds * part,
                outputs: $0.outputs)
        }
        func latency(_ planner: Planner, _ branches: Int) throws -> Double {
            try #require(
                planner.candidates(for: .latency).first {
                    $0.branches == branches && $0.fatten == 0 && $0.encoding == best.encoding
                        && $0.features == best.features
                }
            ).latencyMilliseconds
        }
        #expect(abs(try latency(small, 8) - latency(small, 1)) < 1e-6)
        #expect(try latency(planner, 8) < latency(planner, 1))
        let rate = try #require(found.megabitsPerSecond)
        #expect(try latency(Self.planner(mbit: rate * 0.8), 8) > latency(Self.planner(mbit: rate * 0.8), 1))
        #expect(try latency(Self.planner(mbit: rate * 1.25), 8) < latency(Self.planner(mbit: rate * 1.25), 1))
        #expect(planner.breakEven(try #require(planner.candidates(for: .latency).first { $0.branches == 1 })) == nil)
    }

    @Test("Where branches are no faster, there is no break-even")
    func neverPays() throws {
        var planner = Self.planner()
        planner.splits = [(1, 1.0), (2, 1.0)].map {
            .init(branches: $0.0, fatten: 0, networkMilliseconds: $0.1, outputs: 10)
        }
        let two = try #require(planner.candidates(for: .latency).first { $0.branches == 2 })
        let found = try #require(planner.breakEven(two))
        #expect(found.originalMilliseconds == nil && found.megabitsPerSecond == nil)
    }
}
