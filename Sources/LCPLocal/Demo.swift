import Glibc
public import LCPModels
import LCPPipeline
import LCPSensor
import LCPSettings
import LCPWire
import MQTT
import Platform
import Synchronization

/// A whole pipeline on this machine: a broker, a process for each branch, an aggregator and a sensor, all of them children of
/// this one, that talk through the broker only.
public final class Demo: Sendable {
    public struct Options: Sendable {
        /// A bundle's folder, or the name of one that came with lcp.
        public var model = "lenet-split4"
        /// Where frames come from, see ``FrameSource/forms``; all but standard input.
        public var source = "drawn"
        /// The most frames.
        public var frames = 300
        public var rate = 30.0
        public var pipeline = "demo"
        public var deadline = 100.0
        /// With several, frames are answered at QoS 1.
        public var aggregators = 1

        public init() {}
    }

    /// Something to tell.
    public enum Event: Sendable {
        /// What is being done, in words.
        case step(String)
        /// Many times a second while frames flow.
        case tick(DemoTracker)
    }

    private struct Child {
        var name: String
        var process: ChildProcess
        /// Its standard error: a file without a name, gone with the last descriptor.
        var log: Int32
    }

    /// The model that runs.
    public let model: ModelManifest
    private let options: Options
    private let executable: String
    private let tracker = Mutex(DemoTracker())
    /// What the sensor does, in words.
    private let sight: String

    private var branches: Int { model.network.branches.count }
    private static let sensor = "camera"
    private var aggregatorNames: [String] {
        (1...options.aggregators).map { $0 == 1 ? "aggregator" : "aggregator-\($0)" }
    }

    /// Which of several aggregators answers a sensor; nil until they have agreed on that, and where there is one.
    private static func owner(of sensor: String, _ aggregators: [String: RoleStatus]) -> RoleStatus? {
        let sharing = aggregators.values.filter { $0.buckets != nil }
        guard sharing.count == aggregators.count, sharing.count > 1 else { return nil }
        var overview = PipelineOverview()
        for status in sharing { overview.add(status) }
        overview.add(RoleStatus(state: .ready, role: .sensor, id: sensor, birth: ""))
        return overview.shares.first { !$0.sensors.isEmpty }.flatMap { aggregators[$0.aggregator] }
    }

    /// - Throws: ``PipelineError`` where this program cannot find itself, the model is not there, or the source does not fit it;
    ///   `DatasetError` where the source cannot be read.
    public init(options: Options) throws {
        let executable = try ownProgram()
        model = try ModelBundle.find(options.model).manifest
        let source = try FrameSource(options.source, seed: 0)
        if case .standardInput = source {
            throw PipelineError(
                .invalidConfiguration,
                "a demo has no standard input: start the roles yourself, or name another --source")
        }
        try source.check(fits: model)
        var options = options
        options.frames = min(options.frames, source.count ?? options.frames)
        if case .drawn = source {
            sight = "draws \(options.frames) digits"
        } else {
            sight = "shows \(options.frames) picture\(options.frames == 1 ? "" : "s")"
        }
        self.options = options
        self.executable = executable
    }

