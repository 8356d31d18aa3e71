import Glibc
public import LCPModels
import LCPWire
import MQTT
import Platform

/// Measures what the pipeline's messages cost beside the same pattern in bare C: same broker, same transport, same bytes, in
/// turns in one run, so that a busy machine is busy for both.
public final class MessageBenchmark: Sendable {
    /// What is measured.
    public struct Case: Sendable, Hashable {
        public var branches: Int
        /// The bytes of an input's pixels.
        public var input: FeatureMapShape
        /// Frames in flight.
        public var window: Int
        /// Whether the branches compute (LeNet's shares); otherwise they answer with zeros.
        public var computes = false
        /// Whether inputs are bare bytes in place of tensor messages.
        public var isBare = false
        /// Of the model, where the input is not LeNet's.
        var classes = 10

        public init(branches: Int, input: FeatureMapShape, window: Int, computes: Bool = false, isBare: Bool = false) {
            self.branches = branches
            self.input = input
            self.window = window
            self.computes = computes
            self.isBare = isBare
        }
    }

    /// Medians over the rounds, and the median of the rounds' ratios.
    public struct Result: Sendable, Codable {
        public var branches: Int
        public var inputBytes: Int
        public var inFlight: Int
        public var computes: Bool
        public var latencyMicroseconds: Double
        public var baselineLatencyMicroseconds: Double
        /// lcp's latency by the baseline's: below 1 lcp is faster.
        public var latencyRatio: Double
        public var framesPerSecond: Double
        public var baselineFramesPerSecond: Double
        /// lcp's frames per second by the baseline's: above 1 lcp is faster.
        public var framesRatio: Double
        public var rounds: Int
        /// What a role needs for a message that it receives, on average.
        public var costs: Costs
        public var baselineCosts: Costs

        enum CodingKeys: String, CodingKey {
            case branches, computes, rounds
            case costs = "per_message"
            case baselineCosts = "baseline_per_message"
            case inputBytes = "input_bytes"
            case inFlight = "in_flight"
            case latencyMicroseconds = "latency_p50_us"
            case baselineLatencyMicroseconds = "baseline_latency_p50_us"
            case latencyRatio = "latency_ratio"
            case framesPerSecond = "frames_per_s"
            case baselineFramesPerSecond = "baseline_frames_per_s"
            case framesRatio = "frames_ratio"
        }
    }

    /// What a message costs the role that receives it, and sends an answer where it is the last of its frame.
    public struct Costs: Sendable, Codable {
        /// By strace; nil where that is not installed.
        public var systemCalls: Double?
        public var contextSwitches: Double
        /// How long its threads run, in the system, too.
        public var runTimeMicroseconds: Double

        enum CodingKeys: String, CodingKey {
            case systemCalls = "system_calls"
            case contextSwitches = "context_switches"
            case runTimeMicroseconds = "run_time_us"
        }
    }

    struct Figures {
        var latency: Double
        var frames: Double
        /// Of all roles together.
        var costs: ProcessCosts
    }

    /// A side of the comparison.
    struct Side {
        var root: String
        var processes: [Int32]
    }

    let baseline: String
    let executable: String
    private let rounds: Int
    private let frames: Int

    /// - Parameters:
    ///   - baseline: the path of `bare-mqtt`.
    ///   - rounds: how often each side is measured, in turns.
    ///   - frames: per measurement.
    /// - Throws: ``PipelineError`` where a program is missing.
    public init(baseline: String, rounds: Int, frames: Int) throws {
        guard access(baseline, X_OK) == 0 else {
            throw PipelineError(
                .processFailed,
                "there is no program \(baseline): build it with `swift build -c release` in Benchmarks/")
        }
        let executable = try ownProgram()
        self.baseline = baseline
        self.executable = executable
        self.rounds = rounds
        self.frames = frames
    }

    /// Measures one case.
    ///
    /// - Throws: ``PipelineError`` where a process fails.
    public func run(_ test: Case, progress: (Int) -> Void) async throws -> Result {
        try await withSides(test, lcp: executable) { sides, broker in
            try compare(sides[0], sides[1], test, broker, progress: progress)
        }
    }

    /// Starts the roles of lcp and of the baseline, and stops them when `body` has ended.
    ///
    /// - Parameters:
    ///   - lcp: the path of the program.
    ///   - wrapper: as of ``RoleLauncher``, for all of them.
    func withSides<Value>(
        _ test: Case, lcp: String, wrapper: [String] = [], _ body: ([Side], BrokerProcess) throws -> Value
    ) async throws -> Value {
        let broker = try BrokerProcess.start(configuration: BrokerProcess.localConfiguration())
        defer { broker.process.stop() }
        let folder = "/tmp/lcp-bench-\(getpid())"
        defer { ModelBundle.remove(at: folder) }
        let bundle = try BenchmarkRoles.makeBundle(test, at: folder)
        let answerBytes = TensorMessageHeader.minimumSize + (try bundle.network.outputCount(of: 0)) * 4

        var children: [ChildProcess] = []
        defer { for child in children.reversed() { child.stop(patience: .seconds(30)) } }
        var roles = BenchmarkRoles(lcp, pipeline: "bench", model: folder, broker: broker, wrapper: wrapper)
        defer { roles.stop() }
        try await start(&roles, test, broker: broker)
        try startBaseline(test, answerBytes: answerBytes, broker: broker, wrapper: wrapper, into: &children)
        let sides = [
            Side(root: "lcp/bench", processes: roles.children.map(\.processID)),
            Side(root: "bare/bench", processes: children.map(\.processID)),
        ]
        return try body(sides, broker)
    }

