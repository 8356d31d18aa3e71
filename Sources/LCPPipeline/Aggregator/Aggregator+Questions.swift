import LCPWire
import MQTT

/// What a sensor asks where predictions did not come to it.
extension Aggregator {
    /// Tells sensors which of their frames were answered.
    func answerQuestions() async throws -> MQTTSubscription {
        try await session.client.subscribe(
            to: session.topics.unanswered("+"), options: .init(qos: .atLeastOnce, receivesRetained: false)
        ) { [weak self] message in
            let sensor = Topics.sensor(of: message.topic)
            guard let list = FrameList(Array(message.payload)), sensor.isTopicLevel else { return }
            self?.assumeIsolated { $0.asked(sensor, list) }
        }
    }

    private func asked(_ sensor: String, _ list: FrameList) {
        guard let number = UInt64(list.session), number != 0 else { return }
        let answered = list.numbers.filter {
            joiner.wasAnswered(FrameKey(sensor: sensor, session: number, frame: $0))
        }
        guard !answered.isEmpty else { return }
        FrameList(session: number, frames: answered).json.withUnsafeBytes {
            try? session.client.send($0, to: session.topics.answered(sensor), qos: .atLeastOnce)
        }
    }
}
