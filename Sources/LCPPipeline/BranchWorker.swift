import LCPInference
public import LCPModels
import MQTT
import Tensors

/// Runs one branch of a model for all sensors of a pipeline. Any number of workers may share a branch: the broker deals the
/// frames out in turn.
public actor BranchWorker {
    /// How a worker is set up.
    public struct Options: Sendable {
        /// The worker's name; the machine's name and the process's number where nil.
        public var id: String?
        /// Answers with zeros in place of running the network: measures the messages alone.
        public var computes = true
        /// A branch that takes longer runs on a thread of its own, so that the connection is served meanwhile.
        public var longestInline = Duration.milliseconds(2)

        public init() {}
    }

    public nonisolated let session: RoleSession
    private nonisolated let executor: MQTTEventLoop
    public nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    private let engine: BranchEngine
    private let decoder: InputDecoder
    private let branch: Int
    private let computes: Bool
    /// Whether the branch runs on the event loop's thread.
    private let isInline: Bool
    private let header: TensorMessageHeader
    private let started = ContinuousClock.now
    /// The message that goes out, written anew for every frame.
    private var message: [UInt8]
    private var topics: [String: String] = [:]
    private var frames: UInt64 = 0
    private var drops = Drops()
    private var computeTimes = LatencyWindow()
    private var queueTimes = LatencyWindow()
    private var statisticsTimer: MQTTTimer?

    /// The most sensors whose topics are remembered; with more they are made anew.
    private static let maximumTopics = 4096

    /// Prepares the branch; nothing is sent yet.
    ///
    /// - Throws: ``PipelineError``, ``ModelBundleError``, ``InferenceError`` or ``MQTTError``.
    public init(_ configuration: PipelineConfiguration, bundle: ModelBundle, branch: Int, options: Options = Options())
        throws
    {
        guard bundle.network.branches.indices.contains(branch) else {
            throw PipelineError(
                "\(bundle.manifest.name) has branches 0 to \(bundle.network.branches.count - 1), there is no branch \(branch)"
            )
        }
        let engine = try BranchEngine(bundle: bundle, branch: branch)
        var status = RoleSession.status(.worker, id: options.id)
        status.branch = branch
        status.branches = bundle.network.branches.count
        status.model = bundle.manifest.name
        status.modelHash = bundle.hash.description
        session = try RoleSession(configuration, status: status)
        let isLong = options.computes ? try engine.measure() > options.longestInline : false
        isInline = !isLong
        executor = isLong ? try MQTTEventLoop(name: "branch") : session.client.eventLoop

        guard let shape = Shape([engine.outputCount]) else {
            throw PipelineError("the branch's output is too large to send")
        }
        decoder = InputDecoder(shape: bundle.network.input)
        computes = options.computes
        header = TensorMessageHeader(
            kind: engine.outputKind == .features ? .features : .partialLogits, dtype: .fp32, shape: shape, session: 0,
            frame: 0,
            branch: UInt16(branch), branchCount: UInt16(bundle.network.branches.count), model: bundle.hash)
        message = [UInt8](repeating: 0, count: TensorMessage.size(dataSize: engine.outputCount * 4))
        self.branch = branch
        self.engine = engine
    }

    /// Works until the task is cancelled.
    ///
    /// - Throws: ``MQTTError`` where the broker cannot be reached or refuses.
    public func run() async throws {
        try await session.run { try await work() }
        statisticsTimer?.cancel()
    }

    private func work() async throws {
        let filter = session.topics.sharedInputs(branch: branch)
        let options = MQTTSubscribeOptions(qos: session.qos, receivesRetained: false)
        let inputs =
            isInline
            ? try await session.client.subscribe(to: filter, options: options) { [weak self] input in
                // The handler runs on this actor's executor, so nothing is shared.
                nonisolated(unsafe) let input = input
                self?.assumeIsolated {
                    $0.handle(input.topic, input.payload, isRetained: input.retained, received: input.received)
                }
            }
            // Old frames are worth less than new ones.
            : try await session.client.subscribe(
                to: filter, options: options,
                buffer: .init(maximumMessages: 64, maximumBytes: 16 << 20, overflow: .dropOldest))
        try await session.ready()
        session.log("ready: branch \(branch) on \(session.topics.inputs)")
        scheduleStatistics(inputs)
        for try await input in inputs {
            input.payload.withUnsafeBytes {
                handle(input.topic, $0, isRetained: input.retained, received: input.received)
            }
        }
    }

    private func handle(
        _ topic: String, _ payload: UnsafeRawBufferPointer, isRetained: Bool, received: ContinuousClock.Instant
    ) {
        let begin = isInline ? received : ContinuousClock.now
        guard !isRetained else {
            return drop("retained", "\(topic) was retained by the broker: stale frames are not answered")
        }
        let identity: FrameIdentity
        do throws(InputError) {
            let (decoded, data) = try decoder.decode(payload)
            identity = decoded
            if computes { try run(data, payload) }
        } catch {
            return drop(error.reason, "\(topic): \(error)")
        }
        answer(topic, identity, queue: begin - received, compute: ContinuousClock.now - begin)
    }

    private func run(_ input: InputDecoder.Input, _ payload: UnsafeRawBufferPointer) throws(InputError) {
        do {
            switch input {
            case .pixels(let range): try engine.run(pixels: UnsafeRawBufferPointer(rebasing: payload[range]))
            case .normalized(let range): try engine.run(normalized: UnsafeRawBufferPointer(rebasing: payload[range]))
            case .decoded(let pixels): try pixels.withUnsafeBytes { try engine.run(pixels: $0) }
            }
        } catch {
            throw InputError(reason: "engine", description: "\(error)")
        }
    }

    private func answer(_ inputTopic: String, _ identity: FrameIdentity, queue: Duration, compute: Duration) {
        var header = header
        header.session = identity.session
        header.frame = identity.frame
        header.captureTime = identity.captureTime
        header.label = identity.label
        header.queueTime = queue.headerMicroseconds
        header.computeTime = compute.headerMicroseconds
        let topic = topic(for: inputTopic)
        let failure = message.withUnsafeMutableBytes { buffer -> MQTTError? in
            UnsafeMutableRawBufferPointer(rebasing: buffer[TensorMessageHeader.size...])
                .copyMemory(from: UnsafeRawBufferPointer(engine.output))
            TensorMessage.encodeHeader(header, into: buffer)
            do throws(MQTTError) {
                try session.client.send(UnsafeRawBufferPointer(buffer), to: topic, qos: session.qos)
                return nil
            } catch {
                return error
            }
        }
        if let failure {
            return drop(failure.code == .bufferFull ? "buffer_full" : "not_connected", "\(topic): \(failure)")
        }
        frames += 1
        computeTimes.add(milliseconds: compute.milliseconds)
        queueTimes.add(milliseconds: queue.milliseconds)
    }

    private func topic(for input: String) -> String {
        if let known = topics[input] { return known }
        if topics.count >= Self.maximumTopics { topics.removeAll(keepingCapacity: true) }
        let topic = session.topics.features(branch: branch, sensor: Topics.sensor(of: input))
        topics[input] = topic
        return topic
    }

    private func drop(_ reason: String, _ sentence: @autoclosure () -> String) {
        if let line = drops.add(reason, "dropped " + sentence()) { session.log(line) }
    }

    private func scheduleStatistics(_ inputs: MQTTSubscription) {
        statisticsTimer = session.client.eventLoop.schedule(after: .seconds(5)) { [weak self, weak inputs] in
            guard let self, let inputs else { return }
            Task {
                await self.publishStatistics(buffered: inputs.droppedCount)
                await self.scheduleStatistics(inputs)
            }
        }
    }

    private func publishStatistics(buffered: UInt64) {
        var dropped = drops.counts
        if buffered > 0 { dropped["buffer_overflow"] = buffered }
        var statistics = RoleStatistics(
            uptime: (ContinuousClock.now - started).milliseconds / 1000, frames: frames, dropped: dropped)
        if let times = computeTimes.percentiles([50, 99]) {
            (statistics.computeP50, statistics.computeP99) = (times[0], times[1])
        }
        if let times = queueTimes.percentiles([50, 99]) {
            (statistics.queueP50, statistics.queueP99) = (times[0], times[1])
        }
        session.publishStatistics(statistics.json)
    }
}
