import LCPWire

/// How long each worker takes for a frame, from what it says at its start and what its features say since: a pure table.
struct WorkerSpeeds {
    private struct Entry {
        /// Seconds.
        var computeTimes = Latest()
        var count = 0
        /// What part of its rate is believed: less where its shares were late.
        var trust = 1.0
        /// When a share was late.
        var late: ContinuousClock.Instant?
    }

    private var entries: [String: Entry] = [:]

    /// What a frame costs besides the network, seconds: reading, decoding, writing.
    static let overhead = 1e-4
    /// So many frames are needed to believe more than what was said at the start.
    private static let fewest = 8
    /// What becomes of the trust when a share was late, and with every look after that.
    private static let loss = 0.8
    private static let recovery = 1.05
    private static let leastTrust = 0.05
    /// What is late at the same time has one reason.
    private static let pause = Duration.milliseconds(100)

    /// A share came, which was computed for so many microseconds.
    mutating func came(_ worker: String, compute: UInt32) {
        entries[worker, default: Entry()].computeTimes.add(Double(compute) / 1e6)
        entries[worker]!.count += 1
    }

    /// A share did not come in time.
    mutating func wasLate(_ worker: String, now: ContinuousClock.Instant) {
        var entry = entries[worker] ?? Entry()
        if let late = entry.late, now - late < Self.pause { return }
        entry.late = now
        entry.trust = max(Self.leastTrust, entry.trust * Self.loss)
        entries[worker] = entry
    }

    /// Time has passed: trust comes back slowly.
    mutating func look() {
        for id in entries.keys { entries[id]!.trust = min(1, entries[id]!.trust * Self.recovery) }
    }

    /// Forgets workers that are gone.
    mutating func keep(_ workers: [RoleStatus]) {
        let known = Set(workers.map(\.id))
        entries = entries.filter { known.contains($0.key) }
    }

    /// Seconds for a frame.
    ///
    /// - Parameters:
    ///   - status: what it says of itself.
    ///   - isTrusted: whether it is believed also where its shares were late.
    func time(_ worker: String, _ status: RoleStatus?, isTrusted: Bool = false) -> Double {
        let said = (status?.computeTime ?? 0) / 1000
        let entry = entries[worker]
        let seen = entry.flatMap { $0.count >= Self.fewest ? $0.computeTimes.median : nil }
        let time = (seen ?? (said.isFinite ? min(max(0, said), 3600) : 0)) + Self.overhead
        return isTrusted ? time : time / (entry?.trust ?? 1)
    }
}
