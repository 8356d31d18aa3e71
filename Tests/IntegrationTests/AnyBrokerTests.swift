import Foundation
import LCPLocal
import LCPWire
import MQTT
import Platform
import Testing

/// The same pipeline on brokers that have little in common: RabbitMQ 3.10 gives kept messages to no wildcards, and neither that
/// nor amqtt knows shared subscriptions or MQTT 5.
@Suite(.serialized) struct AnyBrokerTests {
    enum Kind: String, CaseIterable, CustomTestStringConvertible {
        case mosquitto5 = "mosquitto with MQTT 5"
        case mosquitto3 = "mosquitto with MQTT 3.1.1"
        case rabbitmq, amqtt

        var testDescription: String { rawValue }
        var version: String { self == .mosquitto5 ? "5" : "3.1.1" }
        /// amqtt does not answer what it does not know, so that each process would try MQTT 5 for five seconds.
        var options: [String] { self == .mosquitto3 || self == .amqtt ? ["--mqtt3"] : [] }
    }

    @Test(
        "On every broker a model is pushed, frames are answered once, and a device may be killed",
        arguments: Kind.allCases)
    func wholePipeline(_ kind: Kind) async throws {
        guard let broker = try await OtherBroker(kind) else { return }
        defer { broker.stop() }
        let topics = try Topics(pipeline: "any")
        let cache = NSTemporaryDirectory() + "lcp-any-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: cache) }
        let launcher = RoleLauncher(
            executable: Repository.lcp, url: broker.url, pipeline: "any", cache: cache)
        let all = kind.options + ["--policy", "all", "--queue", "10000"]
        let names = ["a", "b", "c", "agg"]
        var roles: [String: ChildProcess] = [:]
        defer { for role in roles.values { role.stop() } }
        for name in names { roles[name] = try launcher.start(name == "agg" ? .aggregator : .worker, name, all) }

        // Whoever is there is told, and waited for.
        let common = ["--broker", broker.url] + kind.options
        let push = try await run(
            Repository.lcp, ["model", "push", "lenet-split2", "--pipeline", "any", "--wait", "30"] + common)
        #expect(push.status == 0, "\(push.output)\(push.errors)")

        let answers = try await Answers(broker, kind, topics)
        try await sensor(launcher, kind, "cam")
        #expect(await answers.numbers("cam", 100) == 100)

        // What no sensor of ours sends: the workers of a branch share it, or the aggregator deals it.
        for _ in 0..<20 {
            try await answers.client.publish(
                [UInt8](repeating: 0, count: 784), to: topics.input("shell"), qos: .atLeastOnce)
        }
        #expect(await answers.count("shell", 20) == 20)

        // One that comes later finds the model, and one may go.
        roles["d"] = try launcher.start(.worker, "d", all)
        try await answers.wait("d is ready") { $0["d"]?.state == .ready && $0["d"]?.serves?.isEmpty == false }
        kill(try #require(roles["a"]).processID, SIGKILL)
        try await answers.wait("a is lost") { $0["a"]?.state == .lost }
        try await sensor(launcher, kind, "next")
        #expect(await answers.numbers("next", 100) == 100)

        let status = try await run(
            Repository.lcp, ["status", "--json", "--for", "2", "--pipeline", "any"] + common)
        for name in ["b", "c", "d", "agg"] { #expect(status.output.contains("\"\(name)\""), "\(status.output)") }
        let doctor = try await run(
            Repository.lcp, ["doctor", "--broker", broker.url] + (kind == .amqtt ? [] : kind.options))
        #expect(doctor.status == 0 && doctor.output.contains("speaks MQTT \(kind.version)"), "\(doctor.output)")
        for name in names where name != "a" { #expect(roles.removeValue(forKey: name)?.stop() == 0, "\(name)") }
    }

    /// A hundred frames that are sent until they are answered.
    private func sensor(_ launcher: RoleLauncher, _ kind: Kind, _ name: String) async throws {
        let sensor = try launcher.start(
            .sensor, name, kind.options + ["--source", "drawn", "--rate", "100", "--count", "100", "--qos", "1"])
        defer { sensor.stop() }
        let end = ContinuousClock.now + .seconds(60)
        while sensor.poll() == nil, ContinuousClock.now < end { try await Task.sleep(for: .milliseconds(20)) }
        #expect(sensor.poll() == 0, "\(name)")
    }

    /// The predictions and statuses of the pipeline.
    private final class Answers: @unchecked Sendable {
        let client: MQTTClient
        private let predictions: MQTTSubscription
        private let statuses: MQTTSubscription
        private var seen: [String: [String]] = [:]
        private var known: [String: RoleStatus] = [:]

        init(_ broker: OtherBroker, _ kind: Kind, _ topics: Topics) async throws {
            client = try await broker.connect()
            statuses = try await client.subscribe(to: topics.statuses)
            predictions = try await client.subscribe(to: topics.predictions)
        }

        /// How many predictions there are of a sensor, when there are enough or none comes any more.
        func count(_ sensor: String, _ enough: Int) async -> Int {
            while seen[sensor, default: []].count < enough {
                guard let message = try? await next(predictions, within: .seconds(10)) else { break }
                guard let prediction = Prediction(message.payload) else { continue }
                seen[Topics.sensor(of: message.topic), default: []].append(prediction.frame)
            }
            return seen[sensor, default: []].count
        }

        /// The same, each frame once.
        func numbers(_ sensor: String, _ enough: Int) async -> Int {
            let count = await count(sensor, enough)
            return count == Set(seen[sensor, default: []]).count ? count : -count
        }

        func wait(_ what: Comment, _ isDone: ([String: RoleStatus]) -> Bool) async throws {
            while !isDone(known) {
                let message = try await next(statuses, within: .seconds(20))
                if let status = RoleStatus(message.payload) { known[status.id] = status }
            }
        }
    }
}

/// A broker of one of these kinds on a free port.
private final class OtherBroker: @unchecked Sendable {
    let url: String
    private let mosquitto: TestBroker?
    private let script: Spawned?
    private let folder = NSTemporaryDirectory() + "lcp-broker-\(UUID().uuidString)"
    private let isOld: Bool

    /// nil where it cannot be installed here, which is said.
    init?(_ kind: AnyBrokerTests.Kind) async throws {
        isOld = !kind.options.isEmpty
        guard [.rabbitmq, .amqtt].contains(kind) else {
            mosquitto = try TestBroker()
            script = nil
            url = mosquitto!.url
            return
        }
        mosquitto = nil
        let program = Repository.root.appendingPathComponent("Tests/Scripts/other-broker.sh").path
        // RabbitMQ takes two more above it: below those that the system gives to whoever asks for any.
        let port = Int.random(in: 20_000..<32_000)
        url = "mqtt://127.0.0.1:\(port)"
        let arguments = [kind.rawValue, "\(port)", folder]
        let installed = try await run(program, arguments + ["--install"])
        guard installed.status == 0 else {
            try #require(installed.status == 77, "\(installed.errors)")
            print("SKIPPED: \(installed.errors)")
            return nil
        }
        script = try Spawned(program, arguments)
        // It has to be read, or it waits.
        for pipe in [script!.output, script!.errors] { Task.detached { _ = await pipe.text() } }
        let end = ContinuousClock.now + .seconds(90)
        while true {
            do {
                try await connect().close()
                return
            } catch {
                guard ContinuousClock.now < end else {
                    stop()
                    throw error
                }
                try await Task.sleep(for: .milliseconds(200))
            }
        }
    }

    func connect() async throws -> MQTTClient {
        var configuration = MQTTConfiguration(address: try MQTTAddress(url))
        if isOld { configuration.protocolVersion = .v311 }
        let client = try MQTTClient(configuration)
        try await client.connect()
        return client
    }

    func stop() {
        if let script { kill(script.identifier, SIGTERM) }
        mosquitto?.broker.process.stop()
    }
}
