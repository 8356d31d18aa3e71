/// The shares of answered bare inputs that may still be received: pure, with time passed in, bounded.
///
/// A bare input has no number, so nothing in a message tells a late share from a share of the same bytes sent again. What an answer
/// lacked is therefore expected for a while, and a frame that consists of expected shares only is no new frame.
struct ExpectedLateShares {
    private struct Expectation {
        /// Bit by bit.
        var branches: UInt64
        var until: ContinuousClock.Instant
    }

    /// The most answers of the same bytes whose shares are expected.
    static let maximumAnswers = 256
    /// The most different inputs.
    let capacity: Int
    private var expectations: [FrameKey: [Expectation]] = [:]

    init(capacity: Int) { self.capacity = capacity }

    /// An answer lacked branches, given bit by bit.
    ///
    /// - Parameter most: the most answers of the same bytes that are kept in mind, this one included.
    mutating func expect(
        _ branches: UInt64, of key: FrameKey, until: ContinuousClock.Instant, most: Int = Self.maximumAnswers
    ) {
        guard key.stream == nil, branches != 0 else { return }
        // Endless sensor names do not fill the memory.
        if expectations.count >= capacity, expectations[key] == nil { expectations.removeAll(keepingCapacity: true) }
        expectations[key] =
            (expectations[key] ?? []).suffix(most - 1) + [Expectation(branches: branches, until: until)]
    }

    /// Whether these branches of a bare input are all expected by one answer; if so, they are expected no more.
    mutating func fulfill(_ branches: UInt64, of key: FrameKey, now: ContinuousClock.Instant) -> Bool {
        guard var found = expectations[key] else { return false }
        found.removeAll { $0.until < now }
        let match = found.firstIndex { branches & ~$0.branches == 0 }
        if let match {
            found[match].branches &= ~branches
            if found[match].branches == 0 { found.remove(at: match) }
        }
        expectations[key] = found.isEmpty ? nil : found
        return match != nil
    }
}
