import Foundation
import LCPLocal
import MQTT
import Testing

/// `lcp broker`, as people start it.
@Suite struct BrokerCommandTests {
    @Test(
        "What is retained outlives the broker, unless it is told to keep it in memory only", arguments: [true, false])
    func keeps(_ isKept: Bool) async throws {
        let state = NSTemporaryDirectory() + "lcp-state-\(UUID().uuidString)"
        try FileManager.default.createDirectory(
            atPath: state, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o755])
        defer { try? FileManager.default.removeItem(atPath: state) }
        let port = try BrokerProcess.freePort(host: "127.0.0.1")
        func withBroker(_ body: (MQTTClient) async throws -> Void) async throws {
            let broker = try Spawned(
                Repository.lcp, ["broker", "--port", "\(port)", "--quiet"] + (isKept ? [] : ["--memory-only"]),
                environment: ["XDG_STATE_HOME": state])
            defer { kill(broker.identifier, SIGKILL) }
            try broker.waitForOutput("the broker listens")
            let client = try MQTTClient(
                MQTTConfiguration(address: try MQTTAddress("mqtt://127.0.0.1:\(port)")))
            try await client.connect()
            try await body(client)
            await client.close()
            kill(broker.identifier, SIGTERM)
            #expect(await broker.wait() == 0)
        }
        try await withBroker { try await $0.publish([7], to: "a", qos: .atLeastOnce, retain: true) }
        try await withBroker { client in
            let messages = try await client.subscribe(to: "a")
            if isKept {
                #expect(try await next(messages).payload == [7])
            } else {
                try await client.publish([8], to: "a", qos: .atLeastOnce)
                #expect(try await next(messages).payload == [8])
            }
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: state).isEmpty == !isKept)
    }

    @Test("Where nothing can be kept, the broker says so and goes on")
    func cannotKeep() async throws {
        let file = NSTemporaryDirectory() + "lcp-state-\(UUID().uuidString)"
        try Data().write(to: URL(fileURLWithPath: file))
        defer { try? FileManager.default.removeItem(atPath: file) }
        let port = try BrokerProcess.freePort(host: "127.0.0.1")
        let broker = try Spawned(
            Repository.lcp, ["broker", "--port", "\(port)", "--quiet"], environment: ["XDG_STATE_HOME": file])
        defer { kill(broker.identifier, SIGKILL) }
        try broker.waitForOutput("the broker listens")
        try broker.waitForErrors("what is retained will not outlive this broker: ")
        kill(broker.identifier, SIGTERM)
        #expect(await broker.wait() == 0)
    }
}
