/// Finds out the longest packet that a broker takes which does not say so, as over MQTT 3.1.1: it ends the connection for a longer
/// one. A pure state machine with time passed in.
struct PacketTrial {
    /// So soon after a packet a broker ends the connection for it.
    static let verdict = Duration.seconds(1)

    /// The longest packet after which a connection lasted.
    private var proven = 0
    /// The longest one that this connection has carried so far, and when.
    private var longest: (bytes: Int, sent: ContinuousClock.Instant)?
    /// Connections in a row that were lost right after a packet of at least so many bytes.
    private var losses = 0
    private var shortest = Int.max

    /// A packet was sent.
    mutating func sent(_ bytes: Int, now: ContinuousClock.Instant) {
        if bytes > proven, bytes > longest?.bytes ?? 0 { longest = (bytes, now) }
    }

    /// The connection is still there.
    mutating func lasts(now: ContinuousClock.Instant) {
        guard let (bytes, sent) = longest, now - sent >= Self.verdict else { return }
        (proven, longest, losses, shortest) = (bytes, nil, 0, .max)
    }

    /// The connection is gone.
    ///
    /// - Parameter attempts: how many connections have to be lost in a row.
    /// - Returns: the length of a packet that the broker does not take.
    mutating func lost(attempts: Int, now: ContinuousClock.Instant) -> Int? {
        defer { longest = nil }
        guard let (bytes, sent) = longest, now - sent < Self.verdict else {
            (losses, shortest) = (0, .max)
            return nil
        }
        losses += 1
        shortest = min(shortest, bytes)
        return losses >= attempts ? shortest : nil
    }
}
