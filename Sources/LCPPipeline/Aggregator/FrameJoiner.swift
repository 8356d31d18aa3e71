import LCPInference
import Tensors

/// Joins what the branches made of every frame, in all models that a pipeline runs at the moment: a pure state machine. Events and
/// the time go in, ``Action``s come out.
///
/// The life of a frame:
///
///                                   ┌──▶ held ──released──┐
///     (new) ──opened──▶ open ──completed ─────────────────┴──▶ answered
///                         ├──────────expired─────────────────▶ answered, with the branches received
///                         ├──────────evicted─────────────────▶ answered early, because too many are open
///                         └─────────superseded───────────────▶ closed here, answered in another model
///
/// A frame *opens* with the first share and is *completed* by the last branch that it waits for. In the order of its sensor it is
/// *held* until the frames before it are answered, and then *released*. While one model takes another's place, a frame is open in
/// both and is answered in the one that has all of its branches, or at the deadline the larger part of them; in the other it is
/// *superseded*. Every frame is answered exactly once, and never of shares of two models.
struct FrameJoiner {
    /// A branch's share of a frame, but for its numbers.
    struct Share {
        var key: FrameKey
        /// A model that is joined.
        var model: ModelHash
        var branch: Int
        var captureTime: Int64 = 0
        var label: Int32 = -1
        /// Microseconds.
        var computeTime: UInt32 = 0
    }

    /// A frame to be answered.
    struct Answer: Equatable {
        var frame: JoinTable.Frame
        var model: ModelHash
        /// The sum of the shares received, [classes].
        var sum: [Float]
    }

    /// Why a share, or an open frame, is not answered as usual.
    enum Drop: Equatable {
        /// The branch has answered this frame already.
        case duplicate
        /// The frame was answered without this share.
        case late
        /// At its deadline a frame of bare bytes turned out to be late shares of an answered one.
        case expiredLate(FrameKey)
        /// So many frames were open that the oldest was answered early.
        case overflow(limit: Int)

        /// The name of its counter.
        var reason: String {
            switch self {
            case .duplicate: "duplicate"
            case .late, .expiredLate: "late"
            case .overflow: "join_overflow"
            }
        }
    }

    /// What is to be done, in this order.
    enum Action: Equatable {
        case answer(Answer)
        /// Count it, and tell people now and then.
        case drop(Drop)
        /// Call ``deadlineReached(now:)`` then. One such call is outstanding at most.
        case arm(ContinuousClock.Instant)
        /// The model is not joined any more.
        case retire(ModelHash)
        /// These branches of a frame, bit by bit, are late: another worker may still be in time.
        case ask(FrameKey, missing: UInt64)
        /// Call ``latenessDue(now:)`` then. One such call is outstanding at most.
        case armLateness(ContinuousClock.Instant)
    }

    struct Version {
        var model: ModelHash
        var table: JoinTable
        /// When a share of this model was last received.
        var lastUsed: ContinuousClock.Instant?
    }

    private let order: PredictionOrder
    private let deadline: Duration
    private let started: ContinuousClock.Instant
    /// The preferred model last.
    var versions: [Version] = []
    private var preferred: ModelHash?
    private var isArmed = false
    private var isLatenessArmed = false
    /// Between the first and the last share of the latest complete frames, milliseconds.
    private var spreads = Latest()
    /// Whether late branches are asked for.
    var asks = false { didSet { if asks != oldValue { checkLateness() } } }

    /// The most models that are joined at once.
    static let maximumVersions = 4
    /// A model is retired when no share of it was received for so long.
    static let versionPatience = Duration.seconds(10)

    init(order: PredictionOrder, deadline: Duration, now: ContinuousClock.Instant) {
        self.order = order
        self.deadline = deadline
        started = now
    }

    /// Whether a numbered frame was answered, in whichever model.
    func wasAnswered(_ key: FrameKey) -> Bool { versions.contains { $0.table.wasAnswered(key) } }

    // MARK: Models

    /// The models that are joined, the preferred one last.
    var models: [ModelHash] { versions.map(\.model) }

    /// Joins a model from now on, beside those before.
    ///
    /// - Parameter maximumOpen: the most frames that wait for branches.
    mutating func add(
        _ model: ModelHash, branches: JoinedBranches, classes: Int, maximumOpen: Int = 1024,
        now: ContinuousClock.Instant
    ) -> [Action] {
        guard !models.contains(model) else { return [] }
        var table = JoinTable(branches: branches, width: classes, deadline: deadline, maximumOpen: maximumOpen)
        // What is answered already is not opened again by shares of the new model.
        if let last = versions.last { table.inheritAnswers(of: last.table) }
        versions.append(Version(model: model, table: table))
        sortVersions()
        checkLateness()
        var actions: [Action] = []
        // Where one is pushed after another, the one that was not used for longest goes first.
        while versions.count > Self.maximumVersions,
            let oldest = versions.indices.dropLast().min(by: { lastUsed($0) < lastUsed($1) })
        {
            retire(oldest, now, &actions)
        }
        return actions
    }

