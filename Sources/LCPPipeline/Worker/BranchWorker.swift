public import LCPInference
public import LCPModels
public import LCPWire
import MQTT
import Platform

/// A device of a pipeline: it finds out which branches are needed, gets the model, runs the branches, and makes room or steps in
/// as other devices come and go.
///
/// Every worker publishes what it runs as its retained status. The aggregator sees what all run, and tells each what it should
/// (``Coordinator``). Where there is none, or one of the version before, workers listen to each other and compute the same
/// (``BranchAssignment``). A branch is given up only when another worker has it.
public actor BranchWorker {
    /// How a worker is set up.
    public struct Options: Sendable {
        /// The worker's name; one of the machine's where nil (``DefaultName``).
        public var id: String?
        /// The branches that it runs whatever the others do; nil to take those that are needed.
        public var branches: Set<Int>?
        /// Answers with zeros in place of running the network: measures the messages alone.
        public var computes = true
        /// A branch that takes longer runs on a thread of its own, so that the connection is served meanwhile.
        public var longestInline = Duration.milliseconds(2)
        /// How the branches' numbers are written, once all aggregators read that.
        public var features = FeatureEncoding.fp32
        /// How many threads compute a branch, at most ``LCPInference/ThreadPool/maximumThreads``; as many as there are
        /// processors where nil. Its branches share them; a short one stays on one.
        public var threads: Int?
        /// How many frames that wait are computed together, 1 for none; nil for up to eight, where that is measured to be quicker and
        /// is done within half of the deadline.
        public var batch: Int?
        /// What is taken of each sensor in a second; nil for all that it sends.
        public var budget: SensorBudget?
        /// Holds every frame for so long without using the processor: shows what slow devices would do on one machine.
        public var serviceTime = Duration.zero
        /// A slower device that it stands for; nil for this machine.
        public var emulated: EmulatedDevice?
        /// What computes the branches; nil for this processor.
        public var device: Device?

        public init() {}
    }

    /// A device that computes in this processor's place.
    public struct Device: Sendable {
        /// What the worker's status says.
        public let name: String
        /// Prepares a branch of a bundle.
        let attach: @Sendable (ModelBundle, Int) throws -> any BranchComputer

        public init(name: String, attach: @escaping @Sendable (ModelBundle, Int) throws -> any BranchComputer) {
            (self.name, self.attach) = (name, attach)
        }
    }

    public nonisolated let session: RoleSession
    public nonisolated var unownedExecutor: UnownedSerialExecutor { session.client.eventLoop.asUnownedSerialExecutor() }

    private let options: Options
    /// Why the model that is to be tried is not, as it was told last.
    var canaryComplaint: String?
    /// The model that it was given.
    private let given: ModelBundle?
    /// What it runs where it was given none, and the pipeline has none, either.
    private let fallback: ModelBundle?
    /// Where the pipeline's model comes from: nil where one was given.
    var supply: ModelSupply?
    /// What is run, and how a new model takes the old one's place.
    var rollout: ModelRollout
    var presence = Presence()
    /// Whether an aggregator says what is to be run.
    var isCoordinated = false
    /// What the other workers say, where none does.
    var others: MQTTSubscription?
    /// The branches whose inputs are received.
    var runners: [BranchID: BranchRunner] = [:]
    let shared: WorkerResources
    /// The counters as they were published last: the heartbeat, which does not wait for a branch that computes.
    private var statistics = RoleStatistics(uptime: 0, frames: 0, dropped: [:])
    private var refusals = Refusals()
    /// What runners that have ended counted.
    private var past = BranchRunner.Counts()
    private let started = ContinuousClock.now
    /// Whether features are to go to the topics of buckets, and whether they may; nil until that was tried.
    var buckets: (areWanted: Bool, areAllowed: Bool?) = (false, nil)
    /// Whether the model that came with lcp is the one that was pushed.
    private var wasPushed = false
    private var alarm: (due: ContinuousClock.Instant, timer: EventLoopTimer)?
    private var statisticsTimer: EventLoopTimer?
    private var fetch: Task<Void, Never>?
    private var stops: [BranchID: Task<Void, Never>] = [:]
    /// What is under way for the rollout, by numbers.
    private var tasks: [Int: Task<Void, Never>] = [:]
    private var taskCount = 0
    private let failures = AsyncThrowingStream<Never, any Error>.makeStream()

    /// Prepares the worker; nothing is sent yet.
    ///
    /// - Parameters:
    ///   - bundle: the model; nil for the one that was pushed to the pipeline.
    ///   - fallback: what to run where none was pushed.
    /// - Throws: ``PipelineError``, ``ModelBundleError`` or ``MQTTError``.
    public init(
        _ configuration: PipelineConfiguration, bundle: ModelBundle?, fallback: ModelBundle? = nil,
        options: Options = Options()
    ) throws {
        if let bundle, let refusal = ModelRollout.refusal(of: ModelVersion(bundle), pinned: options.branches) {
            throw refusal
        }
        given = bundle
        self.fallback = fallback
        self.options = options
        shared = WorkerResources(
            features: FeatureFormat(options.features),
            threads: min(options.threads ?? Processors.available, ThreadPool.maximumThreads), device: options.device)
        var status = RoleSession.status(.worker, id: options.id)
        status.pinned = options.branches != nil
        status.engine = options.device?.name ?? RoleStatus.processor
        status.answersProbes = true
        status.takesTasks = true
        if bundle != nil { status.isModelGiven = true }
        if let branches = options.branches, branches.count == 1 { status.branch = branches.first }
        session = try RoleSession(configuration, status: status)
        rollout = ModelRollout(id: status.id, pinned: options.branches, inputs: session.topics.inputs)
    }

    /// Works until the task is cancelled; then it takes no more frames, answers what it has, and leaves.
    ///
    /// - Throws: ``MQTTError`` where the broker cannot be reached or refuses, ``PipelineError`` where there is no model.
    public func run() async throws {
        try await session.run(reconnected: { [weak self] in await self?.reconnected() }) { try await work() }
        alarm?.timer.cancel()
        statisticsTimer?.cancel()
    }

    private func work() async throws {
        if given == nil {
            let supply = ModelSupply(session) { [weak self] offer in
                self?.assumeIsolated { $0.offered(offer) }
            }
            self.supply = supply
            try await supply.start()
        }
        let orders = try await session.client.subscribe(
            to: session.topics.task(session.status.id), options: .init(qos: .atLeastOnce)
        ) { [weak self] message in
            let json = Array(message.payload)
            self?.assumeIsolated { $0.heardTask(json) }
        }
        let aggregators = try await listen(to: .aggregator)
        let probes = try await session.client.subscribe(
            to: session.topics.probe(session.status.id), options: .init(receivesRetained: false)
        ) { [weak self] _ in
            self?.assumeIsolated { $0.session.publishStatistics($0.statistics.json) }
        }
        let plans = try await session.client.subscribe(
            to: session.topics.flow, options: .init(qos: .atLeastOnce)
        ) { [gate = shared.gate] message in gate.update(Array(message.payload)) }
        let snapshots = try await showInputs()
        shared.sharesInputs = try await session.triesSharing()
        // What the broker has kept comes before its answer to this: the model's manifest, and who is there.
        try await session.publishStatus { _ in }
        try await meetAggregator()
        handle(try await firstModel())
        adapt()
        try await watchCanary()
        scheduleStatistics()
        for try await _ in failures.stream {}
        await leave()
        for subscription in [orders, aggregators, others, probes, plans, snapshots] { subscription?.unsubscribe() }
        handle(.end)
        for stop in stops.values { await stop.value }
        // What waits for a broker that is gone ends with the connection.
        for task in tasks.values { task.cancel() }
    }

    /// Has others take over what is dealt to it, where somebody deals.
    private func leave() async {
        guard isCoordinated, session.client.isConnected, whoDecides == .aggregator, !runners.isEmpty else { return }
        session.sendStatus {
            $0.isLeaving = true
            $0.claims = []
        }
        // Not as a part of the task that was cancelled.
        await Task { try? await ContinuousClock().sleep(for: Self.farewell) }.value
    }

    /// Until others have the lanes of a worker that leaves, and sensors know it.
    private static let farewell = Duration.milliseconds(300)

    private func firstModel() async throws -> ModelRollout.Event {
        if let given {
            session.log("runs \(given.manifest.name.printable) as it was told, and takes no model that is pushed")
            return .given(ModelVersion(given))
        }
        if let offer = try await supply?.firstOffer() { return .found(offer) }
        let reason = await supply?.noOffer ?? "no model was pushed to \(session.topics.root)"
        guard let fallback else {
            throw PipelineError(.modelUnavailable, "\(reason): push one with lcp model push, or give --model")
        }
        session.log("\(reason): running \(fallback.manifest.name), which came with lcp")
        return .given(ModelVersion(fallback))
    }

    private func offered(_ offer: ModelOffer) {
        // The one that came with lcp was pushed: its files are kept as those of any other.
        if !wasPushed, offer.model == fallback?.hash.description, session.status.isFallback == true {
            wasPushed = true
            session.sendStatus { $0.isFallback = nil }
            let branches = Set(runners.keys.map(\.branch))
            spawn { worker in _ = try? await worker.supply?.fetch(offer, branches: branches) }
        }
        handle(.offered(offer))
    }

    // MARK: What the rollout says

    func handle(_ event: ModelRollout.Event) {
        for action in rollout.handle(event, now: .now) { perform(action) }
        let due = rollout.nextDue
        guard due != alarm?.due else { return }
        alarm?.timer.cancel()
        alarm = due.map { due in
            let timer = session.client.eventLoop.schedule(after: due - .now) { [weak self] in
                self?.assumeIsolated {
                    $0.alarm = nil
                    $0.handle(.time)
                }
            }
            return (due, timer)
        }
    }

    /// Begins an action; none waits for the one before it. Jobs of this actor begin in the order in which they were made, and so
    /// do a runner's: a version is never forgotten after it was added anew.
    private func perform(_ action: ModelRollout.Action) {
        switch action {
        case .fetch(let offer, let branches):
            fetch?.cancel()
            fetch = spawn { await $0.get(offer, branches) }
        case .abandonFetch: fetch?.cancel()
        case .start(let id, let versions, let lanes): spawn { await $0.start(id, versions, lanes) }
        case .receive(let id, let lanes): spawn { await $0.receive(id, lanes) }
        case .add(let version, let id):
            spawn { worker in
                if let runner = worker.runners[id] { await worker.add(version, to: id, runner) }
            }
        case .keep(let versions, let id):
            spawn { worker in
                await worker.runners[id]?.keep(versions)
                await worker.adaptCanary()
            }
        case .stop(let id): stops[id] = spawn { await $0.stop(id) }
        case .publish(let announcement):
            let isFallback = given == nil && announcement.model.offer == nil && !wasPushed
            session.sendStatus {
                announcement.apply(to: &$0)
                $0.isFallback = isFallback ? true : nil
            }
        case .log(let sentence): session.log(sentence)
        case .fail(let failure): failures.continuation.finish(throwing: failure.error)
        }
    }

    @discardableResult
    func spawn(_ body: @escaping @Sendable (isolated BranchWorker) async -> Void) -> Task<Void, Never> {
        let number = taskCount
        taskCount += 1
        let task = Task {
            await body(self)
            tasks[number] = nil
        }
        tasks[number] = task
        return task
    }

    private func get(_ offer: ModelOffer, _ branches: Set<Int>) async {
        guard let supply else { return }
        do {
            let bundle = try await supply.fetch(offer, branches: branches)
            handle(.fetched(offer, ModelVersion(bundle, offer: offer)))
        } catch {
            if !Task.isCancelled { handle(.fetchFailed(offer, .init(error))) }
        }
    }

    /// A version of the model with the files of a branch on disk.
    private func bundle(_ version: ModelVersion, for id: BranchID) async throws -> ModelBundle {
        if let offer = version.offer, let supply { return try await supply.fetch(offer, branches: [id.branch]) }
        guard let bundle = given ?? fallback else {
            throw PipelineError(.modelUnavailable, "the model \(version.name) is not here")
        }
        return bundle
    }

    private func start(_ id: BranchID, _ versions: [ModelVersion], _ lanes: [Int]) async {
        do {
            let first = try await bundle(versions[0], for: id)
            let runner = try BranchRunner(session, bundle: first, branch: id.branch, options: options, shared: shared)
            for version in versions.dropFirst() { await add(version, to: id, runner) }
            try await runner.start(lanes)
            let models = await runner.models
            runners[id] = runner
            spawn { await $0.adaptCanary() }
            handle(.started(id, versions: models, computeTime: max(runner.measured, options.serviceTime).milliseconds))
            try await runner.run()
        } catch {
            if Task.isCancelled { return }
            await forget(id)
            handle(.startFailed(id, .init(error)))
        }
    }

    private func receive(_ id: BranchID, _ lanes: [Int]) async {
        do {
            try await runners[id]?.receive(lanes)
            handle(.receives(id, lanes: lanes))
        } catch {
            if !Task.isCancelled { handle(.startFailed(id, .init(error))) }
        }
    }

    private func add(_ version: ModelVersion, to id: BranchID, _ runner: BranchRunner) async {
        do {
            try await runner.add(try await bundle(version, for: id))
            handle(.added(version.hash, to: id))
        } catch {
            if !Task.isCancelled { handle(.addFailed(version.hash, .init(error))) }
        }
    }

    private func stop(_ id: BranchID) async {
        await runners[id]?.stop()
        await forget(id)
        stops[id] = nil
        handle(.stopped(id))
    }

    private func forget(_ id: BranchID) async {
        if let runner = runners.removeValue(forKey: id) { past.add(await runner.statistics()) }
    }

    // MARK: Statistics

    private func scheduleStatistics() {
        statisticsTimer = session.client.eventLoop.schedule(after: .seconds(5)) { [weak self] in
            guard let self else { return }
            Task {
                await self.publishStatistics()
                await self.scheduleStatistics()
            }
        }
    }

    private func publishStatistics() async {
        var total = past
        for runner in runners.values { total.add(await runner.statistics()) }
        session.refuses(refusals.reason(frames: total.frames, drops: total.drops))
        statistics = total.statistics(uptime: .now - started)
        statistics.dropped.merge(await supply?.dropped ?? [:]) { $0 + $1 }
        session.publishStatistics(statistics.json)
    }
}
