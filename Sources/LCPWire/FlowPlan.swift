import FoundationEssentials

/// Which frames are computed where more come than can be, and by whom: JSON, retained on `…/flow`.
///
/// Were every worker to drop by itself, each would drop other frames, and hardly a frame would be whole. So the aggregator, which
/// sees what all of them deliver, says which frames are computed, by their numbers, and all workers obey: without a message more
/// per frame, and whatever the replicas.
public struct FlowPlan: Sendable, Hashable, Codable {
    /// Every so many frames one is computed, or some of them.
    public struct Rule: Sendable, Hashable, Codable {
        public var every: UInt64
        /// The remainder of its number by ``every``; 0 where ``count`` is given.
        public var phase: UInt64
        /// How many of ``every`` frames are computed, evenly spread; nil for one. Only where all workers take tasks: those of the
        /// version before do not know it.
        public var count: UInt64?

        public init(every: UInt64 = 1, phase: UInt64 = 0, count: UInt64? = nil) {
            self.every = every
            self.phase = phase
            self.count = count
        }

        /// The part of the frames that is computed.
        package var share: Double { every <= 1 ? 1 : min(1, Double(count ?? 1) / Double(every)) }

        /// Some of so many frames; nil where it is one of them, or so many as nobody says.
        private var counted: UInt64? { every <= 1 << 32 ? count : nil }

        package func admits(_ number: UInt64) -> Bool {
            guard every > 1 else { return true }
            guard let count = counted else { return number % every == phase }
            // As the lines of Bresenham's algorithm step.
            return count >= every || number % every * count % every < count
        }

        /// How many frames before this one are computed, where it is.
        func admitted(before number: UInt64) -> UInt64 {
            guard every > 1 else { return number }
            guard let count = counted else { return number / every }
            guard count < every else { return number }
            return number / every * count + number % every * count / every
        }
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
    /// The lanes to which sensors deal their frames, in turn: one that is named more often gets more. Nil where frames are
    /// published for whom the broker chooses.
    public var lanes: [Int]?

    public init(sensors: [String: Stream] = [:], lanes: [Int]? = nil) {
        self.sensors = sensors
        self.lanes = lanes
    }

    /// The most sensors that a plan names.
    package static let maximumSensors = 256
    /// The longest turn of lanes.
    package static let maximumTurn = 1024

    /// Reads a plan; nil where the JSON is none, or larger than any plan.
    public init?(_ json: [UInt8]) {
        guard json.count <= 65_536, let plan = try? JSONDecoder().decode(FlowPlan.self, from: Data(json)),
            plan.sensors.count <= Self.maximumSensors,
            plan.lanes.map({ lanes in
                (1...Self.maximumTurn).contains(lanes.count)
                    && lanes.allSatisfy { (0..<WorkerTask.maximumLanes).contains($0) }
            }) ?? true
        else { return nil }
        self = plan
    }

    /// The lane of a frame, as its sensor and the aggregator both say; nil where frames are not dealt.
    ///
    /// Of frames that are left out none takes a turn, and sensors begin at different places.
    package func lane(of frame: UInt64, session: UInt64, sensor: String) -> Int? {
        guard let lanes else { return nil }
        var place = frame
        if let stream = sensors[sensor] {
            let isBefore = stream.session == String(session) && UInt64(stream.from).map { frame < $0 } ?? false
            place = (isBefore ? stream.before : stream.rule).admitted(before: frame)
        }
        return lanes[Int((session % 1024 &+ place) % UInt64(lanes.count))]
    }

    /// As it is published: nothing at all where every frame is computed, which makes the broker forget the last plan.
    package var json: [UInt8] {
        guard !sensors.isEmpty || lanes != nil else { return [] }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return (try? encoder.encode(self)).map { Array($0) } ?? []
    }
}
