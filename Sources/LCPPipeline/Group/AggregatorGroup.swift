import LCPWire

/// The aggregators of a pipeline that share its sensors: who is there, and who answers which bucket. A pure state machine;
/// what is heard and the time go in, ``Action``s come out.
///
/// Who is there stands in a numbered *view*, which one of them proposes, and from which the owner of every bucket follows
/// (``SensorBuckets``). A view is entered in two steps, so that no frame is answered twice or falls between two:
///
///     adopted ──receives what it gains──▶ prepared ──everybody is, and what it loses is answered──▶ settled
///
/// Who has to give a bucket away opens no frame of it any more when everybody is prepared, and whose it becomes answers it when
/// everybody is settled. In between what comes is kept. Buckets that stay where they are are answered all the time.
///
/// Who dies is missed by its last will, and who hangs by its beats. For that nobody of several may answer anything whose own
/// last beat did not come back from the broker within ``lease``, which is shorter than the ``silence`` after which the others go
/// on without it; when it lives again it has to be let in anew (Gray and Cheriton 1989).
struct AggregatorGroup {
    typealias Member = AggregatorBeat.Member
    typealias View = AggregatorBeat.View
    typealias Phase = AggregatorBeat.Phase
    typealias Instant = ContinuousClock.Instant

    /// What is to be done, in this order.
    enum Action: Hashable {
        /// Send ``nextBeat(_:)``.
        case beat
        /// Receive the features of these buckets, too; then call ``prepared(_:now:)``.
        case receive(Set<Int>, View)
        /// Open no frame any more of ``finishes``; when none is open, call ``settled(_:now:)``.
        case finish(View)
        /// Answer these from now on, first of all what came meanwhile.
        case begin(Set<Int>, isTakeover: Bool)
        /// Everybody is settled in this view.
        case agreed(View)
        /// Nothing may be answered until it is let in again.
        case pause
        /// Everything has been given away.
        case left
    }

    /// What may be done with a frame.
    enum Right {
        case answer
        /// Only what is open already.
        case finish
        /// It is kept, and answered later if at all.
        case keep
        case none
    }

    struct Other {
        var beat: AggregatorBeat
        var heard: Instant
        /// Since when it has been heard without a pause.
        var since: Instant
        /// Whether its connection is gone, as far as is known.
        var isGone = false
        /// How long it may say nothing.
        var patience: Duration {
            isGone ? AggregatorGroup.lease + AggregatorGroup.interval / 2 : AggregatorGroup.silence
        }
    }

    private(set) var own: Member
    /// The hashes of the models that it joins.
    var models: [String] = []
    var others: [String: Other] = [:]
    /// Those that have said in their status that they share sensors, with their births.
    var known: [String: String] = [:]
    /// Lives that are over.
    var buried: [String: Member] = [:]
    /// When an aggregator was last found to be gone.
    var losses: [String: Instant] = [:]
    private(set) var view: View?
    private(set) var phase = Phase.adopted
    private var isFinishing = false
    private var owners: [String?] = []
    /// The buckets that it may answer.
    private(set) var holds: Set<Int> = []
    /// Those that it gives away, and of which it answers what is open.
    private(set) var finishes: Set<Int> = []
    /// The members when everybody was last settled.
    private var agreedMembers: [Member] = []
    var highestNumber = 0

    private var beats: UInt64 = 0
    private var sent: [UInt64: Instant] = [:]
    private var lastBeat: Instant?
    /// When the latest of its beats was sent that has come back, and when one last came.
    var echoed: Instant?
    var lastEcho: Instant?
    /// Since when they come back without a pause.
    var hearsSince: Instant?
    var adopted: Instant
    /// Since when it waits to be let in.
    private var waitsSince: Instant
    private var lastTick: Instant

    static let interval = Duration.milliseconds(250)
    /// The same while nobody else is there: with a thousand pipelines on a broker, beats would be most of what it does.
    static let aloneInterval = Duration.seconds(2)
    static let lease = Duration.seconds(1)
    static let silence = Duration.milliseconds(1600)
    /// One that is alone has no lease. Where its clock did not run for so long it was stopped, and who waits to be let in goes on
    /// without it after ``longSilence`` only.
    static let stop = Duration.seconds(5)
    static let longSilence = Duration.seconds(8)
    /// Who waits for so long to be let in asks under a new term.
    private static let renewal = Duration.seconds(5)
    /// An aggregator that was lost lately is let in when it has been there for so long: one that comes and goes moves nothing.
    static let probation = (memory: Duration.seconds(60), time: Duration.seconds(10))

    init(id: String, birth: String, now: Instant) {
        own = Member(id: id, birth: birth, term: 0)
        (adopted, waitsSince, lastTick) = (now, now, now)
    }

