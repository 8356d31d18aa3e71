import FoundationEssentials
import LCPWire
import Platform
import Testing

@testable import LCPLocal

@Suite struct GrowthTests {
    @Test("Costs are found again from sums that were made of them, whatever their size")
    func fit() {
        let rows: [[Double]] = [[1, 2, 0.5], [1, 3, 150], [1, 9, 0.5], [1, 5, 600], [1, 17, 2]]
        let costs = [20, 8, 0.3]
        let fit = CostFit(rows, rows.map { row in zip(row, costs).reduce(0) { $0 + $1.0 * $1.1 } })
        #expect(zip(fit.coefficients, costs).allSatisfy { abs($0 - $1) < 1e-6 * $1 })
        #expect(fit.error < 1e-9)
    }

    @Test("No cost is negative, and a quantity that never occurs costs nothing")
    func limits() {
        // The second quantity would make things cheaper.
        let fit = CostFit([[1, 1, 0], [1, 2, 0], [1, 3, 0]], [10, 9, 8])
        #expect(fit.coefficients[1] == 0 && fit.coefficients[2] == 0)
        // Always twice the first: nothing tells one from the other.
        let proportional = CostFit([[1, 2, 0.1], [1, 2, 5], [1, 2, 9]], [10.1, 15, 19])
        let (first, second) = (proportional.coefficients[0], proportional.coefficients[1])
        #expect(abs(first + 2 * second - 10) < 1e-6 && first >= 0 && second >= 0 && first <= 10)
        #expect(abs(proportional.coefficients[2] - 1) < 1e-6 && proportional.error < 1e-6)
        // The least squares of relative errors.
        #expect(abs(fit.coefficients[0] - 8.86) < 0.01)
        #expect(abs(fit.error - 0.083) < 0.01)
    }

    @Test("A broker has every input as often as there are branches, and every feature map twice")
    func traffic() {
        let frame = FrameCosts.Frame(
            branches: 4, inputBytes: 1000, featureBytes: 100, predictionBytes: 10, joinMultiplications: 5,
            subscribers: 3)
        let broker = frame.traffic(of: .broker)
        // In: an input, four feature maps, a prediction. Out: four inputs, four feature maps, three predictions.
        #expect(broker.messages == 17)
        #expect(broker.bytes == 5840)
        let aggregator = frame.traffic(of: .aggregator)
        #expect(aggregator == .init(messages: 5, bytes: 410, multiplications: 5))
        #expect(frame.traffic(of: .worker).bytes == 1100 && frame.traffic(of: .sensor).bytes == 1010)
    }

    @Test(
        "How busy a process is goes up with the frames, to 1 where it has no pause, and is where it was computed from")
    func utilisation() {
        let cost = (light: 100.0, busy: 40.0)
        #expect(FrameCosts.utilisation(of: cost, framesPerSecond: 0) == 0)
        // Nearly nothing to do: every frame costs what it costs alone.
        #expect(abs(FrameCosts.utilisation(of: cost, framesPerSecond: 10) - 0.001) < 1e-5)
        #expect(abs(FrameCosts.utilisation(of: cost, framesPerSecond: 25_000) - 1) < 1e-9)
        // Twice what it can do.
        #expect(FrameCosts.utilisation(of: cost, framesPerSecond: 50_000) == 2)
        for part in [0.1, 0.5, 0.7, 1] {
            let rate = FrameCosts.framesPerSecond(of: cost, at: part)
            let seen = FrameCosts.utilisation(of: cost, framesPerSecond: rate)
            #expect(abs(seen - part) < 1e-9)
            // By the definition.
            #expect(abs(rate / 1e6 * (cost.busy + (cost.light - cost.busy) * (1 - part)) - part) < 1e-9)
        }
    }

    @Test("Acknowledged messages cost more, and a busy process never more than one that is seldom busy")
    func costs() {
        let costs = FrameCosts.usual
        for branches in [1, 4, 8] {
            for bytes in [900, 150_000] {
                let frame = FrameCosts.Frame(
                    branches: branches, inputBytes: bytes, featureBytes: 168, predictionBytes: 300)
                for place in FrameCosts.Place.allCases {
                    let cost = costs.microseconds(place, frame)
                    #expect(0 < cost.busy && cost.busy <= cost.light)
                    let acknowledged = costs.microseconds(place, frame, isAcknowledged: true)
                    #expect(abs(acknowledged.busy - cost.busy * costs.acknowledged[place]) < 1e-9)
                    #expect(acknowledged.light > cost.light)
                }
            }
        }
    }

    @Test("Costs are read again as they were written, and what cannot be costs is refused with what to do")
    func file() throws {
        struct File: Encodable { var costs: FrameCosts }
        let path = "/tmp/lcp-test-\(UUID().uuidString)"
        defer { FileIO.remove(path) }
        func read(_ change: (inout FrameCosts) -> Void) throws -> FrameCosts {
            var costs = FrameCosts.usual
            change(&costs)
            try FileIO.write(Array(try JSONEncoder().encode(File(costs: costs))), to: path)
            return try FrameCosts(path: path)
        }
        #expect(try read { _ in } == .usual)
        #expect(try read { $0.machine = "a\u{1B}[31m" }.machine != "a\u{1B}[31m")
        let wrong: [(inout FrameCosts) -> Void] = [
            { $0.broker.busy.messageMicroseconds = 0 }, { $0.worker.light.frameMicroseconds = -1 },
            { $0.aggregator.busy.millionMicroseconds = 1e300 }, { $0.acknowledged.sensor = 0 },
            { $0.eachOfTwoAggregators = 1e9 }, { $0.standing.brokerKiB = -1 },
        ]
        for change in wrong {
            #expect { _ = try read(change) } throws: { "\($0)".contains("write it with lcp bench growth --json") }
        }
    }
}
