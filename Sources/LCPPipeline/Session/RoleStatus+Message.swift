public import LCPWire
public import MQTT

extension RoleStatus {
    /// Reads the status of a message; nil also where somebody speaks for another: a broker's access list can say who may write
    /// which topic, and not what stands in it.
    public init?(_ message: MQTTMessageView, topics: Topics) {
        self.init(Array(message.payload))
        guard message.topic == topics.status(role, id) else { return nil }
    }
}
