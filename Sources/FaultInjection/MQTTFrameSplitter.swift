/// Splits one direction of a connection into MQTT control packets, whatever pieces its bytes come in.
///
/// No bytes are lost or changed: joined again, the pieces are what came in. What is no MQTT passes as it is, TLS too: its first
/// byte starts no MQTT connection. At most one packet and one chunk are held.
public struct MQTTFrameSplitter: Sendable {
    /// What came out.
    public enum Piece: Sendable, Hashable {
        /// A whole control packet: fixed header, remaining length and the rest.
        case packet([UInt8])
        /// Bytes of a packet above the limit, or of a stream that is no MQTT.
        case bytes([UInt8])
    }

    /// The longest packet that is put together, bytes; a longer one passes in pieces.
    public let maximumPacketBytes: Int
    /// Whether the stream turned out to be no MQTT.
    public private(set) var isOpaque = false

    private let startsWith: Set<UInt8>
    private var hasStarted = false
    private var queue = ByteQueue()
    /// The bytes that are still to come of a packet above the limit.
    private var passing = 0

    /// - Parameters:
    ///   - direction: tells what a stream may begin with: CONNECT to the broker, CONNACK or AUTH from it.
    public init(_ direction: Direction, maximumPacketBytes: Int = 32 << 20) {
        self.maximumPacketBytes = maximumPacketBytes
        startsWith = direction == .toBroker ? [0x10] : [0x20, 0xF0]
    }

    /// The bytes that wait for the rest of their packet.
    public var count: Int { queue.count }

    /// Takes what came in. Ask for ``next()`` until there is nothing before more is given.
    public mutating func append(_ bytes: UnsafeRawBufferPointer) { queue.append(bytes) }

    /// The next packet or bytes; nil where more has to come first.
    public mutating func next() -> Piece? {
        guard let first = queue.first else { return nil }
        if !hasStarted {
            hasStarted = true
            isOpaque = !startsWith.contains(first)
        }
        if isOpaque { return .bytes(queue.take(queue.count)) }
        if passing > 0 {
            let bytes = queue.take(min(passing, queue.count))
            passing -= bytes.count
            return .bytes(bytes)
        }
        var remaining = 0
        for index in 1...4 {
            guard index < queue.count else { return nil }
            let byte = queue[index]
            remaining |= Int(byte & 0x7F) << (7 * (index - 1))
            guard byte & 0x80 != 0 else {
                let total = 1 + index + remaining
                guard total <= maximumPacketBytes else {
                    passing = total
                    return next()
                }
                return queue.count >= total ? .packet(queue.take(total)) : nil
            }
        }
        // No packet's length has five bytes.
        isOpaque = true
        return next()
    }

    /// Everything that waits for the rest of its packet, where no rest will come.
    public mutating func takeRest() -> [UInt8] { queue.take(queue.count) }
}
