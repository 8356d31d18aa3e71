import FoundationEssentials
import Glibc
public import LCPWire
public import MQTT
import Platform
import Synchronization

/// A role's connection, with its retained status and its last will.
public final class RoleSession: Sendable {
    public let client: MQTTClient
    public let topics: Topics
    public let qos: QoS
    public let log: Log
    package let order: PredictionOrder
    package let policy: FramePolicy
    package let queueLimit: Int
    package let deadline: Duration
    /// The key that pushed models have to be signed with.
    let modelKey: VerificationKey?
    /// What waits for a branch that computes for long, as the pipeline's policy says.
    let inputBuffer: MQTTBufferPolicy
    private let configuration: PipelineConfiguration
    /// Held for as long as the session has it; nil where the name was given.
    private let name: DefaultName?
    private let current: Mutex<RoleStatus>
    /// Others that this role has complained about; a few, so that endless strangers do not fill log and memory.
    private let strangers = Mutex<[String: Int]>([:])
    /// Whether the status will be said again shortly.
    private let isRestoring = Atomic<Bool>(false)
    let retention = RetentionTrial()

    /// For a day the broker keeps that somebody is gone, where it speaks MQTT 5; seconds.
    private static let farewellExpiry: UInt32 = 86_400

    /// What the role says of itself now.
    package var status: RoleStatus { current.withLock { $0 } }

    /// - Parameters:
    ///   - status: what the role says of itself; its state is set here.
    /// - Throws: ``PipelineError`` or ``MQTTError`` where a name or the configuration cannot be used.
    package init(_ configuration: PipelineConfiguration, status: RoleStatus) throws {
        guard status.id.isTopicLevel else {
            throw PipelineError(
                .invalidConfiguration,
                "the name \(status.id.debugDescription) cannot be part of a topic: use 1 to 128 bytes without spaces, /, + and #"
            )
        }
        name = DefaultName.claim(status.id)
        MQTTClient.keepFreedMemory()
        topics = try Topics(prefix: configuration.prefix, pipeline: configuration.pipeline)
        self.configuration = configuration
        qos = configuration.qos
        order = configuration.order
        policy = configuration.policy
        queueLimit = configuration.queueLimit
        deadline = configuration.deadline
        modelKey = configuration.modelKey
        inputBuffer =
            switch configuration.policy {
            case .latest: .init(maximumMessages: 1024, maximumBytes: 64 << 20, keepsNewestOfTopic: true)
            case .all:
                .init(maximumMessages: configuration.queueLimit, maximumBytes: 1 << 30, overflow: .dropNewest)
            }
        log = Log("\(status.role.rawValue) \(status.id)")
        current = Mutex(status)

        var mqtt = configuration.mqtt
        var identifier = Self.clientID(configuration, status.role, status.id)
        // Who has a password for the same broker could otherwise take this one's connection, for which he only has to know its
        // identifier. Only the broker learns this one.
        if mqtt.user != nil { identifier += "-" + String(UInt64.random(in: 0...UInt64.max), radix: 36) }
        mqtt.clientID = identifier
        mqtt.waitsForBroker = true
        var lost = RoleStatus(state: .lost, role: status.role, id: status.id, birth: status.birth)
        lost.branch = status.branch
        mqtt.will = .init(
            topic: topics.status(status.role, status.id), payload: lost.json, expiry: Self.farewellExpiry)
        client = try MQTTClient(mqtt)
    }

    /// A status with everything that all roles say.
    package static func status(_ role: Role, id: String?) -> RoleStatus {
        var status = RoleStatus(
            state: .starting, role: role, id: id ?? DefaultName.reserve(role),
            birth: String(UInt64.random(in: 1...UInt64.max), radix: 16))
        status.host = DefaultName.hostName
        status.processID = getpid()
        status.version = LCPVersion.current
        status.tensorMessages = Int(TensorMessageHeader.newestVersion)
        status.cores = Processors.available
        return status
    }

    private static func clientID(_ configuration: PipelineConfiguration, _ role: Role, _ id: String) -> String {
        "\(configuration.prefix)-\(configuration.pipeline)-\(role.rawValue)-\(id)"
    }

