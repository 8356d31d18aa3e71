import Glibc
import LCPModels
import LCPWire
import MQTT
import Platform
import Synchronization

/// What is measured with real sensors: several aggregators, acknowledgements, and many pipelines.
extension GrowthBenchmark {
    struct Shared {
        var framesPerSecond: Double
        var sensorMicroseconds: Double
        var acknowledged: FrameCosts.Factors
        var eachOfTwoAggregators: Double
        /// What a frame was seen to cost broker, aggregator and each worker, microseconds.
        var frame: FrameCosts.Frame
        var seen: [Double]

        /// How busy each should have been, and was.
        func checks(_ costs: FrameCosts) -> [Check] {
            zip([FrameCosts.Place.broker, .aggregator, .worker], seen).map { place, microseconds in
                Check(
                    place: place, pipelines: 1, framesPerSecond: framesPerSecond,
                    expected: FrameCosts.utilisation(
                        of: costs.microseconds(place, frame), framesPerSecond: framesPerSecond),
                    seen: microseconds * framesPerSecond / 1_000_000)
            }
        }
    }

    struct Many {
        var pipelines: Int
        var roles: Int
        var frame: FrameCosts.Frame
        var framesPerSecond: Double
        var sensorMicroseconds: Double
        var brokerUtilisation: Double
        var standing: FrameCosts.Standing

        /// How busy the broker should have been, and was.
        func check(_ costs: FrameCosts) -> Check {
            let expected = FrameCosts.utilisation(
                of: costs.microseconds(.broker, frame), framesPerSecond: framesPerSecond)
            return Check(
                place: .broker, pipelines: pipelines, framesPerSecond: framesPerSecond,
                expected: expected + Double(roles) * standing.brokerMicroseconds / 1_000_000, seen: brokerUtilisation)
        }
    }

    private static let sensors = 16
    private static let lenet = MessageBenchmark.Case(branches: 4, input: Network.lenet.input, window: 1)

    /// One aggregator, acknowledged messages, and two aggregators, in turns with the same sensors.
    func compareSensors(_ progress: (Double, String) -> Void) async throws -> Shared {
        let bundle = try BenchmarkRoles.makeBundle(Self.lenet, at: folder)
        let ways: [(words: String, qos: QoS, aggregators: Int)] = [
            ("QoS 0", .atMostOnce, 1), ("QoS 1", .atLeastOnce, 1), ("two aggregators", .atMostOnce, 2),
        ]
        var (factors, each): ([[Double]], [Double]) = ([], [])
        var (usual, rates): ([[Double]], [Double]) = ([], [])
        var answerBytes = 0
        for round in 0..<rounds {
            var costs: [[Double]] = []
            for (index, way) in ways.enumerated() {
                progress(Double(round * ways.count + index) / Double(rounds * ways.count), way.words)
                let measured = try await withSensors(way.qos, aggregators: way.aggregators)
                costs.append(measured.costs)
                rates.append(measured.framesPerSecond)
                answerBytes = measured.answerBytes
            }
            factors.append(zip(costs[1], costs[0]).map { $0 / $1 })
            each.append(costs[2][1] / 2 / costs[0][1])
            usual.append(costs[0])
        }
        func median(_ values: [Double]) -> Double { values.sorted().quantile(0.5) }
        let factor = (0..<4).map { index in median(factors.map { $0[index] }) }
        let seen = (0..<4).map { index in median(usual.map { $0[index] }) }
        return Shared(
            framesPerSecond: median(rates), sensorMicroseconds: seen[3],
            acknowledged: .init(broker: factor[0], aggregator: factor[1], worker: factor[2], sensor: factor[3]),
            eachOfTwoAggregators: median(each),
            frame: try Self.frame(Self.lenet, bundle, answerBytes: answerBytes), seen: Array(seen.dropLast()))
    }

    static func frame(
        _ test: MessageBenchmark.Case, _ bundle: ModelBundle, answerBytes: Int
    ) throws -> FrameCosts.Frame {
        .init(
            branches: test.branches, inputBytes: test.input.elementCount + TensorMessageHeader.minimumSize,
            featureBytes: try bundle.network.outputCount(of: 0) * 4 + TensorMessageHeader.minimumSize,
            predictionBytes: answerBytes, joinMultiplications: try bundle.network.joinMultiplications)
    }

