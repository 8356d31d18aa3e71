import DequeModule
import LCPInference

/// The open frames of one model, with the shares received so far: pure, with time passed in.
///
/// Every branch's share of the logits is kept apart until the frame is answered and then added up in the order of the branches,
/// so that the same shares give the same bits, in whatever order they came.
struct JoinTable {
    /// What is known of an open frame besides its shares.
    struct Frame: Equatable {
        var key: FrameKey
        var captureTime: Int64
        var label: Int32
        /// When the first share was received.
        var opened: ContinuousClock.Instant
        /// The slowest branch's, microseconds.
        var computeTime: UInt32 = 0
        /// The branches whose shares were received, bit by bit.
        var branches: UInt64 = 0
    }

    /// What a share belongs to.
    enum Place: Equatable {
        /// An open frame that lacks this branch.
        case open(slot: Int)
        /// A frame that is not open yet.
        case new
        /// An open frame that has this branch already.
        case duplicate
        /// A frame that was answered.
        case answered
    }

    let branches: JoinedBranches
    /// The numbers in a share: one for each class.
    let width: Int
    let deadline: Duration
    /// The most frames that are open at once.
    let maximumOpen: Int

    /// The frames by their slots.
    private(set) var frames: [Frame] = []
    /// [slots, rows, width].
    private var shares: [Float] = []
    /// By slots: tells frames apart that use one after the other; ``unused`` while none does.
    private var generations: [UInt64] = []
    private static let unused = UInt64.max
    /// By slots: complete, and waiting for an earlier frame of its sensor.
    private var isHeld: [Bool] = []
    /// By slots: a branch was late.
    private var wasLate: [Bool] = []
    private var free: [Int] = []
    /// The open slot of a key, the oldest where a bare input was sent several times.
    private(set) var open: [FrameKey: Int] = [:]
    /// The other open slots of such an input, in the order in which they opened.
    private(set) var more: [FrameKey: [Int]] = [:]
    /// The open frames of each stream, in rising order.
    private var streams: [FrameKey.Stream: [UInt64]] = [:]
    /// Slots in the order in which their frames opened, and so in the order of their deadlines. Those of answered frames stay
    /// until they are at the front; the generation tells them.
    private var queue: Deque<(slot: Int, generation: UInt64)> = []
    private var nextGeneration: UInt64 = 0
    /// Numbered frames in the order in which they opened, until it was looked whether a branch is late.
    private var unchecked: Deque<(slot: Int, generation: UInt64)> = []
    /// When a frame last opened.
    private var lastOpened: ContinuousClock.Instant?
    var answered: AnsweredFrames
    private var lateShares: ExpectedLateShares

    private(set) var openCount = 0
    /// Whether somebody asks for ``late(openedBefore:)``.
    var checksLateness = false { didSet { if !checksLateness { unchecked.removeAll() } } }

    init(
        branches: JoinedBranches, width: Int, deadline: Duration, maximumOpen: Int = 1024, maximumClosed: Int = 8192
    ) {
        precondition(width > 0 && maximumOpen > 0 && maximumClosed > 0)
        self.branches = branches
        self.width = width
        self.deadline = deadline
        self.maximumOpen = maximumOpen
        answered = AnsweredFrames(capacity: maximumClosed)
        lateShares = ExpectedLateShares(capacity: maximumOpen)
    }

    /// Whether a numbered frame was answered.
    func wasAnswered(_ key: FrameKey) -> Bool { open[key] == nil && answered.contains(key) }

    // MARK: Shares

    /// Where a branch's share of a frame belongs: for a bare input the oldest open frame of its bytes that lacks the branch.
    func place(of key: FrameKey, branch: Int) -> Place {
        guard let first = open[key] else { return answered.contains(key) ? .answered : .new }
        let bit = UInt64(1) << UInt64(branch)
        if frames[first].branches & bit == 0 { return .open(slot: first) }
        guard key.stream == nil else { return .duplicate }
        // A bare input has no number, so the same bytes again are a new frame: every arrival is answered.
        return more[key]?.first { frames[$0].branches & bit == 0 }.map { .open(slot: $0) } ?? .new
    }

