import LCPWire
import MQTT
import Platform
import Synchronization

/// What a pipeline's aggregator has its workers do, and where sensors deal their frames. Of several the one whose name comes
/// first says it.
extension Supervisor {
    /// Changes that come together are thought over together.
    static let settling = Duration.milliseconds(10)
    /// Until the statuses that the broker has kept are there.
    static let patience = Duration.milliseconds(100)
    /// How many looks at the load lie between two looks at the lanes.
    static let looksPerTurn = 10
    /// A turn is published anew where a lane is to get so much more or less than it got, and at most so often.
    private static let leastChange = 0.1
    private static let turnInterval = Duration.seconds(2)

    private var workers: [RoleStatus] { attendance.workers }
    private var aggregators: [RoleStatus] {
        attendance.presence.all(.aggregator).filter { !ghosts.contains($0.id) }
    }

    /// Whether frames are dealt to lanes, because of this aggregator.
    var deals: Bool { wasLeader && !turn.lanes.isEmpty }

    /// Whether none of the other aggregators gives the tasks. Of those who share the sensors only who takes part does.
    var isLeader: Bool {
        let own = session.status.id
        if let members, !members.contains(own) { return false }
        return aggregators.allSatisfy { other in
            if let members, other.sharesSensors == true { return !members.contains(other.id) || own <= other.id }
            return other.givesTasks != true || other.state != .ready || own <= other.id
        }
    }

    /// These aggregators share the sensors.
    func use(members: Set<String>) {
        guard members != self.members else { return }
        self.members = members
        isLeading = isLeader
        // A restarted broker has forgotten it.
        if isLeading, givesTasks == false || wasLeader { publishPlan() }
        scheduleCoordination()
    }

    func scheduleCoordination(after delay: Duration = settling) {
        let due = ContinuousClock.now + delay
        guard givesTasks == true, !isEnding, coordination.map({ due < $0.due }) ?? true else { return }
        coordination?.timer.cancel()
        let timer = session.client.eventLoop.schedule(after: delay) { [weak self] in
            self?.assumeIsolated {
                $0.coordination = nil
                $0.coordinate()
            }
        }
        coordination = (due, timer)
    }

    private func coordinate() {
        isLeading = isLeader
        guard isLeading else {
            wasLeader = false
            return
        }
        if !wasLeader { coordinator.forget() }
        let (now, workers) = (ContinuousClock.now, workers)
        speeds.keep(workers)
        let time = time(workers)
        let changed = coordinator.update(
            workers: workers, aggregators: [session.status] + aggregators, dealsInputs: inputs != nil,
            byBucket: (members?.count ?? 0) > 1, costs: costs, now: now, time: time)
        // First those who send: what they deal to is computed until all have been told.
        updateTurn(time, isNew: !wasLeader)
        for (id, task) in changed.sorted(by: { $0.key < $1.key }) { publish(task, to: id) }
        wasLeader = true
        if let due = coordinator.nextDue(after: now) { scheduleCoordination(after: due - now) }
    }

    private func publish(_ task: WorkerTask?, to worker: String) {
        (task?.json ?? []).withUnsafeBytes {
            try? session.client.send($0, to: session.topics.task(worker), qos: .atLeastOnce, retain: true)
        }
    }

    /// Takes back what an aggregator before this one told workers that are gone.
    func clearTasks() async {
        let names = SeenNames(limit: Presence.maximumEntries)
        let found = try? await session.client.subscribe(to: session.topics.tasks, options: .init(qos: .atLeastOnce)) {
            guard $0.retained, !$0.payload.isEmpty else { return }
            names.add(Topics.sensor(of: $0.topic))
        }
        guard let found else { return }
        _ = session.client.eventLoop.schedule(after: Presence.grace) { [weak self] in
            found.unsubscribe()
            self?.assumeIsolated { supervisor in
                guard supervisor.isLeader, !supervisor.isEnding else { return }
                let known = Set(supervisor.workers.map(\.id))
                for name in names.all where !known.contains(name) { supervisor.publish(nil, to: name) }
            }
        }
    }

    // MARK: Lanes

    /// How long each worker takes for a frame, seconds.
    private func time(_ workers: [RoleStatus], isTrusted: Bool = false) -> (String) -> Double {
        let statuses = Dictionary(workers.map { ($0.id, $0) }, uniquingKeysWith: { $1 })
        let times = statuses.mapValues { speeds.time($0.id, $0, isTrusted: isTrusted) }
        return { times[$0] ?? WorkerSpeeds.overhead }
    }

    /// The lanes that are dealt to: those of the network with so many branches as frames are joined in.
    private var table: LaneTable? { coordinator.tables[attendance.branchCount] ?? coordinator.tables.values.first }

    /// Frames a second that all lanes can do; nil where there are not several.
    var laneRate: Double? {
        guard turn.shares.count > 1, let table else { return nil }
        let rates = table.rates(time(workers, isTrusted: true))
        let usable = Set(turn.lanes).union(coordinator.usableLanes)
        return rates.indices.reduce(0) { usable.contains($1) ? $0 + rates[$1] : $0 }
    }

