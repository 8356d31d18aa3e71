import Platform

/// Joins what the branches made of a frame: a pure state machine, with time passed in.
///
/// Every branch's share of the logits is kept apart until the frame is answered and then added up in the order of the branches,
/// so that the same shares give the same bits, in whatever order they came.
struct JoinTable {
    /// What identifies a frame. The model is not in it: each has a table of its own.
    struct Key: Hashable {
        var sensor: String
        var session: UInt64
        var frame: UInt64
    }

    /// What is known of a frame besides its shares.
    struct Frame: Equatable {
        var key: Key
        var captureTime: Int64
        var label: Int32
        /// When the first share came.
        var opened: ContinuousClock.Instant
        /// The slowest branch's, microseconds.
        var computeTime: UInt32
        /// The branches that came, bit by bit.
        var branches: UInt64
        var generation: UInt64
    }

    /// What a share did.
    enum Outcome: Equatable {
        /// It waits for the others.
        case waiting
        /// It was the last one that is waited for.
        case complete(slot: Int)
        /// This branch has answered this frame already.
        case duplicate
        /// The frame was answered without it.
        case late
    }

    let branchCount: Int
    /// A bit for each branch.
    let allBranches: UInt64
    /// The numbers in a share: one for each class.
    let width: Int
    let deadline: Duration
    /// The most frames that wait at once; one more, and the oldest is answered as it is.
    let maximumOpen: Int
    /// The most answered frames that are remembered, to tell late shares from new frames.
    let maximumClosed: Int

    private struct Slot {
        var frame: Frame
        var shares: [Float]
        /// Complete, and waiting for an earlier frame of its sensor.
        var isHeld = false
    }
    /// The frames of one sensor since its start, which have numbers that rise.
    private struct Stream: Hashable {
        var sensor: String
        var session: UInt64

        /// Nil for a bare input, which has no number.
        init?(_ key: Key) {
            guard key.session != 0 else { return nil }
            (sensor, session) = (key.sensor, key.session)
        }
    }
    /// The branches that a frame waits for, bit by bit: all, but for those that nobody serves.
    var awaited: UInt64
    /// The open frames of each sensor, in rising order.
    private var streams: [Stream: [UInt64]] = [:]
    private var slots: [Slot] = []
    private var free: [Int] = []
    /// The open slots of a key: one, or more for a bare input that came several times.
    private var open: [Key: [Int]] = [:]
    /// Open slots in the order in which they opened, and so in the order of their deadlines. Answered ones stay until they
    /// come to the front; the generation tells them.
    private var queue: [(slot: Int, generation: UInt64)] = []
    private var queueHead = 0
    private var nextGeneration: UInt64 = 0
    /// When a frame last began.
    private var lastOpened: ContinuousClock.Instant?
    private var closed: Set<Key> = []
    /// For each stream the highest number that is no longer in ``closed``: up to there, everything is late.
    private var forgotten: [Stream: UInt64] = [:]
    /// Bare inputs whose shares may still come though they are answered: the branches, bit by bit, and until when.
    private var owed: [Key: [(branches: UInt64, until: ContinuousClock.Instant)]] = [:]
    private var closedOrder: [Key] = []
    private var closedNext = 0

    private(set) var openCount = 0

    init(branchCount: Int, width: Int, deadline: Duration, maximumOpen: Int = 1024, maximumClosed: Int = 8192) {
        precondition((1...64).contains(branchCount) && width > 0 && maximumOpen > 0 && maximumClosed > 0)
        self.branchCount = branchCount
        self.width = width
        self.deadline = deadline
        self.maximumOpen = maximumOpen
        self.maximumClosed = maximumClosed
        allBranches = UInt64.max >> UInt64(64 - branchCount)
        awaited = allBranches
    }

