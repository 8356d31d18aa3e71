import LCPWire
import MQTT
import Platform

/// Tells Home Assistant of the sensors that an aggregator answers, of the pipeline's workers, and of the aggregator itself.
///
/// It lives on the client's event loop.
actor HomeAssistantAnnouncer {
    private nonisolated let session: RoleSession
    nonisolated var unownedExecutor: UnownedSerialExecutor { session.client.eventLoop.asUnownedSerialExecutor() }

    private var labels: [String] = []
    /// Whether each sends bare pictures, by name.
    private var sensors: [String: Bool] = [:]
    private var workers: Set<String> = []
    private var subscriptions: [MQTTSubscription] = []
    private var timer: EventLoopTimer?

    /// More than a house has; endless strange names do not fill Home Assistant.
    static let maximumDevices = 1024
    /// After Home Assistant says that it is there, it still has to subscribe.
    private static let delay = Duration.seconds(1)

    init(_ session: RoleSession) { self.session = session }

    /// Listens for workers and for Home Assistant's own start.
    func start() async throws {
        subscriptions.append(
            try await session.client.subscribe(
                to: DiscoveryDocument.statusTopic, options: .init(qos: .atLeastOnce)
            ) { [weak self] message in
                guard Array(message.payload) == Array("online".utf8) else { return }
                self?.assumeIsolated { $0.publishSoon() }
            })
        subscriptions.append(
            try await session.subscribe(toStatuses: session.topics.statuses(.worker)) { [weak self] message in
                nonisolated(unsafe) let message = message
                self?.assumeIsolated { $0.heard(message) }
            })
        publish()
    }

    private func publishSoon() {
        timer?.cancel()
        timer = session.client.eventLoop.schedule(after: Self.delay * Double.random(in: 1...2)) { [weak self] in
            self?.assumeIsolated { $0.publish() }
        }
    }

    private func heard(_ message: MQTTMessageView) {
        guard let status = RoleStatus(message, topics: session.topics), workers.count < Self.maximumDevices,
            status.state != .lost && status.state != .disconnected, workers.insert(status.id).inserted
        else { return }
        publish(document(worker: status.id))
    }

    /// A sensor was answered for the first time.
    func met(_ sensor: String, isBare: Bool) {
        guard sensors.count < Self.maximumDevices, sensors.updateValue(isBare, forKey: sensor) != isBare else { return }
        publish(document(sensor: sensor, isBare: isBare))
    }

    /// The model tells these classes apart.
    func use(_ labels: [String]) {
        guard labels != self.labels else { return }
        self.labels = labels
        for (sensor, isBare) in sensors { publish(document(sensor: sensor, isBare: isBare)) }
    }

    /// Tells everything: who listens may have forgotten it, or never heard it.
    func publish() {
        let own = DiscoveryDocument(aggregator: session.status.id, session.topics, version: LCPVersion.current)
        publish(own)
        for worker in workers { publish(document(worker: worker)) }
        for (sensor, isBare) in sensors { publish(document(sensor: sensor, isBare: isBare)) }
    }

    private func document(worker: String) -> DiscoveryDocument {
        DiscoveryDocument(
            worker: worker, aggregator: session.status.id, session.topics, version: LCPVersion.current)
    }

    private func document(sensor: String, isBare: Bool) -> DiscoveryDocument {
        DiscoveryDocument(
            sensor: sensor, isBare: isBare, labels: labels, aggregator: session.status.id, session.topics,
            version: LCPVersion.current)
    }

    private func publish(_ document: DiscoveryDocument) {
        document.json.withUnsafeBytes {
            try? session.client.send(
                $0, to: DiscoveryDocument.topic(document.id), qos: .atLeastOnce, retain: true)
        }
    }
}
