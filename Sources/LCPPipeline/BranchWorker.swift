public import LCPModels
import MQTT

/// A device of a pipeline: it finds out which branches are needed, gets the model, runs the branches, and makes room or steps in
/// as other devices come and go.
///
/// Nobody coordinates: every worker publishes what it runs as its retained status, sees what the others run, and computes from
/// that who should run what (``BranchAssignment``), as the others do. A branch is given up only when another worker has it.
public actor BranchWorker {
    /// How a worker is set up.
    public struct Options: Sendable {
        /// The worker's name; the machine's name and the process's number where nil.
        public var id: String?
        /// The branches that it runs whatever the others do; nil to take those that are needed.
        public var branches: Set<Int>?
        /// Answers with zeros in place of running the network: measures the messages alone.
        public var computes = true
        /// A branch that takes longer runs on a thread of its own, so that the connection is served meanwhile.
        public var longestInline = Duration.milliseconds(2)
        /// Holds every frame for so long without using the processor: shows what slow devices would do on one machine.
        public var serviceTime = Duration.zero

        public init() {}
    }

    public nonisolated let session: RoleSession
    public nonisolated var unownedExecutor: UnownedSerialExecutor { session.client.eventLoop.asUnownedSerialExecutor() }

    private let options: Options
    /// The model that it was given; nil for the one that the pipeline has.
    private let given: ModelBundle?
    /// What it runs where the pipeline has no model, either.
    private let fallback: ModelBundle?
    private var bundle: ModelBundle?
    private var supply: ModelSupply?
    private var runners: [Int: BranchRunner] = [:]
    /// Branches whose runner is being made.
    private var starting: Set<Int> = []
    private var stopping: Set<Int> = []
    private var presence = Presence()
    private let gate = FlowGate()
    /// The counters as they were published last: what is sent as a sign of life, without waiting for a branch that computes.
    private var statistics = RoleStatistics(uptime: 0, frames: 0, dropped: [:])
    private var assignmentTimer: MQTTTimer?
    private var statisticsTimer: MQTTTimer?
    private var tasks: [Task<Void, Never>] = []
    private let failures = AsyncThrowingStream<Never, any Error>.makeStream()
    private let started = ContinuousClock.now
    private var isEnding = false
    /// The model that takes the place of ``bundle``, while both are computed.
    private var next: ModelBundle?
    private var isChanging = false
    private var past = BranchRunner.Counts()

    /// Changes that come together are answered together.
    private static let settling = Duration.milliseconds(20)

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
        if let bundle { try Self.check(options.branches, bundle) }
        given = bundle
        self.fallback = fallback
        self.options = options
        var status = RoleSession.status(.worker, id: options.id)
        status.pinned = options.branches != nil
        status.engine = "xnnpack"
        status.answersProbes = true
        if let branches = options.branches, branches.count == 1 { status.branch = branches.first }
        session = try RoleSession(configuration, status: status)
    }

    private static func check(_ branches: Set<Int>?, _ bundle: ModelBundle) throws(PipelineError) {
        let count = bundle.network.branches.count
        guard let wrong = branches?.sorted().first(where: { !(0..<count).contains($0) }) else { return }
        throw PipelineError("\(bundle.manifest.name) has branches 0 to \(count - 1), there is no branch \(wrong)")
    }

    /// Works until the task is cancelled; then it takes no more frames, answers what it has, and leaves.
    ///
    /// - Throws: ``MQTTError`` where the broker cannot be reached or refuses, ``PipelineError`` where there is no model.
    public func run() async throws {
        try await session.run(reconnected: { [weak self] in await self?.reconnected() }) { try await work() }
        assignmentTimer?.cancel()
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
        var statuses: MQTTSubscription?
        if options.branches == nil {
            statuses = try await session.client.subscribe(to: session.topics.statuses) { [weak self] message in
                nonisolated(unsafe) let message = message
                self?.assumeIsolated { $0.heard(message) }
            }
        }
        let probes = try await session.client.subscribe(
            to: session.topics.probe(session.status.id), options: .init(receivesRetained: false)
        ) { [weak self] _ in
            self?.assumeIsolated { $0.session.publishStatistics($0.statistics.json) }
        }
        let plans = try await session.client.subscribe(
            to: session.topics.flow, options: .init(qos: .atLeastOnce)
        ) { [gate] message in gate.update(Array(message.payload)) }
        // What the broker has kept comes before its answer to this: the model's manifest, and who is there.
        try await session.publishStatus { _ in }
        bundle = try await firstModel()
        if let bundle {
            try Self.check(options.branches, bundle)
            describe(bundle)
        }
        scheduleStatistics()
        assign()
        for try await _ in failures.stream {}
        isEnding = true
        statuses?.unsubscribe()
        for subscription in [probes, plans] { subscription.unsubscribe() }
        for runner in runners.values { await runner.stop() }
        for task in tasks { await task.value }
    }

    private func firstModel() async throws -> ModelBundle {
        if let given { return given }
        if let supply, let offer = await supply.offer {
            session.log("getting the model \(offer.name)")
            return try await supply.fetch(offer, branches: options.branches ?? [])
        }
        guard let fallback else {
            throw PipelineError(
                "no model was pushed to the pipeline \(session.topics.root): push one with lcp model push, or give --model"
            )
        }
        session.log(
            "no model was pushed to \(session.topics.root): running \(fallback.manifest.name), which came with lcp")
        return fallback
    }

    private func describe(_ bundle: ModelBundle) {
        session.sendStatus {
            $0.branches = bundle.network.branches.count
            $0.model = bundle.manifest.name
            $0.modelHash = bundle.hash.description
            $0.models = [bundle.hash.description]
        }
    }

    // MARK: Who does what

    private func heard(_ message: MQTTMessageView) {
        guard let status = RoleStatus(message, topics: session.topics) else { return }
        // Its own echo says nothing new, but another with its name is a stranger.
        guard status.role != .worker || status.id != session.status.id else { return }
        if presence.update(status) { scheduleAssignment() }
    }

    private func reconnected() async {
        presence.reconnected(now: .now)
        await supply?.reconnected()
        _ = session.client.eventLoop.schedule(after: Presence.grace + .milliseconds(50)) { [weak self] in
            self?.assumeIsolated { if $0.presence.expire(now: .now) { $0.assign() } }
        }
    }

    private func scheduleAssignment() {
        guard assignmentTimer == nil, bundle != nil, !isEnding else { return }
        assignmentTimer = session.client.eventLoop.schedule(after: Self.settling) { [weak self] in
            self?.assumeIsolated {
                $0.assignmentTimer = nil
                $0.assign()
            }
        }
    }

    private var claimed: Set<Int> { Set(runners.keys).union(starting) }

    /// What this worker should run, as all who see the same would say.
    private var goal: Set<Int> {
        if let branches = options.branches { return branches }
        guard let bundle else { return [] }
        let me = session.status
        var workers = presence.all(.worker).map {
            BranchAssignment.Worker(
                id: $0.id, branches: Set($0.claims ?? $0.branch.map { [$0] } ?? []), isPinned: $0.pinned ?? true,
                isReady: $0.state == .ready)
        }
        workers.append(.init(id: me.id, branches: claimed, isPinned: false, isReady: me.state == .ready))
        return BranchAssignment(workers, branchCount: bundle.network.branches.count).branches[me.id] ?? []
    }

    private func assign() {
        guard let bundle, !isEnding else { return }
        let goal = goal
        let added = goal.subtracting(claimed)
        if !added.isEmpty {
            starting.formUnion(added)
            publishClaims()
            for branch in added.sorted() {
                tasks.append(Task { await self.start(branch, bundle) })
            }
        }
        // Given up only where another has it.
        let others = presence.all(.worker)
        for branch in Set(runners.keys).subtracting(goal).subtracting(stopping)
        where others.contains(where: { $0.serves?.contains(branch) == true }) {
            stopping.insert(branch)
            tasks.append(Task { await self.stop(branch) })
        }
    }

    private func publishClaims() {
        let (claims, serves) = (
            claimed.subtracting(stopping).sorted(), runners.keys.filter { !stopping.contains($0) }.sorted()
        )
        session.sendStatus {
            $0.claims = claims
            $0.serves = serves
            if !serves.isEmpty { $0.state = .ready }
        }
    }

    private func start(_ branch: Int, _ bundle: ModelBundle) async {
        do {
            let fetched = try await withFiles(bundle, for: branch)
            let runner = try BranchRunner(session, bundle: fetched, branch: branch, options: options, gate: gate)
            if let next { try await runner.add(try await withFiles(next, for: branch)) }
            try await runner.start()
            runners[branch] = runner
            starting.remove(branch)
            session.sendStatus { $0.computeTime = max($0.computeTime ?? 0, runner.measured.milliseconds) }
            publishClaims()
            session.log("ready: branch \(branch) on \(session.topics.inputs)")
            scheduleAssignment()
            try await runner.run()
        } catch is CancellationError {
        } catch {
            failures.continuation.finish(throwing: error)
        }
    }

    /// The bundle with the files of a branch on disk, where it came over MQTT.
    private func withFiles(_ bundle: ModelBundle, for branch: Int) async throws -> ModelBundle {
        guard let supply, let offer = await supply.offer, offer.model == bundle.hash.description else { return bundle }
        return try await supply.fetch(offer, branches: [branch])
    }

    private func stop(_ branch: Int) async {
        guard let runner = runners[branch] else { return }
        session.log("another worker has branch \(branch): giving it up")
        await runner.stop()
        past.add(await runner.statistics())
        runners[branch] = nil
        stopping.remove(branch)
        publishClaims()
        scheduleAssignment()
    }

    // MARK: A new model

    private func offered(_ offer: ModelOffer) {
        guard bundle != nil, !isChanging, !isEnding else { return }
        tasks.append(Task { await self.changeModel() })
    }

    /// Takes the newest model, again and again until there is no newer one.
    private func changeModel() async {
        guard !isChanging, let supply else { return }
        isChanging = true
        defer { isChanging = false }
        var failed: String?
        while !isEnding, let old = bundle, let offer = await supply.offer, offer.model != old.hash.description,
            offer.model != failed
        {
            do {
                session.log("the model \(offer.name) was pushed: getting it")
                let new = try await supply.fetch(offer, branches: claimed)
                try Self.check(options.branches, new)
                if new.network.branches.count == old.network.branches.count {
                    try await change(from: old, to: new)
                } else {
                    await restart(with: new)
                }
                session.log("runs \(new.manifest.name) now")
            } catch {
                failed = offer.model
                for runner in runners.values { await runner.keep(old.hash) }
                next = nil
                describe(old)
                session.log("the model \(offer.name) is not used: \(error)")
            }
        }
    }

    /// Computes both models until everybody does, and then the new one alone: every frame is complete in one of them.
    private func change(from old: ModelBundle, to new: ModelBundle) async throws {
        next = new
        for runner in runners.values { try await runner.add(new) }
        session.sendStatus { $0.models = [old.hash.description, new.hash.description] }
        let start = ContinuousClock.now
        let hash = new.hash.description
        while !isEnding, .now - start < Self.longestChange, !everybodyHas(hash) {
            try await Task.sleep(for: .milliseconds(50))
        }
        // What the last one had in its queue when it said so is answered in the old model, too.
        if !isEnding { try await Task.sleep(for: Self.overlap) }
        for runner in runners.values { await runner.keep(new.hash) }
        bundle = new
        next = nil
        describe(new)
    }

    private func everybodyHas(_ model: String) -> Bool {
        (presence.all(.worker).filter { $0.claims?.isEmpty == false } + presence.all(.aggregator))
            .allSatisfy { $0.models?.contains(model) == true }
    }

    /// A model with another number of branches: who runs what is settled anew.
    private func restart(with new: ModelBundle) async {
        session.log("\(new.manifest.name) has another number of branches: beginning anew")
        for runner in runners.values {
            await runner.stop()
            past.add(await runner.statistics())
        }
        runners = [:]
        bundle = new
        describe(new)
        publishClaims()
        assign()
    }

    private static let longestChange = Duration.seconds(30)
    private static let overlap = Duration.milliseconds(500)

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
        statistics = RoleStatistics(
            uptime: (ContinuousClock.now - started).milliseconds / 1000, frames: total.frames, dropped: total.drops)
        if let times = total.computeTimes.percentiles([50, 99]) {
            (statistics.computeP50, statistics.computeP99) = (times[0], times[1])
        }
        if let times = total.queueTimes.percentiles([50, 99]) {
            (statistics.queueP50, statistics.queueP99) = (times[0], times[1])
        }
        session.publishStatistics(statistics.json)
    }
}

extension BranchRunner.Counts {
    fileprivate mutating func add(_ other: Self) {
        frames += other.frames
        drops.merge(other.drops, uniquingKeysWith: +)
        computeTimes.add(other.computeTimes)
        queueTimes.add(other.queueTimes)
    }
}