    /// A model that was pushed is the preferred one, now or as soon as it is added.
    mutating func prefer(_ model: ModelHash) {
        preferred = model
        sortVersions()
    }

    /// Retires the models that the preferred one has replaced: those of which no share was received for a while.
    mutating func retireUnused(now: ContinuousClock.Instant) -> [Action] {
        guard versions.last?.lastUsed != nil else { return [] }
        var actions: [Action] = []
        for index in versions.indices.dropLast().reversed() where now - lastUsed(index) > Self.versionPatience {
            retire(index, now, &actions)
        }
        return actions
    }

    /// Answers everything that is open, at the end.
    mutating func finish(now: ContinuousClock.Instant) -> [Action] {
        var actions: [Action] = []
        for index in versions.indices { expireAll(index, now, &actions) }
        return actions
    }

    private func lastUsed(_ index: Int) -> ContinuousClock.Instant { versions[index].lastUsed ?? started }

    private mutating func sortVersions() {
        guard let index = versions.firstIndex(where: { $0.model == preferred }) else { return }
        versions.append(versions.remove(at: index))
    }

    private mutating func retire(_ index: Int, _ now: ContinuousClock.Instant, _ actions: inout [Action]) {
        expireAll(index, now, &actions)
        actions.append(.retire(versions.remove(at: index).model))
        checkLateness()
    }

    // MARK: Late branches

    /// While two models are joined nobody is asked: a frame is answered in whichever is whole.
    private mutating func checkLateness() {
        for index in versions.indices { versions[index].table.checksLateness = asks && versions.count == 1 }
    }

    /// How long after a frame's first share the others are late: a part of the deadline, so that another worker can still be in
    /// time, but longer than frames have taken lately that became complete.
    private var latenessPatience: Duration {
        let usual = spreads.max.map { Duration.milliseconds($0 * 1.5) } ?? .zero
        return min(max(deadline * Self.patience.least, usual), deadline * Self.patience.most)
    }

    private static let patience = (least: 0.3, most: 0.6)

    /// The time that ``Action/armLateness(_:)`` named is here.
    mutating func latenessDue(now: ContinuousClock.Instant) -> [Action] {
        isLatenessArmed = false
        var actions: [Action] = []
        let patience = latenessPatience
        if versions.count == 1 {
            while let late = versions[0].table.late(openedBefore: now - patience) {
                actions.append(.ask(late.key, missing: late.missing))
            }
        }
        arm(&actions)
        return actions
    }

    // MARK: Events

    /// A branch's share of a frame was received.
    ///
    /// - Parameters:
    ///   - served: the branches that can be counted on, bit by bit; nil for all. A frame does not wait for the others.
    ///   - write: writes the share, [classes]; called where it is taken only.
    mutating func receive(
        _ share: Share, served: UInt64? = nil, now: ContinuousClock.Instant,
        write: (UnsafeMutableBufferPointer<Float>) -> Void
    ) -> [Action] {
        guard let index = versions.firstIndex(where: { $0.model == share.model }) else { return [] }
        versions[index].lastUsed = now
        var actions: [Action] = []
        var evicted: FrameKey?
        let slot: Int
        switch versions[index].table.place(of: share.key, branch: share.branch) {
        case .duplicate: return [.drop(.duplicate)]
        // While one model takes another's place, every frame comes in both and is answered in one.
        // Nobody waits for a parity branch where all others have answered.
        case .answered:
            let isExpected = versions.count > 1 || share.branch == versions[index].table.branches.parity
            return isExpected ? [] : [.drop(.late)]
        case .open(let open): slot = open
        case .new:
            if versions[index].table.isFull { evicted = evict(index, now, &actions) }
            slot = versions[index].table.open(
                JoinTable.Frame(
                    key: share.key, captureTime: share.captureTime, label: share.label, opened: now))
        }
        // While one model takes another's place, a frame is answered in the one that has all of its branches.
        let all = versions[index].table.branches.all
        let isComplete = versions[index].table.put(
            share.branch, computeTime: share.computeTime, in: slot,
            awaited: versions.count == 1 ? served ?? all : all, write: write)
        if let evicted { release(after: evicted, now, &actions) }
        if isComplete {
            if asks, let age = versions[index].table.age(of: slot, now: now) { spreads.add(age.milliseconds) }
            complete(index, slot, now, &actions)
        }
        arm(&actions)
        return actions
    }

    /// The time that ``Action/arm(_:)`` named is here.
    mutating func deadlineReached(now: ContinuousClock.Instant) -> [Action] {
        isArmed = false
        var actions: [Action] = []
        // The oldest first, in whatever model.
        while let (index, due) = earliestDeadline(), due <= now, let slot = versions[index].table.oldest() {
            expire(index, slot, now, &actions)
        }
        arm(&actions)
        return actions
    }

