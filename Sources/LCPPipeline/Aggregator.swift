import Glibc
public import LCPModels
import MQTT
import Tensors

/// Joins the branches of every frame, adds the classification layer's bias, and publishes the prediction: as soon as all
/// branches are there, or at the deadline from those that are.
public actor Aggregator {
    /// How an aggregator is set up.
    public struct Options: Sendable {
        /// The aggregator's name; the machine's name and the process's number where nil.
        public var id: String?
        /// From the first features of a frame, by the monotonic clock.
        public var deadline = Duration.milliseconds(100)

        public init() {}
    }

    public nonisolated let session: RoleSession
    public nonisolated var unownedExecutor: UnownedSerialExecutor { session.client.eventLoop.asUnownedSerialExecutor() }

    private struct Source {
        var branch: Int
        var sensor: String
        var predictionTopic: String
    }

    private let bundleHash: ModelHash
    private let branchCount: Int
    private let classes: Int
    private let bias: [Float]
    /// What the sum of the shares is multiplied by, by the number of missing branches.
    private let missingScale: [Float]
    /// For each branch: what it sends, how many numbers, and its columns of W where it sends features.
    private let outputs: [(kind: TensorMessageHeader.Kind, count: Int, weights: [Float])]
    private var table: JoinTable
    private var logits: [Float]
    private var writer: PredictionWriter
    private var sources: [String: Source] = [:]
    private var predictionTopics: [String: String] = [:]
    private let started = ContinuousClock.now
    private var frames: UInt64 = 0
    private var incomplete: UInt64 = 0
    private var drops = Drops()
    private var latencies = LatencyWindow()
    private var deadlineTimer: MQTTTimer?
    private var statisticsTimer: MQTTTimer?

    private static let maximumSources = 4096
    /// A latency beyond this says more about clocks than about the pipeline.
    private static let longestLatency: Int64 = 3_600_000_000_000

    /// Prepares the join; nothing is sent yet.
    ///
    /// - Throws: ``PipelineError``, ``ModelBundleError`` or ``MQTTError``.
    public init(_ configuration: PipelineConfiguration, bundle: ModelBundle, options: Options = Options()) throws {
        guard options.deadline > .zero, options.deadline <= .seconds(3600) else {
            throw PipelineError("a deadline has more than 0 and at most 3,600,000 ms")
        }
        let network = bundle.network
        let merge = try bundle.mergeParameters()
        var outputs: [(TensorMessageHeader.Kind, Int, [Float])] = []
        for branch in network.branches.indices {
            if try network.output(of: branch) == .partialLogits {
                outputs.append((.partialLogits, network.classes, []))
            } else {
                outputs.append(
                    (
                        .features, try network.featureCount(of: branch),
                        try network.mergeWeights(of: branch, merge: merge)
                    ))
            }
        }
        self.outputs = outputs
        bundleHash = bundle.hash
        branchCount = network.branches.count
        classes = network.classes
        bias = merge.bias
        missingScale = bundle.manifest.missingScale ?? Array(repeating: 1, count: network.branches.count)
        table = JoinTable(branchCount: branchCount, width: classes, deadline: options.deadline)
        logits = merge.bias
        writer = PredictionWriter(labels: bundle.manifest.labels)

        var status = RoleSession.status(.aggregator, id: options.id)
        status.branches = branchCount
        status.model = bundle.manifest.name
        status.modelHash = bundle.hash.description
        session = try RoleSession(configuration, status: status)
    }

    /// Works until the task is cancelled.
    ///
    /// - Throws: ``MQTTError`` where the broker cannot be reached or refuses.
    public func run() async throws {
        try await session.run { try await work() }
        deadlineTimer?.cancel()
        statisticsTimer?.cancel()
    }

    private func work() async throws {
        let features = try await session.client.subscribe(
            to: session.topics.allFeatures, options: .init(qos: session.qos, receivesRetained: false)
        ) { [weak self] message in
            // The handler runs on this actor's executor, so nothing is shared.
            nonisolated(unsafe) let message = message
            self?.assumeIsolated { $0.handle(message) }
        }
        try await session.ready()
        session.log("ready: joins \(branchCount) branch\(branchCount == 1 ? "" : "es") of \(session.topics.root)")
        scheduleStatistics()
        for try await _ in features {}
        while let slot = table.anyOpen() { answer(slot) }
    }

    private func handle(_ message: MQTTMessageView) {
        guard !message.retained else {
            return drop("retained", "\(message.topic) was retained by the broker: stale features are not joined")
        }
        guard let source = source(of: message.topic) else {
            return drop("bad_topic", "\(message.topic) is not a features topic")
        }
        let header: TensorMessageHeader
        do {
            header = try TensorMessage.decode(message.payload)
        } catch {
            return drop(error.rawValue, "\(message.topic): \(error)")
        }
        guard header.model == bundleHash else {
            return drop(
                "other_model",
                "\(message.topic): the worker runs model \(header.model), this aggregator \(bundleHash): give both the same bundle"
            )
        }
        guard Int(header.branchCount) == branchCount, Int(header.branch) == source.branch, source.branch < branchCount
        else {
            return drop("bad_branch", "\(message.topic): it names branch \(header.branch) of \(header.branchCount)")
        }
        let output = outputs[source.branch]
        guard header.kind == output.kind, header.dtype == .fp32, header.shape.elementCount == output.count else {
            return drop(
                "wrong_shape",
                "\(message.topic): \(header.dtype.name) \(header.shape) where \(output.count) numbers are expected")
        }
        let isFinite = (0..<output.count).allSatisfy {
            message.payload.loadUnaligned(fromByteOffset: TensorMessageHeader.size + 4 * $0, as: Float.self).isFinite
        }
        guard isFinite else { return drop("not_finite", "\(message.topic): it holds infinity or not-a-number") }
        join(message, header, source)
    }

    private func join(_ message: MQTTMessageView, _ header: TensorMessageHeader, _ source: Source) {
        let key = JoinTable.Key(sensor: source.sensor, session: header.session, frame: header.frame)
        let weights = outputs[source.branch].weights
        var evicted: [(JoinTable.Frame, [Float])] = []
        let outcome = table.add(
            key, branch: source.branch, captureTime: header.captureTime, label: header.label,
            computeTime: header.computeTime,
            now: .now
        ) { table, slot in
            var sums = [Float](repeating: 0, count: classes)
            let frame = sums.withUnsafeMutableBufferPointer { table.take(slot, addingTo: $0) }
            evicted.append((frame, sums))
        } write: { share in
            let values = UnsafeRawBufferPointer(rebasing: message.payload[TensorMessageHeader.size...])
            if weights.isEmpty {
                UnsafeMutableRawBufferPointer(share).copyMemory(from: values)
            } else {
                let columns = values.count / 4
                for row in 0..<classes {
                    var sum: Float = 0
                    for column in 0..<columns {
                        sum +=
                            weights[row * columns + column]
                            * values.loadUnaligned(fromByteOffset: 4 * column, as: Float.self)
                    }
                    share[row] = sum
                }
            }
        }
        for (frame, sums) in evicted {
            logits = sums
            publish(frame)
            drop(
                "join_overflow", "more than \(table.maximumOpen) frames wait for branches: the oldest is answered early"
            )
        }
        switch outcome {
        case .complete(let slot): answer(slot)
        case .waiting: armDeadline()
        case .duplicate: drop("duplicate", "\(message.topic): frame \(header.frame) came twice")
        case .late: drop("late", "\(message.topic): frame \(header.frame) came after its deadline, or twice")
        }
    }

    private func source(of topic: String) -> Source? {
        if let known = sources[topic] { return known }
        guard let (branch, sensor) = session.topics.featuresParts(of: topic) else { return nil }
        if sources.count >= Self.maximumSources {
            sources.removeAll(keepingCapacity: true)
            predictionTopics.removeAll(keepingCapacity: true)
        }
        let source = Source(branch: branch, sensor: sensor, predictionTopic: session.topics.prediction(sensor))
        sources[topic] = source
        predictionTopics[sensor] = source.predictionTopic
        return source
    }

    // MARK: Answers

    private func armDeadline() {
        guard deadlineTimer == nil, let next = table.nextDeadline else { return }
        deadlineTimer = session.client.eventLoop.schedule(after: next - .now) { [weak self] in
            guard let self else { return }
            assumeIsolated { $0.deadlineCame() }
        }
    }

    private func deadlineCame() {
        deadlineTimer = nil
        while let slot = table.expired(now: .now) { answer(slot) }
        armDeadline()
    }

    private func answer(_ slot: Int) {
        logits.withUnsafeMutableBufferPointer { $0.update(repeating: 0) }
        publish(logits.withUnsafeMutableBufferPointer { table.take(slot, addingTo: $0) })
    }

    /// Answers a frame from the sum of its shares, which lies in `logits`.
    private func publish(_ frame: JoinTable.Frame) {
        let factor = missingScale[branchCount - frame.branches.nonzeroBitCount]
        for index in 0..<classes { logits[index] = factor * logits[index] + bias[index] }
        Self.softmax(&logits)
        var latency: Int64?
        if frame.captureTime > 0 {
            let (passed, overflow) = wallClockNanoseconds().subtractingReportingOverflow(frame.captureTime)
            if !overflow, (0...Self.longestLatency).contains(passed) { latency = passed }
        }
        logits.withUnsafeBufferPointer {
            writer.write(frame, probabilities: $0, branchCount: branchCount, latency: latency)
        }
        let topic = predictionTopics[frame.key.sensor] ?? session.topics.prediction(frame.key.sensor)
        let failure = writer.bytes.withUnsafeBytes { bytes -> MQTTError? in
            do throws(MQTTError) {
                try session.client.send(bytes, to: topic, qos: session.qos)
                return nil
            } catch {
                return error
            }
        }
        if let failure {
            return drop(failure.code == .bufferFull ? "buffer_full" : "not_connected", "\(topic): \(failure)")
        }
        frames += 1
        if frame.branches.nonzeroBitCount < branchCount { incomplete += 1 }
        if let latency { latencies.add(milliseconds: Double(latency) / 1e6) }
    }

    static func softmax(_ values: inout [Float]) {
        let largest = values.max() ?? 0
        var sum: Float = 0
        for index in values.indices {
            values[index] = expf(values[index] - largest)
            sum += values[index]
        }
        for index in values.indices { values[index] /= sum }
    }

    private func drop(_ reason: String, _ sentence: @autoclosure () -> String) {
        if let line = drops.add(reason, "dropped " + sentence()) { session.log(line) }
    }

    // MARK: Statistics

    private func scheduleStatistics() {
        statisticsTimer = session.client.eventLoop.schedule(after: .seconds(5)) { [weak self] in
            self?.assumeIsolated {
                $0.publishStatistics()
                $0.scheduleStatistics()
            }
        }
    }

    private func publishStatistics() {
        var statistics = RoleStatistics(
            uptime: (ContinuousClock.now - started).milliseconds / 1000, frames: frames, dropped: drops.counts)
        statistics.incomplete = incomplete
        if let times = latencies.percentiles([50, 99]) {
            (statistics.latencyP50, statistics.latencyP99) = (times[0], times[1])
        }
        session.publishStatistics(statistics.json)
    }
}
