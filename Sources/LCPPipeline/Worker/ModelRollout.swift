import LCPWire
import Platform

/// What a worker runs, and how it takes a new model while frames come: a pure state machine with time passed in.
///
/// No frame is lost in a change, because both models are computed until everybody has the new one. With the same number of
/// branches every branch is computed in both (``State/overlapping(_:next:_:)``); with another number the new branches are dealt
/// out and run beside the old ones (``State/repartitioning(_:next:_:)``). The transitions:
///
///     joining         the first model is read                                    → running
///                     it cannot be                                                → joining the newest, or ended
///     running         another model is offered                                    → fetching
///     fetching        it is read, with as many branches                           → overlapping
///                     it is read, with another number of branches                 → repartitioning
///                     it cannot be read, or has not the branches that are pinned  → running (failed)
///     overlapping     everybody computes both, or 30 s are over, and then 500 ms  → running the new one
///                     a branch cannot be computed in it                           → running the old one (failed)
///     repartitioning  its branches are all served, or 30 s are over, then 500 ms  → retiring the old branches
///                     a branch of it cannot be started                            → retiring the new branches (failed)
///     any of these three: a newer model is offered, and no worker runs this one alone yet
///                                                                 → running the old one, or retiring the new branches (superseded)
///     retiring        the last of those branches has answered what it had         → running
///     any             a branch of the model that is run fails, or the worker is asked to end → ended
///
/// Whenever it is running and a model was offered after the last attempt, that is fetched; one whose files could not be had is
/// fetched again after 10 s, while no other one is offered: a disk may have room by then. Between all of these, branches are taken and given up as other workers come and go.
struct ModelRollout {
    typealias Instant = ContinuousClock.Instant

    enum State: Hashable {
        /// It has no model: none is known yet, or the first one is being fetched.
        case joining(ModelOffer?)
        /// It runs one model.
        case running(ModelShare)
        /// It runs one model and gets the files of the next.
        case fetching(ModelOffer, beside: ModelShare)
        /// Its branches are computed in two versions of the model.
        case overlapping(ModelShare, next: ModelVersion, Progress)
        /// It runs branches of two models.
        case repartitioning(ModelShare, next: ModelShare, Progress)
        /// A change is over, and the branches of the model that is not run any more answer what they have.
        case retiring(ModelShare, old: ModelShare, Ending)
        /// It emits nothing any more.
        case ended
    }

    /// So long everybody is waited for.
    static let longestChange = Duration.seconds(30)
    /// So long both models are computed after everybody is ready.
    static let overlap = Duration.milliseconds(500)
    /// So long all workers are expected to take a model with another number of branches, and have their part of these.
    static let expectation = Duration.seconds(5)
    /// After so long a model is fetched again that could not be.
    static let retryInterval = Duration.seconds(10)
    /// Changes that come together are answered together.
    static let settling = Duration.milliseconds(20)

    private(set) var state = State.joining(nil)
    private(set) var me: ModelShare.Me
    /// What the inputs are called, for people.
    let inputs: String
    /// The model that was offered last, until it is tried.
    private var waiting: ModelOffer?
    /// Until when workers that do not run the next model yet are expected to.
    private(set) var expectationEnd: Instant?
    /// A model that could not be fetched, and when that is tried again.
    private var retry: (offer: ModelOffer, at: Instant)?
    private(set) var presence = Presence()
    /// Whether an aggregator says what is to be run.
    var isCoordinated = false
    /// What it said last.
    var task: WorkerTask?
    private var settleTime: Instant?
    private var announcement: WorkerAnnouncement?
    /// Of the branch that takes longest, milliseconds.
    private var computeTime: Double?

    /// - Parameters:
    ///   - id: the worker's name.
    ///   - pinned: the branches that it was told to run; nil for those that are needed.
    ///   - inputs: what the inputs are called, for people.
    init(id: String, pinned: Set<Int>?, inputs: String) {
        me = .init(id: id, pinned: pinned)
        self.inputs = inputs
    }

    /// When ``Event/time`` is to be passed in.
    var nextDue: Instant? {
        let changeTime: Instant? =
            switch state {
            case .overlapping(_, _, .waiting(let time)), .overlapping(_, _, .handingOver(let time)),
                .repartitioning(_, _, .waiting(let time)), .repartitioning(_, _, .handingOver(let time)):
                time
            case .running: retry?.at
            default: nil
            }
        let expectation: Instant? = if case .repartitioning = state { expectationEnd } else { nil }
        return state == .ended ? nil : [settleTime, surplusTime, changeTime, expectation].compactMap(\.self).min()
    }

