import Foundation
import LCPLocal
import LCPWire
import MQTT
import Platform
import Testing

@Suite("Two brokers that share a pipeline by sensor") struct BridgeTests {
    private final class Folder {
        let path = "/tmp/lcp-test-\(UUID().uuidString)"
        deinit { try? FileManager.default.removeItem(atPath: path) }
    }

    private static let script = Repository.root.appendingPathComponent("Brokers/bridge/start.sh").path

    /// The bridged broker, and a client of it once it is there.
    private static func bridge(
        _ port: Int, to other: Int, _ folder: String
    ) async throws -> (process: Spawned, client: MQTTClient) {
        let process = try Spawned(
            script,
            [
                "--pipeline", "p", "--other", "127.0.0.1:\(other)", "--port", "\(port)", "--bind", "127.0.0.1",
                "--data",
                folder,
            ])
        var configuration = MQTTConfiguration(address: try MQTTAddress("mqtt://127.0.0.1:\(port)"))
        configuration.waitsForBroker = true
        let client = try MQTTClient(configuration)
        try await client.connect()
        return (process, client)
    }

    /// Waits for a prediction of a sensor that is made of more than so many frames.
    @discardableResult
    private static func answer(
        _ predictions: MQTTSubscription, of sensor: String, above frame: Int = -1
    ) async throws -> Int {
        while true {
            let json = try JSONSerialization.jsonObject(with: Data(try await next(predictions).payload))
            guard let prediction = json as? [String: Any], prediction["sensor"] as? String == sensor,
                let found = (prediction["frame"] as? String).flatMap({ Int($0) }), found > frame
            else { continue }
            return found
        }
    }

    @Test("Predictions of all sensors are on both, each once; a model pushed to one runs on both; either may be killed")
    func bridged() async throws {
        let folder = Folder()
        var first: TestBroker? = try TestBroker()
        let port = try BrokerProcess.freePort(host: "127.0.0.1")
        let address = try #require(first?.url)
        let firstPort = try #require(address.split(separator: ":").last.flatMap { Int($0) })
        var (second, own) = try await Self.bridge(port, to: firstPort, folder.path)
        defer { kill(second.identifier, SIGKILL) }
        var roles: [Spawned] = []
        defer { for role in roles { kill(role.identifier, SIGKILL) } }
        for (side, url, sensor) in [(0, address, "door"), (1, "mqtt://127.0.0.1:\(port)", "yard")] {
            let place = ["--broker", url, "--pipeline", "p"]
            for words in [
                ["worker", "--name", "w\(side)"], ["aggregator", "--name", "a\(side)"],
                ["sensor", "--name", sensor, "--rate", "20"],
            ] {
                roles.append(
                    try Spawned(
                        Repository.lcp, words + place, environment: ["LCP_CACHE": "\(folder.path)/cache-\(side)"]))
            }
        }
        let pushed = try await run(
            Repository.lcp,
            ["model", "push", "lenet-split2", "--broker", address, "--pipeline", "p", "--wait", "0"])
        #expect(pushed.status == 0, "\(pushed.errors)")
        // Those of the other side change over, too.
        try roles[3].waitForErrors("lenet-split2")

        var client = try await first?.connect()
        var atFirst = try #require(try await client?.subscribe(to: "lcp/p/prediction/+"))
        var atSecond = try await own.subscribe(to: "lcp/p/prediction/+")
        var (door, yard) = (0, 0)
        for predictions in [atFirst, atSecond] {
            door = try await Self.answer(predictions, of: "door")
            yard = try await Self.answer(predictions, of: "yard")
        }
        // Nothing goes round.
        var seen: Set<String> = []
        for _ in 0..<60 {
            let message = try await next(atFirst)
            let json = try JSONSerialization.jsonObject(with: Data(message.payload)) as? [String: Any]
            let frame = try #require(json?["frame"] as? String)
            #expect(seen.insert("\(message.topic) \(frame)").inserted, "\(message.topic) \(frame) came twice")
        }

        // The first broker is gone: the sensors of the other are answered as before.
        client = nil
        kill(try #require(first?.broker.process.processID), SIGKILL)
        first = nil
        yard = try await Self.answer(atSecond, of: "yard", above: yard)
        yard = try await Self.answer(atSecond, of: "yard", above: yard + 20)
        let again = try TestBroker(port: firstPort)
        door = try await Self.answer(atSecond, of: "door", above: door)
        let other = try await again.connect()
        atFirst = try await other.subscribe(to: "lcp/p/prediction/+")
        yard = try await Self.answer(atFirst, of: "yard", above: yard)

        // And the second.
        kill(second.identifier, SIGKILL)
        _ = await second.wait()
        door = try await Self.answer(atFirst, of: "door", above: door)
        door = try await Self.answer(atFirst, of: "door", above: door + 20)
        (second, own) = try await Self.bridge(port, to: firstPort, folder.path)
        try await Self.answer(atFirst, of: "yard", above: yard)
        atSecond = try await own.subscribe(to: "lcp/p/prediction/+")
        try await Self.answer(atSecond, of: "door", above: door)

        for role in roles { kill(role.identifier, SIGTERM) }
        for role in roles { #expect(await role.wait() == 0) }
        kill(second.identifier, SIGTERM)
        #expect(await second.wait() == 0)
    }

    @Test(
        "A mistake is one sentence",
        arguments: [
            (["--other", "host"], "--pipeline is missing"), (["--pipeline", "p"], "--other is missing"),
            (["--pipeline", "a/b", "--other", "host"], "a/b cannot be used here"),
            (["--pipeline", "p", "--other", "host:x"], "x is no port"),
            (["--pipeline", "p", "--other", "ho st"], "is no HOST or HOST:PORT"),
            (["--pipeline", "p", "--other", "host", "--data", "/dev/null/x"], "cannot make or write the folder"),
            (["--frames"], "unknown argument --frames"),
        ])
    func mistakes(words: [String], sentence: String) async throws {
        let outcome = try await run(Self.script, words, limit: .seconds(20))
        #expect(outcome.status == 1 && outcome.errors.contains(sentence), "\(outcome.errors)")
    }
}
