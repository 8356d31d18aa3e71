public import LCPModels
import LCPWire
import MQTT
import Platform

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
    private var supply: ModelSupply?
    /// The model that it runs, and its branches of it.
    private var current: Share?
    /// The same of a model with another number of branches, which will take its place.
    private var coming: Share?
    private var presence = Presence()
    private let gate = FlowGate()
    /// The counters as they were published last: what is sent as a sign of life, without waiting for a branch that computes.
    private var statistics = RoleStatistics(uptime: 0, frames: 0, dropped: [:])
    private var assignmentTimer: EventLoopTimer?
    private var statisticsTimer: EventLoopTimer?
    private var tasks: [Task<Void, Never>] = []
    private let failures = AsyncThrowingStream<Never, any Error>.makeStream()
    private let started = ContinuousClock.now
    private var isEnding = false
    /// The model with the same number of branches that takes the place of the ``current`` one, while both are computed.
    private var next: ModelBundle?
    private var isChanging = false
    private var changeFailure: (any Error)?
    private var past = BranchRunner.Counts()

    /// A worker's part of one model.
    private final class Share {
        var bundle: ModelBundle
        var runners: [Int: BranchRunner] = [:]
        /// Branches whose runner is being made.
        var starting: Set<Int> = []
        var stopping: Set<Int> = []

        init(_ bundle: ModelBundle) { self.bundle = bundle }

        var model: String { bundle.hash.description }
        var branchCount: Int { bundle.network.branches.count }
        var claimed: Set<Int> { Set(runners.keys).union(starting) }
        var claims: [Int] { claimed.subtracting(stopping).sorted() }
        var serves: [Int] { runners.keys.filter { !stopping.contains($0) }.sorted() }
    }

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
        throw PipelineError(
            .modelMismatch, "\(bundle.manifest.name) has branches 0 to \(count - 1), there is no branch \(wrong)")
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
        let statuses = try await session.client.subscribe(to: session.topics.statuses) { [weak self] message in
            nonisolated(unsafe) let message = message
            self?.assumeIsolated { $0.heard(message) }
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
        let bundle = try await firstModel()
        try Self.check(options.branches, bundle)
        current = Share(bundle)
        describe(bundle)
        scheduleStatistics()
        assign()
        for try await _ in failures.stream {}
        isEnding = true
        for subscription in [statuses, probes, plans] { subscription.unsubscribe() }
        for runner in runners { await runner.stop() }
        // What waits for a broker that is gone ends with the connection.
        for task in tasks { task.cancel() }
    }

    private func firstModel() async throws -> ModelBundle {
        if let given { return given }
        if let supply, let offer = try await supply.firstOffer() {
            session.log("getting the model \(offer.name)")
            return try await supply.fetch(offer, branches: options.branches ?? [])
        }
        let reason = await supply?.noOffer ?? "no model was pushed to \(session.topics.root)"
        guard let fallback else {
            throw PipelineError(.modelUnavailable, "\(reason): push one with lcp model push, or give --model")
        }
        session.log(
            "\(reason): running \(fallback.manifest.name), which came with lcp")
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
        guard let status = RoleStatus(message, topics: session.topics) else {
            if presence.doubt(message.topic, now: .now) { scheduleExpiry() }
            return
        }
        // Its own echo says nothing new, but another with its name is a stranger.
        guard status.role != .worker || status.id != session.status.id else { return }
        if presence.update(status) { scheduleAssignment() }
    }

    private func reconnected() async {
        presence.reconnected(now: .now)
        await supply?.reconnected()
        scheduleExpiry()
    }

    private func scheduleExpiry() {
        _ = session.client.eventLoop.schedule(after: Presence.grace + .milliseconds(50)) { [weak self] in
            self?.assumeIsolated { if $0.presence.expire(now: .now) { $0.assign() } }
        }
    }

    private func scheduleAssignment() {
        guard assignmentTimer == nil, current != nil, !isEnding else { return }
        assignmentTimer = session.client.eventLoop.schedule(after: Self.settling) { [weak self] in
            self?.assumeIsolated {
                $0.assignmentTimer = nil
                $0.assign()
            }
        }
    }

    private var shares: [Share] { [current, coming].compactMap { $0 } }
    private var runners: [BranchRunner] { shares.flatMap(\.runners.values) }

    /// What another worker has of a model: nil where it has nothing to do with it.
    private func part(of status: RoleStatus, in share: Share) -> (claims: [Int], serves: [Int])? {
        if let next = status.next, next.model == share.model { return (next.claims, next.serves) }
        // Models with as many branches are shared alike.
        let isAlike = share === current && status.branches ?? share.branchCount == share.branchCount
        guard status.modelHash == share.model || isAlike else { return nil }
        return (status.claims ?? status.branch.map { [$0] } ?? [], status.servedBranches)
    }

    /// What this worker should run of a model, as all who see the same would say.
    private func goal(_ share: Share) -> Set<Int> {
        if let branches = options.branches { return branches }
        let me = session.status
        var workers: [BranchAssignment.Worker] = []
        // Here and below a loop and no closure: with the share in it Swift 6.2 does not take it.
        for other in presence.all(.worker) {
            guard let part = part(of: other, in: share) else { continue }
            workers.append(
                .init(
                    id: other.id, branches: Set(part.claims), isPinned: other.pinned ?? true,
                    isReady: other.state == .ready))
        }
        workers.append(.init(id: me.id, branches: share.claimed, isPinned: false, isReady: me.state == .ready))
        return BranchAssignment(workers, branchCount: share.branchCount).branches[me.id] ?? []
    }

    private func assign() {
        guard !isEnding else { return }
        // Those who run the coming model already are gone from the current one: nobody steps in for them any more.
        if let share = coming ?? current { assign(share) }
    }

    private func assign(_ share: Share) {
        let goal = goal(share)
        let added = goal.subtracting(share.claimed)
        if !added.isEmpty {
            share.starting.formUnion(added)
            publishClaims()
            for branch in added.sorted() {
                tasks.append(Task { await self.start(branch, share) })
            }
        }
        // Given up only where another has it.
        var others: [[Int]] = []
        for other in presence.all(.worker) {
            if let part = part(of: other, in: share) { others.append(part.serves) }
        }
        for branch in Set(share.runners.keys).subtracting(goal).subtracting(share.stopping)
        where others.contains(where: { $0.contains(branch) }) {
            share.stopping.insert(branch)
            tasks.append(Task { await self.stop(branch, share) })
        }
    }

    private func publishClaims() {
        guard let current else { return }
        let (claims, serves) = (current.claims, current.serves)
        let next = coming.map {
            RoleStatus.Next(model: $0.model, branches: $0.branchCount, claims: $0.claims, serves: $0.serves)
        }
        session.sendStatus {
            $0.claims = claims
            $0.serves = serves
            $0.next = next
            if !serves.isEmpty { $0.state = .ready }
        }
    }

    private func start(_ branch: Int, _ share: Share) async {
        do {
            let fetched = try await withFiles(share.bundle, for: branch)
            let runner = try BranchRunner(session, bundle: fetched, branch: branch, options: options, gate: gate)
            if share === current, let next { try await runner.add(try await withFiles(next, for: branch)) }
            try await runner.start()
            // Meanwhile the model may have been given up.
            guard shares.contains(where: { $0 === share }) else { return await runner.stop() }
            share.runners[branch] = runner
            share.starting.remove(branch)
            session.sendStatus { $0.computeTime = max($0.computeTime ?? 0, runner.measured.milliseconds) }
            publishClaims()
            session.log("ready: branch \(branch) on \(session.topics.inputs)")
            scheduleAssignment()
            try await runner.run()
        } catch is CancellationError {
        } catch {
            // A model that cannot be run does not end the one that is.
            if share === coming { return changeFailure = error }
            failures.continuation.finish(throwing: error)
        }
    }

    /// The bundle with the files of a branch on disk, where it came over MQTT.
    private func withFiles(_ bundle: ModelBundle, for branch: Int) async throws -> ModelBundle {
        guard let supply, let offer = await supply.offer, offer.model == bundle.hash.description else { return bundle }
        return try await supply.fetch(offer, branches: [branch])
    }

    private func stop(_ branch: Int, _ share: Share) async {
        guard let runner = share.runners[branch] else { return }
        session.log("another worker has branch \(branch): giving it up")
        await end(runner)
        share.runners[branch] = nil
        share.stopping.remove(branch)
        publishClaims()
        scheduleAssignment()
    }

    private func end(_ runner: BranchRunner) async {
        await runner.stop()
        past.add(await runner.statistics())
    }

    // MARK: A new model

    private func offered(_ offer: ModelOffer) {
        guard current != nil, !isChanging, !isEnding else { return }
        tasks.append(Task { await self.changeModel() })
    }

    /// Takes the newest model, again and again until there is no newer one.
    private func changeModel() async {
        guard !isChanging, let supply else { return }
        isChanging = true
        defer { isChanging = false }
        var failed: String?
        while !isEnding, let share = current, let offer = await supply.offer, offer.model != share.model,
            offer.model != failed
        {
            do {
                session.log("the model \(offer.name) was pushed: getting it")
                let new = try await supply.fetch(offer, branches: [])
                try Self.check(options.branches, new)
                if new.network.branches.count == share.branchCount {
                    try await change(share, to: try await supply.fetch(offer, branches: share.claimed))
                } else {
                    try await change(to: Share(new))
                }
                session.log("runs \(new.manifest.name) now")
            } catch {
                if !(error is Superseded) { failed = offer.model }
                for runner in share.runners.values { await runner.keep(share.bundle.hash) }
                next = nil
                await giveUpComing()
                describe(share.bundle)
                session.log("the model \(offer.name) is not used: \(error)")
            }
        }
    }

    /// Computes both models until everybody does, and then the new one alone: every frame is complete in one of them.
    private func change(_ share: Share, to new: ModelBundle) async throws {
        let old = share.model
        next = new
        for runner in share.runners.values { try await runner.add(new) }
        session.sendStatus { $0.models = [old, new.hash.description] }
        let hash = new.hash.description
        try await waitForAll(hash) { presence.all(.worker).allSatisfy { $0.claims?.isEmpty != false || $0.runs(hash) } }
        for runner in share.runners.values { await runner.keep(new.hash) }
        share.bundle = new
        next = nil
        describe(new)
    }

    /// The same where the new model has another number of branches: they are dealt out anew beside the old ones, and those end
    /// when all of the new ones run.
    private func change(to new: Share) async throws {
        (coming, changeFailure) = (new, nil)
        publishClaims()
        assign()
        try await waitForAll(new.model) {
            if let changeFailure { throw changeFailure }
            var served = Set(new.serves)
            for other in presence.all(.worker) {
                guard let part = part(of: other, in: new) else { return false }
                served.formUnion(part.serves)
            }
            return new.starting.isEmpty && served.count >= new.branchCount
        }
        let old = current?.runners.values.map { $0 } ?? []
        (current, coming) = (new, nil)
        describe(new.bundle)
        publishClaims()
        for runner in old { await end(runner) }
        scheduleAssignment()
    }

    private func giveUpComing() async {
        guard let share = coming else { return }
        coming = nil
        publishClaims()
        for runner in share.runners.values { await end(runner) }
    }

    /// Waits until the workers and the aggregator are ready for a new model, and for what is in their queues then.
    ///
    /// - Throws: ``Superseded`` where a newer one was pushed before anybody ran this one alone.
    private func waitForAll(_ model: String, _ workersAreReady: () throws -> Bool) async throws {
        let start = ContinuousClock.now
        while !isEnding, .now - start < Self.longestChange,
            try !(workersAreReady() && presence.all(.aggregator).allSatisfy { $0.runs(model) })
        {
            try await checkNewest(model)
            try await Task.sleep(for: .milliseconds(50))
        }
        // What the last one had in its queue when it said so is answered in the old model, too.
        if !isEnding { try await Task.sleep(for: Self.overlap) }
        try await checkNewest(model)
    }

    private func checkNewest(_ model: String) async throws(Superseded) {
        guard let offer = await supply?.offer, offer.model != model,
            !presence.all(.worker).contains(where: { $0.modelHash == model })
        else { return }
        throw Superseded(newer: offer.name)
    }

    private struct Superseded: Error, CustomStringConvertible {
        var newer: String
        var description: String { "\(newer) was pushed after it" }
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
        for runner in runners { total.add(await runner.statistics()) }
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