    /// Takes the connection of a process that keeps it and does nothing: the broker ends it and publishes the last will. A
    /// process that lives after all connects again by itself.
    ///
    /// - Throws: ``MQTTError`` where the broker refuses, ``PipelineError`` where there are users, and identifiers are secret.
    func takeConnection(of role: Role, _ id: String) async throws {
        guard configuration.mqtt.user == nil else {
            throw PipelineError(.invalidConfiguration, "on a broker with users its identifier is not known")
        }
        var mqtt = configuration.mqtt
        mqtt.clientID = Self.clientID(configuration, role, id)
        mqtt.will = nil
        try await MQTTClient.withConnection(mqtt) { _ in }
    }

    /// Connects and runs `body`, which says ``ready()`` and returns when the role is over. Then the status becomes
    /// `disconnected` and the connection is closed, also where the task is cancelled.
    ///
    /// Where there is no broker yet, it waits for it.
    ///
    /// - Parameter reconnected: called whenever a lost connection is back, before the status is published again.
    package func run(
        isolation: isolated (any Actor)? = #isolation, reconnected: @escaping @Sendable () async -> Void = {},
        _ body: () async throws -> Void
    ) async throws {
        feedWatchdog()
        let waiting = Task { await sayThatItWaits() }
        defer {
            waiting.cancel()
            ServiceManager.own?.stopping()
        }
        do { try await client.connect() } catch {
            // Asked to stop while it connected: that is no failure.
            if Task.isCancelled { return }
            throw error
        }
        let states = client.connectionStates
        let watcher = Task { await watch(states, reconnected) }
        do {
            try checkBroker()
            try await publishStatus { $0.state = .starting }
            // By a filter with a wildcard: whether the broker gives what it keeps to those shows here, too.
            let own = try await client.subscribe(to: topics.statuses(named: status.id)) { [weak self] in
                guard let self, Topics.role(of: $0.topic) == status.role.rawValue else { return }
                if $0.retained { retention.end(true) }
                heardOwn($0)
            }
            let examination = Task { try await answerCalls() }
            defer {
                own.unsubscribe()
                examination.cancel()
            }
            try await body()
        } catch is CancellationError {
        } catch let error as MQTTError where Task.isCancelled && error.code == .closed {
            // Asked to stop while it waited for the broker.
        } catch {
            await end(watcher)
            throw error
        }
        await end(watcher)
    }

    /// What is said under this role's name: its own echo, a twin's word, or what somebody wrote over it by mistake.
    private func heardOwn(_ message: MQTTMessageView) {
        if let other = RoleStatus(message, topics: topics) {
            complain(about: other)
            // The last will of this one's life before, which the broker kept until now.
            guard other.isGone, other.birth != status.birth, !message.retained else { return }
        }
        sayAgain(after: .milliseconds(500))
    }

    /// Publishes the status once more, however many ask for it meanwhile.
    func sayAgain(after delay: Duration) {
        guard !isRestoring.exchange(true, ordering: .relaxed) else { return }
        _ = client.eventLoop.schedule(after: delay) { [weak self] in
            guard let self else { return }
            isRestoring.store(false, ordering: .relaxed)
            if status.state != .disconnected { sendStatus { _ in } }
        }
    }

    private func end(_ watcher: Task<Void, Never>) async {
        if client.isConnected {
            // Not as a child of a task that may be cancelled: the goodbye is said in any case. The close waits for it.
            let last = changed {
                $0.state = .disconnected
                ($0.serves, $0.claims, $0.models, $0.next) = (nil, nil, nil, nil)
            }
            let json = last.json
            let topic = topics.status(status.role, status.id)
            var properties = MQTTProperties()
            properties.messageExpiry = Self.farewellExpiry
            json.withUnsafeBytes {
                try? client.send($0, to: topic, qos: .atLeastOnce, retain: true, properties: properties)
            }
        }
        await client.close()
        watcher.cancel()
    }