    // MARK: What is known

    /// Whether it is one of several.
    var isShared: Bool { view.map { $0.members.count > 1 } ?? false }

    /// Whether it belongs to the aggregators that answer.
    var isIn: Bool { view != nil }

    /// Whether somebody else takes part by that name.
    func isIn(_ id: String) -> Bool { view?.members.contains { $0.id == id } ?? false }

    /// What may be done with the frames of a bucket.
    func right(_ bucket: Int) -> Right {
        guard view != nil else { return .keep }
        if finishes.contains(bucket) { return .finish }
        if holds.contains(bucket) { return .answer }
        return owners[bucket] == own.id ? .keep : .none
    }

    /// Whether a bucket is this one's, or will be.
    func owns(_ bucket: Int) -> Bool { view != nil && owners[bucket] == own.id }

    private var owned: Set<Int> { Set(owners.indices.filter { owners[$0] == own.id }) }

    func isFresh(_ other: Other, _ now: Instant) -> Bool { now - other.heard <= other.patience }

    // MARK: Events

    /// It begins, when it hears the others and they could hear it.
    func start() -> [Action] { [.beat] }

    /// The beat to send now.
    mutating func nextBeat(_ now: Instant) -> AggregatorBeat {
        beats += 1
        (sent[beats], lastBeat) = (now, now)
        sent = sent.filter { now - $0.value <= Self.stop }
        return AggregatorBeat(
            member: own, number: beats, models: models, view: view, phase: view == nil ? nil : phase)
    }

    /// Somebody said something, perhaps itself.
    mutating func heard(_ beat: AggregatorBeat, now: Instant) -> [Action] {
        var actions = check(now: now)
        highestNumber = max(highestNumber, beat.view?.number ?? 0)
        if beat.member.id == own.id {
            guard beat.member.isSame(as: own), let time = sent.removeValue(forKey: beat.number) else { return actions }
            if echoed.map({ now - $0 > Self.lease }) ?? true { hearsSince = now }
            (echoed, lastEcho) = (max(echoed ?? time, time), now)
            review(now, &actions)
            return actions
        }
        guard joinsSame(beat.models) else {
            others[beat.member.id] = nil
            return actions
        }
        let member = beat.member
        if let grave = buried[member.id], grave.birth == member.birth, member.term <= grave.term { return actions }
        guard others[member.id] != nil || others.count < AggregatorBeat.maximumMembers else { return actions }
        let before = others[member.id]
        // Another life begins with its status; before that it is an earlier one, which was overtaken on its way, or a stranger.
        if let before, before.beat.member.birth != member.birth, known[member.id] != member.birth { return actions }
        // One that was overtaken on its way says nothing any more.
        if let last = before?.beat, last.member.birth == member.birth,
            (member.term, beat.number) <= (last.member.term, last.number)
        {
            return actions
        }
        let isSteady = before.map { $0.beat.member.birth == member.birth && isFresh($0, now) } ?? false
        var light = beat
        light.streams = nil
        others[member.id] = Other(beat: light, heard: now, since: isSteady ? before!.since : now)
        if let proposal = beat.view { consider(proposal, now, &actions) }
        progress(now, &actions)
        review(now, &actions)
        // Who wants to be let in shall know that there is somebody.
        if beat.view == nil, view != nil, !actions.contains(.beat) { actions.append(.beat) }
        return actions
    }

    private func joinsSame(_ others: [String]) -> Bool {
        models.isEmpty || others.isEmpty || others.contains(where: models.contains)
    }

    /// By its status somebody is there who shares sensors.
    mutating func met(_ id: String, birth: String, models: [String]) {
        guard id != own.id, known[id] != nil || known.count < AggregatorBeat.maximumMembers else { return }
        known[id] = joinsSame(models) ? birth : nil
    }

    /// Somebody's connection is gone. It may have another one already: a last will can come late.
    ///
    /// - Parameter hasEnded: whether he said so himself.
    mutating func gone(_ id: String, birth: String, hasEnded: Bool = false, now: Instant) -> [Action] {
        if known[id] == birth { known[id] = nil }
        guard let other = others[id], other.beat.member.birth == birth else { return [] }
        var actions: [Action] = []
        if hasEnded { bury(other.beat.member, now) } else { others[id]!.isGone = true }
        review(now, &actions)
        return actions
    }

    /// To be called every ``interval``.
    mutating func tick(now: Instant) -> [Action] {
        var actions = check(now: now)
        lastTick = now
        // Taken for dead in this term it would never be let in.
        if view == nil, now - waitsSince > Self.renewal { (own.term, waitsSince) = (own.term + 1, now) }
        review(now, &actions)
        let isAlone = isIn && !isShared && !others.values.contains { isFresh($0, now) }
        let isDue = !isAlone || lastBeat.map { now - $0 >= Self.aloneInterval } ?? true
        if isDue, !actions.contains(.beat) { actions.append(.beat) }
        return actions
    }

