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
    private let fallback: ModelBundle?
    private(set) var supply: ModelSupply?
    private(set) var joiner: FrameJoiner
    /// The models that are joined, in the joiner's order: the preferred one last.
    private(set) var models: [JoinedModel] = []
    /// What is tried on a share of the frames.
    var canary: CanaryJoin?
    var canaryTimer: EventLoopTimer?
    private var reader: FeaturesReader
    private var predictionTopics: [String: String] = [:]
    private let started = ContinuousClock.now
    private var frames: UInt64 = 0
    private var incomplete: UInt64 = 0
    private var drops = Drops()
    private var latencies = LatencyWindow()
    private var supervisor: Supervisor?
    private let events: EventPublisher?
    private let announcer: HomeAssistantAnnouncer?
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
        for timer in [deadlineTimer, latenessTimer, statisticsTimer, canaryTimer] { timer?.cancel() }
    }

    private func work() async throws {
        if let given { join(given) } else { join(try await firstModel()) }
        describe()
        let count = models[0].branchCount
        let supervisor = Supervisor(session, branchCount: count)
        self.supervisor = supervisor
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
        try await watchCanary()
        let questions = try await answerQuestions()
        defer { questions.unsubscribe() }
        try await session.ready()
        session.log("ready: joins \(count) branch\(count == 1 ? "" : "es") of \(session.topics.root)")
        scheduleStatistics()
        for try await _ in features {}
        perform(joiner.finish(now: .now))
        await supervisor.end()
    }

    // MARK: The models

    private func firstModel() async throws -> JoinedModel {
        let supply = ModelSupply(session) { [weak self] offer in
            self?.assumeIsolated { $0.offered(offer) }
        }
        self.supply = supply
        try await supply.start()
        // What the broker has kept comes before its answer to this.
        try await session.publishStatus { _ in }
        if let offer = try await supply.firstOffer() {
            session.log("getting the model \(offer.name)")
            return try JoinedModel(try await supply.fetch(offer, branches: []))
        }
        let reason = await supply.noOffer
        guard let fallback else {
            throw PipelineError(.modelUnavailable, "\(reason): push one with lcp model push, or give --model")
        }
        session.log("\(reason): joining \(fallback.manifest.name), which came with lcp")
        let model = try JoinedModel(fallback)
        model.isFallback = true
        return model
    }

    /// Joins a model beside those before.
    private func join(_ model: JoinedModel) {
        models.append(model)
        perform(
            joiner.add(model.model, branches: model.branchCount, classes: model.join.classes, now: .now))
        sortModels()
    }

    private func sortModels() {
        models = joiner.models.compactMap { hash in models.first { $0.model == hash } }
    }

    private func describe() {
        // What was tried is the model now.
        if let canary, models.contains(where: { $0.model == canary.model.model }) { stopCanary() }
        // And what was the model may be tried, when it is joined no more.
        if canary == nil, let offer = supply?.assumeIsolated({ $0.canary }) { canaryChanged(offer) }
        // While one takes another's place, as many as the larger has.
        if let largest = models.max(by: { $0.branchCount < $1.branchCount }) {
            let (count, costs) = (largest.branchCount, largest.costs)
            supervisor?.assumeIsolated { $0.use(branchCount: count, costs: costs) }
        }
        let (newest, hashes) = (models.last, models.map(\.model.description))
        if let labels = newest?.labels { announcer?.assumeIsolated { $0.use(labels) } }
        session.sendStatus {
            $0.branches = newest?.branchCount
            $0.model = newest?.name
            $0.modelHash = newest?.model.description
            $0.models = hashes
            $0.isFallback = newest?.isFallback == true ? true : nil
        }
    }

    /// A new model is joined beside the old one; each frame is answered in the first that has all of its branches.
    private func offered(_ offer: ModelOffer) {
        guard let supply, !models.isEmpty, let hash = ModelHash(hexadecimal: offer.model) else { return }
        joiner.prefer(hash)
        guard !joins(offer) else {
            // The one that came with lcp was pushed: its files are kept as those of any other.
            for model in models where model.model == hash && model.isFallback {
                model.isFallback = false
                Task { _ = try? await supply.fetch(offer, branches: []) }
            }
            sortModels()
            return describe()
        }
        session.log("the model \(offer.name) was pushed: getting it")
        Task {
            do {
                let model = try JoinedModel(try await supply.fetch(offer, branches: []))
                guard !joins(offer) else { return }
                join(model)
                describe()
                session.log("joins \(offer.name), too, until all workers run it")
            } catch {
                session.log("the model \(offer.name) is not used: \(error)")
            }
        }
    }

    private func joins(_ offer: ModelOffer) -> Bool { models.contains { $0.model.description == offer.model } }

    private func reconnected() async {
        await supply?.reconnected()
        await supervisor?.reconnected()
        await events?.reconnected()
        await announcer?.publish()
    }

    /// The model before is forgotten when no worker has sent anything of it for a while.
    private func retireUnusedModels() {
        let count = models.count
        perform(joiner.retireUnused(now: .now))
        guard models.count < count, let newest = models.last else { return }
        session.log("joins \(newest.name) only: nobody runs the model before any more")
        describe()
    }

    // MARK: Frames

    private func received(_ message: MQTTMessageView) {
        let features: FeaturesReader.Features
        do throws(FeaturesReader.Refusal) {
            features = try reader.read(
                message.topic, message.payload, isRetained: message.retained,
                models: canary.map { models + [$0.model] } ?? models)
        } catch {
            return drop(error.reason, error.description)
        }
        let now = ContinuousClock.now
        let (header, sensor) = (features.header, features.sensor)
        let (served, asks) =
            supervisor?.assumeIsolated { ($0.came(sensor, header, now: now), $0.mayAsk) } ?? (nil, false)
        if let canary, features.model === canary.model { return joinCanary(features, served: served, now: now) }
        joiner.asks = asks
        let actions = features.deliver(to: &joiner, served: served, now: now)
        if !actions.isEmpty { perform(actions, cause: (message.topic, header.frame)) }
    }

    private func deadlineReached() {
        deadlineTimer = nil
        perform(joiner.deadlineReached(now: .now))
    }

    // MARK: Actions

    /// - Parameter cause: the topic and the frame of the message that led to the actions, where one did.
    private func perform(_ actions: [FrameJoiner.Action], cause: (topic: String, frame: UInt64)? = nil) {
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
                supervisor?.assumeIsolated { $0.ask(key, missing: missing) }
            case .retire(let model): models.removeAll { $0.model == model }
            }
        }
    }

    private func publish(_ answer: FrameJoiner.Answer) {
        guard let model = models.first(where: { $0.model == answer.model }) else { return }
        let frame = answer.frame
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
        let missing = UInt64(allBranches: model.branchCount) & ~frame.branches
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

    private func drop(_ reason: String, _ sentence: @autoclosure () -> String) {
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
