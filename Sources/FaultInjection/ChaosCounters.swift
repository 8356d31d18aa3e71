/// What went in one direction and what was done to it.
public struct LaneCounters: Sendable, Hashable, Codable {
    /// Bytes that came in.
    public var bytes: UInt64 = 0
    /// MQTT control packets.
    public var packets: UInt64 = 0
    /// PUBLISH packets among them: those that faults are made of.
    public var publishes: UInt64 = 0
    public var dropped: UInt64 = 0
    public var duplicated: UInt64 = 0
    /// Packets that were overtaken.
    public var reordered: UInt64 = 0
    public var damaged: UInt64 = 0
    /// PUBLISH packets that were kept for a time.
    public var delayed: UInt64 = 0
    /// Acknowledgements of copies at QoS 1, which their senders did not see.
    public var acknowledgementsKept: UInt64 = 0

    enum CodingKeys: String, CodingKey {
        case bytes, packets, publishes, dropped, duplicated, reordered, damaged, delayed
        case acknowledgementsKept = "acknowledgements_kept"
    }

    static func += (left: inout Self, right: Self) {
        left.bytes += right.bytes
        left.packets += right.packets
        left.publishes += right.publishes
        left.dropped += right.dropped
        left.duplicated += right.duplicated
        left.reordered += right.reordered
        left.damaged += right.damaged
        left.delayed += right.delayed
        left.acknowledgementsKept += right.acknowledgementsKept
    }
}

/// What a proxy did since its start.
public struct ChaosCounters: Sendable, Hashable, Codable {
    /// Connections that came.
    public var connections: UInt64 = 0
    /// Those that are open.
    public var open: UInt64 = 0
    /// Those that were turned away: by a partition, by the most connections allowed, or because the broker did not answer.
    public var refused: UInt64 = 0
    /// Those that were reset: by a partition, by order, or because they held too many bytes.
    public var cut: UInt64 = 0
    /// Those that are no MQTT, or TLS: for them there are only bandwidth, partitions and cuts.
    public var opaque: UInt64 = 0
    public var toBroker = LaneCounters()
    public var fromBroker = LaneCounters()

    enum CodingKeys: String, CodingKey {
        case connections, open, refused, cut, opaque
        case toBroker = "to_broker"
        case fromBroker = "from_broker"
    }
}