    /// - Returns: what is to be done, in this order.
    mutating func handle(_ event: Event, now: Instant) -> [Action] {
        var actions: [Action] = []
        if state == .ended { return [] }
        switch event {
        case .given(let model): begin(model, now, &actions)
        case .found(let offer):
            if waiting == offer { waiting = nil }
            join(offer, &actions)
        case .offered(let offer):
            waiting = offer
            retry = nil
            if case .running(let share) = state { goOn(share, &actions) } else { settle(now) }
        case .fetched(let offer, let model): fetched(offer, model, now, &actions)
        case .fetchFailed(let offer, let failure): fetchFailed(offer, failure, now, &actions)
        case .started(let id, let versions, let time):
            computeTime = max(computeTime ?? 0, time)
            started(id, versions, now, &actions)
        case .startFailed(let id, let failure): startFailed(id, failure, now, &actions)
        case .added(let version, let id): added(version, id, now, &actions)
        case .addFailed(let version, let failure): addFailed(version, failure, now, &actions)
        case .stopped(let id): stopped(id, now, &actions)
        case .presence(let presence):
            self.presence = presence
            settle(now)
        case .receives(let id, let lanes): receives(id, lanes, now, &actions)
        case .coordinated(let isCoordinated):
            self.isCoordinated = isCoordinated
            settle(now)
        case .task(let task):
            self.task = task
            guard current != nil else { break }
            // Many changes became one already where it was thought over.
            deal(now, &actions)
            advance(now, &actions)
        case .time: time(now, &actions)
        case .end: end(&actions)
        }
        return actions
    }

    // MARK: The first model

    private mutating func join(_ offer: ModelOffer, _ actions: inout [Action]) {
        state = .joining(offer)
        actions += [.log("getting the model \(offer.name)"), .fetch(offer, branches: me.pinned ?? [])]
    }

    private mutating func begin(_ model: ModelVersion, _ now: Instant, _ actions: inout [Action]) {
        if let refusal = Self.refusal(of: model, pinned: me.pinned) { return fail(Failure(refusal), &actions) }
        state = .running(ModelShare(model))
        deal(now, &actions)
        if let current { goOn(current, &actions) }
    }

    /// Why a worker with these branches cannot run a model: nil where it can.
    static func refusal(of model: ModelVersion, pinned: Set<Int>?) -> PipelineError? {
        let count = model.branchCount
        guard let wrong = pinned?.sorted().first(where: { !(0..<count).contains($0) }) else { return nil }
        return PipelineError(
            .modelMismatch, "\(model.name) has branches 0 to \(count - 1), there is no branch \(wrong)")
    }

    // MARK: The next model

    /// Runs one model, and gets the next where one was offered meanwhile.
    private mutating func goOn(_ share: ModelShare, _ actions: inout [Action]) {
        state = .running(share)
        guard let offer = waiting else { return }
        waiting = nil
        guard offer.model != share.model.hash else { return }
        state = .fetching(offer, beside: share)
        let isAlike = offer.branchCount == share.model.branchCount
        actions += [
            .log("the model \(offer.name) was pushed: getting it"),
            .fetch(offer, branches: isAlike ? share.claimed : []),
        ]
    }

    private mutating func fetched(
        _ offer: ModelOffer, _ model: ModelVersion, _ now: Instant, _ actions: inout [Action]
    ) {
        switch state {
        case .joining(offer): begin(model, now, &actions)
        case .fetching(offer, let share):
            if let refusal = Self.refusal(of: model, pinned: me.pinned) {
                conclude(.failed(Failure(refusal)), now, &actions)
            } else if model.branchCount == share.model.branchCount {
                state = .overlapping(share, next: model, .waiting(until: now + Self.longestChange))
                for branch in share.serves { align(branch, &actions) }
            } else {
                state = .repartitioning(
                    share, next: ModelShare(model), .waiting(until: now + Self.longestChange))
                expectationEnd = now + Self.expectation
                deal(now, &actions)
            }
            publish(&actions)
            settle(now)
        default: break
        }
    }

    private mutating func fetchFailed(
        _ offer: ModelOffer, _ failure: Failure, _ now: Instant, _ actions: inout [Action]
    ) {
        switch state {
        case .joining(offer):
            guard let newer = waiting else { return fail(failure, &actions) }
            waiting = nil
            join(newer, &actions)
        case .fetching(offer, _):
            retry = (offer, now + Self.retryInterval)
            conclude(.failed(failure), now, &actions)
        default: break
        }
    }

    /// The name of a newer model, where one was offered before any worker ran this one alone.
    private func newer(than model: String) -> String? {
        guard let waiting, waiting.model != model,
            !isRunAlone(model)
        else { return nil }
        return waiting.name
    }

    /// Takes a change as far as it can go by now.
    private mutating func advance(_ now: Instant, _ actions: inout [Action]) {
        switch state {
        case .joining, .running, .retiring, .ended: break
        case .fetching(let offer, _):
            if let newer = newer(than: offer.model) { conclude(.superseded(by: newer), now, &actions) }
        case .overlapping(let share, let next, let progress):
            let isPrepared = !share.isStarting && share.areComputed(in: next)
            let isReady = isPrepared && isComputedByAll(next)
            guard let progress = step(progress, next.hash, isPrepared, isReady, now, &actions) else { return }
            state = .overlapping(share, next: next, progress)
        case .repartitioning(let share, let next, let progress):
            let isReady = !next.isStarting && isServedByAll(next)
            guard let progress = step(progress, next.model.hash, true, isReady, now, &actions) else { return }
            state = .repartitioning(share, next: next, progress)
        }
    }