    /// Takes a branch's share of a frame.
    ///
    /// - Parameters:
    ///   - write: puts the share's `width` numbers where they are kept; called for a share that is taken only.
    ///   - evict: called with the slot of the oldest frame where a new one has no room.
    mutating func add(
        _ key: Key, branch: Int, captureTime: Int64, label: Int32, computeTime: UInt32, now: ContinuousClock.Instant,
        evict: (inout JoinTable, Int) -> Void, write: (UnsafeMutableBufferPointer<Float>) -> Void
    ) -> Outcome {
        let bit = UInt64(1) << UInt64(branch)
        let slot: Int
        if let candidates = open[key] {
            if let match = candidates.first(where: { slots[$0].frame.branches & bit == 0 }) {
                slot = match
            } else if key.session == 0 {
                slot = openSlot(key, captureTime, label, now, evict)
            } else {
                return .duplicate
            }
        } else {
            // A bare input has no number, so the same bytes again are a new frame: every arrival is answered.
            if isClosed(key) { return .late }
            slot = openSlot(key, captureTime, label, now, evict)
        }
        let places = branch * width..<(branch + 1) * width
        slots[slot].shares.withUnsafeMutableBufferPointer {
            write(UnsafeMutableBufferPointer(rebasing: $0[places]))
        }
        slots[slot].frame.branches |= bit
        slots[slot].frame.computeTime = max(slots[slot].frame.computeTime, computeTime)
        return slots[slot].frame.branches & awaited == awaited ? .complete(slot: slot) : .waiting
    }

    private func isClosed(_ key: Key) -> Bool {
        guard let stream = Stream(key) else { return false }
        return closed.contains(key) || forgotten[stream].map { key.frame <= $0 } ?? false
    }

    private mutating func openSlot(
        _ key: Key, _ captureTime: Int64, _ label: Int32, _ now: ContinuousClock.Instant,
        _ evict: (inout JoinTable, Int) -> Void
    ) -> Int {
        if openCount >= maximumOpen, let oldest = oldestSlot { evict(&self, oldest) }
        let frame = Frame(
            key: key, captureTime: captureTime, label: label, opened: now, computeTime: 0, branches: 0,
            generation: nextGeneration)
        nextGeneration += 1
        lastOpened = now
        let slot: Int
        if let reused = free.popLast() {
            slot = reused
            slots[slot].frame = frame
            slots[slot].isHeld = false
        } else {
            slot = slots.count
            slots.append(Slot(frame: frame, shares: [Float](repeating: 0, count: branchCount * width)))
        }
        open[key, default: []].append(slot)
        if let stream = Stream(key) {
            // Nearly always it is the last.
            let place = streams[stream]?.lastIndex { $0 < key.frame }.map { $0 + 1 } ?? 0
            streams[stream, default: []].insert(key.frame, at: place)
        }
        // Behind a frame that waits long, answered ones may pile up.
        if queue.count >= 4 * maximumOpen {
            queue = queue[queueHead...].filter { slots[$0.slot].frame.generation == $0.generation }
            queueHead = 0
        }
        queue.append((slot, frame.generation))
        openCount += 1
        return slot
    }

    /// The frame that has waited longest.
    private var oldestSlot: Int? {
        mutating get {
            while queueHead < queue.count {
                let (slot, generation) = queue[queueHead]
                if slots[slot].frame.generation == generation, slots[slot].frame.branches != 0 { return slot }
                queueHead += 1
                if queueHead == queue.count || queueHead >= 1024 {
                    queue.removeFirst(queueHead)
                    queueHead = 0
                }
            }
            return nil
        }
    }

    /// When the oldest frame has to be answered, or nil where none waits.
    var nextDeadline: ContinuousClock.Instant? {
        mutating get { oldestSlot.map { slots[$0].frame.opened + deadline } }
    }

    /// A frame whose deadline has come.
    mutating func expired(now: ContinuousClock.Instant) -> Int? {
        guard let slot = oldestSlot, slots[slot].frame.opened + deadline <= now else { return nil }
        return slot
    }

    /// The oldest frame, due or not: for the end.
    mutating func anyOpen() -> Int? { oldestSlot }

    /// Adds up a frame's shares onto `logits` and forgets the frame but for its key.
    mutating func take(_ slot: Int, addingTo logits: UnsafeMutableBufferPointer<Float>) -> Frame {
        let frame = slots[slot].frame
        for branch in 0..<branchCount where frame.branches & UInt64(1) << UInt64(branch) != 0 {
            slots[slot].shares.withUnsafeBufferPointer { shares in
                for index in 0..<width { logits[index] += shares[branch * width + index] }
            }
        }
        let missing = allBranches & ~frame.branches
        if frame.key.session == 0, missing != 0 {
            owe(frame.key, missing, until: frame.opened + deadline + Self.longestDelay, most: Self.maximumDebts)
        }
        close(slot)
        return frame
    }

    /// How late a bare input's share may come and is still told from another arrival.
    private static let longestDelay = Duration.seconds(60)
    /// The same for the shares of another model, which are computed at the same time.
    private static let longestLag = Duration.seconds(1)
    /// A model that began no frame for so long is run by nobody.
    private static let longestPause = Duration.milliseconds(250)
    private static let maximumDebts = 256

