import ArgumentParser
import LCPPipeline
import LCPWire
import MQTT
import Platform

struct ForgetCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "forget",
        abstract: "Take away what a broker keeps of a device that is gone.",
        discussion: """
            That is its status, its task, its label and picture, and its devices in Home Assistant. What a broker with MQTT 5 \
            keeps of somebody's end it forgets by itself after a day.

            Examples:
              lcp forget pi-3 --broker mqtt://broker.local --pipeline kitchen
            """)

    @Argument(help: "The name of a worker, an aggregator or a sensor.")
    var name: String

    @OptionGroup var role: RoleOptions

    func run() async throws {
        guard name.isTopicLevel else { throw CommandError("\(name.quoted) cannot be a name") }
        let configuration = try role.settings().configuration()
        let topics = try Topics(prefix: configuration.prefix, pipeline: configuration.pipeline)
        let name = name
        try await role.run(.cutShort) {
            let (forgotten, present) = try await MQTTClient.withConnection(configuration.mqtt) {
                try await Self.forget(name, $0, topics)
            }
            if !present.isEmpty, forgotten.isEmpty {
                throw CommandError(
                    "the \(present.joined(separator: ", the ")) \(name.printable) is there: stop it first, or it says so again"
                )
            }
            guard !forgotten.isEmpty else {
                throw CommandError("nothing is kept of \(name.printable) in \(topics.root): lcp status shows the names")
            }
            writeLine("forgot \(name.printable): its \(forgotten.joined(separator: ", "))")
        }
    }

    /// How long somebody may take to say again that he is there.
    private static let patience = Duration.seconds(2)

    /// - Returns: what was taken away, in words, and the roles of that name that are there.
    private static func forget(
        _ name: String, _ client: MQTTClient, _ topics: Topics
    ) async throws -> (forgotten: [String], present: [String]) {
        var (forgotten, present) = ([String](), [String]())
        func take(_ topic: String, _ what: String) async throws {
            guard try await kept(topic, client) != nil else { return }
            try await client.publish([], to: topic, qos: .atLeastOnce, retain: true)
            forgotten.append(what)
        }
        for role in Role.allCases {
            let topic = topics.status(role, name)
            guard let status = try await kept(topic, client) else { continue }
            let mayBeThere = RoleStatus(status).map { !$0.isGone } ?? false
            if mayBeThere, try await saysAgain(topic, client) {
                present.append(role.rawValue)
                continue
            }
            try await client.publish([], to: topic, qos: .atLeastOnce, retain: true)
            forgotten.append("status as \(role == .aggregator ? "an" : "a") \(role.rawValue)")
            try await take(
                DiscoveryDocument.topic(DiscoveryDocument.id(topics, role, name)), "\(role.rawValue) in Home Assistant")
        }
        guard !present.contains(Role.sensor.rawValue) else { return (forgotten, present) }
        try await take(topics.state(name), "label")
        try await take(topics.snapshot(name), "snapshot")
        if !present.contains(Role.worker.rawValue) { try await take(topics.task(name), "task") }
        for role in Role.allCases where !present.contains(role.rawValue) {
            try await take(
                DiscoveryDocument.topic(DiscoveryDocument.id(topics, role, name)), "\(role.rawValue) in Home Assistant")
        }
        return (forgotten, present)
    }

    /// Whether a role is there: one that is says its status again when somebody takes it away.
    private static func saysAgain(_ topic: String, _ client: MQTTClient) async throws -> Bool {
        let messages = try await client.subscribe(
            to: topic, options: .init(qos: .atLeastOnce, receivesRetained: false))
        try await client.publish([], to: topic, qos: .atLeastOnce, retain: true)
        let timer = client.eventLoop.schedule(after: patience) { messages.unsubscribe() }
        defer { timer.cancel() }
        for try await message in messages where !message.payload.isEmpty { return true }
        return false
    }

    /// What the broker keeps there; asked by the topic itself, because not every broker gives it to wildcards.
    private static func kept(_ topic: String, _ client: MQTTClient) async throws -> [UInt8]? {
        let messages = try await client.subscribe(to: topic, options: .init(qos: .atLeastOnce))
        // What is kept comes before the answer to this.
        await messages.end(within: .seconds(10))
        for try await message in messages where message.retained && !message.payload.isEmpty { return message.payload }
        return nil
    }
}
