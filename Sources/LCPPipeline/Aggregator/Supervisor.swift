import LCPWire
import MQTT
import Platform

/// What an aggregator does for its pipeline besides joining: it tells workers what to run and sensors where to send, knows which
/// branches can be counted on, takes the connection of workers that are there by name only, and says which frames are computed
/// where more come than can be.
///
/// It lives on the client's event loop.
actor Supervisor {
    nonisolated let session: RoleSession
    nonisolated var unownedExecutor: UnownedSerialExecutor { session.client.eventLoop.asUnownedSerialExecutor() }

    var attendance: Attendance
    var flow: FlowControl
    /// Workers' replicas of each branch.
    private var replicas: [Int]
    private var subscriptions: [MQTTSubscription] = []
    var coordinator = Coordinator()
    var speeds = WorkerSpeeds()
    /// Whether the broker lets it give tasks; nil until that is known.
    var givesTasks: Bool?
    /// Whether it was the one who gave them when it last looked.
    var wasLeader = false
    /// When tasks are thought over next.
    var coordination: (due: ContinuousClock.Instant, timer: EventLoopTimer)?
    /// The lanes that sensors deal frames to, in turn, and the part of the frames that each gets.
    var turn: (lanes: [Int], shares: [Double]) = ([], [])
    /// What each branch of the model costs.
    private(set) var costs: [Double] = []
    var repeats = RepeatBudget()
    /// What the aggregator deals that no sensor does.
    var inputs: MQTTSubscription?
    var inputDealer = InputDealer()
    /// Aggregators that the broker says are there, and that were not heard yet: with what they said.
    private var unheard: [String: RoleStatus] = [:]
    /// Those that never were.
    private(set) var ghosts: Set<String> = []
    /// Every role tells its counters every five seconds.
    private static let longestSilence = Duration.seconds(11)
    /// Sensors that deal their frames to lanes.
    private(set) var dealers: Set<String> = []
    var lastTurn: ContinuousClock.Instant?
    /// Since when no lane can be dealt to.
    var unusableSince: ContinuousClock.Instant?
    /// Who was in the lanes when the turn was published.
    var dealtMembers: [[String?]] = []
    /// The plan and the lanes before the present ones, while frames that were dealt by them are open.
    var former: (plan: FlowPlan, members: [[String?]], end: EventLoopTimer)?
    /// What the broker keeps as the plan.
    private(set) var plan = FlowPlan()
    private var looks = 0
    private var probeTimer: EventLoopTimer?
    private var flowTimer: EventLoopTimer?
    private var correctionTimer: EventLoopTimer?
    private(set) var isEnding = false
    /// The aggregators that share the sensors; nil where none do.
    var members: Set<String>?
    /// Whether this one says which frames are computed; as it was found out last.
    var isLeading = true

    init(_ session: RoleSession, branchCount: Int) {
        self.session = session
        attendance = Attendance(branchCount: branchCount, now: .now)
        flow = FlowControl(branchCount: branchCount, policy: session.policy, queueLimit: session.queueLimit)
        replicas = attendance.replicas
    }

    /// Listens to the workers, and forgets the plan of an aggregator before this one.
    func start() async throws {
        let trial = "try-\(session.status.birth)"
        givesTasks = try await session.passes(session.topics.task(trial))
        if givesTasks == true { try await session.publishStatus { $0.givesTasks = true } }
        subscriptions = [
            try await session.subscribe(toStatuses: session.topics.statuses(.worker)) { [weak self] message in
                nonisolated(unsafe) let message = message
                self?.assumeIsolated { $0.heard(message) }
            },
            try await session.subscribe(toStatuses: session.topics.statuses(.aggregator)) {
                [weak self, session] message in
                // Whoever has this one's name is told of by the session.
                guard let other = RoleStatus(message, topics: session.topics), other.id != session.status.id else {
                    return
                }
                let isKept = message.retained
                self?.assumeIsolated { $0.heardAggregator(other, isKept: isKept) }
            },
            try await session.client.subscribe(
                to: session.topics.statistics(.aggregator, "+"), options: .init(receivesRetained: false)
            ) { [weak self] message in
                let id = Topics.sensor(of: message.topic)
                self?.assumeIsolated { $0.aggregatorLives(id) }
            },
            try await session.subscribe(toStatuses: session.topics.statuses(.sensor)) { [weak self] message in
                nonisolated(unsafe) let message = message
                self?.assumeIsolated { $0.heardSensor(message) }
            },
            try await session.client.subscribe(
                to: session.topics.workerStatistics, options: .init(receivesRetained: false)
            ) { [weak self] message in
                let id = Topics.sensor(of: message.topic)
                self?.assumeIsolated { if $0.attendance.lives(id) { $0.workersChanged() } }
            },
            try await session.client.subscribe(to: session.topics.flow, options: .init(qos: .atLeastOnce)) {
                [weak self] message in
                let json = Array(message.payload)
                self?.assumeIsolated { $0.heardPlan(json) }
            },
        ]
        if givesTasks == true {
            try await startDealing()
            scheduleCoordination(after: Self.patience)
            await clearTasks()
        } else {
            publishPlan()
        }
    }

    /// Every frame is computed again.
    func end() {
        isEnding = true
        for timer in [probeTimer, flowTimer, correctionTimer, coordination?.timer] { timer?.cancel() }
        for subscription in subscriptions + [inputs].compactMap(\.self) { subscription.unsubscribe() }
        if !plan.json.isEmpty, isLeader { publish(FlowPlan()) }
    }

    /// The model has so many branches now.
    ///
    /// - Parameter costs: of each, in multiplications.
    func use(branchCount: Int, costs: [Double]) {
        if costs != self.costs {
            self.costs = costs
            scheduleCoordination()
        }
        guard branchCount != attendance.branchCount else { return }
        attendance.branchCount = branchCount
        replicas = attendance.replicas
        flow = FlowControl(branchCount: branchCount, policy: session.policy, queueLimit: session.queueLimit)
        publishPlan()
    }

    func reconnected() {
        attendance.reconnected(since: session.client.connectedSince, now: .now)
        // A restarted broker has forgotten all that it kept.
        coordinator.sayAgain()
        if isLeader { publish(plan) }
        scheduleExpiry()
        scheduleCoordination()
    }

    private func scheduleExpiry() {
        _ = session.client.eventLoop.schedule(after: Presence.grace + .milliseconds(50)) { [weak self] in
            self?.assumeIsolated {
                $0.attendance.expire(now: .now)
                $0.workersChanged()
            }
        }
    }

    /// A share of a frame came.
    ///
    /// - Parameter shared: what is told to whoever says which frames are computed, where that is somebody else.
    /// - Returns: the branches that frames wait for, bit by bit.
    func came(
        _ sensor: String, _ header: TensorMessageHeader, to shared: SharedSensors?, now: ContinuousClock.Instant
    ) -> UInt64 {
        attendance.came(Int(header.branch), now: now)
        if header.branch == 0 { repeats.came() }
        if let worker = worker(of: sensor, header) { speeds.came(worker, compute: header.computeTime) }
        if let shared, !isLeading {
            shared.came(sensor, header, now: now)
            return attendance.awaited(now: now)
        }
        flow.came(
            sensor, session: header.session, frame: header.frame, branch: Int(header.branch), queue: header.queueTime,
            compute: header.computeTime, now: now)
        if flowTimer == nil, !isEnding { scheduleFlow() }
        return attendance.awaited(now: now)
    }

    /// The same came to another aggregator, which does not say which frames are computed.
    func heard(_ load: AggregatorBeat.Load) {
        guard isLeading, !isEnding else { return }
        flow.heard(load, now: .now)
        for (branch, seen) in load.branches.enumerated() where seen.shares > 0 && branch < attendance.branchCount {
            attendance.came(branch, now: .now)
        }
        if flowTimer == nil { scheduleFlow() }
    }

    /// A frame was answered without some branches, given bit by bit.
    func missed(_ branches: UInt64, now: ContinuousClock.Instant) {
        for action in attendance.missed(branches, now: now) { perform(action) }
        scheduleProbe()
    }

    private func heard(_ message: MQTTMessageView) {
        guard let status = RoleStatus(message, topics: session.topics) else {
            if attendance.doubt(message.topic, now: .now) { scheduleExpiry() }
            return
        }
        guard status.role == .worker else { return }
        if message.retained {
            for action in attendance.suspect(status, now: .now) { perform(action) }
            scheduleProbe()
        } else {
            _ = attendance.lives(status.id)
        }
        heard(status)
    }

    /// - Parameter isKept: whether the broker had kept it: who said it may be gone since a power cut.
    private func heardAggregator(_ other: RoleStatus, isKept: Bool) {
        if isKept, !other.isGone {
            if unheard.updateValue(other, forKey: other.id) == nil { scheduleSilence(of: other.id) }
        } else {
            unheard[other.id] = nil
            ghosts.remove(other.id)
            session.complain(about: other)
        }
        heard(other)
    }

    private func aggregatorLives(_ id: String) {
        guard let status = unheard.removeValue(forKey: id) else { return }
        if ghosts.remove(id) != nil { scheduleCoordination() }
        session.complain(about: status)
    }

    private func scheduleSilence(of id: String) {
        _ = session.client.eventLoop.schedule(after: Self.longestSilence) { [weak self] in
            self?.assumeIsolated {
                guard $0.unheard[id] != nil, !$0.isEnding else { return }
                $0.ghosts.insert(id)
                $0.session.log(
                    "the broker says that the aggregator \(id.printable) is there, and it gives no sign of life: going on without it"
                )
                $0.scheduleCoordination()
            }
        }
    }

    private func heardSensor(_ message: MQTTMessageView) {
        let status = RoleStatus(message, topics: session.topics)
        let name = status?.id ?? Topics.sensor(of: message.topic)
        if status?.dealsFrames == true, status?.state == .ready || status?.state == .starting {
            if dealers.count < Presence.maximumEntries { dealers.insert(name) }
        } else {
            dealers.remove(name)
        }
    }

    private func heard(_ status: RoleStatus) {
        attendance.heard(status)
        workersChanged()
    }

    private func workersChanged() {
        replicas = attendance.replicas
        scheduleCoordination()
    }

    // MARK: Those who do not deliver

    private func perform(_ action: Attendance.Action) {
        switch action {
        case .probe(let id):
            try? session.client.send(UnsafeRawBufferPointer(start: nil, count: 0), to: session.topics.probe(id))
        case .ignore(let id):
            session.log(
                "the broker says that worker \(id.printable) is there, and it gives no sign of life: going on without it"
            )
            attendance.leaveOut(id)
            workersChanged()
        case .fence(let id) where deals || !isLeader:
            session.log("worker \(id) delivers nothing and does not answer: frames are dealt to others until it does")
            attendance.leaveOut(id)
            workersChanged()
        case .fence(let id):
            session.log("worker \(id) delivers nothing and does not answer: its place is free for another")
            Task {
                do { try await session.takeConnection(of: .worker, id) } catch {
                    session.log("the connection of worker \(id) cannot be taken: \(error)")
                }
            }
        }
    }

    private func scheduleProbe() {
        guard probeTimer == nil, !isEnding, let due = attendance.nextDue else { return }
        probeTimer = session.client.eventLoop.schedule(after: due - .now) { [weak self] in
            self?.assumeIsolated {
                $0.probeTimer = nil
                for action in $0.attendance.due(now: .now) { $0.perform(action) }
                $0.scheduleProbe()
            }
        }
    }

    // MARK: Overload

    private func scheduleFlow() {
        flowTimer = session.client.eventLoop.schedule(after: FlowControl.interval) { [weak self] in
            self?.assumeIsolated {
                $0.flowTimer = nil
                if $0.flow.evaluate(replicas: $0.replicas, laneRate: $0.laneRate, now: .now) != nil { $0.publishPlan() }
                $0.looks += 1
                if $0.looks % Self.looksPerTurn == 0 { $0.look() }
                if !$0.flow.isIdle, !$0.isEnding { $0.scheduleFlow() }
            }
        }
    }

    /// A plan that is not this aggregator's, a stranger's or one from before, is taken back.
    private func heardPlan(_ json: [UInt8]) {
        guard isLeader else {
            if let heard = FlowPlan(json) { plan = heard }
            return
        }
        guard json != plan.json, !isEnding, correctionTimer == nil, wasLeader || givesTasks == false else { return }
        // Once a second at most: another aggregator may do the same. What was on its way is settled by then, too.
        correctionTimer = session.client.eventLoop.schedule(after: .seconds(1)) { [weak self] in
            self?.assumeIsolated {
                $0.correctionTimer = nil
                $0.publish($0.plan)
            }
        }
    }

    /// The lane that a sensor deals a frame to by the plan.
    func plannedLane(_ sensor: String, session: UInt64, frame: UInt64) -> Int? {
        plan.lane(of: frame, session: session, sensor: sensor)
    }

    /// Says which frames are computed, and by whom.
    func publishPlan() {
        guard isLeader else { return }
        publish(FlowPlan(sensors: flow.plan.sensors, lanes: turn.lanes.isEmpty ? nil : turn.lanes))
    }

    private func publish(_ plan: FlowPlan) {
        self.plan = plan
        session.log.debug("plan: \(String(decoding: plan.json, as: UTF8.self))")
        plan.json.withUnsafeBytes {
            try? session.client.send($0, to: session.topics.flow, qos: .atLeastOnce, retain: true)
        }
    }
}
