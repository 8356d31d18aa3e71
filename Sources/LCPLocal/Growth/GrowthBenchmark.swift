import Glibc
import LCPModels
import LCPWire
import MQTT
import Platform
import Synchronization

/// Measures what a frame costs the processor in the broker and in each role: ``FrameCosts``.
///
/// The workers answer with zeros, so that it is the messages alone; what a network takes, `lcp bench branch` tells. Processor time
/// is that of all threads of a process, in the system, too.
public struct GrowthBenchmark: Sendable {
    /// What a frame was seen to cost each, microseconds of a processor.
    public struct Seen: Sendable, Codable, Hashable {
        public var branches: Int
        public var inputBytes: Int
        public var featureBytes: Int
        public var predictionBytes: Int
        public var joinMultiplications: Int
        /// Frames in flight: 1, so that everybody waits for every message, and 32, so that nobody waits.
        public var inFlight: Int
        public var framesPerSecond: Double
        public var brokerMicroseconds: Double
        public var aggregatorMicroseconds: Double
        public var workerMicroseconds: Double

        var frame: FrameCosts.Frame {
            .init(
                branches: branches, inputBytes: inputBytes, featureBytes: featureBytes,
                predictionBytes: predictionBytes, joinMultiplications: joinMultiplications)
        }

        enum CodingKeys: String, CodingKey {
            case branches
            case inputBytes = "input_bytes"
            case featureBytes = "feature_bytes"
            case predictionBytes = "prediction_bytes"
            case joinMultiplications = "join_multiplications"
            case inFlight = "in_flight"
            case framesPerSecond = "frames_per_s"
            case brokerMicroseconds = "broker_us"
            case aggregatorMicroseconds = "aggregator_us"
            case workerMicroseconds = "worker_us"
        }
    }

    /// Real sensors, which were not looked at for the costs: what these say of a process, and what was seen.
    public struct Check: Sendable, Codable, Hashable {
        public var place: FrameCosts.Place
        public var pipelines: Int
        public var framesPerSecond: Double
        /// How busy it should be, as a part of a core.
        public var expected: Double
        public var seen: Double

        enum CodingKeys: String, CodingKey {
            case place, pipelines, seen, expected
            case framesPerSecond = "frames_per_s"
        }
    }

    public struct Result: Sendable, Codable {
        public var costs: FrameCosts
        public var seen: [Seen]
        /// How far the costs are from what was seen on average, as a part of it.
        public var error: Double
        /// The rate at which what several aggregators and acknowledgements cost was measured.
        public var framesPerSecond: Double
        public var checks: [Check]

        enum CodingKeys: String, CodingKey {
            case costs, seen, error, checks
            case framesPerSecond = "shared_frames_per_s"
        }
    }

    let executable: String
    let rounds: Int
    let frames: Int
    let rate: Double
    let cases: [MessageBenchmark.Case]
    let pipelines: Int
    let seconds: Double
    let machine: String
    let folder = "/tmp/lcp-bench-\(getpid())"

    /// - Parameters:
    ///   - machine: its name.
    ///   - rounds: how often each case is measured.
    ///   - frames: per measurement.
    ///   - rate: frames a second of all sensors together, where real ones send.
    ///   - branches: only cases with so many; all where it is empty.
    ///   - pipelines: how many run where there are many.
    ///   - seconds: how long real sensors are watched.
    /// - Throws: ``PipelineError`` where this program cannot find itself.
    public init(
        machine: String, rounds: Int, frames: Int, rate: Double, branches: [Int] = [], pipelines: Int, seconds: Double
    ) throws {
        let executable = try ownProgram()
        self.executable = executable
        self.machine = machine
        self.rounds = rounds
        self.frames = frames
        self.rate = rate
        cases = Self.cases.filter { branches.isEmpty || branches.contains($0.branches) }
        self.pipelines = pipelines
        self.seconds = seconds
    }

    /// The cases that the costs are made from.
    private static let cases: [MessageBenchmark.Case] = {
        let (small, large) = (Network.lenet.input, FeatureMapShape(height: 224, width: 224, channels: 3))
        var cases = [1, 2, 4, 8].map { MessageBenchmark.Case(branches: $0, input: small, window: 1) }
        for classes in [10, 1000] {
            for branches in [1, 4] {
                var test = MessageBenchmark.Case(branches: branches, input: large, window: 1)
                test.classes = classes
                cases.append(test)
            }
        }
        return cases
    }()

    /// Measures everything.
    ///
    /// - Parameter progress: told the part that is done, and what is measured next.
    /// - Throws: ``PipelineError`` where a process fails, ``MQTTError``, `CancellationError`. No child is left then.
    public func run(_ progress: (Double, String) -> Void) async throws -> Result {
        defer { ModelBundle.remove(at: folder) }
        var seen: [Seen] = []
        for (index, test) in cases.enumerated() {
            progress(
                0.4 * Double(index) / Double(cases.count),
                "\(test.branches) branch\(test.branches == 1 ? "" : "es"), \(test.input.elementCount) bytes")
            seen += try await measure(test)
        }
        let shared = try await compareSensors { progress(0.4 + 0.4 * $0, "real sensors, \($1)") }
        progress(0.8, "many pipelines")
        let many = try await manyPipelines()

        var (ranges, error): ([FrameCosts.Place: FrameCosts.Range], Double) = ([:], 0)
        for place in [FrameCosts.Place.broker, .aggregator, .worker] {
            let light = Self.fit(place, seen.filter { $0.inFlight == 1 })
            let busy = Self.fit(place, seen.filter { $0.inFlight > 1 })
            ranges[place] = .init(light: light.cost, busy: busy.cost)
            error += (light.error + busy.error) / 6
        }
        guard let broker = ranges[.broker], let aggregator = ranges[.aggregator], let worker = ranges[.worker] else {
            throw PipelineError(.invalidConfiguration, "nothing was measured")
        }
        let costs = FrameCosts(
            machine: machine, broker: broker, aggregator: aggregator, worker: worker,
            sensor: .init(
                light: .init(frameMicroseconds: many.sensorMicroseconds),
                busy: .init(frameMicroseconds: shared.sensorMicroseconds)),
            acknowledged: shared.acknowledged, eachOfTwoAggregators: shared.eachOfTwoAggregators,
            standing: many.standing)
        return Result(
            costs: costs, seen: seen, error: error, framesPerSecond: shared.framesPerSecond,
            checks: shared.checks(costs) + [many.check(costs)])
    }

