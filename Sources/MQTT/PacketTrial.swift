/// Finds out the longest packet that a broker takes which does not say so, as over MQTT 3.1.1: it ends the connection for a longer
/// one. A pure state machine with time passed in.
///
/// A link that breaks again and again looks the same at first. So a length is only suspected until a connection without such packets
/// has lasted, and later such a packet is tried again.
struct PacketTrial {
    /// So soon after a packet a broker ends the connection for it.
    static let verdict = Duration.seconds(1)
    /// No broker refuses packets of fewer bytes.
    static let least = 128
    /// A connection that has lasted so long without such packets shows that the packets were to blame.
    static let proof = Duration.seconds(3)
    /// When such a packet is tried again: so long, and twice as long each time it was refused.
    static let firstWait = Duration.seconds(10)
    static let longestWait = Duration.seconds(640)

    /// Packets of at least so many bytes are not sent: the broker does not take them, or seems not to.
    private(set) var refused: Int?

    /// The longest packet after which a connection lasted.
    private var proven = 0
    /// The longest one that this connection has carried so far, and when.
    private var longest: (bytes: Int, sent: ContinuousClock.Instant)?
    /// Connections in a row that were lost right after a packet of at least so many bytes.
    private var losses = 0
    private var shortest = Int.max
    /// Of ``refused``: when the connection began that is to show it.
    private var began: ContinuousClock.Instant?
    /// What a connection has shown to be refused; it is tried again now and then.
    private var shown: Int?
    private var wait = firstWait

    /// A connection is there.
    mutating func connected(now: ContinuousClock.Instant) { began = now }

    /// A packet was sent.
    mutating func sent(_ bytes: Int, now: ContinuousClock.Instant) {
        if bytes > proven, bytes > longest?.bytes ?? 0 { longest = (bytes, now) }
    }

    /// The connection is still there.
    mutating func lasts(now: ContinuousClock.Instant) {
        if refused != nil, let began {
            if now - began >= Self.proof { shown = refused }
            if now - began >= wait {
                // Once more: a limit may have been raised, or it was another fault.
                refused = nil
                wait = min(wait * 2, Self.longestWait)
            }
        }
        guard let (bytes, sent) = longest, now - sent >= Self.verdict else { return }
        (proven, longest, losses, shortest) = (bytes, nil, 0, .max)
        if let shown, bytes >= shown { (self.shown, wait) = (nil, Self.firstWait) }
    }

    /// The connection is gone.
    ///
    /// - Parameter attempts: how many connections have to be lost in a row; one is enough for what was shown to be refused before.
    mutating func lost(attempts: Int, now: ContinuousClock.Instant) {
        defer { (longest, began) = (nil, nil) }
        if refused != nil {
            // It ends without such packets, too.
            if shown == nil { (refused, losses, shortest) = (nil, 0, .max) }
            return
        }
        guard let (bytes, sent) = longest, now - sent < Self.verdict, bytes >= Self.least else {
            (losses, shortest) = (0, .max)
            return
        }
        losses += 1
        shortest = min(shortest, bytes)
        if let shown, bytes >= shown {
            refused = shown
        } else if losses >= attempts {
            (refused, shown) = (shortest, nil)
        } else {
            return
        }
        (losses, shortest) = (0, .max)
    }
}