    /// Deals as the lanes can do and as frames come.
    private func updateTurn(_ time: (String) -> Double, isNew: Bool = false) {
        let usable = coordinator.usableLanes
        if usable.isEmpty, awaitsLanes() { return }
        unusableSince = usable.isEmpty ? unusableSince : nil
        var fresh: (lanes: [Int], shares: [Double]) = ([], [])
        if let table, !usable.isEmpty {
            let (rates, times) = (table.rates(time), table.times(time))
            let lanes = usable.filter(rates.indices.contains)
            let shares = LaneTurn.shares(
                rates: lanes.map { rates[$0] }, times: lanes.map { times[$0] }, demand: flow.demand)
            fresh.shares = Array(repeating: 0, count: rates.count)
            for (lane, share) in zip(lanes, shares) { fresh.shares[lane] = share }
            fresh.lanes = LaneTurn.turn(shares).map { lanes[$0] }
        }
        let isOther =
            isNew || fresh.shares.count != turn.shares.count || !Set(turn.lanes).isSubset(of: usable)
            || turn.lanes.isEmpty != fresh.lanes.isEmpty
        let isChanged = zip(fresh.shares, turn.shares).contains { abs($0 - $1) > Self.leastChange * max($0, $1) }
        let now = ContinuousClock.now
        guard isOther || isChanged && lastTurn.map({ now - $0 >= Self.turnInterval }) ?? true else { return }
        lastTurn = now
        if isOther, !turn.lanes.isEmpty { keepFormer() }
        turn = fresh
        publishPlan()
        dealtMembers = table?.members ?? []
    }

    /// Whether others are about to take over the lanes that are dealt to: for a moment nobody has said yet that he receives them.
    private func awaitsLanes() -> Bool {
        guard let table, !turn.lanes.isEmpty, turn.lanes.allSatisfy(table.members.indices.contains),
            workers.allSatisfy({ $0.takesTasks == true })
        else { return false }
        let now = ContinuousClock.now
        let since = unusableSince ?? now
        unusableSince = since
        guard now - since < Coordinator.overlap else { return false }
        scheduleCoordination(after: Coordinator.overlap)
        return true
    }

    /// Remembers who was dealt to, for as long as frames of that time are open.
    private func keepFormer() {
        former?.end.cancel()
        let end = session.client.eventLoop.schedule(after: session.deadline) { [weak self] in
            self?.assumeIsolated { $0.former = nil }
        }
        former = (plan, dealtMembers, end)
    }

    /// Looks at how fast the lanes are.
    func look() {
        guard wasLeader, givesTasks == true, !turn.lanes.isEmpty else { return }
        speeds.look()
        updateTurn(time(workers))
    }

    /// Whether there is somebody else to ask for a late branch. Where there is too much to do, everybody is late, and asking makes
    /// more of it.
    var mayAsk: Bool {
        guard wasLeader else { return members != nil && Set(plan.lanes ?? []).count > 1 && plan.sensors.isEmpty }
        return (turn.shares.count > 1 || former != nil) && flow.plan.sensors.isEmpty
    }

    /// Asks a sensor for a frame again, in a lane where others compute the branches that are late.
    ///
    /// - Parameter mayWait: whether it is tried once more where nobody else is there yet.
    func ask(_ key: FrameKey, missing: UInt64, mayWait: Bool = true) {
        guard let stream = key.stream, dealers.contains(key.sensor), let table else { return }
        // Lately it may have been dealt by another plan.
        let (plan, dealt) = former.map { ($0.plan, $0.members) } ?? (plan, table.members)
        guard let lane = plan.lane(of: key.frame, session: stream.session, sensor: key.sensor),
            dealt.indices.contains(lane)
        else { return }
        let branches = dealt[lane].indices.filter { missing & 1 << UInt64($0) != 0 }
        let late = branches.compactMap { dealt[lane][$0] }
        for worker in Set(late) { speeds.wasLate(worker, now: .now) }
        // Who hangs is not dealt to any longer.
        missed(missing, now: .now)
        let others = coordinator.usableLanes.filter { other in
            table.members.indices.contains(other)
                && branches.allSatisfy {
                    table.members[other].indices.contains($0) && table.members[other][$0] != dealt[lane][$0]
                }
        }
        guard let next = others.first(where: { $0 > lane }) ?? others.first else {
            guard mayWait else { return }
            _ = session.client.eventLoop.schedule(after: session.deadline * 0.1) { [weak self] in
                self?.assumeIsolated { $0.ask(key, missing: missing, mayWait: false) }
            }
            return
        }
        guard !branches.isEmpty, repeats.take() else { return }
        let request = RepeatRequest(session: stream.session, frame: key.frame, branches: branches, lane: next)
        request.json.withUnsafeBytes { try? session.client.send($0, to: session.topics.again(key.sensor)) }
    }

    /// Who computed a share, where its sensor deals its frames to several lanes.
    func worker(of sensor: String, _ header: TensorMessageHeader) -> String? {
        guard turn.shares.count > 1, header.session != 0, dealers.contains(sensor),
            let table = coordinator.tables[Int(header.branchCount)],
            let lane = plannedLane(sensor, session: header.session, frame: header.frame),
            table.members.indices.contains(lane), table.members[lane].indices.contains(Int(header.branch))
        else { return nil }
        return table.members[lane][Int(header.branch)]
    }
}

/// How many frames may be asked for again: a part of those that come, so that what is late because there is too much of it does
/// not become more.
struct RepeatBudget {
    /// The part of the frames, and the most that are saved up.
    static let part = 0.05
    static let most = 100.0
    private(set) var saved = most

    /// A frame came.
    mutating func came() { saved = min(Self.most, saved + Self.part) }

    /// - Returns: whether one may be asked for.
    mutating func take() -> Bool {
        guard saved >= 1 else { return false }
        saved -= 1
        return true
    }
}

/// Names that were seen on the client's thread, a limited number.
private final class SeenNames: Sendable {
    private let names = Mutex<Set<String>>([])
    private let limit: Int

    init(limit: Int) { self.limit = limit }

    var all: Set<String> { names.withLock { $0 } }

    func add(_ name: String) { names.withLock { if $0.count < limit { $0.insert(name) } } }
}
