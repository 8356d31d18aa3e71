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
    private var departures = Departures<Member>()
    private var clock: EventLoopTimer?

    private struct Member: Hashable {
        var role: Role
        var name: String
    }

    /// More than a house has; endless strange names do not fill Home Assistant.
    static let maximumDevices = 1024
    /// After Home Assistant says that it is there, it still has to subscribe.
    private static let delay = Duration.seconds(1)

    init(_ session: RoleSession) { self.session = session }

    /// Listens for who comes and goes, and for Home Assistant's own start.
    func start() async throws {
        subscriptions.append(
            try await session.client.subscribe(
                to: DiscoveryDocument.statusTopic, options: .init(qos: .atLeastOnce)
            ) { [weak self] message in
                guard Array(message.payload) == Array("online".utf8) else { return }
                self?.assumeIsolated { $0.publishSoon() }
            })
        for role in [Role.worker, .sensor] {
            subscriptions.append(
                try await session.subscribe(toStatuses: session.topics.statuses(role)) { [weak self] message in
                    nonisolated(unsafe) let message = message
                    self?.assumeIsolated { $0.heard(message, role) }
                })
        }
        // What one said that is gone names it as the one who answers.
        subscriptions.append(
            try await session.subscribe(toStatuses: session.topics.statuses(.aggregator)) {
                [weak self, session] message in
                guard let other = RoleStatus(message, topics: session.topics), other.id != session.status.id,
                    other.isGone, !message.retained
                else { return }
                self?.assumeIsolated { $0.publishSoon() }
            })
        // Those without a status are forgotten with their state.
        subscriptions.append(
            try await session.client.subscribe(
                to: session.topics.states, options: .init(receivesRetained: false)
            ) { [weak self] message in
                guard message.payload.isEmpty else { return }
                let sensor = Topics.sensor(of: message.topic)
                self?.assumeIsolated { $0.forget(Member(role: .sensor, name: sensor)) }
            })
        publish()
        scheduleClock()
    }

    /// Takes the pipeline's devices away again, where an aggregator of this name told Home Assistant of them before, and does not
    /// any more.
    static func withdraw(_ session: RoleSession) async throws {
        func kept(_ filter: String) async throws -> [String] {
            let documents: MQTTSubscription
            do throws(MQTTError) {
                documents = try await session.client.subscribe(to: filter, options: .init(qos: .atLeastOnce))
            } catch {
                // An access list may keep it from looking.
                guard error.code == .notAuthorized else { throw error }
                return []
            }
            // What is kept comes before the answer to this.
            await documents.end(within: .seconds(10))
            var topics: [String] = []
            for try await message in documents where message.retained && !message.payload.isEmpty {
                topics.append(message.topic)
            }
            return topics
        }
        let own = DiscoveryDocument.topic(DiscoveryDocument.id(session.topics, .aggregator, session.status.id))
        guard !(try await kept(own)).isEmpty else { return }
        // Another pipeline's name may begin with this one's.
        let prefixes = Role.allCases.map { "homeassistant/device/\(DiscoveryDocument.id(session.topics, $0, ""))" }
        let all = try await kept(DiscoveryDocument.allTopics).filter { prefixes.contains(where: $0.hasPrefix) } + [own]
        for topic in Set(all) {
            try session.client.send(
                UnsafeRawBufferPointer(start: nil, count: 0), to: topic, qos: .atLeastOnce, retain: true)
        }
        session.log("took \(Set(all).count) devices of this pipeline away from Home Assistant")
    }

    private func publishSoon() {
        timer?.cancel()
        timer = session.client.eventLoop.schedule(after: Self.delay * Double.random(in: 1...2)) { [weak self] in
            self?.assumeIsolated { $0.publish() }
        }
    }

    private func heard(_ message: MQTTMessageView, _ role: Role) {
        guard let status = RoleStatus(message, topics: session.topics) else {
            // It was taken away.
            if message.payload.isEmpty { forget(Member(role: role, name: Topics.sensor(of: message.topic))) }
            return
        }
        departures.heard(Member(role: role, name: status.id), isGone: status.isGone, now: .now)
        guard role == .worker, !status.isGone, workers.count < Self.maximumDevices, workers.insert(status.id).inserted
        else {
            return
        }
        publish(document(worker: status.id))
    }

    private func scheduleClock() {
        clock = session.client.eventLoop.schedule(after: .seconds(600)) { [weak self] in
            self?.assumeIsolated {
                for member in $0.departures.expired(now: .now) {
                    $0.forget(member)
                    guard member.role == .sensor else { continue }
                    $0.send([], to: $0.session.topics.state(member.name))
                    $0.send([], to: $0.session.topics.snapshot(member.name))
                }
                $0.scheduleClock()
            }
        }
    }

    private func forget(_ member: Member) {
        let wasKnown =
            member.role == .worker
            ? workers.remove(member.name) != nil : sensors.removeValue(forKey: member.name) != nil
        guard wasKnown else { return }
        let id = DiscoveryDocument.id(session.topics, member.role, member.name)
        send([], to: DiscoveryDocument.topic(id))
    }

    /// A sensor was answered for the first time.
    func met(_ sensor: String, isBare: Bool) {
        guard sensors.count < Self.maximumDevices, sensors.updateValue(isBare, forKey: sensor) != isBare else { return }
        publish(document(sensor: sensor, isBare: isBare))
    }

    /// Others answer the sensors of these buckets from now on, and tell of them.
    func giveAway(_ buckets: Set<Int>) {
        sensors = sensors.filter { !buckets.contains(SensorBuckets.bucket(of: $0.key)) }
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
        send(document.json, to: DiscoveryDocument.topic(document.id))
    }

    private func send(_ payload: [UInt8], to topic: String) {
        payload.withUnsafeBytes { try? session.client.send($0, to: topic, qos: .atLeastOnce, retain: true) }
    }
}
