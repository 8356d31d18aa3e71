import LCPWire

/// What a worker does that is told by an aggregator what to run, and how it asks about all the others.
extension ModelRollout {
    /// What it was told of a model.
    private func part(of share: ModelShare) -> WorkerTask.Part? {
        task?.parts.first { $0.branches == share.model.branchCount }
    }

    /// Takes and gives up branches as it was told. The aggregator takes none away that nobody else serves.
    mutating func followTask(_ actions: inout [Action]) {
        var isRepartitioning = false
        if case .repartitioning = state { isRepartitioning = true }
        let places: [Place] = isRepartitioning ? [.current, .next] : [.current]
        var wanted: [Action] = []
        for place in places {
            guard var share = share(at: place), let part = part(of: share) else { continue }
            // While the next model is dealt out nobody steps in for those who run that already.
            let keeps = isRepartitioning && place == .current
            let goal = keeps ? share.claimed : me.pinned ?? Set(part.runs)
            let added = goal.subtracting(share.claimed).sorted()
            let removed = share.serves.filter { !goal.contains($0) }
            for branch in added { (share.branches[branch], share.lanes[branch]) = (.starting, part.lanes(of: branch)) }
            for branch in removed { share.branches[branch] = .stopping }
            let versions = place == .current ? versionsWanted : [share.model]
            wanted += added.map { .start(share.id($0), versions: versions, lanes: part.lanes(of: $0)) }
            for branch in removed {
                wanted += [.log("another worker has branch \(branch): giving it up"), .stop(share.id(branch))]
            }
            // One change of a branch's lanes at a time.
            for branch in share.serves where share.receivedLanes[branch] ?? [] == share.lanes[branch] ?? [] {
                let lanes = part.lanes(of: branch)
                guard lanes != share.lanes[branch] ?? [] else { continue }
                share.lanes[branch] = lanes
                wanted.append(.receive(share.id(branch), lanes: lanes))
            }
            change(place) { $0 = share }
        }
        publish(&actions)
        actions += wanted
    }

    /// The frames of a branch's lanes are received now.
    mutating func receives(_ id: BranchID, _ lanes: [Int], _ now: Instant, _ actions: inout [Action]) {
        guard let place = place(of: id) else { return }
        change(place) { $0.receivedLanes[id.branch] = lanes }
        publish(&actions)
        settle(now)
    }

    // MARK: What is true of all

    /// Whether some worker runs a model alone.
    func isRunAlone(_ model: String) -> Bool {
        if isCoordinated { return task?.alone.contains(model) == true }
        return presence.all(.worker).contains { $0.modelHash == model }
    }

    /// Whether all others compute a model, too, that has as many branches as the one before.
    func isComputedByAll(_ model: ModelVersion) -> Bool {
        if isCoordinated { return task?.ready.contains(model.hash) == true }
        return presence.all(.worker).allSatisfy { $0.claims?.isEmpty != false || $0.runs(model.hash) }
    }

    /// Whether all workers have their part of a model that is split otherwise, and all of its branches are served.
    func isServedByAll(_ share: ModelShare) -> Bool {
        if isCoordinated { return task?.ready.contains(share.model.hash) == true }
        let parts = presence.all(.worker).map { share.part(of: $0, isCurrent: false) }
        let served = Set(parts.compactMap { $0?.serves }.joined()).union(share.serves)
        return parts.allSatisfy { $0 != nil } && served.count >= share.model.branchCount
    }

    /// Whether all aggregators join a model.
    func isJoined(_ model: String) -> Bool { presence.all(.aggregator).allSatisfy { $0.runs(model) } }
}
