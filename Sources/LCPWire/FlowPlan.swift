import FoundationEssentials

/// Which frames are computed where more come than can be: JSON, retained on `…/flow`.
///
/// Were every worker to drop by itself, each would drop other frames, and hardly a frame would be whole. So the aggregator, which
/// sees what all of them deliver, says which frames are computed, by their numbers, and all workers obey: without a message more
/// per frame, and whatever the replicas.
public struct FlowPlan: Sendable, Hashable, Codable {
    /// Every so many frames one is computed.
    public struct Rule: Sendable, Hashable, Codable {
        public var every: UInt64
        /// The remainder of its number by ``every``.
        public var phase: UInt64

        public init(every: UInt64 = 1, phase: UInt64 = 0) {
            self.every = every
            self.phase = phase
        }

        package func admits(_ number: UInt64) -> Bool { every <= 1 || number % every == phase }
    }

    /// A sensor's rule, and the frame from which it holds: all workers change over with the same frame.
    public struct Stream: Sendable, Hashable, Codable {
        public var rule: Rule
        /// What held before.
        public var before: Rule
        /// Numbers as decimal strings, because they may exceed JavaScript's integers.
        public var session: String
        public var from: String

        public init(rule: Rule, before: Rule, session: UInt64, from: UInt64) {
            self.rule = rule
            self.before = before
            self.session = String(session)
            self.from = String(from)
        }
    }

    public var sensors: [String: Stream]

    public init(sensors: [String: Stream] = [:]) { self.sensors = sensors }

    /// The most sensors that a plan names.
    package static let maximumSensors = 256

    /// Reads a plan; nil where the JSON is none, or larger than any plan.
    public init?(_ json: [UInt8]) {
        guard json.count <= 65_536, let plan = try? JSONDecoder().decode(FlowPlan.self, from: Data(json)),
            plan.sensors.count <= Self.maximumSensors
        else { return nil }
        self = plan
    }

    /// As it is published: nothing at all where every frame is computed, which makes the broker forget the last plan.
    package var json: [UInt8] {
        guard !sensors.isEmpty else { return [] }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return (try? encoder.encode(self)).map { Array($0) } ?? []
    }
}
