import LCPWire
import MQTT

/// Frames that no sensor deals, pictures above all: the broker gives them to the workers of each branch in turn, where it can and
/// strangers cannot come in between. Elsewhere the aggregator deals them.
extension Supervisor {
    /// Asks for them where it has to. On a broker with access lists, which goes with TLS, whoever may connect could join a shared
    /// subscription and swallow what he may not read; mosquitto does not keep him from it.
    func startDealing() async throws {
        guard try await deservesDealing() else { return }
        inputs = try await session.client.subscribe(
            to: session.topics.inputs, options: .init(qos: session.qos, receivesRetained: false)
        ) { [weak self] message in
            nonisolated(unsafe) let message = message
            self?.assumeIsolated { $0.deal(message) }
        }
    }

    private func deservesDealing() async throws -> Bool {
        if session.client.configuration.address.isTLS { return true }
        return try await !session.sharesSubscriptions()
    }

    private func deal(_ message: MQTTMessageView) {
        guard deals, !message.retained else { return }
        let topic = inputDealer.topic(
            for: message.payload, of: Topics.sensor(of: message.topic), session.topics, turn: turn.lanes
        ) { sensor, session, frame in plannedLane(sensor, session: session, frame: frame) }
        try? session.client.send(message.payload, to: topic, qos: session.qos)
    }
}

/// Which lane an input goes to that its sensor does not deal.
struct InputDealer {
    private var count = 0
    private var topics: [String: String] = [:]
    private static let maximumTopics = 4096

    /// Where an input is published anew.
    ///
    /// - Parameter plannedLane: the lane of a numbered frame.
    mutating func topic(
        for payload: UnsafeRawBufferPointer, of sensor: String, _ topics: Topics, turn: [Int],
        plannedLane: (_ sensor: String, _ session: UInt64, _ frame: UInt64) -> Int?
    ) -> String {
        if let (session, frame) = TensorMessage.identity(payload), session != 0,
            let lane = plannedLane(sensor, session, frame)
        {
            return topic(lane, sensor, topics)
        }
        count = (count + 1) % turn.count
        return topic(turn[count], sensor, topics)
    }

    private mutating func topic(_ lane: Int, _ sensor: String, _ topics: Topics) -> String {
        let key = "\(lane)/\(sensor)"
        if let known = self.topics[key] { return known }
        if self.topics.count >= Self.maximumTopics { self.topics.removeAll(keepingCapacity: true) }
        let topic = topics.lane(lane, sensor)
        self.topics[key] = topic
        return topic
    }
}
