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

extension RoleStatus {
    /// What it does, for people.
    var work: String {
        let model = model ?? "a model"
        switch role {
        case .sensor: return "sends frames"
        case .aggregator: return "joins \(model)"
        case .worker:
            let served = servedBranches.sorted().map(String.init)
            guard !served.isEmpty else { return "waits for a branch of \(model)" }
            return "computes branch\(served.count == 1 ? "" : "es") \(served.joined(separator: ", ")) of \(model)"
        }
    }
}
