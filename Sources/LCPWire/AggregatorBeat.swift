import FoundationEssentials

/// What the aggregators of a pipeline tell each other, four times a second where there are several, and whenever something
/// changes: JSON on `…/group/AGGREGATOR`.
public struct AggregatorBeat: Sendable, Hashable, Codable {
    /// An aggregator since it has last been without a connection.
    public struct Member: Sendable, Hashable, Codable {
        public var id: String
        /// As in its status.
        public var birth: String
        /// Rises whenever others may have taken over meanwhile.
        public var term: Int
        /// Whether it is about to end, and gives its sensors to the others.
        public var leaving: Bool?

        package init(id: String, birth: String, term: Int, leaving: Bool? = nil) {
            (self.id, self.birth, self.term, self.leaving) = (id, birth, term, leaving)
        }

        /// Whether it is the same life of the same aggregator.
        package func isSame(as other: Member) -> Bool { id == other.id && birth == other.birth && term == other.term }
    }

    /// Who is there. From that follows which sensors each answers.
    public struct View: Sendable, Hashable, Codable {
        /// The highest counts, and of the same the one whose proposer's name comes last.
        public var number: Int
        /// Who proposed it.
        public var by: String
        /// In the order of their names.
        public var members: [Member]

        package init(number: Int, by: String, members: [Member]) {
            (self.number, self.by, self.members) = (number, by, members)
        }
    }

    /// How far somebody is with a view.
    public enum Phase: String, Sendable, Hashable, Codable {
        case adopted
        /// Receives what it will answer.
        case prepared
        /// Answers nothing any more of what others will.
        case settled
    }

    /// What was answered of a sensor, and what it shows.
    public struct Stream: Sendable, Hashable, Codable {
        public var sensor: String
        /// Of the sensor; "0" for bare inputs. Decimal strings, because they may exceed JavaScript's integers.
        public var session: String
        /// Up to this frame all counts as answered; nil where nothing is said of that.
        public var floor: String?
        /// Pairs of a first and a last frame, one after the other. For bare inputs each frame is the hash of its bytes.
        public var answered: [String]
        /// The label that holds; nil where none is known.
        public var held: String?
        /// The latest predictions, the oldest first: nil where no label was sure enough.
        public var seen: [Sighting]?

        /// A prediction as events see it.
        public struct Sighting: Sendable, Hashable, Codable {
            public var label: String?
            /// Nanoseconds since 1970 UTC.
            public var time: Int64

            package init(label: String?, time: Int64) { (self.label, self.time) = (label, time) }
        }

        package init(
            sensor: String, session: UInt64, floor: UInt64? = nil, answered: [ClosedRange<UInt64>],
            held: String? = nil, seen: [Sighting]? = nil
        ) {
            self.sensor = sensor
            self.session = String(session)
            self.floor = floor.map { String($0) }
            self.answered = answered.flatMap { [String($0.lowerBound), String($0.upperBound)] }
            (self.held, self.seen) = (held, seen)
        }

        /// The frames that were answered.
        package var ranges: [ClosedRange<UInt64>] {
            stride(from: 0, to: answered.count - 1, by: 2).compactMap {
                guard let first = UInt64(answered[$0]), let last = UInt64(answered[$0 + 1]), first <= last else {
                    return nil
                }
                return first...last
            }
        }

        fileprivate var isSound: Bool {
            sensor.isTopicLevel && UInt64(session) != nil && floor.map { UInt64($0) != nil } ?? true
                && ranges.count * 2 == answered.count && (seen?.count ?? 0) <= 256
        }
    }

    /// What came to it since the beat before, for the one who says which frames are computed where more come than can be.
    public struct Load: Sendable, Hashable, Codable {
        public struct Sensor: Sendable, Hashable, Codable {
            public var sensor: String
            /// Decimal strings.
            public var session: String
            /// The newest.
            public var frame: String
            /// How many, of a sensor whose frames have no numbers.
            public var count: Int
            /// Since the newest reached a worker, microseconds.
            public var age: UInt32

            enum CodingKeys: String, CodingKey {
                case sensor, session, frame, count
                case age = "age_us"
            }

