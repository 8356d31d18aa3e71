import LCPWire
import MQTT
import Platform

/// What `lcp doctor` tries with a broker. No step takes longer than ``longestStep``.
struct BrokerExamination {
    private typealias Check = DoctorCommand.Check

    private static let longestStep = Duration.seconds(6)
    /// How long a message is waited for.
    private static let patience = Duration.seconds(2)

    private let client: MQTTClient
    /// One that answers four messages with one, as an aggregator does.
    private let listener: MQTTClient
    private let topics: Topics
    /// What stands for the names of roles: an access list may bind a user to a device of its name.
    private let name: String

    /// Connects, tries everything, and leaves nothing behind.
    ///
    /// - Throws: ``MQTTError`` where there is no connection.
    static func run(_ base: MQTTConfiguration, prefix: String) async throws -> [DoctorCommand.Check] {
        var configuration = base
        let identifier = String(UInt32.random(in: 1...UInt32.max), radix: 36)
        configuration.clientID = "lcp-doctor-\(identifier)"
        let client = try MQTTClient(configuration)
        try await client.connect()
        configuration.clientID = "lcp-doctor-\(identifier)-listener"
        let listener = try MQTTClient(configuration)
        try await listener.connect()
        let examination = BrokerExamination(
            client: client, listener: listener, topics: try Topics(prefix: prefix, pipeline: "doctor-\(identifier)"),
            name: base.user.flatMap { $0.isTopicLevel ? $0 : nil } ?? "doctor")
        let version = client.protocolVersion == .v5 ? "5" : "3.1.1"
        let checks =
            [Check(name: "broker", result: .good, detail: "\(configuration.address) speaks MQTT \(version)")]
            + (await examination.steps(prefix: prefix))
        await client.close()
        await listener.close()
        return checks
    }

    private func steps(prefix: String) async -> [Check] {
        let all: [(String, @Sendable () async throws -> Check)] = [
            ("rights", rights), ("messages", roundTrip), ("retained messages", retaining),
            ("shared subscriptions", sharing),
            ("long messages", long),
        ]
        var checks: [Check] = []
        for (name, step) in all {
            checks.append(await within(name, prefix, step))
            // Where nothing comes back, the rest would only say so again.
            if Task.isCancelled || checks.last?.result == .bad && ["rights", "messages"].contains(name) { break }
        }
        return checks
    }

    /// A step, or what is wrong where it fails or takes too long.
    private func within(
        _ name: String, _ prefix: String, _ step: @escaping @Sendable () async throws -> Check
    ) async -> Check {
        await withTaskGroup(of: Check?.self) { group in
            group.addTask {
                do { return try await step() } catch let error as MQTTError where error.code == .unsupported {
                    return Check(name: name, result: .bad, detail: error.description, advice: "take another broker")
                } catch {
                    return Check(
                        name: name, result: .bad, detail: "\(error)",
                        advice: "let this user publish and subscribe below \(prefix)/; Brokers/tls/acl shows how")
                }
            }
            group.addTask {
                try? await Task.sleep(for: Self.longestStep)
                return nil
            }
            defer { group.cancelAll() }
            return await group.next().flatMap(\.self)
                ?? Check(
                    name: name, result: .bad, detail: "the broker did not answer in \(Self.longestStep)",
                    advice: "look into its log: it may end connections that ask for what it does not know")
        }
    }

    /// What a role publishes, by its kind.
    private var writings: [(role: Role, what: String, topic: String)] {
        [
            (.sensor, "input", topics.input(name)), (.sensor, "status", topics.status(.sensor, name)),
            (.sensor, "stats", topics.statistics(.sensor, name)), (.sensor, "snapshot", topics.snapshot(name)),
            (.worker, "features", topics.features(branch: 0, sensor: name)),
            (.worker, "status", topics.status(.worker, name)), (.worker, "stats", topics.statistics(.worker, name)),
            (.worker, "model", topics.modelBlob("doctor", chunk: 0)), (.worker, "snapshot", topics.snapshot(name)),
            (.aggregator, "prediction", topics.prediction(name)),
            (.aggregator, "status", topics.status(.aggregator, name)),
            (.aggregator, "stats", topics.statistics(.aggregator, name)), (.aggregator, "task", topics.task(name)),
            (.aggregator, "flow", topics.flow), (.aggregator, "probe", topics.probe(name)),
            (.aggregator, "again", topics.again(name)), (.aggregator, "lane", topics.lane(0, name)),
            (.aggregator, "model", topics.modelBlob("doctor", chunk: 0)), (.aggregator, "event", topics.event(name)),
            (.aggregator, "state", topics.state(name)),
            (.aggregator, "snapshot/get", topics.snapshotRequest(name)),
        ]
    }

