import MQTT

/// What a role dropped and why: a number for each reason, and now and then a line for people.
///
/// A reason's first drop is logged at once, later ones at most every ten seconds, so that a flood of bad messages is not a flood
/// of log lines.
package struct Drops {
    private struct Reason {
        var count: UInt64 = 0
        var loggedCount: UInt64 = 0
        var loggedAt: ContinuousClock.Instant?
    }

    private var reasons: [String: Reason] = [:]
    private static let logInterval = Duration.seconds(10)

    package init() {}

    /// The counts by reason.
    package var counts: [String: UInt64] { reasons.mapValues(\.count) }

    package var total: UInt64 { reasons.values.reduce(0) { $0 + $1.count } }

    /// Counts a drop.
    ///
    /// - Returns: a line for the log where one is due.
    package mutating func add(
        _ reason: String, _ sentence: @autoclosure () -> String, now: ContinuousClock.Instant = .now
    )
        -> String?
    {
        var entry = reasons[reason] ?? Reason()
        entry.count += 1
        defer { reasons[reason] = entry }
        if let loggedAt = entry.loggedAt, now - loggedAt < Self.logInterval { return nil }
        let since = entry.count - entry.loggedCount
        entry.loggedCount = entry.count
        entry.loggedAt = now
        return since > 1 ? "\(sentence()) (\(since) times since the last such line)" : sentence()
    }
}

/// Notices where all that comes is dropped.
struct Refusals {
    private var frames: UInt64 = 0
    private var drops: [String: UInt64] = [:]

    /// So many are no accident.
    static let least = 3

    /// To be called with the counters now and then.
    ///
    /// - Returns: the most frequent reason since the last call, where nothing but drops was counted since; nil otherwise. What came
    ///   too late was not refused.
    mutating func reason(frames: UInt64, drops: [String: UInt64]) -> String? {
        defer { (self.frames, self.drops) = (frames, drops) }
        guard frames == self.frames else { return nil }
        let more = drops.compactMap { reason, count -> (reason: String, count: UInt64)? in
            let before = self.drops[reason] ?? 0
            return reason != "late" && count > before ? (reason, count - before) : nil
        }
        guard more.reduce(0, { $0 + $1.count }) >= Self.least else { return nil }
        return more.max { ($0.count, $1.reason) < ($1.count, $0.reason) }?.reason
    }
}

/// The latest durations, for percentiles.
struct LatencyWindow {
    private var values: [Float] = []
    private var next = 0
    private static let capacity = 1024

    mutating func add(milliseconds: Double) {
        if values.count < Self.capacity {
            values.append(Float(milliseconds))
        } else {
            values[next] = Float(milliseconds)
        }
        next = (next + 1) % Self.capacity
    }

    mutating func add(_ other: LatencyWindow) {
        for value in other.values { add(milliseconds: Double(value)) }
    }

    /// The percentiles asked for, 0 to 100, milliseconds; nil before the first value.
    func percentiles(_ wanted: [Double]) -> [Double]? {
        guard !values.isEmpty else { return nil }
        let sorted = values.sorted()
        return wanted.map { Double(sorted[min(sorted.count - 1, Int($0 / 100 * Double(sorted.count)))]) }
    }
}

/// The latest numbers of a kind.
package struct Latest {
    private var values: [Double] = []
    private var next = 0
    private static let capacity = 15

    package init() {}

    package mutating func add(_ value: Double) {
        if values.count < Self.capacity {
            values.append(value)
        } else {
            values[next] = value
            next = (next + 1) % Self.capacity
        }
    }

    package var median: Double? { values.isEmpty ? nil : values.sorted()[values.count / 2] }
    package var max: Double? { values.max() }
    package var mean: Double? { values.isEmpty ? nil : values.reduce(0, +) / Double(values.count) }
}

extension MQTTError {
    /// What a message that could not be sent counts as.
    package var dropReason: String {
        switch code {
        case .bufferFull: "buffer_full"
        case .tooLarge: "too_large"
        default: "not_connected"
        }
    }
}