    /// To be called before a frame is answered: whether others may have taken over meanwhile.
    mutating func check(now: Instant) -> [Action] {
        guard view != nil else { return [] }
        // Who is alone may be behind with what it reads; but it was stopped where not even its timers ran.
        let isLate = isShared ? echoed.map { now - $0 > Self.lease } ?? true : now - lastTick > Self.stop
        return isLate ? lapse(now) : []
    }

    /// The features that were asked for are received.
    mutating func prepared(_ asked: View, now: Instant) -> [Action] {
        guard view == asked, phase == .adopted else { return [] }
        phase = .prepared
        var actions = [Action.beat]
        progress(now, &actions)
        return actions
    }

    /// Nothing is open any more of what is given away.
    mutating func settled(_ asked: View, now: Instant) -> [Action] {
        guard view == asked, isFinishing else { return [] }
        (isFinishing, finishes, phase) = (false, [], .settled)
        var actions = [Action.beat]
        progress(now, &actions)
        return actions
    }

    /// The connection was lost and is back; the others may have gone on without it.
    mutating func reconnected(now: Instant) -> [Action] { lapse(now) }

    /// It is about to end.
    mutating func leave(now: Instant) -> [Action] {
        own.leaving = true
        guard isShared || view != nil && others.values.contains(where: { isFresh($0, now) && isKnown($0) }) else {
            return [.left]
        }
        var actions = [Action.beat]
        review(now, &actions)
        return actions
    }

    // MARK: Views

    private mutating func lapse(_ now: Instant) -> [Action] {
        own.term += 1
        (view, phase, owners, holds, finishes, isFinishing) = (nil, .adopted, [], [], [], false)
        agreedMembers = []
        (sent, echoed, lastEcho, hearsSince, waitsSince, lastTick) = ([:], nil, nil, nil, now, now)
        return own.leaving == true ? [.pause, .left] : [.pause, .beat]
    }

    mutating func bury(_ member: Member, _ now: Instant) {
        others[member.id] = nil
        buried[member.id] = member
        losses[member.id] = now
        // Strangers' names do not fill the memory.
        if losses.count > 4 * AggregatorBeat.maximumMembers { (losses, buried) = ([:], [:]) }
    }

    /// A view that somebody has.
    private mutating func consider(_ proposal: View, _ now: Instant, _ actions: inout [Action]) {
        if let view { guard (proposal.number, proposal.by) > (view.number, view.by) else { return } }
        if proposal.members.contains(where: { $0.isSame(as: own) }) {
            adopt(proposal, now, &actions)
        } else if view != nil {
            // The others have gone on without this one.
            actions += lapse(now)
        }
    }

    mutating func adopt(_ proposal: View, _ now: Instant, _ actions: inout [Action]) {
        // Nobody goes on without one who was alone before he has heard of this.
        if !isShared { (echoed, hearsSince) = (now, now) }
        (view, phase, adopted) = (proposal, .adopted, now)
        highestNumber = max(highestNumber, proposal.number)
        owners = SensorBuckets.owners(proposal.members.filter { $0.leaving != true }.map(\.id))
        isFinishing = false
        actions.append(.receive(owned, proposal))
    }

    /// Whether all others have come so far with the view.
    private func allOthers(are least: Set<Phase>) -> Bool {
        guard let view else { return false }
        return view.members.allSatisfy { member in
            guard member.id != own.id else { return true }
            guard let beat = others[member.id]?.beat, beat.member.isSame(as: member), beat.view == view else {
                return false
            }
            return beat.phase.map(least.contains) ?? false
        }
    }

    private mutating func progress(_ now: Instant, _ actions: inout [Action]) {
        guard let view else { return }
        if phase == .prepared, !isFinishing, allOthers(are: [.prepared, .settled]) {
            isFinishing = true
            finishes.formUnion(holds.subtracting(owned))
            holds.subtract(finishes)
            actions.append(.finish(view))
        }
        if phase == .settled, allOthers(are: [.settled]), agreedMembers != view.members || holds != owned {
            let gained = owned.subtracting(holds)
            let isTakeover =
                agreedMembers.isEmpty ? own.term > 0 : hasLost(since: agreedMembers, view)
            holds = owned
            agreedMembers = view.members
            if !gained.isEmpty { actions.append(.begin(gained, isTakeover: isTakeover)) }
            actions.append(own.leaving == true ? .left : .agreed(view))
        }
    }

    private func hasLost(since members: [Member], _ view: View) -> Bool {
        !members.allSatisfy { member in view.members.contains { $0.isSame(as: member) } }
    }
}
