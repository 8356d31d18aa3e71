/// The branches of the models that a ``ModelRollout`` has at the moment, and what becomes of them.
extension ModelRollout {
    /// Which of its models is meant. Two that are there at once have different numbers of branches.
    enum Place {
        /// The one that it runs.
        case current
        /// The one that is about to take its place.
        case next
        /// One that is not run any more.
        case old
    }

    /// The model that it runs, with its branches.
    var current: ModelShare? {
        switch state {
        case .joining, .ended: nil
        case .running(let share), .fetching(_, let share), .overlapping(let share, _, _),
            .repartitioning(let share, _, _), .retiring(let share, _, _):
            share
        }
    }

    /// The versions that a branch of the current model is to be computed in.
    var versionsWanted: [ModelVersion] {
        if case .overlapping(let share, let next, _) = state { return [share.model, next] }
        return current.map { [$0.model] } ?? []
    }

    func share(at place: Place) -> ModelShare? {
        switch (state, place) {
        case (_, .current): current
        case (.repartitioning(_, let next, _), .next): next
        case (.retiring(_, let old, _), .old): old
        default: nil
        }
    }

    /// Which model a branch belongs to that this worker has: nil where it has no such branch.
    func place(of id: BranchID) -> Place? {
        [.current, .next, .old].first { phase(of: id, at: $0) != nil }
    }

    func phase(of id: BranchID, at place: Place) -> ModelShare.Phase? {
        guard let share = share(at: place), share.model.branchCount == id.count else { return nil }
        return share.branches[id.branch]
    }

    /// The state with a share changed.
    func changing(_ place: Place, _ change: (inout ModelShare) -> Void) -> State {
        switch (state, place) {
        case (.running(var share), .current):
            change(&share)
            return .running(share)
        case (.fetching(let offer, var share), .current):
            change(&share)
            return .fetching(offer, beside: share)
        case (.overlapping(var share, let next, let progress), .current):
            change(&share)
            return .overlapping(share, next: next, progress)
        case (.repartitioning(var share, let next, let progress), .current):
            change(&share)
            return .repartitioning(share, next: next, progress)
        case (.repartitioning(let share, var next, let progress), .next):
            change(&next)
            return .repartitioning(share, next: next, progress)
        case (.retiring(var share, let old, let ending), .current):
            change(&share)
            return .retiring(share, old: old, ending)
        case (.retiring(let share, var old, let ending), .old):
            change(&old)
            return .retiring(share, old: old, ending)
        default: return state
        }
    }

    // MARK: What becomes of branches

    mutating func started(
        _ id: BranchID, _ versions: Set<String>, _ now: Instant, _ actions: inout [Action]
    ) {
        guard let place = place(of: id), place != .old else {
            // Meanwhile the model was given up.
            if place(of: id) == .old { change(.old) { $0.branches[id.branch] = .stopping } }
            actions.append(.stop(id))
            return
        }
        change(place) {
            $0.branches[id.branch] = .serving(versions)
            $0.receivedLanes[id.branch] = $0.lanes[id.branch]
        }
        publish(&actions)
        actions.append(.log("ready: branch \(id.branch) on \(inputs)"))
        if place == .current { align(id.branch, &actions) }
        settle(now)
    }

    mutating func startFailed(
        _ id: BranchID, _ failure: Failure, _ now: Instant, _ actions: inout [Action]
    ) {
        guard let place = place(of: id), phase(of: id, at: place) != .stopping else { return }
        switch place {
        case .current: fail(failure, &actions)
        case .next:
            // A model that cannot be run does not end the one that is.
            change(.next) { $0.branches[id.branch] = nil }
            conclude(.failed(failure), now, &actions)
        case .old:
            change(.old) { $0.branches[id.branch] = nil }
            finishRetiring(&actions)
        }
    }

    mutating func added(_ version: String, _ id: BranchID, _ now: Instant, _ actions: inout [Action]) {
        guard case .serving(let versions) = phase(of: id, at: .current) else { return }
        change(.current) { $0.branches[id.branch] = .serving(versions.union([version])) }
        align(id.branch, &actions)
        publish(&actions)
        settle(now)
    }

    mutating func addFailed(_ version: String, _ failure: Failure, _ now: Instant, _ actions: inout [Action]) {
        if case .overlapping(_, let next, _) = state, next.hash == version {
            conclude(.failed(failure), now, &actions)
        }
    }

    mutating func stopped(_ id: BranchID, _ now: Instant, _ actions: inout [Action]) {
        guard let place = place(of: id) else { return }
        change(place) { ($0.branches[id.branch], $0.lanes[id.branch], $0.receivedLanes[id.branch]) = (nil, nil, nil) }
        publish(&actions)
        settle(now)
        finishRetiring(&actions)
    }

    /// Has a branch computed in the versions that it should be, and in no others.
    mutating func align(_ branch: Int, _ actions: inout [Action]) {
        guard let share = current, let versions = share.versions[branch] else { return }
        let wanted = versionsWanted
        let missing = wanted.filter { !versions.contains($0.hash) }
        actions += missing.map { .add($0, to: share.id(branch)) }
        let hashes = Set(wanted.map(\.hash))
        guard missing.isEmpty, versions != hashes else { return }
        change(.current) { $0.branches[branch] = .serving(hashes) }
        actions.append(.keep(hashes, in: share.id(branch)))
    }

    /// Takes branches that are needed, and gives up those that another worker has, too.
    mutating func deal(_ now: Instant, _ actions: inout [Action]) {
        if isCoordinated { return followTask(&actions) }
        let place = dealtPlace
        guard var share = share(at: place) else { return }
        let isCurrent = place == .current
        let others = presence.all(.worker)
        let expectsAll = !isCurrent && expectationEnd.map { now < $0 } ?? false
        let goal = share.goal(of: me, among: others, isCurrent: isCurrent, expectsAll: expectsAll)
        let added = goal.subtracting(share.claimed).sorted()
        let removed = share.giveUp(but: goal, by: me, among: others, isCurrent: isCurrent, now: now)
        for branch in added { share.branches[branch] = .starting }
        for branch in removed { share.branches[branch] = .stopping }
        change(place) { $0 = share }
        publish(&actions)
        let versions = isCurrent ? versionsWanted : [share.model]
        actions += added.map { .start(share.id($0), versions: versions) }
        for branch in removed {
            actions += [.log("another worker has branch \(branch): giving it up"), .stop(share.id(branch))]
        }
    }

    /// The model whose branches are dealt out. Those who run the next one already are gone from the one before: nobody steps in
    /// for them any more.
    private var dealtPlace: Place { if case .repartitioning = state { .next } else { .current } }

    /// When a branch may be given up.
    var surplusTime: Instant? { share(at: dealtPlace)?.surplus.values.min().map { $0 + ModelShare.patience } }
}