    /// Which topics this user may write, as MQTT 5 says it: one of 3.1.1 is not told.
    private func rights() async throws -> Check {
        guard client.protocolVersion == .v5 else {
            return Check(
                name: "rights", result: .good,
                detail: "MQTT 3.1.1 does not say what a user may write; nothing was refused")
        }
        var refused: Set<String> = []
        for topic in Set(writings.map(\.topic)) {
            do { try await client.publish([], to: topic, qos: .atLeastOnce) } catch let error as MQTTError
                where error.code == .notAuthorized
            { refused.insert(topic) }
        }
        guard !refused.isEmpty else {
            return Check(name: "rights", result: .good, detail: "this user may write what every role writes")
        }
        let missing = Role.allCases.map { role in
            (role, writings.filter { $0.role == role && refused.contains($0.topic) }.map(\.what))
        }
        let able = missing.filter(\.1.isEmpty).map(\.0.rawValue)
        let lacks = missing.filter { !$0.1.isEmpty }.map { "as \($0.rawValue) not \($1.joined(separator: ", "))" }
            .joined(separator: "; ")
        return Check(
            name: "rights", result: .bad,
            detail: (able.isEmpty
                ? "this user can be no role" : "this user can be a \(able.joined(separator: " and a "))")
                + ": it may write \(lacks)",
            advice: able.isEmpty
                ? "let it write them below \(topics.root): Brokers/tls/acl shows how"
                : "that is well for a \(able.joined(separator: " or ")); try the rest as a user who may read and write all"
        )
    }

    /// The time of a message there and back. Four in a row, as four branches send them, to a client that answers each
    /// four with one, as an aggregator does: that shows a broker that waits for acknowledgements before it sends the next small
    /// message. The client's system delays those only where it has something to say now and then.
    private func roundTrip() async throws -> Check {
        let messages = try await listener.subscribe(to: topics.allFeatures)
        let answers = try await client.subscribe(to: topics.predictions)
        var times: [Double] = []
        for _ in 0..<20 {
            let start = ContinuousClock.now
            for branch in 0..<4 {
                try await client.publish(
                    [UInt8](repeating: 0, count: 168), to: topics.features(branch: branch, sensor: "doctor"))
            }
            for _ in 0..<4 {
                guard try await next(messages) != nil else {
                    return Check(
                        name: "messages", result: .bad,
                        detail: "what is published on \(topics.root) does not come back",
                        advice: "the broker may not let this user read or write there: see Brokers/tls/acl")
                }
            }
            times.append((ContinuousClock.now - start).milliseconds)
            try await listener.publish([0], to: topics.prediction(name))
            _ = try await next(answers)
        }
        let median = times.sorted()[times.count / 2]
        guard median < 30 else {
            return Check(
                name: "messages", result: .warning,
                detail: "four messages take \(fixed(median, digits: 1)) ms there and back",
                advice:
                    "about 40 ms mean that the broker delays small messages: put `set_tcp_nodelay true` into mosquitto.conf"
            )
        }
        return Check(
            name: "messages", result: .good, detail: "four messages take \(fixed(median, digits: 2)) ms there and back")
    }

    private func sharing() async throws -> Check {
        let first = try await client.subscribe(to: topics.sharedInputs(branch: 0, of: 1))
        try await client.publish([1], to: topics.input("doctor"))
        guard try await next(first) != nil else {
            return Check(
                name: "shared subscriptions", result: .warning, detail: "the broker does not deliver to $share/…",
                advice: "sensors of lcp deal frames themselves; for all others the aggregator does, which costs a hop")
        }
        return Check(name: "shared subscriptions", result: .good, detail: "replicas of a branch share its frames")
    }

    /// A role finds the others' states by a filter with wildcards, and the model by its topics.
    private func retaining() async throws -> Check {
        let topic = topics.status(.worker, "doctor")
        try await client.publish([1], to: topic, qos: .atLeastOnce, retain: true)
        let isKept = try await next(try await client.subscribe(to: topic))?.retained == true
        let isFound = try await next(try await client.subscribe(to: topics.statuses))?.retained == true
        // An empty message takes it away again.
        try await client.publish([], to: topic, qos: .atLeastOnce, retain: true)
        guard isKept else {
            return Check(
                name: "retained messages", result: .bad, detail: "the broker keeps none",
                advice: "put `retain_available true` into mosquitto.conf")
        }
        return isFound
            ? Check(name: "retained messages", result: .good, detail: "who comes later learns every role's state")
            : Check(
                name: "retained messages", result: .warning,
                detail: "the broker keeps them, and does not give them to subscriptions with wildcards",
                advice: "all roles say their state again whenever one comes, which may take a second or two")
    }

    /// The longest message of a pipeline is a piece of a model, or a frame.
    private func long() async throws -> Check {
        let bytes = 256 << 10
        let messages = try await client.subscribe(to: topics.prediction("doctor"))
        do {
            try await client.publish(
                [UInt8](repeating: 0, count: bytes), to: topics.prediction("doctor"), qos: .atLeastOnce)
        } catch let error as MQTTError where error.code == .tooLarge {
            return Check(
                name: "long messages", result: .warning, detail: error.description,
                advice: "models are pushed with --chunk, and frames have to be smaller than that")
        }
        guard try await next(messages)?.payload.count == bytes else {
            return Check(
                name: "long messages", result: .warning, detail: "one of \(bytes) bytes does not come back",
                advice: "the broker limits packets (max_packet_size in mosquitto.conf)")
        }
        let limit = client.brokerLimits.maximumPacketSize.map { "the broker takes up to \($0) bytes" }
        return Check(
            name: "long messages", result: .good, detail: limit ?? "one of \(bytes) bytes comes back as it was")
    }

    /// The next message, or nil where none comes in time.
    private func next(_ messages: MQTTSubscription) async throws -> MQTTMessage? {
        try await withThrowingTaskGroup(of: MQTTMessage?.self) { group in
            group.addTask {
                var iterator = messages.makeAsyncIterator()
                return try await iterator.next()
            }
            group.addTask {
                try await Task.sleep(for: Self.patience)
                return nil
            }
            defer { group.cancelAll() }
            return try await group.next() ?? nil
        }
    }
}
