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

        public init() {}
    }

    public nonisolated let session: RoleSession
    public nonisolated var unownedExecutor: UnownedSerialExecutor { session.client.eventLoop.asUnownedSerialExecutor() }

    private struct Source {
        var branch: Int
        var sensor: String
        var predictionTopic: String
    }

    /// The model that it was given; nil for the one that the pipeline has.
    private let given: ModelBundle?
    private let fallback: ModelBundle?
    private let deadline: Duration
    private var supply: ModelSupply?
    /// The models that frames are joined in, the newest last: one, and more while that takes the others' place.
    private var versions: [JoinedModel] = []
    /// The model that was pushed last.
    private var newest: String?
    private var sources: [String: Source] = [:]
    private var predictionTopics: [String: String] = [:]
    private let started = ContinuousClock.now
    private var frames: UInt64 = 0
    private var incomplete: UInt64 = 0
    private var drops = Drops()
    private var latencies = LatencyWindow()
    private var supervisor: Supervisor?
    private var deadlineTimer: MQTTTimer?
    private var statisticsTimer: MQTTTimer?

    private static let maximumSources = 4096
    /// A latency beyond this says more about clocks than about the pipeline.
    private static let longestLatency: Int64 = 3_600_000_000_000

    /// Prepares the join; nothing is sent yet.
    ///
    /// - Parameters:
    ///   - bundle: the model; nil for the one that was pushed to the pipeline.
    ///   - fallback: what to join where none was pushed.
    /// - Throws: ``PipelineError``, ``ModelBundleError`` or ``MQTTError``.
    public init(
        _ configuration: PipelineConfiguration, bundle: ModelBundle?, fallback: ModelBundle? = nil,
        options: Options = Options()
    ) throws {
        guard configuration.deadline > .zero, configuration.deadline <= .seconds(3600) else {
            throw PipelineError("a deadline has more than 0 and at most 3,600,000 ms")
        }
        given = bundle
        self.fallback = fallback
        deadline = configuration.deadline
        session = try RoleSession(configuration, status: RoleSession.status(.aggregator, id: options.id))
        if let bundle { versions = [try JoinedModel(bundle, deadline: configuration.deadline)] }
    }

    /// Works until the task is cancelled.
    ///
    /// - Throws: ``MQTTError`` where the broker cannot be reached or refuses.
    public func run() async throws {
        try await session.run(reconnected: { [weak self] in await self?.reconnected() }) { try await work() }
        deadlineTimer?.cancel()
        statisticsTimer?.cancel()
    }

    private func work() async throws {
        if given == nil {
            let supply = ModelSupply(session) { [weak self] offer in
                self?.assumeIsolated { $0.offered(offer) }
            }
            self.supply = supply
            try await supply.start()
            // What the broker has kept comes before its answer to this.
            try await session.publishStatus { _ in }
            try await firstModel(supply)
        }
        describe()
        let supervisor = Supervisor(session, branchCount: versions[0].branchCount)
        self.supervisor = supervisor
        try await supervisor.start()
        let features = try await session.client.subscribe(
            to: session.topics.allFeatures, options: .init(qos: session.qos, receivesRetained: false)
        ) { [weak self] message in
            // The handler runs on this actor's executor, so nothing is shared.
            nonisolated(unsafe) let message = message
            self?.assumeIsolated { $0.handle(message) }
        }
        try await session.ready()
        let count = versions[0].branchCount
        session.log("ready: joins \(count) branch\(count == 1 ? "" : "es") of \(session.topics.root)")
        scheduleStatistics()
        for try await _ in features {}
        for version in versions { settleAll(version) }
        await supervisor.end()
    }

    // MARK: The model

    private func firstModel(_ supply: ModelSupply) async throws {
        if let offer = try await supply.firstOffer() {
            session.log("getting the model \(offer.name)")
            versions = [try JoinedModel(try await supply.fetch(offer, branches: []), deadline: deadline)]
        } else if let fallback {
            session.log(
                "\(await supply.noOffer): joining \(fallback.manifest.name), which came with lcp")
            versions = [try JoinedModel(fallback, deadline: deadline)]
        } else {
            throw PipelineError(
                "\(await supply.noOffer): push one with lcp model push, or give --model"
            )
        }
    }

    private func describe() {
        // While one takes another's place, as many as the larger has.
        if let count = versions.map(\.branchCount).max() {
            supervisor?.assumeIsolated { $0.use(branchCount: count) }
        }
        let (newest, hashes) = (versions.last, versions.map(\.model.description))
        session.sendStatus {
            $0.branches = newest?.branchCount
            $0.model = newest?.name
            $0.modelHash = newest?.model.description
            $0.models = hashes
        }
    }

    /// A new model is joined beside the old one; each frame is answered in the first that has all of its branches.
    private func offered(_ offer: ModelOffer) {
        guard let supply, !versions.isEmpty else { return }
        newest = offer.model
        guard !joins(offer) else {
            sortVersions()
            return describe()
        }
        session.log("the model \(offer.name) was pushed: getting it")
        Task {
            do {
                let version = try JoinedModel(try await supply.fetch(offer, branches: []), deadline: deadline)
                guard !joins(offer) else { return }
                // What is answered already is not opened again by shares of the new model.
                if let last = versions.last { version.table.inheritAnswers(of: last.table) }
                versions.append(version)
                sortVersions()
                // Where one is pushed after another, that which nobody runs goes first.
                while versions.count > Self.maximumVersions, let old = versions.dropLast().min(by: isUsedLess) {
                    forget([old])
                }
                describe()
                session.log("joins \(offer.name), too, until all workers run it")
            } catch {
                session.log("the model \(offer.name) is not used: \(error)")
            }
        }
    }

    private func joins(_ offer: ModelOffer) -> Bool { versions.contains { $0.model.description == offer.model } }

    private func sortVersions() {
        guard let index = versions.firstIndex(where: { $0.model.description == newest }) else { return }
        versions.append(versions.remove(at: index))
    }

    private func isUsedLess(_ one: JoinedModel, _ other: JoinedModel) -> Bool {
        one.lastUsed ?? started < other.lastUsed ?? started
    }

    private func forget(_ old: [JoinedModel]) {
        for version in old {
            settleAll(version)
            versions.removeAll { $0 === version }
        }
    }

    private static let maximumVersions = 4

    private func reconnected() async {
        await supply?.reconnected()
        await supervisor?.reconnected()
    }

    /// The model before is forgotten when nobody has sent anything of it for a while.
    private func forgetOldModels() {
        guard versions.count > 1, let newest = versions.last, newest.lastUsed != nil else { return }
        let old = versions.filter { $0 !== newest && .now - ($0.lastUsed ?? started) > Self.oldModelPatience }
        guard !old.isEmpty else { return }
        forget(old)
        session.log("joins \(newest.name) only: nobody runs the model before any more")
        describe()
    }

    private static let oldModelPatience = Duration.seconds(10)

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
        guard let version = versions.first(where: { $0.model == header.model }) else {
            return drop(
                "other_model",
                "\(message.topic): the worker runs model \(header.model), this aggregator \(versions.last?.model.description ?? "none"): give both the same bundle"
            )
        }
        guard Int(header.branchCount) == version.branchCount, Int(header.branch) == source.branch,
            source.branch < version.branchCount
        else {
            return drop("bad_branch", "\(message.topic): it names branch \(header.branch) of \(header.branchCount)")
        }
        let output = version.outputs[source.branch]
        guard header.kind == output.kind, header.dtype == .fp32, header.shape.elementCount == output.count else {
            return drop(
                "wrong_shape",
                "\(message.topic): \(header.dtype.name) \(header.shape) where \(output.count) numbers are expected")
        }
        let isFinite = (0..<output.count).allSatisfy {
            message.payload.loadUnaligned(fromByteOffset: TensorMessageHeader.size + 4 * $0, as: Float.self).isFinite
        }
        guard isFinite else { return drop("not_finite", "\(message.topic): it holds infinity or not-a-number") }
        let now = ContinuousClock.now
        version.lastUsed = now
        let awaited = supervisor?.assumeIsolated { $0.came(source.sensor, header, now: now) }
        // While one model takes another's place, a frame is answered in the one that has all of its branches.
        version.table.awaited = versions.count == 1 ? awaited ?? version.allBranches : version.allBranches
        join(message, header, source, version, now)
    }

    private func join(
        _ message: MQTTMessageView, _ header: TensorMessageHeader, _ source: Source, _ version: JoinedModel,
        _ now: ContinuousClock.Instant
    ) {
        let key = JoinTable.Key(sensor: source.sensor, session: header.session, frame: header.frame)
        let weights = version.outputs[source.branch].weights
        let classes = version.classes
        var evicted: [(JoinTable.Frame, [Float])] = []
        let outcome = version.table.add(
            key, branch: source.branch, captureTime: header.captureTime, label: header.label,
            computeTime: header.computeTime, now: now
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
            if hasFuller(frame, than: version) { continue }
            version.logits = sums
            closeElsewhere(frame.key, version)
            publish(frame, version)
            drop(
                "join_overflow",
                "more than \(version.table.maximumOpen) frames wait for branches: the oldest is answered early"
            )
            answerHeld(after: frame.key)
        }
        switch outcome {
        case .complete(let slot):
            // Swift 6.2 takes no closure, as the right side of || is one, that has the version in it.
            let key = version.table.frame(in: slot).key
            if version.table.dismissLate(slot, now: now) {
                late(message, header)
            } else if session.order == .none || isNext(key) {
                answer(version, slot)
            } else {
                version.table.hold(slot)
                armDeadline()
            }
        case .waiting: armDeadline()
        case .duplicate: drop("duplicate", "\(message.topic): frame \(header.frame) came twice")
        // While one model takes another's place, every frame comes in both and is answered in one.
        case .late where versions.count > 1: break
        case .late: late(message, header)
        }
    }

    private func late(_ message: MQTTMessageView, _ header: TensorMessageHeader) {
        drop("late", "\(message.topic): frame \(header.frame) came after its deadline, or twice")
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
        guard deadlineTimer == nil, let next = versions.compactMap({ $0.table.nextDeadline }).min() else { return }
        deadlineTimer = session.client.eventLoop.schedule(after: next - .now) { [weak self] in
            guard let self else { return }
            assumeIsolated { $0.deadlineCame() }
        }
    }

    private func deadlineCame() {
        deadlineTimer = nil
        let now = ContinuousClock.now
        // The oldest first, in whatever model.
        while let version = versions.min(by: isDueBefore), let slot = version.table.expired(now: now) {
            settle(version, slot)
        }
        armDeadline()
    }

    /// Answers a frame with the branches that there are; while one model takes another's place, in the one that has more of it.
    private func settle(_ version: JoinedModel, _ slot: Int) {
        let frame = version.table.frame(in: slot)
        if version.table.dismissLate(slot, now: .now) {
            drop("late", "frame \(frame.key.frame) of \(frame.key.sensor) came after its deadline")
        } else if hasFuller(frame, than: version) {
            version.table.discard(frame.key, now: .now)
        } else {
            answer(version, slot)
        }
    }

    private func isDueBefore(_ one: JoinedModel, _ other: JoinedModel) -> Bool {
        guard let first = one.table.nextDeadline else { return false }
        guard let second = other.table.nextDeadline else { return true }
        return first < second
    }

    private func settleAll(_ version: JoinedModel) {
        while let slot = version.table.anyOpen() { settle(version, slot) }
    }

    /// Whether another model has a larger part of a frame's branches.
    private func hasFuller(_ frame: JoinTable.Frame, than version: JoinedModel) -> Bool {
        let present = frame.branches.nonzeroBitCount
        return versions.contains { other in
            other !== version
                && (other.table.branchesPresent(of: frame.key) ?? 0) * version.branchCount > present * other.branchCount
        }
    }

    /// A frame is answered once, in whatever model.
    private func closeElsewhere(_ key: JoinTable.Key, _ version: JoinedModel) {
        for other in versions where other !== version { other.table.discard(key, now: .now) }
    }

    /// Answers a frame, and those of its sensor that were only waiting for it.
    private func answer(_ version: JoinedModel, _ slot: Int) {
        let key = version.table.frame(in: slot).key
        answerAlone(version, slot)
        answerHeld(after: key)
    }

    /// Answers those of a sensor that were only waiting for a frame, in whatever model.
    private func answerHeld(after key: JoinTable.Key) {
        guard session.order == .sensor else { return }
        while let (version, slot) = nextHeld(after: key) { answerAlone(version, slot) }
    }

    private func nextHeld(after key: JoinTable.Key) -> (JoinedModel, Int)? {
        for version in versions {
            if let slot = version.table.nextHeld(after: key), isNext(version.table.frame(in: slot).key) {
                return (version, slot)
            }
        }
        return nil
    }

    /// Whether no earlier frame of the sensor waits in any model.
    private func isNext(_ key: JoinTable.Key) -> Bool { versions.allSatisfy { $0.table.isFirst(key) } }

    private func answerAlone(_ version: JoinedModel, _ slot: Int) {
        version.logits.withUnsafeMutableBufferPointer { $0.update(repeating: 0) }
        let frame = version.logits.withUnsafeMutableBufferPointer { version.table.take(slot, addingTo: $0) }
        closeElsewhere(frame.key, version)
        publish(frame, version)
    }

    /// Answers a frame from the sum of its shares, which lies in the model's `logits`.
    private func publish(_ frame: JoinTable.Frame, _ version: JoinedModel) {
        version.finish(frame)
        var latency: Int64?
        if frame.captureTime > 0 {
            let (passed, overflow) = wallClockNanoseconds().subtractingReportingOverflow(frame.captureTime)
            if !overflow, (0...Self.longestLatency).contains(passed) { latency = passed }
        }
        version.logits.withUnsafeBufferPointer {
            version.writer.write(
                frame, probabilities: $0, branchCount: version.branchCount, joinTime: .now - frame.opened,
                latency: latency)
        }
        let topic = predictionTopics[frame.key.sensor] ?? session.topics.prediction(frame.key.sensor)
        let failure = version.writer.bytes.withUnsafeBytes { bytes -> MQTTError? in
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
        let missing = version.allBranches & ~frame.branches
        if missing != 0 {
            incomplete += 1
            supervisor?.assumeIsolated { $0.missed(missing, now: .now) }
        }
        if let latency { latencies.add(milliseconds: Double(latency) / 1e6) }
    }

    private func drop(_ reason: String, _ sentence: @autoclosure () -> String) {
        if let line = drops.add(reason, "dropped " + sentence()) { session.log(line) }
    }

    // MARK: Statistics

    private func scheduleStatistics() {
        statisticsTimer = session.client.eventLoop.schedule(after: .seconds(5)) { [weak self] in
            self?.assumeIsolated {
                $0.publishStatistics()
                $0.forgetOldModels()
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