    /// What a place's frames cost, as a sum of what they are made of.
    static func fit(_ place: FrameCosts.Place, _ seen: [Seen]) -> (cost: FrameCosts.Cost, error: Double) {
        let rows = seen.map { seen -> [Double] in
            let traffic = seen.frame.traffic(of: place)
            return switch place {
            case .broker: [0, traffic.messages, traffic.bytes / 1000, 0]
            case .aggregator: [1, traffic.messages, 0, traffic.multiplications / 1_000_000]
            // Always two messages.
            case .worker, .sensor: [1, 0, traffic.bytes / 1000, 0]
            }
        }
        let fit = CostFit(
            rows,
            seen.map {
                switch place {
                case .broker: $0.brokerMicroseconds
                case .aggregator: $0.aggregatorMicroseconds
                case .worker, .sensor: $0.workerMicroseconds
                }
            })
        let found = fit.coefficients
        return (
            .init(
                frameMicroseconds: found[0], messageMicroseconds: found[1], kilobyteMicroseconds: found[2],
                millionMicroseconds: found[3]), fit.error
        )
    }

    // MARK: One pipeline, as many frames as it can

    private func measure(_ test: MessageBenchmark.Case) async throws -> [Seen] {
        let bundle = try BenchmarkRoles.makeBundle(test, at: folder)
        return try await withBroker { broker, client in
            let topics = try Topics(pipeline: "bench")
            var roles = BenchmarkRoles(executable, pipeline: "bench", model: folder, broker: broker)
            defer { roles.stop() }
            try await roles.start(test, listening: client, topics: topics)
            try await LaneBenchmark.waitForLanes(1, workers: test.branches, client, topics)
            let answers = Answers()
            let predictions = try await client.subscribe(to: topics.predictions) { answers.take($0) }
            defer { predictions.unsubscribe() }
            var seen: [Seen] = []
            for window in [1, 32] {
                var test = test
                test.window = window
                var costs: [[Double]] = []
                // A round to warm up, which does not count.
                for round in 0...rounds {
                    try Task.checkCancellation()
                    let before = Usage(broker, roles)
                    let figures = try await FrameLoad.measure(client, topics: topics, lanes: 1, test, frames: frames)
                    let used = Usage(broker, roles) - before
                    guard round > 0 else { continue }
                    costs.append([figures.framesPerSecond] + used.each(Double(frames), workers: test.branches))
                }
                func median(_ index: Int) -> Double { costs.map { $0[index] }.sorted().quantile(0.5) }
                let frame = try Self.frame(test, bundle, answerBytes: answers.bytes)
                seen.append(
                    Seen(
                        branches: test.branches, inputBytes: frame.inputBytes, featureBytes: frame.featureBytes,
                        predictionBytes: frame.predictionBytes, joinMultiplications: frame.joinMultiplications,
                        inFlight: window, framesPerSecond: median(0), brokerMicroseconds: median(1),
                        aggregatorMicroseconds: median(2), workerMicroseconds: median(3)))
            }
            return seen
        }
    }

    func withBroker<Value: Sendable>(_ body: (BrokerProcess, MQTTClient) async throws -> Value) async throws -> Value {
        let broker = try BrokerProcess.start(configuration: BrokerProcess.localConfiguration())
        defer { broker.process.stop() }
        var configuration = MQTTConfiguration(address: .tcp(host: broker.host, port: broker.port))
        configuration.clientID = "lcp-bench-\(getpid())"
        return try await MQTTClient.withConnection(configuration) { try await body(broker, $0) }
    }

    /// Processor time, microseconds.
    struct Usage {
        var broker: Double
        var aggregators: Double
        var workers: Double
        var sensors: Double

        init(_ broker: BrokerProcess, _ roles: BenchmarkRoles) { self.init(broker, [roles]) }

        init(_ broker: BrokerProcess, _ roles: [BenchmarkRoles]) {
            func time(_ processes: [Int32]) -> Double { ProcessCosts.total(of: processes).runTime }
            self.broker = time([broker.process.processID])
            aggregators = time(roles.flatMap(\.aggregators))
            workers = time(roles.flatMap(\.workers))
            sensors = time(roles.flatMap { $0.sensors.map(\.processID) })
        }

        /// Of a frame: the broker, all aggregators, each worker, the sensor.
        func each(_ frames: Double, workers count: Int) -> [Double] {
            [broker, aggregators, workers / Double(count), sensors].map { $0 / frames }
        }

        static func - (left: Self, right: Self) -> Self {
            var result = left
            result.broker -= right.broker
            result.aggregators -= right.aggregators
            result.workers -= right.workers
            result.sensors -= right.sensors
            return result
        }
    }
}
