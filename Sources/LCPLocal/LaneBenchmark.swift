import Glibc
import LCPModels
import LCPWire
import MQTT
import Platform

/// Measures frames that a sensor deals to lanes beside frames that the broker deals by shared subscriptions: the same roles, the
/// same bytes, in turns.
public struct LaneBenchmark: Sendable {
    /// Medians over the rounds, and the median of the rounds' ratios.
    public struct Result: Sendable, Codable {
        public var branches: Int
        public var replicas: Int
        public var inputBytes: Int
        public var inFlight: Int
        public var lanesLatencyMicroseconds: Double
        public var sharedLatencyMicroseconds: Double
        /// Below 1 lanes are faster.
        public var latencyRatio: Double
        public var lanesFramesPerSecond: Double
        public var sharedFramesPerSecond: Double
        /// Above 1 lanes are faster.
        public var framesRatio: Double
        public var rounds: Int

        enum CodingKeys: String, CodingKey {
            case branches, replicas, rounds
            case inputBytes = "input_bytes"
            case inFlight = "in_flight"
            case lanesLatencyMicroseconds = "lanes_latency_p50_us"
            case sharedLatencyMicroseconds = "shared_latency_p50_us"
            case latencyRatio = "latency_ratio"
            case lanesFramesPerSecond = "lanes_frames_per_s"
            case sharedFramesPerSecond = "shared_frames_per_s"
            case framesRatio = "frames_ratio"
        }
    }

    private let executable: String
    private let rounds: Int
    private let frames: Int

    /// - Parameters:
    ///   - rounds: how often each way is measured, in turns.
    ///   - frames: per measurement.
    /// - Throws: ``PipelineError`` where this program cannot find itself.
    public init(rounds: Int, frames: Int) throws {
        let executable = try ownProgram()
        self.executable = executable
        self.rounds = rounds
        self.frames = frames
    }

    /// Measures one case.
    ///
    /// - Parameter replicas: how many workers each branch has, and how many lanes there are.
    /// - Throws: ``PipelineError`` where a process fails, ``MQTTError``.
    public func run(_ test: MessageBenchmark.Case, replicas: Int, progress: (Int) -> Void) async throws -> Result {
        let broker = try BrokerProcess.start(configuration: BrokerProcess.localConfiguration())
        defer { broker.process.stop() }
        let folder = "/tmp/lcp-bench-\(getpid())"
        defer { ModelBundle.remove(at: folder) }
        _ = try BenchmarkRoles.makeBundle(test, at: folder)
        let topics = try Topics(pipeline: "bench")
        var configuration = MQTTConfiguration(address: .tcp(host: broker.host, port: broker.port))
        configuration.clientID = "lcp-bench"
        let client = try MQTTClient(configuration)
        try await client.connect()
        var roles = BenchmarkRoles(executable, pipeline: "bench", model: folder, broker: broker)
        defer { roles.stop() }
        try await roles.start(test, replicas: replicas, listening: client, topics: topics)
        try await Self.waitForLanes(replicas, workers: replicas * test.branches, client, topics)

        // First in lanes, second shared; one round to warm up, which does not count.
        var figures: [[FrameLoad.Figures]] = [[], []]
        for round in 0...rounds {
            try Task.checkCancellation()
            progress(round)
            for side in round % 2 == 0 ? [0, 1] : [1, 0] {
                let measured = try await FrameLoad.measure(
                    client, topics: topics, lanes: side == 0 ? replicas : nil, test, frames: frames)
                if round > 0 { figures[side].append(measured) }
            }
        }
        await client.close()
        let latency = PairedBenchmark.Comparison(
            figures[0].map(\.latencyMicroseconds), figures[1].map(\.latencyMicroseconds))
        let rate = PairedBenchmark.Comparison(figures[0].map(\.framesPerSecond), figures[1].map(\.framesPerSecond))
        return Result(
            branches: test.branches, replicas: replicas, inputBytes: test.input.elementCount, inFlight: test.window,
            lanesLatencyMicroseconds: latency.this, sharedLatencyMicroseconds: latency.other,
            latencyRatio: latency.ratio.median, lanesFramesPerSecond: rate.this, sharedFramesPerSecond: rate.other,
            framesRatio: rate.ratio.median, rounds: rounds)
    }

    /// Waits until the aggregator has dealt out the lanes, and all workers receive theirs.
    static func waitForLanes(
        _ count: Int, workers: Int, _ client: MQTTClient, _ topics: Topics
    ) async throws {
        var lanes: [String: Int] = [:]
        try await BenchmarkRoles.wait(client, topics.statuses(.worker), "the workers had no lanes") { status in
            guard let lane = status.lanes?.first?.first else { return false }
            lanes[status.id] = lane
            return lanes.count == workers && Set(lanes.values).count == count
        }
    }
}
