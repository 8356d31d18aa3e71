/// Guesses whether a message has another one behind it, from how it was lately: messages come in rows where several are under
/// way, and one by one where each waits for the answer to the last.
///
/// As processors guess branches: two surprises in a row change its mind, so that the end of each row does not.
struct RowPredictor {
    private var confidence = 0
    /// When reading ended without anybody having asked.
    private var unasked: ContinuousClock.Instant?
    private var wasAsked = false

    /// Where reading goes on so soon, there was another message.
    static let shortestRest = Duration.microseconds(20)

    /// Whether it is worth asking the system.
    var expectsMore: Bool { confidence >= 2 }

    /// Reading begins.
    mutating func begin(_ now: ContinuousClock.Instant) {
        wasAsked = false
        if let unasked { learn(now - unasked < Self.shortestRest) }
        unasked = nil
    }

    /// The system was asked.
    mutating func saw(more: Bool) {
        wasAsked = true
        learn(more)
    }

    /// Reading ends.
    mutating func end(_ now: ContinuousClock.Instant) { unasked = wasAsked ? nil : now }

    private mutating func learn(_ hadMore: Bool) { confidence = max(0, min(3, confidence + (hadMore ? 1 : -1))) }
}
