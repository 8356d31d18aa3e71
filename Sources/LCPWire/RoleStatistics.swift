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

    /// Of an aggregator: how the model that is tried does beside the pipeline's.
    public var canary: Canary?

    /// Two models on the same frames.
    public struct Canary: Sendable, Hashable, Codable {
        /// What both say of them.
        public struct Side: Sendable, Hashable, Codable {
            public var name: String
            /// The mean probability of the class that it says.
            public var confidence: Double
            /// From capture to the join; nil where captures have no time.
            public var latencyP50: Double?
            public var latencyP99: Double?

            enum CodingKeys: String, CodingKey {
                case name, confidence
                case latencyP50 = "latency_p50_ms"
                case latencyP99 = "latency_p99_ms"
            }

            package init(name: String, confidence: Double) { (self.name, self.confidence) = (name, confidence) }
        }

        /// The hash of the model that is tried, in hexadecimal.
        public var model: String
        /// Of the frames, as wanted.
        public var share: Double
        /// Those that both have answered with all branches.
        public var frames: UInt64
        /// Those of them that both say the same class of.
        public var agreed: UInt64
        /// Those of the share that one of the two did not answer whole in time.
        public var incomplete: UInt64
        public var present: Side
        public var tried: Side

        package init(
            model: String, share: Double, frames: UInt64, agreed: UInt64, incomplete: UInt64, present: Side, tried: Side
        ) {
            (self.model, self.share, self.frames, self.agreed) = (model, share, frames, agreed)
            (self.incomplete, self.present, self.tried) = (incomplete, present, tried)
        }
    }

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
        case frames, dropped, warnings, incomplete, canary
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