            package init(sensor: String, session: UInt64, frame: UInt64, count: Int, age: UInt32) {
                (self.sensor, self.count, self.age) = (sensor, count, age)
                (self.session, self.frame) = (String(session), String(frame))
            }
        }

        public struct Branch: Sendable, Hashable, Codable {
            /// Shares of frames that it sent.
            public var shares: Int
            /// Of the latest, microseconds.
            public var queue: UInt32
            public var compute: UInt32

            enum CodingKeys: String, CodingKey {
                case shares
                case queue = "queue_us"
                case compute = "compute_us"
            }

            package init(shares: Int, queue: UInt32, compute: UInt32) {
                (self.shares, self.queue, self.compute) = (shares, queue, compute)
            }
        }

        public var sensors: [Sensor]
        /// In the order of the branches.
        public var branches: [Branch]

        package init(sensors: [Sensor] = [], branches: [Branch] = []) {
            (self.sensors, self.branches) = (sensors, branches)
        }

        fileprivate var isSound: Bool {
            sensors.count <= 1024 && (0...64).contains(branches.count) && branches.allSatisfy { $0.shares >= 0 }
                && sensors.allSatisfy {
                    $0.sensor.isTopicLevel && UInt64($0.session) != nil && UInt64($0.frame) != nil
                        && (0...1_000_000).contains($0.count)
                }
        }
    }

    /// A frame that lacks branches, bit by bit.
    public struct LateFrame: Sendable, Hashable, Codable {
        public var sensor: String
        public var session: String
        public var frame: String
        public var missing: UInt64

        package init(sensor: String, session: UInt64, frame: UInt64, missing: UInt64) {
            (self.sensor, self.missing) = (sensor, missing)
            (self.session, self.frame) = (String(session), String(frame))
        }
    }

    public var member: Member
    /// Rises with every beat: who hears his own knows that the broker has it.
    public var number: UInt64
    /// The hashes of the models that it joins, in hexadecimal.
    public var models: [String]
    /// Nil while it waits to be let in.
    public var view: View?
    public var phase: Phase?
    /// What it has answered since the beat before.
    public var streams: [Stream]?
    /// The branches without which it answered frames since the beat before, bit by bit.
    public var missed: UInt64?
    public var load: Load?
    /// What is to be asked for again, if anybody else can compute it.
    public var late: [LateFrame]?

    package init(
        member: Member, number: UInt64, models: [String], view: View? = nil, phase: Phase? = nil,
        streams: [Stream]? = nil, missed: UInt64? = nil
    ) {
        (self.member, self.number, self.models, self.view) = (member, number, models, view)
        (self.phase, self.streams, self.missed) = (phase, streams, missed)
    }

    /// The most aggregators of a pipeline.
    package static let maximumMembers = 32
    /// The most sensors that one beat tells of.
    package static let maximumStreams = 64
    /// The most frames that a beat tells of one by one.
    package static let maximumFrames: UInt64 = 16_384

    /// Reads a beat; nil where the JSON is none, or says what no aggregator says.
    public init?(_ json: [UInt8]) {
        guard json.count <= 1 << 20, let beat = try? JSONDecoder().decode(AggregatorBeat.self, from: Data(json)),
            beat.isSound
        else { return nil }
        self = beat
    }

    private var isSound: Bool {
        let members = [member] + (view?.members ?? [])
        guard members.count <= Self.maximumMembers + 1, members.allSatisfy({ $0.id.isTopicLevel && $0.term >= 0 }),
            Set((view?.members ?? []).map(\.id)).count == view?.members.count ?? 0,
            view.map({ (0..<Int.max / 2).contains($0.number) }) ?? true, (view == nil) == (phase == nil),
            models.count <= 64, (streams?.count ?? 0) <= Self.maximumStreams, streams?.allSatisfy(\.isSound) ?? true,
            load?.isSound ?? true, (late?.count ?? 0) <= Self.maximumStreams
        else { return false }
        var frames: UInt64 = 0
        for range in streams?.flatMap(\.ranges) ?? [] {
            guard range.upperBound - range.lowerBound < Self.maximumFrames else { return false }
            frames += range.upperBound - range.lowerBound + 1
        }
        return frames <= Self.maximumFrames
    }

    package var json: [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return (try? encoder.encode(self)).map { Array($0) } ?? []
    }
}
