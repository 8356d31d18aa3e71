import MQTT

/// Where a packet goes.
public enum Direction: String, Sendable, Hashable, Codable, CaseIterable {
    case toBroker = "to_broker"
    case fromBroker = "from_broker"

    var opposite: Direction { self == .toBroker ? .fromBroker : .toBroker }
}

/// Something that happens to some PUBLISH packets. All other packets pass as they are, in their order.
public struct Fault: Sendable, Hashable, Codable {
    public enum Kind: Sendable, Hashable, Codable {
        /// The packet does not arrive. At QoS 1 and 2 its sender repeats it after its next reconnect, and not before.
        case drop
        /// It arrives twice. At QoS 1 the copy says that it is one, and the proxy keeps its acknowledgement from the sender;
        /// QoS 2 is never duplicated, because its handshake is what prevents that.
        case duplicate
        /// Between one and `distance` later PUBLISH packets of its connection overtake it; after `patience` milliseconds it
        /// goes on in any case.
        case reorder(distance: Int, patience: Double)
        /// So many bytes in a row become others: of the payload, or of the whole packet with its header.
        case damage(bytes: Int, wholePacket: Bool)
        /// It arrives later: by `milliseconds`, give or take up to `jitter`. Packets of other topics overtake it; those of its
        /// own do not.
        case delay(milliseconds: Double, jitter: Double)
    }

    public var kind: Kind
    /// Topic filters with `+` and `#`; empty for all topics.
    public var topics: [String]
    /// The identifiers of the clients it happens to, or their beginnings with a `*` at the end; empty for all.
    public var clients: [String]
    /// nil for both.
    public var direction: Direction?
    /// How probable it is for one packet, 0 to 1.
    public var probability: Double
    /// The most times it happens, over all connections.
    public var limit: Int?

    public init(
        _ kind: Kind, topics: [String] = [], clients: [String] = [], direction: Direction? = nil,
        probability: Double = 1, limit: Int? = nil
    ) {
        self.kind = kind
        self.topics = topics
        self.clients = clients
        self.direction = direction
        self.probability = probability
        self.limit = limit
    }

    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        kind = try values.decode(Kind.self, forKey: .kind)
        topics = try values.decodeIfPresent([String].self, forKey: .topics) ?? []
        clients = try values.decodeIfPresent([String].self, forKey: .clients) ?? []
        direction = try values.decodeIfPresent(Direction.self, forKey: .direction)
        probability = try values.decodeIfPresent(Double.self, forKey: .probability) ?? 1
        limit = try values.decodeIfPresent(Int.self, forKey: .limit)
    }

    /// The longest time that a packet is kept, milliseconds.
    static let longestDelay = 600_000.0

    /// - Throws: ``ChaosError`` where a number or a filter makes no sense.
    func validate() throws(ChaosError) {
        guard (0...1).contains(probability) else { throw ChaosError("a probability is 0 to 1, not \(probability)") }
        guard limit ?? 0 >= 0 else { throw ChaosError("a fault's limit is 0 or more") }
        for filter in topics where !Self.isFilter(filter) {
            throw ChaosError(
                "\(filter.debugDescription) is no topic filter: + and # stand for whole levels, # at the end")
        }
        let times = 0...Self.longestDelay
        switch kind {
        case .drop, .duplicate: break
        case .reorder(let distance, let patience):
            guard (1...16).contains(distance), times.contains(patience) else {
                throw ChaosError("1 to 16 packets overtake a reordered one, within 0 to 600,000 ms")
            }
        case .damage(let bytes, _):
            guard (1...65_536).contains(bytes) else { throw ChaosError("1 to 65,536 bytes in a row are damaged") }
        case .delay(let milliseconds, let jitter):
            guard times.contains(milliseconds), times.contains(jitter) else {
                throw ChaosError("a delay and its jitter are 0 to 600,000 ms")
            }
        }
    }

    private static func isFilter(_ filter: String) -> Bool {
        guard (1...65_535).contains(filter.utf8.count) else { return false }
        let levels = filter.split(separator: "/", omittingEmptySubsequences: false)
        return levels.enumerated().allSatisfy { index, level in
            level == "+" || level == "#" && index == levels.count - 1 || !level.contains("+") && !level.contains("#")
        }
    }

    func applies(to topic: String, client: String, direction: Direction) -> Bool {
        (self.direction ?? direction) == direction && Self.matches(clients, client)
            && (topics.isEmpty || topics.contains { TopicFilter.matches($0, topic) })
    }

    /// Whether a client is meant by identifiers and beginnings of such.
    static func matches(_ clients: [String], _ client: String) -> Bool {
        clients.isEmpty
            || clients.contains { $0.hasSuffix("*") ? client.hasPrefix($0.dropLast()) : client == $0 }
    }
}
