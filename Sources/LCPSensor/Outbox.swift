/// The frames of a sensor that promises an answer to each (QoS 1) and has none yet: a pure queue with time passed in.
///
/// A broker that was killed has forgotten its clients: it takes a frame, acknowledges it, and gives it to nobody, because the
/// workers are not back yet; so does one that hangs, and an aggregator that was killed has forgotten what it waited for. So frames
/// are kept until they are answered. After a reconnect they wait until the pipeline is whole again, and then go out anew, in order;
/// one that has no answer within ``patience`` goes out again, a few times. The aggregator answers each once, however often it
/// comes.
struct Outbox {
    private struct Entry {
        var number: UInt64
        var message: [UInt8]
        /// Nil while it waits.
        var sent: ContinuousClock.Instant?
        /// How often it was sent, but for what a lost connection took.
        var attempts = 0

        func isGivenUp(_ now: ContinuousClock.Instant, after patience: Duration) -> Bool {
            sent.map { now - $0 > patience } ?? false
        }
    }

    private var entries: [Entry] = []
    private var bytes = 0
    /// Frames that were given up because newer ones needed the room.
    private(set) var overflows: UInt64 = 0
    /// Frames that were given up because they were sent often enough.
    private(set) var unanswered: UInt64 = 0
    /// Whether everything waits, because the connection is gone or the pipeline is not whole.
    private(set) var isHeld = false
    /// When the last hold is over, whoever is missing.
    private var holdEnd: ContinuousClock.Instant?

    let maximumFrames: Int
    let maximumBytes: Int
    /// How long an answer may take.
    let patience: Duration
    /// How often a frame is sent.
    static let maximumAttempts = 4
    /// After a reconnect: where somebody does not come back, the others answer without it.
    let longestHold: Duration
    static let defaultLongestHold = Duration.seconds(5)

    /// What a sensor keeps, as its help states.
    static let defaultMaximumFrames = 1000
    static let defaultMaximumBytes = 64 << 20

    init(
        maximumFrames: Int = Self.defaultMaximumFrames, maximumBytes: Int = Self.defaultMaximumBytes,
        patience: Duration,
        longestHold: Duration = Self.defaultLongestHold
    ) {
        self.maximumFrames = maximumFrames
        self.maximumBytes = maximumBytes
        self.patience = patience
        self.longestHold = longestHold
    }

    var count: Int { entries.count }

    /// Frames that wait to be sent.
    var waitingCount: Int { entries.count { $0.sent == nil } }

    /// Keeps a frame. Where there is no room, the oldest are given up: the newest say most.
    mutating func add(_ number: UInt64, _ message: [UInt8]) {
        entries.append(Entry(number: number, message: message))
        bytes += message.count
        while entries.count > 1, entries.count > maximumFrames || bytes > maximumBytes {
            bytes -= entries.removeFirst().message.count
            overflows += 1
        }
    }

    /// A frame was answered.
    mutating func answered(_ number: UInt64) {
        guard let index = entries.firstIndex(where: { $0.number == number }) else { return }
        bytes -= entries.remove(at: index).message.count
    }

    /// Has frames wait again that were sent long ago, the oldest first, and gives up those that were sent often enough.
    ///
    /// - Parameters:
    ///   - most: how many of them.
    ///   - age: how long ago; nil for ``patience``.
    /// - Returns: which.
    mutating func sendOverdue(most: Int, age: Duration? = nil, now: ContinuousClock.Instant) -> [UInt64] {
        guard !isHeld else { return [] }
        var found: [UInt64] = []
        for index in entries.indices where found.count < most && entries[index].isGivenUp(now, after: age ?? patience) {
            found.append(entries[index].number)
            if entries[index].attempts < Self.maximumAttempts { entries[index].sent = nil }
        }
        let before = entries.count
        let patience = patience
        entries.removeAll { $0.attempts >= Self.maximumAttempts && $0.isGivenUp(now, after: patience) }
        unanswered += UInt64(before - entries.count)
        bytes = entries.reduce(0) { $0 + $1.message.count }
        return found
    }

    /// There is no connection: everything waits.
    mutating func hold() { (isHeld, holdEnd) = (true, nil) }

    /// The connection is there again: everything without an answer waits again, until ``release()`` or ``releaseIfOver(_:)``.
    ///
    /// - Returns: when the hold is over, and what was sent.
    mutating func sendAgain(now: ContinuousClock.Instant) -> (end: ContinuousClock.Instant, sent: [UInt64]) {
        let sent = entries.filter { $0.attempts > 0 }.map(\.number)
        for index in entries.indices { (entries[index].sent, entries[index].attempts) = (nil, 0) }
        isHeld = true
        let end = now + longestHold
        holdEnd = end
        return (end, sent)
    }

    /// What waits may go.
    mutating func release() { isHeld = false }

    /// What waits may go where the last hold has lasted long enough; a hold before it ends nothing.
    mutating func releaseIfOver(_ now: ContinuousClock.Instant) {
        if let holdEnd, now >= holdEnd { release() }
    }

    /// The next frame to send, which counts as sent from now on.
    ///
    /// - Parameter window: the most frames that may be on their way without an answer.
    /// - Returns: its number, the message and how often it was sent before; nil where none waits, or all have to.
    mutating func next(
        window: Int, now: ContinuousClock.Instant
    ) -> (number: UInt64, message: [UInt8], attempt: Int)? {
        // Nothing younger is sent before what is older.
        guard !isHeld, let index = entries.firstIndex(where: { $0.sent == nil }),
            entries[..<index].count(where: { !$0.isGivenUp(now, after: patience) }) < window
        else { return nil }
        entries[index].sent = now
        entries[index].attempts += 1
        return (entries[index].number, entries[index].message, entries[index].attempts - 1)
    }
}
