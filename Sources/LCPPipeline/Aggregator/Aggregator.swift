import Glibc
public import LCPModels
import LCPWire
import MQTT
import Platform
import Tensors

/// Joins the branches of every frame, adds the classification layer's bias, and publishes the prediction: as soon as all
/// branches are there, or at the deadline from those that are.
public actor Aggregator {
    /// How an aggregator is set up.
    public struct Options: Sendable {
        /// The aggregator's name; one of the machine's where nil (``DefaultName``).
        public var id: String?
        /// When what a sensor shows counts as changed; no events are published where this is empty.
        public var events = EventRules()
        /// Whether a sensor is asked for a picture with each event.
        public var takesSnapshots = false
        /// Whether Home Assistant is told of cameras, workers and the aggregator.
        public var homeAssistant = false

        public init() {}
    }

    public nonisolated let session: RoleSession
    public nonisolated var unownedExecutor: UnownedSerialExecutor { session.client.eventLoop.asUnownedSerialExecutor() }

    /// The model that it was given; nil for the one that the pipeline has.
    private let given: JoinedModel?
    let fallback: ModelBundle?
    var supply: ModelSupply?
    var joiner: FrameJoiner
    /// The models that are joined, in the joiner's order: the preferred one last.
    var models: [JoinedModel] = []
    /// What is tried on a share of the frames.
    var canary: CanaryJoin?
    var canaryTimer: EventLoopTimer?
    private var reader: FeaturesReader
    private var predictionTopics: [String: String] = [:]
    private let started = ContinuousClock.now
    private var frames: UInt64 = 0
    private var incomplete: UInt64 = 0
    private var drops = Drops()
    private var refusals = Refusals()
    private var latencies = LatencyWindow()
    private(set) var supervisor: Supervisor?
    let events: EventPublisher?
    let announcer: HomeAssistantAnnouncer?
    /// The sensors, where others may answer some of them; nil where the broker does not let aggregators talk.
    var shared: SharedSensors?
    var groupSubscriptions: [MQTTSubscription] = []
    var groupTimer: EventLoopTimer?
    private(set) var features: MQTTSubscription?
    /// Whether the features of all buckets are received by one filter.
    var receivesAllBuckets = false
    /// Whether a deadline passed while nothing could be answered.
    private var isDeadlineDue = false
    private var bareSensors = BareSensors()
    private var deadlineTimer: EventLoopTimer?
    private var latenessTimer: EventLoopTimer?
    private var statisticsTimer: EventLoopTimer?

    /// The most sensors whose topics are remembered.
    private static let maximumTopics = 4096

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
            throw PipelineError(.invalidConfiguration, "a deadline has more than 0 and at most 3,600,000 ms")
        }
        given = try bundle.map { try JoinedModel($0) }
        self.fallback = fallback
        var status = RoleSession.status(.aggregator, id: options.id)
        if bundle != nil { status.isModelGiven = true }
        session = try RoleSession(configuration, status: status)
        reader = FeaturesReader(topics: session.topics)
        events =
            options.events.isEmpty
            ? nil : EventPublisher(session, options.events, takesSnapshots: options.takesSnapshots)
        announcer = options.homeAssistant ? HomeAssistantAnnouncer(session) : nil
        joiner = FrameJoiner(order: configuration.order, deadline: configuration.deadline, now: started)
    }

    /// Works until the task is cancelled.
    ///
    /// - Throws: ``MQTTError`` where the broker cannot be reached or refuses.
    public func run() async throws {
        try await session.run(reconnected: { [weak self] in await self?.reconnected() }) { try await work() }
        for timer in [deadlineTimer, latenessTimer, statisticsTimer, canaryTimer, groupTimer] { timer?.cancel() }
    }

    private func work() async throws {
        if let given { join(given) } else { join(try await firstModel()) }
        describe()
        let count = models[0].branchCount
        let supervisor = Supervisor(session, branchCount: count)
        self.supervisor = supervisor
        try await meetOthers()
        // Who has not been let in says nothing to anybody.
        if shared != nil { await supervisor.use(members: []) }
        try await supervisor.start()
        try await events?.restore()
        if let announcer { try await announcer.start() } else { try await HomeAssistantAnnouncer.withdraw(session) }
        let features = try await session.client.subscribe(
            to: session.topics.allFeatures, options: .init(qos: session.qos, receivesRetained: false)
        ) { [weak self] message in
            // The handler runs on this actor's executor, so nothing is shared.
            nonisolated(unsafe) let message = message
            self?.assumeIsolated { $0.received(message) }
        }
        self.features = features
        if shared != nil {
            try await features.add(
                session.topics.allBucketFeatures, options: .init(qos: session.qos, receivesRetained: false))
            receivesAllBuckets = true
        }
        try await watchCanary()
        let questions = try await answerQuestions()
        defer { questions.unsubscribe() }
        joinGroup()
        try await session.ready()
        session.log("ready: joins \(count) branch\(count == 1 ? "" : "es") of \(session.topics.root)")
        scheduleStatistics()
        for try await _ in features {}
        await leaveGroup()
        perform(joiner.finish(now: .now))
        await supervisor.end()
    }

    private func reconnected() async {
        await supply?.reconnected()
        if let shared { performGroup(shared.group.reconnected(now: .now)) }
        await supervisor?.reconnected()
        await events?.reconnected()
        await announcer?.publish()
    }

    // MARK: Frames

    private func received(_ message: MQTTMessageView) {
        // What a broker has kept is refused, whoever answers the sensor.
        let right = message.retained ? .answer : right(to: message.topic)
        switch right {
        case .answer, .finish: received(message.topic, message.payload, isRetained: message.retained, right)
        case .keep: keep(message.topic, message.payload)
        case .none: break
        }
    }

    /// - Parameter isKept: whether it came before it was known who answers it.
    func received(
        _ topic: String, _ payload: UnsafeRawBufferPointer, isRetained: Bool = false,
        _ right: AggregatorGroup.Right = .answer, isKept: Bool = false
    ) {
        let features: FeaturesReader.Features
        do throws(FeaturesReader.Refusal) {
            features = try reader.read(
                topic, payload, isRetained: isRetained, models: canary.map { models + [$0.model] } ?? models)
        } catch {
            return drop(error.reason, error.description)
        }
        let now = ContinuousClock.now
        let (header, sensor) = (features.header, features.sensor)
        if right == .finish || isKept {
            let key = FrameKey(sensor: sensor, session: header.session, frame: header.frame)
            if isKept, joiner.wasAnswered(key) || shared?.wasAnsweredElsewhere(key) == true { return }
            if right == .finish, !joiner.isOpen(key) { return keep(topic, payload) }
        }
        nonisolated(unsafe) let shared = shared
        let (served, asks) =
            supervisor?.assumeIsolated { ($0.came(sensor, header, to: shared, now: now), $0.mayAsk) } ?? (nil, false)
        if let canary, features.model === canary.model { return joinCanary(features, served: served, now: now) }
        joiner.asks = asks
        let actions = features.deliver(to: &joiner, served: served, now: now)
        if !actions.isEmpty { perform(actions, cause: (topic, header.frame)) }
    }

    private func deadlineReached() {
        deadlineTimer = nil
        // What is open while nothing may be answered waits until it is known whether others have answered it.
        isDeadlineDue = isPaused
        if !isDeadlineDue { perform(joiner.deadlineReached(now: .now)) }
    }

    /// Answers again.
    func goOn() {
        if isDeadlineDue { deadlineReached() }
    }

    // MARK: Actions

    /// - Parameter cause: the topic and the frame of the message that led to the actions, where one did.
    func perform(_ actions: [FrameJoiner.Action], cause: (topic: String, frame: UInt64)? = nil) {
        for action in actions {
            switch action {
            case .answer(let answer): publish(answer)
            case .drop(let drop): self.drop(drop.reason, drop.sentence(cause: cause))
            case .arm(let deadline):
                deadlineTimer = session.client.eventLoop.schedule(after: deadline - .now) { [weak self] in
                    self?.assumeIsolated { $0.deadlineReached() }
                }
            case .armLateness(let due):
                latenessTimer = session.client.eventLoop.schedule(after: due - .now) { [weak self] in
                    self?.assumeIsolated { $0.perform($0.joiner.latenessDue(now: .now)) }
                }
            case .ask(let key, let missing):
                ask(key, missing: missing)
            case .retire(let model): models.removeAll { $0.model == model }
            }
        }
        finishHandover()
    }

    private func publish(_ answer: FrameJoiner.Answer) {
        guard let model = models.first(where: { $0.model == answer.model }) else { return }
        let frame = answer.frame
        let missing = model.join.branches.missing(frame.branches)
        guard mayAnswer(frame, missing: missing) else { return joiner.forget(frame.key) }
        let time = wallClockNanoseconds()
        let latency = FrameLatency.since(frame.captureTime, now: time)
        let topic = predictionTopic(of: frame.key.sensor)
        let failure = model.withPrediction(of: answer, now: .now, latency: latency, time: time) {
            [session] bytes -> MQTTError? in
            do throws(MQTTError) {
                try session.client.send(bytes, to: topic, qos: session.qos)
                return nil
            } catch {
                return error
            }
        }
        if let failure {
            return drop(failure.dropReason, "\(topic): \(failure)")
        }
        frames += 1
        shared?.answered(frame.key, missing: missing)
        if missing != 0 {
            incomplete += 1
            supervisor?.assumeIsolated { $0.missed(missing, now: .now) }
        }
        report(frame.key, model, time: time)
        compare(answer, model, latency, isTried: false)
        if let latency { latencies.add(milliseconds: Double(latency) / 1e6) }
    }

    /// Says what follows from an answer, besides the prediction.
    private func report(_ key: FrameKey, _ model: JoinedModel, time: Int64) {
        let isBare = key.stream == nil
        if isBare { bareSensors.saw(key.sensor, time: time) }
        guard let events else { return }
        nonisolated(unsafe) let model = model
        let isNew = events.assumeIsolated {
            $0.answered(key.sensor, frame: key.frame, best: model.best, model: model, time: time)
        }
        if isNew { announcer?.assumeIsolated { $0.met(key.sensor, isBare: isBare) } }
    }

    private func predictionTopic(of sensor: String) -> String {
        if let known = predictionTopics[sensor] { return known }
        if predictionTopics.count >= Self.maximumTopics { predictionTopics.removeAll(keepingCapacity: true) }
        let topic = session.topics.prediction(sensor)
        predictionTopics[sensor] = topic
        return topic
    }

    func drop(_ reason: String, _ sentence: @autoclosure () -> String) {
        if let line = drops.add(reason, "dropped " + sentence()) { session.log.warning(line) }
    }

    // MARK: Statistics

    private func scheduleStatistics() {
        statisticsTimer = session.client.eventLoop.schedule(after: .seconds(5)) { [weak self] in
            self?.assumeIsolated {
                $0.publishStatistics()
                $0.retireUnusedModels()
                $0.scheduleStatistics()
            }
        }
    }

    private func publishStatistics() {
        session.refuses(refusals.reason(frames: frames, drops: drops.counts))
        var statistics = RoleStatistics(
            uptime: (ContinuousClock.now - started).milliseconds / 1000, frames: frames,
            dropped: drops.counts.merging(events?.assumeIsolated { $0.dropped } ?? [:]) { $0 + $1 }
                .merging(supply?.assumeIsolated { $0.dropped } ?? [:]) { $0 + $1 })
        statistics.incomplete = incomplete
        statistics.bareSensors = bareSensors.times
        statistics.canary = canary.map { $0.statistics(beside: models.last?.name ?? "") }
        if let times = latencies.percentiles([50, 99]) {
            (statistics.latencyP50, statistics.latencyP99) = (times[0], times[1])
        }
        session.publishStatistics(statistics.json)
    }
}

extension FrameJoiner.Drop {
    /// What happened, for the log.
    ///
    /// - Parameter cause: the topic and the frame of the message that led to it, where one did.
    fileprivate func sentence(cause: (topic: String, frame: UInt64)?) -> String {
        let message = cause.map { "\($0.topic): frame \($0.frame)" } ?? "a frame"
        return switch self {
        case .duplicate: "\(message) came twice"
        case .late: "\(message) came after its deadline, or twice"
        case .expiredLate(let key): "frame \(key.frame) of \(key.sensor) came after its deadline"
        case .overflow(let limit): "more than \(limit) frames wait for branches: the oldest is answered early"
        }
    }
}
