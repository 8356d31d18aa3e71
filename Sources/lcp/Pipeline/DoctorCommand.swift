import ArgumentParser
import Glibc
import LCPInference
import LCPModels
import LCPWire
import MQTT
import Platform
import Synchronization

struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Check this machine and a broker, and say what to do.",
        usage: "lcp doctor [<options>]",
        discussion: """
            Examples:
              lcp doctor
              lcp doctor --config Configs/pipelines/kitchen.yaml
              lcp doctor --broker mqtts://broker.local --cafile ca.crt \\
                  --user pi --password-file password
            """)

    @OptionGroup var connection: ConnectionOptions

    @Flag(help: "Leave out the broker.")
    var offline = false

    @Flag(help: "Print one JSON object.")
    var json = false

    private struct Check: Encodable {
        enum Result: String, Encodable { case good, warning, bad }
        var name: String
        var result: Result
        var detail: String
        var advice: String?
    }

    private struct Report: Encodable { var checks: [Check] }

    func run() async throws {
        let command = self
        try await untilStopped { try await command.examine() }
    }

    private func examine() async throws {
        let settings = try connection.settings()
        var checks = Self.machine()
        if !offline {
            do { checks += try await Self.broker(try settings.mqtt(), prefix: settings.prefix) } catch let error
                as MQTTError
            {
                checks.append(
                    Check(
                        name: "broker", result: .bad, detail: error.description,
                        advice: error.code == .unreachable
                            ? "start one with `lcp broker`, or name yours with --broker mqtt://HOST" : nil))
            }
        }
        // What a signal cut short is no finding.
        try Task.checkCancellation()
        if json {
            writeLine(try jsonLine(Report(checks: checks)))
        } else {
            let colours = takesColours(STDOUT_FILENO)
            for check in checks {
                let (mark, colour) =
                    switch check.result {
                    case .good: ("ok  ", 32)
                    case .warning: ("warn", 33)
                    case .bad: ("BAD ", 31)
                    }
                writeLine("\(colours ? "\u{1B}[\(colour)m\(mark)\u{1B}[0m" : mark)  \(check.name): \(check.detail)")
                if let advice = check.advice { writeLine("      → \(advice)") }
            }
        }
        if checks.contains(where: { $0.result == .bad }) { throw ExitCode.failure }
    }

    // MARK: The machine

    private static func machine() -> [Check] {
        var checks: [Check] = []
        checks.append(
            ChildProcess.find("mosquitto").map { Check(name: "mosquitto", result: .good, detail: $0) }
                ?? Check(
                    name: "mosquitto", result: .warning, detail: "not on this machine",
                    advice: "only the machine with the broker needs it: sudo apt install mosquitto"))
        for count in [1, 2, 4, 8] {
            let name = "lenet-split\(count)"
            do {
                let bundle = try ModelBundle.find(name)
                var total = Duration.zero
                for branch in bundle.network.branches.indices {
                    total += try BranchEngine(bundle: bundle, branch: branch).measure()
                }
                _ = try bundle.mergeParameters()
                let each = total.milliseconds * 1000 / Double(bundle.network.branches.count)
                checks.append(
                    Check(
                        name: "model \(name)", result: .good,
                        detail:
                            "\(bundle.network.branches.count) × \(fixed(each, digits: 1)) µs on one core, at \(bundle.path)"
                    ))
            } catch {
                checks.append(
                    Check(name: "model \(name)", result: .bad, detail: "\(error)", advice: "install lcp again"))
            }
        }
        let cores = Processors.available
        checks.append(
            Check(name: "cores", result: .good, detail: "\(cores): that many branches can run here at the same time"))
        return checks
    }

    // MARK: The broker

    private static func broker(_ base: MQTTConfiguration, prefix: String) async throws -> [Check] {
        var configuration = base
        let identifier = String(UInt32.random(in: 1...UInt32.max), radix: 36)
        configuration.clientID = "lcp-doctor-\(identifier)"
        let client = try MQTTClient(configuration)
        try await client.connect()
        var checks = [
            Check(
                name: "broker", result: .good,
                detail: "\(configuration.address) speaks MQTT \(configuration.protocolVersion == .v5 ? "5" : "3.1.1")")
        ]
        let topics = try Topics(prefix: prefix, pipeline: "doctor-\(identifier)")
        do {
            checks.append(try await roundTrip(client, topics))
            // Where nothing comes back, the rest would only say so again.
            if checks.last?.result != .bad {
                checks.append(try await sharing(client, topics))
                checks.append(try await retaining(client, topics))
            }
        } catch let error as MQTTError {
            checks.append(
                Check(
                    name: "topics", result: .bad, detail: error.description,
                    advice: "let this user publish and subscribe below \(prefix)/; Brokers/tls/acl shows how"))
        }
        await client.close()
        return checks
    }

    /// The time of a message there and back. Four in a row, as four branches send them: that shows a broker that waits for
    /// acknowledgements before it sends the next small message.
    private static func roundTrip(_ client: MQTTClient, _ topics: Topics) async throws -> Check {
        let messages = try await client.subscribe(to: topics.allFeatures)
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

    private static func sharing(_ client: MQTTClient, _ topics: Topics) async throws -> Check {
        let first = try await client.subscribe(to: topics.sharedInputs(branch: 0, of: 1))
        try await client.publish([1], to: topics.input("doctor"))
        guard try await next(first) != nil else {
            return Check(
                name: "shared subscriptions", result: .bad, detail: "the broker does not deliver to $share/…",
                advice: "workers need shared subscriptions: mosquitto has them since 1.6")
        }
        return Check(name: "shared subscriptions", result: .good, detail: "replicas of a branch share its frames")
    }

    private static func retaining(_ client: MQTTClient, _ topics: Topics) async throws -> Check {
        let topic = topics.status(.worker, "doctor")
        try await client.publish([1], to: topic, qos: .atLeastOnce, retain: true)
        let messages = try await client.subscribe(to: topic)
        let isKept = try await next(messages)?.retained == true
        // An empty message takes it away again.
        try await client.publish([], to: topic, qos: .atLeastOnce, retain: true)
        return isKept
            ? Check(name: "retained messages", result: .good, detail: "who comes later learns every role's state")
            : Check(
                name: "retained messages", result: .bad, detail: "the broker keeps none",
                advice: "put `retain_available true` into mosquitto.conf")
    }

    /// The next message, or nil after two seconds.
    private static func next(_ messages: MQTTSubscription) async throws -> MQTTMessage? {
        try await withThrowingTaskGroup(of: MQTTMessage?.self) { group in
            group.addTask {
                var iterator = messages.makeAsyncIterator()
                return try await iterator.next()
            }
            group.addTask {
                try await Task.sleep(for: .seconds(2))
                return nil
            }
            defer { group.cancelAll() }
            return try await group.next() ?? nil
        }
    }
}
