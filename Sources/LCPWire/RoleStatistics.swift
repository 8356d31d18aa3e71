import FoundationEssentials

/// The counters of a process, as JSON on `…/stats/ROLE/ID`.
public struct RoleStatistics: Sendable, Hashable, Codable {
    /// Seconds since the start.
    public var uptime: Double
    /// Frames published, computed or answered.
    public var frames: UInt64
    /// What was dropped, by reason.
    public var dropped: [String: UInt64]
    /// What was computed though it was not as it should be, by reason.
    public var warnings: [String: UInt64]?
    public var computeP50: Double?
    public var computeP99: Double?
    public var queueP50: Double?
    public var queueP99: Double?
    /// Predictions at the deadline, with branches missing.
    public var incomplete: UInt64?
    public var latencyP50: Double?
    public var latencyP99: Double?
    /// Of an aggregator: sensors that publish bare pictures or bytes, which say nothing of themselves, with the time of the last
    /// answer (RFC 3339, UTC).
    public var bareSensors: [String: String]?

    package init(uptime: Double, frames: UInt64, dropped: [String: UInt64]) {
        (self.uptime, self.frames, self.dropped) = (uptime, frames, dropped)
    }

    /// Reads what a role published; nil for anything else.
    public init?(_ json: [UInt8]) {
        guard json.count <= 1 << 20, let value = try? JSONDecoder().decode(Self.self, from: Data(json)) else {
            return nil
        }
        self = value
    }

    enum CodingKeys: String, CodingKey {
        case frames, dropped, warnings, incomplete
        case uptime = "uptime_s"
        case computeP50 = "compute_p50_ms"
        case computeP99 = "compute_p99_ms"
        case queueP50 = "queue_p50_ms"
        case queueP99 = "queue_p99_ms"
        case latencyP50 = "latency_p50_ms"
        case latencyP99 = "latency_p99_ms"
        case bareSensors = "bare_sensors"
    }

    package var json: [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        return (try? encoder.encode(self)).map { Array($0) } ?? []
    }
}