    /// The progress after the present one: nil where the change is over.
    private mutating func step(
        _ progress: Progress, _ model: String, _ isPrepared: Bool, _ areWorkersReady: Bool, _ now: Instant,
        _ actions: inout [Action]
    ) -> Progress? {
        switch progress {
        case .waiting(let time)
        where now >= time || areWorkersReady && isJoined(model):
            return .handingOver(at: now + Self.overlap)
        case .handingOver(let time) where now < time: return progress
        case .waiting, .handingOver:
            if let newer = newer(than: model) {
                conclude(.superseded(by: newer), now, &actions)
                return nil
            }
            guard case .handingOver = progress else { return progress }
            // A branch that was taken over meanwhile may not have the new version yet.
            guard isPrepared else { return .handingOver(at: now + Self.overlap) }
            conclude(.completed, now, &actions)
            return nil
        }
    }

    /// Ends a change: one model is run from now on.
    mutating func conclude(_ ending: Ending, _ now: Instant, _ actions: inout [Action]) {
        switch state {
        case .joining, .running, .retiring, .ended: break
        case .fetching(let offer, let share):
            if case .superseded = ending { actions.append(.abandonFetch) }
            actions.append(.log(ending.sentence(on: offer.name, runs: share.model.name)))
            goOn(share, &actions)
        case .overlapping(var share, let next, _):
            if ending == .completed { share.model = next }
            state = .running(share)
            for branch in share.serves { align(branch, &actions) }
            publish(&actions)
            actions.append(.log(ending.sentence(on: next.name, runs: share.model.name)))
            if let current { goOn(current, &actions) }
        case .repartitioning(let share, let next, _):
            if ending == .completed {
                retire(share, keeping: next, ending, now, &actions)
            } else {
                retire(next, keeping: share, ending, now, &actions)
            }
        }
    }

    private mutating func retire(
        _ old: ModelShare, keeping share: ModelShare, _ ending: Ending, _ now: Instant, _ actions: inout [Action]
    ) {
        var retired = old
        for branch in old.serves { retired.branches[branch] = .stopping }
        state = .retiring(share, old: retired, ending)
        publish(&actions)
        actions += old.serves.map { .stop(old.id($0)) }
        settle(now)
        finishRetiring(&actions)
    }

    mutating func finishRetiring(_ actions: inout [Action]) {
        guard case .retiring(let share, let old, let ending) = state, old.branches.isEmpty else { return }
        actions.append(.log(ending.sentence(on: old.model.name, runs: share.model.name)))
        goOn(share, &actions)
    }

    /// Changes the branches of one of its models.
    mutating func change(_ place: Place, _ body: (inout ModelShare) -> Void) {
        state = changing(place, body)
    }

    // MARK: Time, status, end

    /// Comes back to it soon, with whatever else happens until then.
    mutating func settle(_ now: Instant) {
        guard current != nil else { return }
        settleTime = settleTime ?? now + Self.settling
    }

    private mutating func time(_ now: Instant, _ actions: inout [Action]) {
        if let time = [settleTime, surplusTime].compactMap(\.self).min(), now >= time {
            settleTime = nil
            deal(now, &actions)
        }
        if let end = expectationEnd, now >= end {
            expectationEnd = nil
            if case .repartitioning = state { deal(now, &actions) }
        }
        if case .running(let share) = state, let (offer, time) = retry, now >= time {
            (retry, waiting) = (nil, waiting ?? offer)
            goOn(share, &actions)
        }
        advance(now, &actions)
    }

    mutating func publish(_ actions: inout [Action]) {
        guard let share = current else { return }
        if !share.serves.isEmpty { me.isReady = true }
        var models = [share.model.hash]
        var next: RoleStatus.Next?
        switch state {
        case .overlapping(_, let version, _): if share.areComputed(in: version) { models.append(version.hash) }
        case .repartitioning(_, let share, _):
            next = .init(
                model: share.model.hash, branches: share.model.branchCount, claims: share.claims, serves: share.serves,
                lanes: isCoordinated ? share.servedLanes : nil)
        default: break
        }
        let said = WorkerAnnouncement(
            model: share.model, models: models, claims: share.claims, serves: share.serves,
            lanes: isCoordinated ? share.servedLanes : nil, next: next,
            isReady: me.isReady, computeTime: computeTime)
        guard said != announcement else { return }
        announcement = said
        actions.append(.publish(said))
    }

    mutating func fail(_ failure: Failure, _ actions: inout [Action]) {
        state = .ended
        actions.append(.fail(failure))
    }

    private mutating func end(_ actions: inout [Action]) {
        let shares = [Place.current, .next, .old].compactMap { share(at: $0) }
        state = .ended
        actions += shares.flatMap { share in share.serves.map { .stop(share.id($0)) } }
    }
}