    /// Whether a new frame has no room.
    var isFull: Bool { openCount >= maximumOpen }

    /// Opens a frame. There has to be room.
    ///
    /// - Returns: its slot.
    mutating func open(_ frame: Frame) -> Int {
        let generation = nextGeneration
        nextGeneration += 1
        lastOpened = frame.opened
        let slot: Int
        if let reused = free.popLast() {
            slot = reused
            frames[slot] = frame
            generations[slot] = generation
            isHeld[slot] = false
            wasLate[slot] = false
        } else {
            slot = frames.count
            frames.append(frame)
            generations.append(generation)
            isHeld.append(false)
            wasLate.append(false)
            shares.append(contentsOf: repeatElement(0, count: branches.rowCount * width))
        }
        if open[frame.key] == nil { open[frame.key] = slot } else { more[frame.key, default: []].append(slot) }
        if let stream = frame.key.stream {
            // Nearly always it is the last.
            let place = streams[stream]?.lastIndex { $0 < frame.key.frame }.map { $0 + 1 } ?? 0
            streams[stream, default: []].insert(frame.key.frame, at: place)
        }
        // Behind a frame that waits long, answered ones may pile up.
        if queue.count >= 4 * maximumOpen {
            queue.removeAll { generations[$0.slot] != $0.generation }
        }
        queue.append((slot, generation))
        if checksLateness, frame.key.stream != nil {
            if unchecked.count >= 4 * maximumOpen { unchecked.removeAll { generations[$0.slot] != $0.generation } }
            unchecked.append((slot, generation))
        }
        openCount += 1
        return slot
    }

    /// Takes a branch's share of an open frame.
    ///
    /// - Parameters:
    ///   - awaited: the branches that the frame waits for, bit by bit.
    ///   - write: puts the share's numbers, `width` for each of its rows, where they are kept.
    /// - Returns: whether the frame has all branches that it waits for, or its whole answer.
    mutating func put(
        _ branch: Int, computeTime: UInt32, in slot: Int, awaited: UInt64,
        write: (UnsafeMutableBufferPointer<Float>) -> Void
    ) -> Bool {
        let (first, rows) = (slot * branches.rowCount, branches.rows(of: branch))
        let places = (first + rows.lowerBound) * width..<(first + rows.upperBound) * width
        shares.withUnsafeMutableBufferPointer {
            write(UnsafeMutableBufferPointer(rebasing: $0[places]))
        }
        frames[slot].branches |= UInt64(1) << UInt64(branch)
        frames[slot].computeTime = max(frames[slot].computeTime, computeTime)
        let received = frames[slot].branches
        return received & awaited == awaited || branches.isWhole(received)
    }

    // MARK: Open frames

    /// What is known of the frame in a slot.
    func frame(in slot: Int) -> Frame { frames[slot] }

    /// How many branches of a frame were received; nil where it is not open.
    func branchesReceived(of key: FrameKey) -> Int? {
        open[key].map { frames[$0].branches.nonzeroBitCount }
    }

    /// The frame that has been open longest.
    mutating func oldest() -> Int? {
        while let (slot, generation) = queue.first {
            if generations[slot] == generation { return slot }
            queue.removeFirst()
        }
        return nil
    }

    /// When the oldest frame has to be answered, or nil where none is open.
    mutating func nextDeadline() -> ContinuousClock.Instant? { oldest().map { frames[$0].opened + deadline } }

    /// When the oldest frame opened of which nobody has looked yet whether a branch is late.
    mutating func nextUnchecked() -> ContinuousClock.Instant? {
        while let (slot, generation) = unchecked.first {
            if generations[slot] == generation { return frames[slot].opened }
            unchecked.removeFirst()
        }
        return nil
    }

    /// A frame that opened at that time or before and lacks branches; each once.
    mutating func late(openedBefore time: ContinuousClock.Instant) -> (key: FrameKey, missing: UInt64)? {
        while let opened = nextUnchecked(), opened <= time {
            let slot = unchecked.removeFirst().slot
            let missing = branches.all & ~frames[slot].branches
            wasLate[slot] = missing != 0
            if missing != 0 { return (frames[slot].key, missing) }
        }
        return nil
    }

