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
        guard name.isTopicLevel else { throw ValidationError("\(name.quoted) cannot be a name") }
        let configuration = try role.settings().configuration()
        let topics = try Topics(prefix: configuration.prefix, pipeline: configuration.pipeline)
        let name = name
        try await role.run(.cutShort) {
            let forgotten = try await MQTTClient.withConnection(configuration.mqtt) {
                try await Self.forget(name, $0, topics)
            }
            guard !forgotten.isEmpty else {
                throw CommandError("nothing is kept of \(name.printable) in \(topics.root): lcp status shows the names")
            }
            writeLine("forgot \(name.printable): its \(forgotten.joined(separator: ", "))")
        }
    }

    /// - Returns: what was taken away, in words.
    private static func forget(_ name: String, _ client: MQTTClient, _ topics: Topics) async throws -> [String] {
        var places: [(topic: String, what: String)] = Role.allCases.map {
            (topics.status($0, name), "status as \($0 == .aggregator ? "an" : "a") \($0.rawValue)")
        }
        places += [
            (topics.task(name), "task"), (topics.state(name), "label"), (topics.snapshot(name), "snapshot"),
        ]
        places += Role.allCases.map {
            (
                DiscoveryDocument.topic(DiscoveryDocument.id(topics, $0, name)),
                "\($0.rawValue) in Home Assistant"
            )
        }
        var kept: [(topic: String, what: String)] = []
        for place in places {
            // By its own topic: not every broker gives what it keeps to wildcards.
            let messages = try await client.subscribe(to: place.topic, options: .init(qos: .atLeastOnce))
            // What is kept comes before the answer to this.
            await messages.end(within: .seconds(10))
            for try await message in messages where message.retained && !message.payload.isEmpty {
                kept.append(place)
                if let status = RoleStatus(message.payload), status.id == name,
                    place.topic == topics.status(status.role, name), status.state == .ready || status.state == .starting
                {
                    throw CommandError(
                        "the \(status.role.rawValue) \(name.printable) is there: stop it first, or it says so again")
                }
                break
            }
        }
        for place in kept { try await client.publish([], to: place.topic, qos: .atLeastOnce, retain: true) }
        return kept.map(\.what)
    }
}