    private mutating func owe(_ key: Key, _ branches: UInt64, until: ContinuousClock.Instant, most: Int) {
        // Endless strangers do not fill the memory.
        if owed.count >= maximumOpen, owed[key] == nil { owed.removeAll(keepingCapacity: true) }
        owed[key] = (owed[key] ?? []).suffix(most - 1) + [(branches, until)]
    }

    /// Forgets a bare input that has only shares which an answered one lacked: they came late, and are no other arrival.
    ///
    /// - Returns: whether it was one.
    mutating func dismissLate(_ slot: Int, now: ContinuousClock.Instant) -> Bool {
        let frame = slots[slot].frame
        guard frame.key.session == 0, var debts = owed[frame.key] else { return false }
        debts.removeAll { $0.until < now }
        let match = debts.firstIndex { frame.branches & ~$0.branches == 0 }
        if let match {
            debts[match].branches &= ~frame.branches
            if debts[match].branches == 0 { debts.remove(at: match) }
            close(slot)
        }
        owed[frame.key] = debts.isEmpty ? nil : debts
        return match != nil
    }

    private mutating func close(_ slot: Int) {
        let frame = slots[slot].frame
        slots[slot].frame.branches = 0
        slots[slot].frame.generation = .max
        free.append(slot)
        openCount -= 1
        if var candidates = open[frame.key], candidates.count > 1 {
            candidates.removeAll { $0 == slot }
            open[frame.key] = candidates
        } else {
            open[frame.key] = nil
        }
        if let stream = Stream(frame.key) {
            remember(frame.key)
            streams[stream]?.removeAll { $0 == frame.key.frame }
            if streams[stream]?.isEmpty == true { streams[stream] = nil }
        }
    }

    /// Whether no earlier frame of the sensor waits.
    func isFirst(_ key: Key) -> Bool {
        guard let first = Stream(key).flatMap({ streams[$0]?.first }) else { return true }
        return key.frame <= first
    }

    /// Keeps a complete frame until those before it are answered, at most until its own deadline.
    mutating func hold(_ slot: Int) { slots[slot].isHeld = true }

    /// The slot of a sensor's earliest frame, where that is complete and was only waiting for its turn.
    func nextHeld(after key: Key) -> Int? {
        guard let stream = Stream(key), let frame = streams[stream]?.first,
            let slot = open[Key(sensor: key.sensor, session: key.session, frame: frame)]?.first, slots[slot].isHeld
        else { return nil }
        return slot
    }

    /// Forgets a frame that was answered elsewhere; shares of it that still come are late.
    mutating func discard(_ key: Key, now: ContinuousClock.Instant) {
        let slot = open[key]?.first
        let missing = allBranches & ~(slot.map { slots[$0].frame.branches } ?? 0)
        if let slot { close(slot) } else if key.session != 0 { remember(key) }
        guard key.session == 0, missing != 0 else { return }
        // A model that nobody runs owes no more than what may just be computed in it.
        let isRun = lastOpened.map { now - $0 < Self.longestPause } ?? false
        owe(key, missing, until: now + Self.longestLag, most: isRun ? Self.maximumDebts : 1)
    }

    /// Frames that were answered in another table are late here, too.
    mutating func inheritAnswers(of other: JoinTable) {
        (closed, forgotten) = (other.closed, other.forgotten)
        (closedOrder, closedNext) = (other.closedOrder, other.closedNext)
    }

    /// How many branches of a frame have come; nil where it does not wait.
    func branchesPresent(of key: Key) -> Int? { open[key]?.first.map { slots[$0].frame.branches.nonzeroBitCount } }

    /// What is known of the frame in a slot.
    func frame(in slot: Int) -> Frame { slots[slot].frame }

    private mutating func remember(_ key: Key) {
        guard closed.insert(key).inserted else { return }
        if closedOrder.count < maximumClosed {
            closedOrder.append(key)
        } else {
            forget(closedOrder[closedNext])
            closedOrder[closedNext] = key
            closedNext = (closedNext + 1) % maximumClosed
        }
    }

    /// Keeps of an answered frame only that it is past; without that, shares that are very late would open it again.
    private mutating func forget(_ key: Key) {
        closed.remove(key)
        guard let stream = Stream(key) else { return }
        // Endless strangers do not fill the memory.
        if forgotten.count >= maximumClosed, forgotten[stream] == nil { forgotten.removeAll(keepingCapacity: true) }
        forgotten[stream] = max(forgotten[stream] ?? 0, key.frame)
    }
}
