/// Counters of a client since it was made.
public struct MQTTStatistics: Sendable, Hashable {
    public var messagesReceived: UInt64 = 0
    public var messagesSent: UInt64 = 0
    public var bytesReceived: UInt64 = 0
    public var bytesSent: UInt64 = 0
    /// Messages at QoS 0 that were lost with a connection before they were written.
    public var messagesLost: UInt64 = 0
    public var reconnects: UInt64 = 0
}
