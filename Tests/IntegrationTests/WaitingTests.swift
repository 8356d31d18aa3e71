import Foundation
import LCPLocal
import LCPWire
import Testing

/// Roles that are started before their broker.
@Suite struct WaitingTests {
    @Test("A role waits for a broker that is not there yet, says so once, and goes on when it comes")
    func waits() async throws {
        let port = try BrokerProcess.freePort(host: "127.0.0.1")
        let words = ["--broker", "mqtt://127.0.0.1:\(port)", "--pipeline", "test", "--name", "a"]
        let worker = try Spawned(Repository.lcp, ["worker", "--model", "lenet-split2"] + words)
        defer { kill(worker.identifier, SIGKILL) }
        let first = try worker.waitForErrors("; waiting for it")
        let broker = try TestBroker(port: port)
        let rest = try worker.waitForErrors("ready: branch")
        #expect(rest.contains("connected\n") && !(first + rest).contains("again"), "\(first)\(rest)")
        #expect((first + rest).components(separatedBy: "waiting for it").count == 2, "\(first)\(rest)")
        kill(worker.identifier, SIGTERM)
        #expect(await worker.wait() == 0)
        withExtendedLifetime(broker) {}
    }

    @Test(
        "A role that waits for its broker, or for its name, ends at once when it is asked to",
        arguments: ["mqtt://127.0.0.1:1", "mqtt://nobody-has-this-name.local"])
    func stops(_ address: String) async throws {
        let sensor = try Spawned(Repository.lcp, ["sensor", "--broker", address])
        defer { kill(sensor.identifier, SIGKILL) }
        try sensor.waitForErrors("; waiting for it")
        kill(sensor.identifier, SIGTERM)
        #expect(await sensor.wait() == 0)
    }

    @Test("A command that asks once does not wait")
    func oneShot() async throws {
        let outcome = try await run(
            Repository.lcp, ["model", "push", "lenet-split2", "--broker", "mqtt://127.0.0.1:1"])
        #expect(outcome.status == 1 && outcome.errors.contains("cannot connect"), "\(outcome.errors)")
    }
}
