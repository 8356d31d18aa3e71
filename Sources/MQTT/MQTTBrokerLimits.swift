import CMosquitto

/// What a broker said when it accepted the connection (MQTT 5, 3.2.2.3). On 3.1.1 nothing is told, and everything is said to be
/// possible.
public struct MQTTBrokerLimits: Sendable, Hashable {
    /// The longest packet that it takes, bytes; nil where there is no limit.
    public var maximumPacketSize: Int?
    /// Whether it keeps retained messages.
    public var keepsRetained = true
    /// Whether filters may have `+` and `#`.
    public var takesWildcards = true
    /// Whether it knows `$share/GROUP/FILTER`.
    public var sharesSubscriptions = true
    /// Whether messages may carry the number of the subscription that they come for.
    public var numbersSubscriptions = true

    /// Everything is possible.
    public init() {}

    /// - Parameter properties: of CONNACK.
    init(_ properties: OpaquePointer?) {
        func flag(_ property: mqtt5_property) -> Bool {
            var value: UInt8 = 1
            return mosquitto_property_read_byte(properties, Int32(property.rawValue), &value, false) == nil
                || value != 0
        }
        var size: UInt32 = 0
        if mosquitto_property_read_int32(properties, Int32(MQTT_PROP_MAXIMUM_PACKET_SIZE.rawValue), &size, false)
            != nil,
            size > 0
        {
            maximumPacketSize = Int(size)
        }
        keepsRetained = flag(MQTT_PROP_RETAIN_AVAILABLE)
        takesWildcards = flag(MQTT_PROP_WILDCARD_SUB_AVAILABLE)
        sharesSubscriptions = flag(MQTT_PROP_SHARED_SUB_AVAILABLE)
        numbersSubscriptions = flag(MQTT_PROP_SUBSCRIPTION_ID_AVAILABLE)
    }
}

extension OutgoingMessages {
    /// The bytes of a PUBLISH packet (MQTT 5, 3.3; 3.1.1 has no properties).
    static func packetBytes(
        _ topic: String, _ payloadCount: Int, _ qos: QoS, _ properties: MQTTProperties?, isV5: Bool
    ) -> Int {
        /// The bytes of a number that has 7 bits in each.
        func bytes(of number: Int) -> Int { number < 1 << 7 ? 1 : number < 1 << 14 ? 2 : number < 1 << 21 ? 3 : 4 }
        var rest = 2 + topic.utf8.count + (qos == .atMostOnce ? 0 : 2) + payloadCount
        if isV5 {
            let length = properties?.encodedBytes ?? 0
            rest += bytes(of: length) + length
        }
        return 1 + bytes(of: rest) + rest
    }
}

extension MQTTProperties {
    /// The bytes that they take in a PUBLISH packet (MQTT 5, 2.2.2).
    fileprivate var encodedBytes: Int {
        let strings = [contentType, responseTopic].compactMap { $0.map { 3 + $0.utf8.count } }
        let pairs = userProperties.map { 5 + $0.name.utf8.count + $0.value.utf8.count }
        return (strings + pairs).reduce(0, +) + (correlationData.map { 3 + $0.count } ?? 0)
            + (messageExpiry == nil ? 0 : 5)
    }
}