    /// - Returns: what a frame costs, and how many came a second.
    private func withSensors(
        _ qos: QoS, aggregators: Int
    ) async throws -> (costs: [Double], framesPerSecond: Double, answerBytes: Int) {
        try await withBroker { broker, client in
            let topics = try Topics(pipeline: "bench")
            var roles = BenchmarkRoles(executable, pipeline: "bench", model: folder, broker: broker, qos: qos)
            defer { roles.stop() }
            try await roles.start(Self.lenet, aggregators: aggregators, listening: client, topics: topics)
            try await LaneBenchmark.waitForLanes(1, workers: Self.lenet.branches, client, topics)
            if aggregators > 1 { try await Self.waitUntilShared(aggregators, client, topics) }
            let predictions = Answers()
            let subscription = try await client.subscribe(to: topics.predictions) { predictions.take($0) }
            defer { subscription.unsubscribe() }
            try roles.startSensors(Self.sensors, rate: rate / Double(Self.sensors))
            // So that all of them have begun.
            try await predictions.wait(for: Int(rate))
            let (before, first, begin) = (Usage(broker, roles), predictions.value, ContinuousClock.now)
            try await Task.sleep(for: .seconds(seconds))
            let (used, count) = (Usage(broker, roles) - before, Double(predictions.value - first))
            let seen = count / ((.now - begin).milliseconds / 1000)
            guard seen > 0.9 * rate else {
                throw PipelineError(
                    .timedOut,
                    "this machine answers \(Int(seen)) frames a second of the \(Int(rate)) that were sent: "
                        + "measure with fewer, for example --rate \(Int(seen / 2))")
            }
            return (used.each(count, workers: Self.lenet.branches), seen, predictions.bytes)
        }
    }

    private static func waitUntilShared(_ count: Int, _ client: MQTTClient, _ topics: Topics) async throws {
        var buckets: [String: Int] = [:]
        try await BenchmarkRoles.wait(
            client, topics.statuses(.aggregator), "\(count) aggregators did not share the sensors"
        ) { status in
            buckets[status.id] = status.buckets
            return buckets.count == count && buckets.values.allSatisfy { $0 == Topics.bucketCount / count }
        }
    }

    /// Pipelines of two workers and an aggregator: first without a frame, then with a sensor of five a second each.
    func manyPipelines() async throws -> Many {
        let count = pipelines
        let test = MessageBenchmark.Case(branches: 2, input: Network.lenet.input, window: 1)
        let bundle = try BenchmarkRoles.makeBundle(test, at: folder)
        return try await withBroker { broker, client in
            var pipelines: [BenchmarkRoles] = []
            defer { for roles in pipelines { roles.stop() } }
            let resident = ProcessCosts.residentKiB(broker.process.processID) ?? 0
            for number in 0..<count {
                try Task.checkCancellation()
                let topics = try Topics(pipeline: "bench-\(number)")
                pipelines.append(BenchmarkRoles(executable, pipeline: "bench-\(number)", model: folder, broker: broker))
                try await pipelines[number].start(test, listening: client, topics: topics)
            }
            let roles = count * (test.branches + 1)
            // What a start brings about, statistics of it too, is over.
            try await Task.sleep(for: .seconds(seconds))
            let (before, begin) = (Usage(broker, pipelines), ContinuousClock.now)
            try await Task.sleep(for: .seconds(2 * seconds))
            let idle = Usage(broker, pipelines) - before
            let seconds = (.now - begin).milliseconds / 1000
            let standing = FrameCosts.Standing(
                brokerMicroseconds: idle.broker / seconds / Double(roles),
                brokerKiB: max(0, (ProcessCosts.residentKiB(broker.process.processID) ?? 0) - resident) / Double(roles),
                aggregatorMicroseconds: idle.aggregators / seconds / Double(count),
                workerMicroseconds: idle.workers / seconds / Double(count * test.branches))

            let predictions = Answers()
            var subscriptions: [MQTTSubscription] = []
            defer { for subscription in subscriptions { subscription.unsubscribe() } }
            for number in 0..<count {
                let topics = try Topics(pipeline: "bench-\(number)")
                subscriptions.append(try await client.subscribe(to: topics.predictions) { predictions.take($0) })
            }
            for number in 0..<count { try pipelines[number].startSensors(1, rate: 5) }
            try await predictions.wait(for: count * 20)
            let (middle, first, start) = (Usage(broker, pipelines), predictions.value, ContinuousClock.now)
            try await Task.sleep(for: .seconds(seconds))
            let (used, frames) = (Usage(broker, pipelines) - middle, Double(predictions.value - first))
            let time = (.now - start).milliseconds / 1000
            return Many(
                pipelines: count, roles: roles + count,
                frame: try Self.frame(test, bundle, answerBytes: predictions.bytes),
                framesPerSecond: frames / time, sensorMicroseconds: used.sensors / frames,
                brokerUtilisation: used.broker / time / 1_000_000, standing: standing)
        }
    }
}

/// How many predictions have come, and how long the last was.
final class Answers: Sendable {
    private let number = Atomic(0)
    private let length = Atomic(0)
    var value: Int { number.load(ordering: .relaxed) }
    var bytes: Int { length.load(ordering: .relaxed) }

    func take(_ message: MQTTMessageView) {
        length.store(message.payload.count, ordering: .relaxed)
        number.add(1, ordering: .relaxed)
    }

    /// - Throws: ``PipelineError`` where they do not come within half a minute.
    func wait(for count: Int) async throws {
        let deadline = ContinuousClock.now + .seconds(30)
        while value < count {
            guard ContinuousClock.now < deadline else {
                throw PipelineError(.timedOut, "\(value) of \(count) frames were answered within 30 s")
            }
            try await Task.sleep(for: .milliseconds(20))
        }
    }
}