    /// How long a frame in a slot has been open; nil where it waited for a branch that was late.
    func age(of slot: Int, now: ContinuousClock.Instant) -> Duration? {
        wasLate[slot] ? nil : now - frames[slot].opened
    }

    /// Whether no earlier frame of the sensor is open.
    func isFirst(_ key: FrameKey) -> Bool {
        guard let first = key.stream.flatMap({ streams[$0]?.first }) else { return true }
        return key.frame <= first
    }

    /// Keeps a complete frame until those before it are answered, at most until its own deadline.
    mutating func hold(_ slot: Int) { isHeld[slot] = true }

    /// A sensor's earliest open frame, where it is complete and was only waiting for its turn.
    func held(after key: FrameKey) -> Int? {
        guard let stream = key.stream, let frame = streams[stream]?.first,
            let slot = open[key.with(frame: frame)],
            isHeld[slot]
        else { return nil }
        return slot
    }

    // MARK: Answers

    /// Closes a frame that is answered.
    ///
    /// - Returns: the frame and the sum of its shares, [width].
    mutating func take(_ slot: Int) -> (frame: Frame, sum: [Float]) {
        let frame = frames[slot]
        let sum = [Float](unsafeUninitializedCapacity: width) { sum, count in
            let start = slot * branches.rowCount * width
            shares.withUnsafeBufferPointer {
                BranchJoin.sum(
                    UnsafeBufferPointer(rebasing: $0[start..<start + branches.rowCount * width]), of: branches,
                    received: frame.branches, into: UnsafeMutableBufferPointer(rebasing: sum[..<width]))
            }
            count = width
        }
        lateShares.expect(
            branches.all & ~frame.branches, of: frame.key, until: frame.opened + deadline + Self.longestDelay)
        close(slot)
        return (frame, sum)
    }

    /// How late a bare input's share may be and is still told from another arrival.
    private static let longestDelay = Duration.seconds(60)
    /// The same for the shares of another model, which are computed at the same time.
    private static let longestLag = Duration.seconds(1)
    /// A model that opened no frame for so long is run by no worker.
    private static let longestPause = Duration.milliseconds(250)

    /// Closes a frame of bare bytes that consists of expected late shares only: it is no other arrival.
    ///
    /// - Returns: whether it was one.
    mutating func dismissLate(_ slot: Int, now: ContinuousClock.Instant) -> Bool {
        let frame = frames[slot]
        guard lateShares.fulfill(frame.branches, of: frame.key, now: now) else { return false }
        close(slot)
        return true
    }

    /// Closes a frame that is answered in another model; shares of it that are received later are late.
    mutating func supersede(_ key: FrameKey, now: ContinuousClock.Instant) {
        let slot = open[key]
        let missing = branches.all & ~(slot.map { frames[$0].branches } ?? 0)
        if let slot { close(slot) } else { answered.insert(key) }
        // A model that no worker runs is expected to send no more than what may just be computed in it.
        let isRun = lastOpened.map { now - $0 < Self.longestPause } ?? false
        lateShares.expect(
            missing, of: key, until: now + Self.longestLag, most: isRun ? ExpectedLateShares.maximumAnswers : 1)
    }

    /// Frames that were answered in another table are late here, too.
    mutating func inheritAnswers(of other: JoinTable) { answered = other.answered }

    /// - Parameter isAnswered: whether it is not to be opened again.
    mutating func close(_ slot: Int, isAnswered: Bool = true) {
        let key = frames[slot].key
        generations[slot] = Self.unused
        free.append(slot)
        openCount -= 1
        if key.stream == nil, var others = more[key] {
            if open[key] == slot { open[key] = others.removeFirst() } else { others.removeAll { $0 == slot } }
            more[key] = others.isEmpty ? nil : others
        } else {
            open[key] = nil
        }
        if isAnswered { answered.insert(key) }
        if let stream = key.stream {
            streams[stream]?.removeAll { $0 == key.frame }
            if streams[stream]?.isEmpty == true { streams[stream] = nil }
        }
    }
}