    /// Tells people of another process that should not be there: one with this role's name, which takes its connection again and
    /// again, or a second aggregator, which answers every frame once more.
    func complain(about other: RoleStatus) {
        let own = status
        guard other.role == own.role, other.state != .disconnected, other.birth != own.birth else { return }
        let isTwin = other.id == own.id
        // Whether it shares the sensors it says when it is ready.
        guard isTwin || own.role == .aggregator && other.state == .ready else { return }
        // Who was here before under this name is lost once; a twin loses its connection again and again.
        let times = strangers.withLock { strangers in
            guard strangers[other.birth] != nil || strangers.count < 16 else { return 0 }
            strangers[other.birth, default: 0] += 1
            return strangers[other.birth] ?? 0
        }
        guard times == (isTwin ? 2 : 1) else { return }
        let sharesSensors = own.sharesSensors == true && other.sharesSensors == true
        let (models, others) = (own.models ?? [], other.models ?? [])
        if sharesSensors, models.isEmpty || others.isEmpty || others.contains(where: models.contains), !isTwin {
            return
        }
        let place = [other.processID.map { "process \($0)" }, other.host.map { "on \($0)" }].compactMap { $0 }
        let who = place.isEmpty ? "" : " (\(place.joined(separator: " ")))"
        log.warning(
            isTwin
                ? "another \(own.role.rawValue)\(who) has the name \(own.id), and the two "
                    + (configuration.mqtt.user == nil ? "take each other's connection" : "speak for each other")
                    + ": give one of them another --name"
                : sharesSensors
                    ? "the aggregator \(other.id)\(who) joins another model, \((other.model ?? "unknown").printable), so that each "
                        + "answers what is computed in its own: give both the same"
                    : "the aggregator \(other.id)\(who) is in this pipeline, too, so that every frame is answered twice: stop one of them"
        )
    }

    /// Says that all subscriptions are acknowledged.
    package func ready() async throws { try await publishStatus { $0.state = .ready } }

    /// Changes what the role says of itself and publishes that; returns when the broker has it.
    package func publishStatus(_ change: (inout RoleStatus) -> Void) async throws {
        let status = changed(change)
        try await client.publish(
            status.json, to: topics.status(status.role, status.id), qos: .atLeastOnce, retain: true)
    }

    /// The same without waiting.
    package func sendStatus(_ change: (inout RoleStatus) -> Void) {
        let status = changed(change)
        status.json.withUnsafeBytes {
            try? client.send($0, to: topics.status(status.role, status.id), qos: .atLeastOnce, retain: true)
        }
    }

    /// Says why all that comes is dropped, where that is another reason than before, or none.
    func refuses(_ reason: String?) {
        if status.refuses != reason { sendStatus { $0.refuses = reason } }
    }

    private func changed(_ change: (inout RoleStatus) -> Void) -> RoleStatus {
        let status = current.withLock {
            change(&$0)
            return $0
        }
        if status.state == .ready { ServiceManager.own?.ready("\(status.work), in \(topics.root)") }
        return status
    }

    /// Shows the service manager that the thread lives that everything waits for.
    private func feedWatchdog() {
        guard let manager = ServiceManager.own, let patience = manager.patience else { return }
        manager.isAlive()
        _ = client.eventLoop.schedule(after: patience / 3) { [weak self] in self?.feedWatchdog() }
    }

    /// Tells people, once, that there is no broker yet.
    private func sayThatItWaits() async {
        var hasWaited = false
        for await state in client.connectionStates {
            switch state {
            case .waiting(let error, _) where !hasWaited:
                hasWaited = true
                log.warning("\(error); waiting for it")
                ServiceManager.own?.ready("waits for the broker: \(error)")
            case .connected:
                if hasWaited { log("connected") }
                return
            default: break
            }
        }
    }

    /// Tells people of losses and returns; after a return the broker may have forgotten the status or carry the last will.
    private func watch(
        _ states: AsyncStream<MQTTConnectionState>, _ reconnected: @Sendable () async -> Void
    ) async {
        var hasLost = false
        var told: Set<MQTTError.Code> = []
        for await state in states {
            switch state {
            // The first reason, and others that come up while it tries: a broker that is back may refuse it.
            case .waiting(let error, _) where !hasLost || error.code == .refused && !told.contains(error.code):
                hasLost = true
                told.insert(error.code)
                log.warning("\(error); trying again until it is back")
                ServiceManager.own?.status("waits for the broker: \(error)")
            case .connected where hasLost:
                hasLost = false
                told = []
                log("connected again")
                await reconnected()
                try? await publishStatus { _ in }
                client.callStatuses(topics)
            default: break
            }
        }
    }

    /// Publishes the role's counters; where there is no connection they are lost.
    package func publishStatistics(_ json: [UInt8]) {
        let topic = topics.statistics(status.role, status.id)
        json.withUnsafeBytes { try? client.send($0, to: topic) }
    }
}
