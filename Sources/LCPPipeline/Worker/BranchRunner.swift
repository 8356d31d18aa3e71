import Images
import LCPInference
import LCPModels
import LCPWire
import MQTT
import Platform
import Synchronization
import Tensors

/// Runs one branch for all sensors of a pipeline, in one version of the model, or in two while one takes the other's place.
actor BranchRunner {
    nonisolated let branch: Int
    /// Of the model.
    nonisolated let branchCount: Int
    nonisolated let session: RoleSession
    private nonisolated let executor: EventLoop
    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    private(set) var versions: [Version]
    /// What is tried on a share of the frames.
    var canary: (version: Version, offer: CanaryOffer)?
    private let computes: Bool
    private let serviceTime: Duration
    private var pace: DevicePace
    private nonisolated let isEmulated: Bool
    /// Whether the branch runs on the event loop's thread.
    private let isInline: Bool
    /// Why the device that computes is gone.
    private var deviceFailure: InferenceError?
    /// The time of one run, measured.
    nonisolated let measured: Duration
    /// How many frames that wait are computed together; nil where all are computed one by one.
    nonisolated let together: ClosedRange<Int>?
    private var inputs: MQTTSubscription?
    private var lanes: [Int] = []
    /// What it is subscribed to.
    private var filters: Set<String> = []
    private var topics: [String: (topic: String, isByBucket: Bool)] = [:]
    private var counts = Counts()
    private var drops = Drops()
    /// What was computed though it was not as it should be, in the same way.
    var warnings = Drops()
    /// Answers what comes.
    private var work: Task<Void, any Error>?
    nonisolated let shared: WorkerResources
    private nonisolated let large = LargePictures()
    /// Answers what waits there.
    private var largeWork: Task<Void, Never>?
    /// Inputs that the pipeline's plan leaves out.
    nonisolated let shed = Atomic<UInt64>(0)
    /// Inputs of sensors that send too much.
    nonisolated let overBudget = Atomic<UInt64>(0)
    nonisolated let purse: SensorPurse?

    /// The most sensors whose topics are remembered; with more they are made anew.
    private static let maximumTopics = 4096

    /// Prepares the branch.
    ///
    /// - Parameter shared: what all branches of the worker use.
    /// - Throws: ``PipelineError``, ``ModelBundleError``, ``InferenceError`` or ``MQTTError``.
    init(
        _ session: RoleSession, bundle: ModelBundle, branch: Int, options: BranchWorker.Options,
        shared: WorkerResources
    ) throws {
        let version = try Version(bundle, branch: branch, shared)
        let measured = try version.engine.measure()
        if let note = version.engine.note { session.log("branch \(branch) \(note)") }
        pace = DevicePace(options.emulated)
        isEmulated = options.emulated != nil
        let isLong =
            options.serviceTime > .zero || options.emulated != nil
            || options.computes && measured > options.longestInline
        let executor = isLong ? try EventLoop(name: "branch") : session.client.eventLoop
        let (batched, together) =
            isLong && options.serviceTime == .zero && options.emulated == nil && options.computes
                && shared.device == nil
            ? try Self.together(
                bundle, branch: branch, shared, wanted: options.batch, deadline: session.deadline, measured: measured)
            : (nil, nil)
        versions = [batched ?? version]
        self.together = together
        isInline = !isLong
        computes = options.computes
        serviceTime = options.serviceTime
        self.measured = measured * (options.emulated?.slowness ?? 1)
        purse = options.budget.map(SensorPurse.init)
        self.executor = executor
        self.branch = branch
        branchCount = bundle.network.branches.count
        self.session = session
        self.shared = shared
    }

    /// Asks for the branch's inputs, and returns when they come.
    ///
    /// - Parameter lanes: as in ``receive(_:)``.
    func start(_ lanes: [Int]) async throws {
        let options = MQTTSubscribeOptions(qos: session.qos, receivesRetained: false)
        // What runs on the connection's thread is answered as it comes, but for pictures: decoding one takes longer than the
        // branch. Those wait, and where they are many nothing more is read, as where the branch itself is slow.
        let buffer =
            isInline
            ? MQTTBufferPolicy(maximumMessages: 16, maximumBytes: 16 << 20, overflow: .stopReading)
            : session.inputBuffer
        let first = shared.inputsAreDealt ? lanes.first.map(session.topics.laneInputs) : nil
        let filter = first ?? generalFilter
        filters = [filter]
        let inputs = try await session.client.subscribe(to: filter, options: options, buffer: buffer) {
            [weak self] input in
            guard let self, takes(input) else { return false }
            if !isEmulated, LargePictures.contains(input.payload) {
                large.put(.init(input))
                return false
            }
            guard isInline, !InputDecoder.isPicture(input.payload) else { return true }
            // This closure runs on this actor's executor, so nothing is shared.
            nonisolated(unsafe) let input = input
            assumeIsolated {
                $0.handle(
                    input.topic, input.payload, isRetained: input.retained, received: input.received,
                    begin: input.received)
            }
            return false
        }
        self.inputs = inputs
        try await receive(lanes)
        work = Task { try await answer(inputs) }
        largeWork = Task { await answerLarge() }
    }

    /// Inputs that nobody deals.
    private var generalFilter: String {
        shared.sharesInputs ? session.topics.sharedInputs(branch: branch, of: branchCount) : session.topics.inputs
    }

    private var wantedFilters: Set<String> {
        Set(lanes.map(session.topics.laneInputs) + (shared.inputsAreDealt ? [] : [generalFilter]))
    }

    /// Receives the frames that are dealt to these lanes, and to no others; returns when they come. Where some are not dealt to any
    /// lane, it receives them, too.
    func receive(_ lanes: [Int]) async throws {
        self.lanes = lanes
        guard let inputs else { return }
        for filter in wantedFilters where filters.insert(filter).inserted {
            try await inputs.add(filter, options: .init(qos: session.qos, receivesRetained: false))
        }
        // Meanwhile others may be wanted.
        for filter in filters.subtracting(wantedFilters) {
            inputs.remove(filter)
            filters.remove(filter)
        }
    }

    /// Whether inputs are dealt may have changed.
    func adaptInputs() async throws { try await receive(lanes) }

    /// Works until the subscription ends.
    ///
    /// - Throws: ``MQTTError`` where the broker refuses it after a reconnect, ``InferenceError`` where the device that computes is
    ///   gone: others take the branch as soon as this worker is gone, too.
    func run() async throws {
        do { try await work?.value } catch  where deviceFailure != nil {}
        if let deviceFailure { throw deviceFailure }
    }

    private func answer(_ inputs: MQTTSubscription) async throws {
        for try await input in inputs {
            var waiting = [input]
            if let together = togetherNow {
                while waiting.count < together.upperBound, let next = inputs.takeWaiting() { waiting.append(next) }
                if waiting.count >= together.lowerBound {
                    answerTogether(waiting)
                    continue
                }
            }
            for input in waiting {
                await answer(
                    input.topic, input.payload, isRetained: input.retained, received: input.received,
                    isDecoded: isInline)
            }
        }
    }

    private func answerLarge() async {
        for await _ in large.news {
            while let input = large.take() {
                await answer(
                    input.topic, input.payload, isRetained: input.isRetained, received: input.received, isDecoded: true,
                    isLarge: true)
            }
        }
    }

    /// - Parameter isDecoded: whether it is decoded elsewhere, so that this thread serves others meanwhile; here it is found in
    ///   the cache then.
    private func answer(
        _ topic: String, _ payload: [UInt8], isRetained: Bool, received: ContinuousClock.Instant, isDecoded: Bool,
        isLarge: Bool = false
    ) async {
        let begin = ContinuousClock.now
        if isDecoded { await shared.decode(payload, versions.map(\.decoder), isLarge: isLarge) }
        let decode = isDecoded ? ContinuousClock.now - begin : .zero
        if serviceTime > .zero { try? await ContinuousClock().sleep(until: begin + serviceTime) }
        payload.withUnsafeBytes {
            handle(topic, $0, isRetained: isRetained, received: received, begin: begin, decode: decode)
        }
    }

    /// Takes no more inputs, and returns when what the broker has dealt out already is answered.
    func stop() async {
        // A broker that hangs does not keep a worker that was asked to stop.
        await inputs?.end(within: .seconds(2))
        large.close()
        _ = await work?.result
        await largeWork?.value
    }

    /// The versions of the model that every frame is answered in, by their hashes.
    var models: Set<String> { Set(versions.map(\.model.description)) }

    /// Takes another version of the model; from now on every frame is answered in that, too.
    func add(_ bundle: ModelBundle) throws {
        guard !models.contains(bundle.hash.description) else { return }
        // It is not tried any more, or a frame of the share would be answered in it twice.
        if canary?.version.model == bundle.hash { canary = nil }
        versions.append(try Version(bundle, branch: branch, shared, together: together?.upperBound ?? 1))
    }

    /// Forgets every version but these.
    func keep(_ models: Set<String>) {
        let kept = versions.filter { models.contains($0.model.description) }
        if !kept.isEmpty { versions = kept }
    }

    /// What was counted since the start.
    func statistics() -> Counts {
        var result = counts
        result.drops = drops.counts
        result.warnings = warnings.counts
        if pace.missed > 0 { result.warnings["late_departures"] = pace.missed }
        if let dropped = inputs?.droppedCount, dropped > 0 { result.drops["buffer_overflow"] = dropped }
        if large.dropped > 0 { result.drops["large_pictures"] = large.dropped }
        let shed = shed.load(ordering: .relaxed)
        if shed > 0 { result.drops["overload"] = shed }
        let overBudget = overBudget.load(ordering: .relaxed)
        if overBudget > 0 { result.drops["over_budget"] = overBudget }
        return result
    }

    /// Computes an input in every version of the model, and sends what comes out.
    ///
    /// - Parameters:
    ///   - begin: when work on it began.
    ///   - decode: how much of the time since then went into a picture.
    func handle(
        _ topic: String, _ payload: UnsafeRawBufferPointer, isRetained: Bool, received: ContinuousClock.Instant,
        begin: ContinuousClock.Instant, decode: Duration = .zero
    ) {
        guard !isRetained else {
            return drop("retained", "\(topic) was retained by the broker: stale frames are not answered")
        }
        var identity: FrameIdentity?
        for (index, version) in versions.enumerated() {
            let found = compute(
                version, index: index, topic, payload, received: received, begin: begin, decode: decode)
            if index == 0 { identity = found }
        }
        if let identity { tryCanary(identity, topic, payload, received: received) }
    }

    /// Computes an input in a version of the model, and sends what comes out.
    ///
    /// - Parameter index: the version's, nil for the one that is tried.
    /// - Returns: what the input is; nil where it was dropped.
    func compute(
        _ version: Version, index: Int?, _ topic: String, _ payload: UnsafeRawBufferPointer,
        received: ContinuousClock.Instant, begin: ContinuousClock.Instant, decode: Duration
    ) -> FrameIdentity? {
        let start = ContinuousClock.now
        let begin = index == 0 ? begin : start
        pace.beginWork()
        // A device decodes every picture, also one that a lab shows again.
        if isEmulated { shared.pictures.forgetAll() }
        let reading = pace.now
        var frame: Frame
        do throws(InputError) {
            let (identity, data) = try version.decoder.decode(payload)
            let decode =
                (index == 0 ? decode : .zero) + pace.decodeTime(since: reading, bytes: payload.count)
            if index == 0 { saw(identity, data, topic, payload, version) }
            let decoded = pace.now
            if computes { try run(version, data, payload) }
            frame = Frame(
                identity: identity, received: received, queue: begin - received, decode: decode,
                compute: ContinuousClock.now - begin - decode)
            if isEmulated {
                frame.queue = pace.start(of: received) - received
                frame.compute = pace.networkTime(since: decoded)
            }
        } catch {
            drop(error.reason, "\(topic): \(error)")
            return nil
        }
        answer(version, topic, frame, version.engine.output, isTried: index == nil)
        return frame.identity
    }

    private func run(
        _ version: Version, _ input: InputDecoder.Input, _ payload: UnsafeRawBufferPointer
    ) throws(InputError) {
        let engine = version.engine
        do {
            switch input {
            case .pixels(let range): try engine.run(pixels: UnsafeRawBufferPointer(rebasing: payload[range]))
            case .normalized(let range): try engine.run(normalized: UnsafeRawBufferPointer(rebasing: payload[range]))
            case .decoded(let pixels, _): try pixels.withUnsafeBytes { try engine.run(pixels: $0) }
            }
        } catch {
            if let error = error as? InferenceError, error.endsDevice {
                deviceFailure = error
                work?.cancel()
            }
            throw InputError(reason: "engine", description: "\(error)")
        }
        if shared.device != nil, let complaint = engine.takeComplaint() {
            session.log.warning("branch \(branch): \(complaint)")
        }
    }

    /// - Parameter output: what the branch made of the frame.
    func answer(
        _ version: Version, _ inputTopic: String, _ frame: Frame, _ output: UnsafeBufferPointer<Float>,
        isTried: Bool = false
    ) {
        let topic = topic(for: inputTopic)
        let failure = version.withMessage(frame, output, shared.features.encoding, &pace) {
            [session] message -> MQTTError? in
            do throws(MQTTError) {
                try session.client.send(message, to: topic, qos: session.qos)
                return nil
            } catch {
                return error
            }
        }
        switch failure {
        case nil: drop("not_finite", "\(topic): the branch computed infinity or not-a-number")
        case .some(let failure?):
            drop(failure.dropReason, "\(topic): \(failure)")
        case .some(nil):
            // It is not what the pipeline is measured by.
            if isTried { return }
            counts.frames += 1
            counts.computeTimes.add(milliseconds: frame.compute.milliseconds)
            counts.queueTimes.add(milliseconds: frame.queue.milliseconds)
        }
    }

    private func topic(for input: String) -> String {
        let isByBucket = shared.sendsByBucket
        if let known = topics[input], known.isByBucket == isByBucket { return known.topic }
        if topics.count >= Self.maximumTopics { topics.removeAll(keepingCapacity: true) }
        let sensor = Topics.sensor(of: input)
        let topic =
            isByBucket
            ? session.topics.features(bucket: SensorBuckets.bucket(of: sensor), branch: branch, sensor: sensor)
            : session.topics.features(branch: branch, sensor: sensor)
        topics[input] = (topic, isByBucket)
        return topic
    }

    func drop(_ reason: String, _ sentence: @autoclosure () -> String) {
        if let line = drops.add(reason, "dropped " + sentence()) { session.log.warning(line) }
    }
}