    /// Runs until all frames are answered, or the task is cancelled; leaves nothing behind.
    ///
    /// - Throws: ``PipelineError`` where a child does not start or ends early.
    public func run(_ report: @Sendable (Event) -> Void) async throws -> DemoSummary {
        var children: [Child] = []
        defer {
            for child in children.reversed() { child.process.ask() }
            for child in children.reversed() {
                child.process.stop()
                close(child.log)
            }
        }
        report(.step("starting a broker"))
        let (broker, client) = try await startBroker()
        children.append(broker)
        let url = client.configuration.address.description
        report(.step("the broker listens on \(url)"))
        let topics = try Topics(pipeline: options.pipeline)
        // One subscription for everything, so that a frame always comes before its prediction.
        let messages = try await client.subscribe(
            to: "\(topics.root)/#", buffer: .init(maximumMessages: 100_000, maximumBytes: 256 << 20))
        let follower = Task { await follow(messages, topics) }
        defer { follower.cancel() }

        let several = options.aggregators > 1 ? "\(options.aggregators) aggregators" : nil
        report(.step("starting \(branches) worker\(branches == 1 ? "" : "s") and \(several ?? "the aggregator")"))
        let qos = several == nil ? [] : ["--qos", "1"]
        let launcher = RoleLauncher(executable: executable, url: url, pipeline: options.pipeline)
        let model = ["--model", options.model]
        // All are on one machine, where each would take all processors.
        let threads = ["--threads", "\(max(1, Processors.available / branches))"]
        for branch in 0..<branches {
            children.append(
                try spawn("worker \(branch)") {
                    try launcher.start(
                        .worker, "branch-\(branch)", ["--branch", "\(branch)"] + threads + model + qos,
                        errorOutput: .descriptor($0))
                })
        }
        for name in aggregatorNames {
            children.append(
                try spawn(name) {
                    try launcher.start(
                        .aggregator, name, ["--deadline", "\(options.deadline)"] + model + qos,
                        errorOutput: .descriptor($0))
                })
        }
        try await wait(for: "the workers and the aggregator\(several == nil ? "" : "s")", seconds: 30, children) {
            tracker in
            (0..<branches).allSatisfy { tracker.workers[$0]?.state == .ready }
                && aggregatorNames.allSatisfy { tracker.aggregators[$0]?.state == .ready }
                && (several == nil || Self.owner(of: Self.sensor, tracker.aggregators) != nil)
        }
        report(.step("all are ready: the sensor \(sight), \(options.rate) a second"))
        if branches > 1, let worker = tracker.withLock({ $0.workers[branches - 1]?.processID }) {
            report(.step("pull a plug meanwhile, in another terminal: kill -9 \(worker)"))
        }
        if let owner = tracker.withLock({ Self.owner(of: Self.sensor, $0.aggregators) }), let process = owner.processID
        {
            report(.step("\(owner.id) answers the sensor; another takes over from it: kill -9 \(process)"))
        }
        children.append(
            try spawn("sensor") {
                try launcher.start(
                    .sensor, Self.sensor,
                    ["--source", options.source, "--count", "\(options.frames)", "--rate", "\(options.rate)"] + model
                        + qos,
                    errorOutput: .descriptor($0))
            })

        let complaint = try await followFrames(children, report)
        await client.close()
        let seen = tracker.withLock { $0 }
        return DemoSummary(
            model: self.model.name, frames: seen.frames, predictions: seen.predictions,
            incomplete: seen.incomplete, lost: seen.lost,
            accuracy: seen.judged > 0 ? seen.accuracy : nil, latencyP50: seen.latency(50),
            latencyP99: seen.latency(99), framesPerSecond: seen.framesPerSecond, branches: branches,
            complaint: complaint)
    }

    /// Reports until every frame has its answer, the sensor being done.
    ///
    /// - Returns: what the sensor said last, where it sent frames and still had to complain.
    private func followFrames(_ children: [Child], _ report: (Event) -> Void) async throws -> String? {
        var sensorEnded: ContinuousClock.Instant?
        var complaint: String?
        while !Task.isCancelled {
            let seen = tracker.withLock { $0 }
            report(.tick(seen))
            if let sensor = children.last, let status = sensor.process.poll() {
                if status != 0, seen.frames == 0 { throw failure(sensor, status) }
                if status != 0, complaint == nil { complaint = lastLine(sensor) }
                sensorEnded = sensorEnded ?? .now
            }
            if let sensorEnded {
                // The last frame may wait for its deadline; after that nothing comes any more.
                let patience = Duration.milliseconds(Int64(options.deadline) + 1000)
                if seen.frames >= options.frames && seen.lost == 0 || ContinuousClock.now - sensorEnded > patience {
                    return complaint
                }
            }
            // A worker may be gone: that is what the pipeline is made for. Without broker or any aggregator it is over.
            let aggregators = children.filter { aggregatorNames.contains($0.name) }
            for group in [Array(children.prefix(1)), aggregators] where group.allSatisfy({ $0.process.poll() != nil }) {
                if let child = group.first, let status = child.process.poll() { throw failure(child, status) }
            }
            try? await Task.sleep(for: .milliseconds(66))
        }
        return complaint
    }

