import CMosquitto
import Glibc

extension MQTTProperties {
    /// The properties of a received message that this client understands, and its subscription identifiers.
    static func read(_ list: OpaquePointer?, subscriptionIdentifier: (UInt32) -> Void) -> MQTTProperties? {
        guard var property = list else { return nil }
        var result = MQTTProperties()
        while true {
            let identifier = mosquitto_property_identifier(property)
            switch UInt32(bitPattern: identifier) {
            case MQTT_PROP_SUBSCRIPTION_IDENTIFIER.rawValue:
                var value: UInt32 = 0
                if mosquitto_property_read_varint(property, identifier, &value, false) != nil {
                    subscriptionIdentifier(value)
                }
            case MQTT_PROP_CONTENT_TYPE.rawValue: result.contentType = readString(property, identifier)
            case MQTT_PROP_RESPONSE_TOPIC.rawValue: result.responseTopic = readString(property, identifier)
            case MQTT_PROP_CORRELATION_DATA.rawValue:
                var value: UnsafeMutableRawPointer?
                var count: UInt16 = 0
                if mosquitto_property_read_binary(property, identifier, &value, &count, false) != nil {
                    result.correlationData = Array(UnsafeRawBufferPointer(start: value, count: Int(count)))
                    free(value)
                }
            case MQTT_PROP_MESSAGE_EXPIRY_INTERVAL.rawValue:
                var value: UInt32 = 0
                if mosquitto_property_read_int32(property, identifier, &value, false) != nil {
                    result.messageExpiry = value
                }
            case MQTT_PROP_USER_PROPERTY.rawValue where result.userProperties.count < maximumUserProperties:
                var name: UnsafeMutablePointer<CChar>?
                var value: UnsafeMutablePointer<CChar>?
                if mosquitto_property_read_string_pair(property, identifier, &name, &value, false) != nil {
                    result.userProperties.append(
                        UserProperty(
                            name: name.map { String(cString: $0) } ?? "", value: value.map { String(cString: $0) } ?? ""
                        ))
                }
                free(name)
                free(value)
            default: break
            }
            guard let next = mosquitto_property_next(property) else { break }
            property = next
        }
        return result.isEmpty ? nil : result
    }

    private static func readString(_ property: OpaquePointer, _ identifier: Int32) -> String? {
        var value: UnsafeMutablePointer<CChar>?
        guard mosquitto_property_read_string(property, identifier, &value, false) != nil, let value else { return nil }
        defer { free(value) }
        return String(cString: value)
    }

    /// Calls `body` with the properties as libmosquitto's list, which is freed afterwards.
    func withList<Result>(_ body: (OpaquePointer?) throws(MQTTError) -> Result) throws(MQTTError) -> Result {
        var list: OpaquePointer?
        defer { mosquitto_property_free_all(&list) }
        func check(_ result: Int32) throws(MQTTError) {
            if let error = MQTTError.of(result, "a property of the message cannot be sent") { throw error }
        }
        if let contentType {
            try check(mosquitto_property_add_string(&list, Int32(MQTT_PROP_CONTENT_TYPE.rawValue), contentType))
        }
        if let responseTopic {
            try check(mosquitto_property_add_string(&list, Int32(MQTT_PROP_RESPONSE_TOPIC.rawValue), responseTopic))
        }
        if let correlationData {
            guard let count = UInt16(exactly: correlationData.count) else {
                throw MQTTError(
                    .invalidConfiguration, "correlation data has at most 65,535 bytes, not \(correlationData.count)")
            }
            try check(
                mosquitto_property_add_binary(&list, Int32(MQTT_PROP_CORRELATION_DATA.rawValue), correlationData, count)
            )
        }
        if let messageExpiry {
            try check(
                mosquitto_property_add_int32(&list, Int32(MQTT_PROP_MESSAGE_EXPIRY_INTERVAL.rawValue), messageExpiry))
        }
        for property in userProperties {
            try check(
                mosquitto_property_add_string_pair(
                    &list, Int32(MQTT_PROP_USER_PROPERTY.rawValue), property.name, property.value))
        }
        return try body(list)
    }
}
