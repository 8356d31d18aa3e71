/// What a proxy has to know of a PUBLISH packet of MQTT 3.1.1 or 5.
public struct PublishPacket: Sendable, Hashable {
    /// Empty where ``topicAlias`` stands for it.
    public var topic: String
    public var qos: UInt8
    public var isRetained: Bool
    /// nil at QoS 0.
    public var packetIdentifier: UInt16?
    public var topicAlias: UInt16?
    /// Where the payload starts in the packet.
    public var payloadOffset: Int
    /// The whole packet's length.
    public var byteCount: Int

    /// Reads a packet; nil where it is no PUBLISH, or none as MQTT has them.
    ///
    /// - Parameter version: the protocol level of CONNECT: 4 for MQTT 3.1.1, 5 for MQTT 5.
    public init?(_ packet: [UInt8], version: UInt8) {
        guard let first = packet.first, first >> 4 == 3 else { return nil }
        qos = first >> 1 & 3
        isRetained = first & 1 != 0
        var reader = PacketReader(packet)
        guard qos < 3, reader.skipFixedHeader(), let topic = reader.text() else { return nil }
        self.topic = topic
        if qos > 0 {
            guard let identifier = reader.number() else { return nil }
            packetIdentifier = identifier
        }
        if version >= 5 {
            guard let length = reader.variableNumber(), let properties = reader.bytes(length) else { return nil }
            guard let alias = PacketReader(packet, properties).topicAlias() else { return nil }
            topicAlias = alias == 0 ? nil : alias
        }
        payloadOffset = reader.position
        byteCount = packet.count
    }

    /// Says in a packet that it is sent again.
    static func markRepeated(_ packet: inout [UInt8]) { packet[0] |= 0x08 }
}

/// Who connects, and how.
struct ConnectPacket {
    var version: UInt8
    var clientID: String

    init?(_ packet: [UInt8]) {
        var reader = PacketReader(packet)
        guard packet.first == 0x10, reader.skipFixedHeader(), reader.text() != nil, let level = reader.byte(),
            reader.byte() != nil, reader.number() != nil
        else { return nil }
        // A bridge sets the highest bit.
        version = level & 0x7F
        if version >= 5 {
            guard let length = reader.variableNumber(), reader.bytes(length) != nil else { return nil }
        }
        guard let name = reader.text() else { return nil }
        clientID = name
    }
}

/// Reads a packet's fields in their order; nil where one does not fit.
struct PacketReader {
    private let packet: [UInt8]
    private(set) var position: Int
    private let end: Int

    init(_ packet: [UInt8], _ range: Range<Int>? = nil) {
        self.packet = packet
        position = range?.lowerBound ?? 0
        end = range?.upperBound ?? packet.count
    }

    mutating func byte() -> UInt8? {
        guard position < end else { return nil }
        defer { position += 1 }
        return packet[position]
    }

    mutating func number() -> UInt16? {
        guard let high = byte(), let low = byte() else { return nil }
        return UInt16(high) << 8 | UInt16(low)
    }

    mutating func variableNumber() -> Int? {
        var value = 0
        for index in 0..<4 {
            guard let next = byte() else { return nil }
            value |= Int(next & 0x7F) << (7 * index)
            if next & 0x80 == 0 { return value }
        }
        return nil
    }

    mutating func bytes(_ count: Int) -> Range<Int>? {
        guard count <= end - position else { return nil }
        defer { position += count }
        return position..<position + count
    }

    mutating func text() -> String? {
        guard let count = number(), let range = bytes(Int(count)) else { return nil }
        return String(decoding: packet[range], as: UTF8.self)
    }

    mutating func skipFixedHeader() -> Bool {
        guard byte() != nil, let length = variableNumber() else { return false }
        return length == end - position
    }

    /// The topic alias among a PUBLISH packet's properties (MQTT 5.0, section 3.3.2.3); 0 for none, nil where they are malformed.
    func topicAlias() -> UInt16? {
        var reader = self
        var alias: UInt16 = 0
        while reader.position < reader.end {
            guard let kind = reader.byte() else { return nil }
            let isWhole: Bool
            switch kind {
            case 0x01: isWhole = reader.byte() != nil
            case 0x02: isWhole = reader.bytes(4) != nil
            case 0x03, 0x08, 0x09: isWhole = reader.text() != nil
            case 0x0B: isWhole = reader.variableNumber() != nil
            case 0x23:
                alias = reader.number() ?? 0
                isWhole = alias != 0
            case 0x26: isWhole = reader.text() != nil && reader.text() != nil
            default: isWhole = false
            }
            guard isWhole else { return nil }
        }
        return alias
    }
}