    private func follow(_ messages: MQTTSubscription, _ topics: Topics) async {
        do {
            for try await message in messages {
                let kind = message.topic.dropFirst(topics.root.count + 1).prefix { $0 != "/" }
                switch kind {
                case "input", "lane": tracker.withLock { $0.input(message.payload) }
                case "prediction":
                    tracker.withLock {
                        $0.prediction(message.payload, now: message.received, wallClock: wallClockNanoseconds())
                    }
                case "status": tracker.withLock { $0.status(message.payload) }
                default: break
                }
            }
        } catch {}
    }

    private func startBroker() async throws -> (Child, MQTTClient) {
        var lastError: any Error = PipelineError(.processFailed, "the broker did not start")
        for _ in 0..<5 {
            let port = try BrokerProcess.freePort(host: "127.0.0.1")
            let child = try spawn("broker") { [executable] log in
                try ChildProcess(
                    executable: executable,
                    arguments: ["broker", "--port", "\(port)", "--quiet", "--stop-at-eof", "--memory-only"],
                    errorOutput: .descriptor(log), hiding: Setting.environmentVariables)
            }
            let deadline = ContinuousClock.now + .seconds(10)
            while ContinuousClock.now < deadline {
                if let status = child.process.poll() {
                    lastError = failure(child, status)
                    close(child.log)
                    break
                }
                var configuration = MQTTConfiguration(address: .tcp(host: "127.0.0.1", port: port))
                configuration.clientID = "lcp-demo-\(getpid())"
                let client = try MQTTClient(configuration)
                do {
                    try await client.connect()
                    return (child, client)
                } catch {
                    lastError = error
                    do { try await Task.sleep(for: .milliseconds(10)) } catch {
                        child.process.stop()
                        close(child.log)
                        throw error
                    }
                }
            }
            if child.process.poll() == nil {
                child.process.stop()
                close(child.log)
            }
        }
        throw lastError
    }

    private func wait(
        for what: String, seconds: Int, _ children: [Child], until isDone: (borrowing DemoTracker) -> Bool
    ) async throws {
        let deadline = ContinuousClock.now + .seconds(seconds)
        while !tracker.withLock({ isDone($0) }) {
            for child in children {
                if let status = child.process.poll() { throw failure(child, status) }
            }
            guard ContinuousClock.now < deadline else {
                throw PipelineError(.timedOut, "\(what) were not ready after \(seconds) s")
            }
            try await Task.sleep(for: .milliseconds(5))
        }
    }

    /// Starts a child whose log is kept.
    private func spawn(_ name: String, _ start: (_ log: Int32) throws -> ChildProcess) throws -> Child {
        let log = open("/tmp", Int32(O_RDWR) | Int32(__O_TMPFILE) | O_DIRECTORY | O_CLOEXEC, 0o600)
        do { return Child(name: name, process: try start(log), log: log) } catch {
            if log >= 0 { close(log) }
            throw error
        }
    }

    /// What a child said last, as an error.
    private func failure(_ child: Child, _ status: Int32) -> PipelineError {
        PipelineError(
            .processFailed,
            "the \(child.name) ended early with status \(status)\(lastLine(child).map { ": \($0)" } ?? "")")
    }

    private func lastLine(_ child: Child) -> String? {
        var text = [UInt8](repeating: 0, count: 4096)
        let size = lseek(child.log, 0, SEEK_END)
        let count = pread(child.log, &text, text.count, max(0, size - 4096))
        let lines = String(decoding: text.prefix(max(0, count)), as: UTF8.self).split(separator: "\n")
        return lines.last.map { String($0.hasPrefix("Error: ") ? $0.dropFirst(7) : $0) }
    }
}
