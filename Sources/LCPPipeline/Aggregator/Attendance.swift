import LCPInference
import LCPWire

/// Which branches can be counted on, and which workers are there by name only: a pure state machine with time passed in.
///
/// A worker whose process hangs, or whose network is gone, keeps its connection, and its turn among the replicas of its branch,
/// until the broker's keepalive ends it: half a minute of frames without that branch. The work that it does not deliver is
/// noticed sooner: the workers of a branch that misses a deadline are asked for a sign of life, and one that gives none loses its
/// connection to whoever asked (MQTT 5, 3.1.4: a second client with the same identifier throws the first out). With that the
/// broker publishes its last will, and another worker steps in. Where frames are dealt to lanes nobody's connection is taken: who
/// gives no sign of life is left out, until he does.
struct Attendance {
    /// What is to be done about a worker, by name.
    enum Action: Hashable {
        /// Ask it for a sign of life.
        case probe(String)
        /// Take its connection.
        case fence(String)
        /// It is known from what the broker keeps only, and gave no sign of life: nothing is expected of it.
        case ignore(String)
    }

    private struct Probe {
        var sent: ContinuousClock.Instant
        /// How long an answer may take.
        var patience = Attendance.answerTime
        var isAnswered = false
        var isFenced = false
        /// Whether nobody has heard it, but for what the broker keeps.
        var isSuspected = false

        var isSilent: Bool { !isAnswered && !isFenced }
        var due: ContinuousClock.Instant { sent + patience }
    }

    /// Of the model, which may change.
    var branchCount: Int {
        didSet { lastCame = Array(repeating: lastCame.max() ?? .now, count: branchCount) }
    }
    private(set) var presence = Presence()
    /// The branches that someone serves, bit by bit; nil where nobody says what they serve.
    private var served: UInt64?
    private var lastCame: [ContinuousClock.Instant]
    private var probes: [String: Probe] = [:]
    /// Workers that nothing is expected of until they give a sign of life.
    private var leftOut: Set<String> = []

    /// For so long a branch is still waited for after nobody serves it any more, as far as is known.
    static let patience = Duration.seconds(1)
    /// So long a sign of life may take. A busy worker reads it behind the frames that wait.
    static let answerTime = Duration.seconds(1)
    /// And so long where many are asked at once and have not answered: then they are busy, as after a push to many workers on few
    /// cores, and not gone.
    static let busyAnswerTime = Duration.seconds(10)
    /// And so long where the broker says that somebody is there, who may have been gone for years.
    static let firstAnswerTime = Duration.seconds(3)
    /// A worker is asked, and a connection taken, at most so often.
    static let probeInterval = Duration.seconds(2)
    static let fenceInterval = Duration.seconds(30)

    init(branchCount: Int, now: ContinuousClock.Instant) {
        self.branchCount = branchCount
        lastCame = Array(repeating: now, count: branchCount)
    }

    private var all: UInt64 { JoinedBranches(count: branchCount).all }

    /// The branches that a frame waits for, bit by bit: all, but for those that nobody serves and that sent nothing lately.
    func awaited(now: ContinuousClock.Instant) -> UInt64 {
        guard let served else { return all }
        var result = served & all
        for branch in 0..<branchCount where now - lastCame[branch] <= Self.patience { result |= 1 << UInt64(branch) }
        return result == 0 ? all : result
    }

    /// How many workers serve each branch.
    var replicas: [Int] {
        var counts = [Int](repeating: 0, count: branchCount)
        for worker in workers where worker.state == .ready {
            for branch in worker.servedBranches where counts.indices.contains(branch) { counts[branch] += 1 }
        }
        return counts
    }

    /// All workers of which something can be expected.
    var workers: [RoleStatus] { presence.all(.worker).filter { !leftOut.contains($0.id) } }

    // MARK: Events

