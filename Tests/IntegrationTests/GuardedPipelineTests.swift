import Foundation
import LCPLocal
import LCPWire
import MQTT
import Platform
import Testing

/// A pipeline behind TLS in which every device has a user of its own.
@Suite(.timeLimit(.minutes(2))) struct GuardedPipelineTests {
    private final class Guarded {
        let folder = "/tmp/lcp-test-\(UUID().uuidString.prefix(8))"
        let port: Int
        let broker: ChildProcess
        private var roles: [String: ChildProcess] = [:]

        init() async throws {
            port = try BrokerProcess.freePort(host: "127.0.0.1")
            broker = try ChildProcess(
                executable: "/bin/sh", arguments: [Self.script("start.sh"), "--port", "\(port)", "--data", folder],
                errorOutput: .discarded)
            while !FileManager.default.fileExists(atPath: "\(folder)/mosquitto.pid") {
                try #require(broker.poll() == nil, "the broker ended")
                try await Task.sleep(for: .milliseconds(20))
            }
        }

        deinit {
            for role in roles.values { role.stop() }
            broker.stop()
            try? FileManager.default.removeItem(atPath: folder)
        }

        static func script(_ name: String) -> String {
            Repository.root.appendingPathComponent("Brokers/tls/\(name)").path
        }

        func add(_ device: String, _ role: Role) async throws {
            let words = [Self.script("add-device.sh"), device, "--role", role.rawValue, "--data", folder]
            let outcome = try await run("/bin/sh", words)
            try #require(outcome.status == 0, "\(outcome.errors)")
        }

        func options(_ user: String) -> [String] {
            [
                "--cafile", "\(folder)/ca.crt", "--user", user, "--password-file", "\(folder)/passwords/\(user)",
            ]
        }

        var launcher: RoleLauncher {
            RoleLauncher(executable: Repository.lcp, url: "mqtts://localhost:\(port)", pipeline: "test")
        }

        func start(_ role: Role, _ name: String, user: String? = nil, _ arguments: [String] = []) throws {
            roles[name] = try launcher.start(role, name, options(user ?? name) + arguments)
        }

        func end(_ name: String, _ signal: Int32? = nil) -> Int32? {
            guard let role = roles.removeValue(forKey: name) else { return nil }
            if let signal { kill(role.processID, signal) }
            return role.stop()
        }

        func wait(_ name: String) async throws -> Int32 {
            while true {
                if let status = roles[name]?.poll() { return status }
                try await Task.sleep(for: .milliseconds(20))
            }
        }

        func client(_ user: String, id: String = "") async throws -> MQTTClient {
            var configuration = MQTTConfiguration(address: .tls(host: "localhost", port: port))
            configuration.user = user
            configuration.password = try String(contentsOfFile: "\(folder)/passwords/\(user)", encoding: .utf8)
                .trimmingCharacters(in: .newlines)
            configuration.tls.certificateAuthorityFile = "\(folder)/ca.crt"
            if !id.isEmpty { configuration.clientID = id }
            for _ in 0..<200 {
                let client = try MQTTClient(configuration)
                if (try? await client.connect()) != nil { return client }
                try await Task.sleep(for: .milliseconds(20))
            }
            throw PipelineError(.timedOut, "the broker never let \(user) in")
        }
    }

    @Test("With each password everybody can do what the table says, and nothing else")
    func rights() async throws {
        let script = Repository.root.appendingPathComponent("Tests/Scripts/test-broker-tls.sh").path
        let outcome = try await run("/bin/sh", [script], limit: .seconds(100))
        let wrong = outcome.output.split(separator: "\n").filter { !$0.hasPrefix("ok") }
        #expect(outcome.status == 0 && wrong == ["all well"], "\(wrong) \(outcome.errors)")
    }

    @Test("A device that is shut out while it runs says why it does not come back")
    func shutOut() async throws {
        let guarded = try await Guarded()
        try await guarded.add("pi-1", .worker)
        let worker = try Spawned(
            Repository.lcp,
            ["worker", "--broker", "mqtts://localhost:\(guarded.port)", "--name", "pi-1", "--model", "lenet-split2"]
                + guarded.options("pi-1"))
        defer { kill(worker.identifier, SIGTERM) }
        try worker.waitForErrors("ready: ")
        let words = [Guarded.script("add-device.sh"), "--remove", "pi-1", "--data", guarded.folder]
        #expect(try await run("/bin/sh", words).status == 0)
        try worker.waitForErrors("refused the connection")
    }

    @Test("Devices of their own users answer frames and pictures, and thieves get in nobody's way")
    func guarded() async throws {
        let guarded = try await Guarded()
        for device in ["pi-1", "pi-2", "pi-3"] { try await guarded.add(device, .worker) }
        try await guarded.add("door", .sensor)
        for hub in ["hub", "hub-2"] { try await guarded.add(hub, .aggregator) }
        let people = try await guarded.client("operator")
        let topics = try Topics(pipeline: "test")
        let statuses = try await people.subscribe(to: topics.statuses)
        let model = ["--model", "lenet-split2"]
        for hub in ["hub", "hub-2"] { try guarded.start(.aggregator, hub, model + ["--deadline", "5000"]) }
        for device in ["pi-1", "pi-2", "pi-3"] { try guarded.start(.worker, device, model) }
        var lanes: [String: [[Int]]] = [:]
        var births: [String: String] = [:]
        var buckets: [String: Int] = [:]
        while lanes.count < 3 || buckets != ["hub": 16, "hub-2": 16] {
            let status = try #require(RoleStatus(try await next(statuses).payload))
            if status.role == .aggregator { buckets[status.id] = status.buckets }
            if status.role == .worker, let own = status.lanes, own.contains(where: { !$0.isEmpty }) {
                (lanes[status.id], births[status.id]) = (own, status.birth)
            }
        }
        // Who may only look joins the groups that a broker shares messages among, and takes identifiers.
        let viewer = try await guarded.client("viewer")
        let stolen = try await viewer.subscribe(to: topics.sharedInputs(branch: 0, of: 2))
        let other = try await viewer.subscribe(to: "$share/branch-1-of-2/\(topics.root)/lane/+/+")
        let thief = try await guarded.client("viewer", id: "lcp-test-aggregator-hub")

        let predictions = try await people.subscribe(to: topics.predictions)
        try guarded.start(.sensor, "door", ["--source", "drawn", "--rate", "50", "--count", "40", "--qos", "1"])
        var found: [String: Int] = [:]
        while found["door"] ?? 0 < 40 {
            let prediction = try #require(Prediction(try await next(predictions).payload))
            #expect(prediction.missing == [])
            found[prediction.sensor, default: 0] += 1
        }
        #expect(try await guarded.wait("door") == 0)
        for number in 0..<20 as Range<UInt8> {
            try await people.publish(
                [UInt8](repeating: number, count: 784), to: topics.input("gate"), qos: .atLeastOnce)
        }
        while found["gate"] ?? 0 < 20 {
            let prediction = try #require(Prediction(try await next(predictions).payload))
            #expect(prediction.sensor == "gate" && prediction.missing == [])
            found[prediction.sensor, default: 0] += 1
        }
        #expect(found == ["door": 40, "gate": 20])
        for subscription in [stolen, other] { subscription.unsubscribe() }
        for client in [thief, viewer] { await client.close() }

        // One that dies, and is back before the broker has noticed, is there.
        #expect(guarded.end("pi-1", SIGKILL) != 0)
        try guarded.start(.worker, "pi-1", model)
        while true {
            let status = try #require(RoleStatus(try await next(statuses).payload))
            if status.id == "pi-1", status.birth != births["pi-1"], status.serves?.isEmpty == false { break }
        }
        for name in ["pi-1", "pi-2", "pi-3", "hub", "hub-2"] { #expect(guarded.end(name) == 0, "\(name)") }
        await people.close()
    }
}
