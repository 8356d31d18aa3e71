import Foundation
import LCPLocal
import LCPWire
import MQTT
import Platform
import Testing

/// Brokers that lack something, or do not like it: every command ends with a sentence, and no role goes round for ever.
@Suite(.timeLimit(.minutes(3))) struct LimitedBrokerTests {
    private static func broker(_ lines: String) throws -> BrokerProcess {
        let text = try BrokerProcess.localConfiguration().split(separator: "\n")
            .filter { !$0.hasPrefix("max_packet_size") }.joined(separator: "\n")
        return try BrokerProcess.start(configuration: "\(text)\n\(lines)")
    }

    private static func lcp(_ words: String, _ url: String, limit: Duration = .seconds(60)) async throws -> Outcome {
        try await run(Repository.lcp, words.split(separator: " ").map(String.init) + ["--broker", url], limit: limit)
    }

    @Test("A frame that is longer than the broker takes is told and not counted as sent", arguments: ["", " --mqtt3"])
    func tooLongFrames(version: String) async throws {
        let broker = try Self.broker("max_packet_size 800")
        defer { broker.process.stop() }
        let sensor = try await Self.lcp(
            "sensor --source drawn --rate 20 --count \(version.isEmpty ? 3 : 200)\(version)", broker.url)
        #expect(sensor.status == 1, "\(sensor.errors)")
        #expect(sensor.errors.contains("frames were not sent"), "\(sensor.errors)")
        #expect(sensor.errors.contains("max_packet_size"), "\(sensor.errors)")
        let larger = try Self.broker("max_packet_size 2000")
        defer { larger.process.stop() }
        let small = try await Self.lcp("sensor --source drawn --rate 50 --count 3\(version)", larger.url)
        #expect(small.status == 0, "\(small.errors)")
    }

    @Test("A model that the broker does not take or keep is not said to be pushed", arguments: ["", " --mqtt3"])
    func refusedModels(version: String) async throws {
        for (lines, words) in [
            ("max_packet_size 4000", "max_packet_size"), ("retain_available false", "keeps no messages"),
        ] {
            let broker = try Self.broker(lines)
            defer { broker.process.stop() }
            let push = try await Self.lcp("model push lenet-split4\(version)", broker.url)
            #expect(push.status == 1 && !push.output.contains("pushed"), "\(lines): \(push.output)\(push.errors)")
            #expect(push.errors.contains(words) || push.errors.contains("ended the connection"), "\(push.errors)")
        }
        let broker = try Self.broker("max_packet_size 4000")
        defer { broker.process.stop() }
        let pieces = try await Self.lcp("model push lenet-split4 --chunk 2048\(version)", broker.url)
        #expect(pieces.status == 0 && pieces.output.contains("pushed"), "\(pieces.errors)")
    }

    @Test("A role ends with a sentence where nothing is retained", arguments: ["", " --mqtt3"])
    func nothingRetained(version: String) async throws {
        let broker = try Self.broker("retain_available false")
        defer { broker.process.stop() }
        for role in ["worker --model lenet-split4", "aggregator --model lenet-split4", "sensor --source drawn"] {
            let outcome = try await Self.lcp("\(role)\(version)", broker.url)
            #expect(outcome.status == 1, "\(role): \(outcome.errors)")
            #expect(outcome.errors.contains("retain_available true"), "\(outcome.errors)")
        }
        let doctor = try await Self.lcp("doctor\(version)", broker.url)
        #expect(doctor.status == 1 && doctor.output.contains("BAD   retained messages"), "\(doctor.output)")
    }

    /// A CONNECT of MQTT 5 is refused, or the connection ends, or nothing comes, as of amqtt.
    @Test(
        "A broker that knows only MQTT 3.1.1 is spoken to in that",
        arguments: [PickyProxy.Verdict.answer([0x20, 2, 0, 1]), .end, .swallow])
    func olderVersion(answer: PickyProxy.Verdict) async throws {
        let broker = try Self.broker("")
        // CONNECT with the protocol's level 5.
        let proxy = try PickyProxy(broker: broker.port) { bytes in
            bytes.first == 0x10 && bytes.contains("MQTT\u{5}") ? answer : .pass
        }
        defer {
            proxy.close()
            broker.process.stop()
        }
        let doctor = try await Self.lcp("doctor", proxy.url)
        #expect(doctor.status == 0 && doctor.output.contains("speaks MQTT 3.1.1"), "\(doctor.output)\(doctor.errors)")
        var configuration = MQTTConfiguration(address: try MQTTAddress(proxy.url))
        configuration.triesOlderVersion = false
        await #expect(throws: MQTTError.self) { try await MQTTClient(configuration).connect() }
    }

    @Test("A broker that ends the connection for a shared subscription: doctor says so, and ends when it is asked")
    func noShares() async throws {
        let broker = try Self.broker("")
        let proxy = try PickyProxy(broker: broker.port) { $0.contains("$share/") ? .end : .pass }
        defer {
            proxy.close()
            broker.process.stop()
        }
        let doctor = try await Self.lcp("doctor", proxy.url)
        #expect(doctor.status == 1 && doctor.output.contains("shared subscriptions: "), "\(doctor.output)")
        #expect(doctor.output.contains("long messages"), "the steps behind it are done, too: \(doctor.output)")
        let stopped = try Spawned(Repository.lcp, ["doctor", "--broker", proxy.url])
        let before = proxy.connections
        while proxy.connections < before + 2 { try await Task.sleep(for: .milliseconds(5)) }
        kill(stopped.identifier, SIGTERM)
        #expect(await stopped.wait() == 128 + SIGTERM)
    }

    @Test("Where a broker of MQTT 3.1.1 deals nothing out, workers compute all frames, and each is answered once")
    func sharesGoNowhere() async throws {
        let broker = try Self.broker("")
        // As RabbitMQ 3.10 does: it speaks 3.1.1 only, and takes the group for a part of the topic.
        let proxy = try PickyProxy(broker: broker.port) { bytes in
            if bytes.first == 0x10, bytes.contains("MQTT\u{5}") { return .answer([0x20, 2, 0, 1]) }
            return .replace(bytes.replacing(Array("$share/".utf8), with: Array("Xshare/".utf8)))
        }
        defer {
            proxy.close()
            broker.process.stop()
        }
        var roles: [Spawned] = []
        defer { for role in roles { kill(role.identifier, SIGTERM) } }
        for words in ["worker --name a", "worker --name b", "aggregator"] {
            let role = try Spawned(
                Repository.lcp,
                words.split(separator: " ").map(String.init) + ["--model", "lenet-split1", "--broker", proxy.url])
            roles.append(role)
            let said = try role.waitForErrors("ready: ")
            #expect(said.contains("no shared subscriptions") == words.hasPrefix("worker"), "\(said)")
        }
        let client = try MQTTClient(MQTTConfiguration(address: MQTTAddress(broker.url)))
        try await client.connect()
        let predictions = try await client.subscribe(to: "lcp/demo/prediction/+")
        let sensor = try await Self.lcp("sensor --source drawn --rate 50 --count 20 --qos 1", broker.url)
        #expect(sensor.status == 0, "\(sensor.errors)")
        var frames: [String] = []
        for _ in 0..<20 {
            frames.append(try #require(Prediction(try await next(predictions).payload)).frame)
        }
        #expect(Set(frames).count == 20)
        await client.close()
    }
}