    /// Somebody said what they are.
    mutating func heard(_ status: RoleStatus) {
        let isBack = leftOut.remove(status.id) != nil
        if presence.update(status) || isBack { count() }
    }

    /// The broker kept what a worker said before: after a power cut nobody has said since that it is gone.
    ///
    /// - Returns: whom to ask.
    mutating func suspect(_ status: RoleStatus, now: ContinuousClock.Instant) -> [Action] {
        guard status.answersProbes == true, !status.isGone else { return [] }
        probes[status.id] = Probe(sent: now, patience: Self.firstAnswerTime, isSuspected: true)
        return [.probe(status.id)]
    }

    /// Nothing is expected of a worker any more.
    mutating func leaveOut(_ id: String) {
        leftOut.insert(id)
        count()
    }

    /// As ``Presence/doubt(_:now:)``.
    mutating func doubt(_ topic: String, now: ContinuousClock.Instant) -> Bool { presence.doubt(topic, now: now) }

    /// As ``Presence/reconnected(since:now:)``.
    mutating func reconnected(since connected: ContinuousClock.Instant?, now: ContinuousClock.Instant) {
        presence.reconnected(since: connected, now: now)
        probes = [:]
    }

    mutating func expire(now: ContinuousClock.Instant) {
        if presence.expire(now: now) { count() }
    }

    private mutating func count() {
        let workers = workers.filter { $0.state == .ready }
        served =
            workers.isEmpty
            ? nil
            : workers.reduce(0) { mask, worker in
                worker.servedBranches.reduce(mask) { 0..<64 ~= $1 ? $0 | 1 << UInt64($1) : $0 }
            }
    }

    /// A branch sent its share of a frame.
    mutating func came(_ branch: Int, now: ContinuousClock.Instant) { lastCame[branch] = now }

    /// A worker gave a sign of life.
    ///
    /// - Returns: whether it had been left out.
    mutating func lives(_ id: String) -> Bool {
        probes[id]?.isAnswered = true
        guard leftOut.remove(id) != nil else { return false }
        count()
        return true
    }

    /// A frame was answered without these branches, bit by bit.
    ///
    /// - Returns: whom to ask.
    mutating func missed(_ branches: UInt64, now: ContinuousClock.Instant) -> [Action] {
        var actions: [Action] = []
        // After a restart of the broker those who are not back yet are on their way, and are not to be taken for dead.
        for worker in presence.confirmed(.worker)
        where worker.answersProbes == true && worker.state == .ready
            && worker.servedBranches.contains(where: { 0..<64 ~= $0 && branches & 1 << UInt64($0) != 0 })
        {
            if let probe = probes[worker.id] {
                let pause = probe.isFenced ? Self.fenceInterval : Self.probeInterval
                guard now - probe.sent >= pause else { continue }
            }
            probes[worker.id] = Probe(sent: now)
            actions.append(.probe(worker.id))
        }
        let silent = probes.filter(\.value.isSilent).keys
        if silent.count > max(2, presence.all(.worker).count / 4) {
            for id in silent { probes[id]!.patience = Self.busyAnswerTime }
        }
        return actions.sorted { "\($0)" < "\($1)" }
    }

    /// When somebody's time for an answer is over next.
    var nextDue: ContinuousClock.Instant? {
        probes.values.filter(\.isSilent).map(\.due).min()
    }

    /// Whose connection is to be taken.
    mutating func due(now: ContinuousClock.Instant) -> [Action] {
        var actions: [Action] = []
        let known = Set(presence.all(.worker).map(\.id))
        leftOut.formIntersection(known)
        probes = probes.filter {
            known.contains($0.key) || $0.value.isFenced && now - $0.value.sent < Self.fenceInterval
        }
        for (id, probe) in probes.sorted(by: { $0.key < $1.key }) where probe.isSilent && now >= probe.due {
            probes[id]!.isFenced = true
            actions.append(probe.isSuspected ? .ignore(id) : .fence(id))
        }
        return actions
    }
}