    // MARK: Transitions

    /// open → answered, held, or dismissed as late shares of an answered frame.
    private mutating func complete(
        _ index: Int, _ slot: Int, _ now: ContinuousClock.Instant, _ actions: inout [Action]
    ) {
        if versions[index].table.dismissLate(slot, now: now) {
            actions.append(.drop(.late))
        } else if order == .none || isNext(versions[index].table.frame(in: slot).key) {
            answerAndRelease(index, slot, now, &actions)
        } else {
            versions[index].table.hold(slot)
        }
    }

    /// open or held → answered with the branches received, or superseded where another model has a larger part of them.
    private mutating func expire(
        _ index: Int, _ slot: Int, _ now: ContinuousClock.Instant, _ actions: inout [Action]
    ) {
        let frame = versions[index].table.frame(in: slot)
        if versions[index].table.dismissLate(slot, now: now) {
            actions.append(.drop(.expiredLate(frame.key)))
        } else if hasFuller(frame, than: index) {
            versions[index].table.supersede(frame.key, now: now)
        } else {
            answerAndRelease(index, slot, now, &actions)
        }
    }

    private mutating func expireAll(_ index: Int, _ now: ContinuousClock.Instant, _ actions: inout [Action]) {
        while let slot = versions[index].table.oldest() { expire(index, slot, now, &actions) }
    }

    /// The oldest frame of a model → answered early, or closed where another model has a larger part of it.
    ///
    /// - Returns: the frame where it was answered.
    private mutating func evict(
        _ index: Int, _ now: ContinuousClock.Instant, _ actions: inout [Action]
    ) -> FrameKey? {
        guard let slot = versions[index].table.oldest() else { return nil }
        let frame = versions[index].table.frame(in: slot)
        guard !hasFuller(frame, than: index) else {
            versions[index].table.supersede(frame.key, now: now)
            return nil
        }
        answer(index, slot, now, &actions)
        actions.append(.drop(.overflow(limit: versions[index].table.maximumOpen)))
        return frame.key
    }

    /// → answered; in the other models superseded.
    private mutating func answer(
        _ index: Int, _ slot: Int, _ now: ContinuousClock.Instant, _ actions: inout [Action]
    ) {
        let (frame, sum) = versions[index].table.take(slot)
        for other in versions.indices where other != index { versions[other].table.supersede(frame.key, now: now) }
        actions.append(.answer(Answer(frame: frame, model: versions[index].model, sum: sum)))
    }

    private mutating func answerAndRelease(
        _ index: Int, _ slot: Int, _ now: ContinuousClock.Instant, _ actions: inout [Action]
    ) {
        let key = versions[index].table.frame(in: slot).key
        answer(index, slot, now, &actions)
        release(after: key, now, &actions)
    }

    /// held → answered: those of a sensor that were only waiting for a frame, in whatever model.
    private mutating func release(after key: FrameKey, _ now: ContinuousClock.Instant, _ actions: inout [Action]) {
        while let (index, slot) = nextHeld(after: key) { answer(index, slot, now, &actions) }
    }

    // MARK: What is known of all models

    private func nextHeld(after key: FrameKey) -> (index: Int, slot: Int)? {
        for index in versions.indices {
            if let slot = versions[index].table.held(after: key), isNext(versions[index].table.frame(in: slot).key) {
                return (index, slot)
            }
        }
        return nil
    }

    /// Whether no earlier frame of the sensor is open in any model.
    private func isNext(_ key: FrameKey) -> Bool { versions.allSatisfy { $0.table.isFirst(key) } }

    /// Whether another model has a larger part of a frame's branches.
    private func hasFuller(_ frame: JoinTable.Frame, than index: Int) -> Bool {
        let received = frame.branches.nonzeroBitCount
        let count = versions[index].table.branches.count
        return versions.contains {
            ($0.table.branchesReceived(of: frame.key) ?? 0) * count > received * $0.table.branches.count
        }
    }

    private mutating func earliestDeadline() -> (index: Int, due: ContinuousClock.Instant)? {
        var earliest: (index: Int, due: ContinuousClock.Instant)?
        for index in versions.indices {
            guard let due = versions[index].table.nextDeadline() else { continue }
            if earliest.map({ due < $0.due }) ?? true { earliest = (index, due) }
        }
        return earliest
    }

    private mutating func arm(_ actions: inout [Action]) {
        if asks, !isLatenessArmed, versions.count == 1, let opened = versions[0].table.nextUnchecked() {
            isLatenessArmed = true
            actions.append(.armLateness(opened + latenessPatience))
        }
        guard !isArmed, let due = earliestDeadline()?.due else { return }
        isArmed = true
        actions.append(.arm(due))
    }
}