    private func compare(
        _ lcp: Side, _ bare: Side, _ test: Case, _ broker: BrokerProcess, progress: (Int) -> Void
    ) throws -> Result {
        var (ours, theirs): ([Figures], [Figures]) = ([], [])
        // One round to warm both up, which does not count.
        for round in 0...rounds {
            try Task.checkCancellation()
            progress(round)
            let first = try measure(round % 2 == 0 ? lcp : bare, test, broker, frames: frames)
            let second = try measure(round % 2 == 0 ? bare : lcp, test, broker, frames: frames)
            guard round > 0 else { continue }
            ours.append(round % 2 == 0 ? first : second)
            theirs.append(round % 2 == 0 ? second : first)
        }
        let pairs = zip(ours, theirs)
        return Result(
            branches: test.branches, inputBytes: test.input.elementCount, inFlight: test.window,
            computes: test.computes,
            latencyMicroseconds: Self.median(ours.map(\.latency)),
            baselineLatencyMicroseconds: Self.median(theirs.map(\.latency)),
            latencyRatio: Self.median(pairs.map { $0.latency / $1.latency }),
            framesPerSecond: Self.median(ours.map(\.frames)),
            baselineFramesPerSecond: Self.median(theirs.map(\.frames)),
            framesRatio: Self.median(pairs.map { $0.frames / $1.frames }), rounds: rounds,
            costs: try costs(lcp, ours, test, broker), baselineCosts: try costs(bare, theirs, test, broker))
    }

    /// - Throws: ``PipelineError`` where a process fails.
    private func costs(
        _ side: Side, _ figures: [Figures], _ test: Case, _ broker: BrokerProcess
    ) throws -> Costs {
        // Every worker receives a frame, and the aggregator one message from each.
        let messages = Double(2 * test.branches * frames)
        let calls = try SystemCallCount.during(of: side.processes) {
            _ = try measure(side, test, broker, frames: frames)
        }
        return Costs(
            systemCalls: calls.map { $0.total / messages },
            contextSwitches: Self.median(figures.map(\.costs.contextSwitches)) / messages,
            runTimeMicroseconds: Self.median(figures.map(\.costs.runTime)) / messages)
    }

    /// Waits until they are ready; what was started is stopped by whoever has `roles`.
    private func start(_ roles: inout BenchmarkRoles, _ test: Case, broker: BrokerProcess) async throws {
        var configuration = MQTTConfiguration(address: .tcp(host: broker.host, port: broker.port))
        configuration.clientID = "lcp-bench"
        let client = try MQTTClient(configuration)
        try await client.connect()
        try await roles.start(test, listening: client, topics: try Topics(pipeline: "bench"))
        await client.close()
    }

    private func startBaseline(
        _ test: Case, answerBytes: Int, broker: BrokerProcess, wrapper: [String], into children: inout [ChildProcess]
    ) throws {
        func start(_ arguments: [String]) throws {
            var ends: [Int32] = [-1, -1]
            guard pipe(&ends) == 0 else { throw PipelineError(.resources, "cannot make a pipe") }
            for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
            defer { close(ends[0]) }
            do {
                defer { close(ends[1]) }
                let command = wrapper + [baseline] + arguments
                children.append(
                    try ChildProcess(
                        executable: command[0], arguments: Array(command[1...]), output: .descriptor(ends[1])))
            }
            var byte: UInt8 = 0
            guard read(ends[0], &byte, 1) == 1 else {
                throw PipelineError(.processFailed, "bare-mqtt \(arguments[0]) did not start")
            }
        }
        let place = [broker.host, "\(broker.port)", "bare/bench"]
        for branch in 0..<test.branches { try start(["worker"] + place + ["\(branch)", "\(answerBytes)"]) }
        // As many bytes as a prediction of ten classes.
        try start(["aggregator"] + place + ["\(test.branches)", "256"])
    }

    func measure(_ side: Side, _ test: Case, _ broker: BrokerProcess, frames: Int) throws -> Figures {
        let before = ProcessCosts.total(of: side.processes)
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { throw PipelineError(.resources, "cannot make a pipe") }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        defer { close(ends[0]) }
        let child = try ChildProcess(
            executable: baseline,
            arguments: [
                "client", broker.host, "\(broker.port)", side.root, "\(frames)", "\(test.window)",
                "\(test.input.elementCount)",
                test.isBare ? "bare" : "tensor", "\(test.input.height)", "\(test.input.width)",
                "\(test.input.channels)",
            ], output: .descriptor(ends[1]))
        close(ends[1])
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 256)
        while true {
            let count = read(ends[0], &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { break }
            bytes += chunk[..<count]
        }
        let status = child.stop()
        let text = String(decoding: bytes, as: UTF8.self)
        func number(_ name: String) -> Double? {
            guard let range = text.firstRange(of: "\"\(name)\":") else { return nil }
            return Double(text[range.upperBound...].prefix { "0123456789.".contains($0) })
        }
        guard status == 0, let latency = number("latency_p50_us"), let frames = number("frames_per_s") else {
            throw PipelineError(.processFailed, "the measuring client ended with status \(status) on \(side.root)")
        }
        return Figures(
            latency: latency, frames: frames, costs: ProcessCosts.total(of: side.processes) - before)
    }

    static func median(_ values: [Double]) -> Double {
        let sorted = values.sorted()
        guard let last = sorted.last else { return 0 }
        let middle = sorted.count / 2
        return sorted.count % 2 == 1 ? sorted[middle] : middle > 0 ? (sorted[middle - 1] + sorted[middle]) / 2 : last
    }
}
