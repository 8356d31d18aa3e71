import Foundation
import Images
import LCPDatasets
import LCPLocal
import LCPPipeline
import LCPWire
import MQTT
import Platform
import Testing

/// Events, states, snapshots and what Home Assistant is told, as a subscriber sees them.
@Suite struct EventTests {
    /// A picture of a digit, white on black.
    private static func digit(_ label: Int) throws -> [UInt8] {
        let digits = DrawnDigits(seed: 7)
        let pixels = try #require((0..<200).lazy.map { digits.image($0) }.first { $0.label == label }).pixels
        return try Image(height: 28, width: 28, channels: 1, pixels: pixels).png()
    }

    private static func pipeline(_ words: [String], broker: TestBroker? = nil) async throws -> TestPipeline {
        try await TestPipeline(
            branches: [0, 1], arguments: ["--model", "lenet-split2"], ofAggregator: words, broker: broker)
    }

    private static func event(_ events: MQTTSubscription) async throws -> LabelEvent {
        try #require(LabelEvent(try await next(events).payload))
    }

    @Test(
        "A label that changes is an event and a kept state, once, and an aggregator that starts anew does not say it again"
    )
    func events() async throws {
        let pipeline = try await Self.pipeline(["--threshold", "0.3", "--stable", "2/3"])
        let (client, topics) = (pipeline.client, pipeline.topics)
        let events = try await client.subscribe(to: topics.event("door"))
        func show(_ label: Int, times: Int = 2) async throws {
            for _ in 0..<times { try await client.publish(try Self.digit(label), to: topics.input("door")) }
        }
        try await show(1)
        let first = try await Self.event(events)
        #expect(first.label == "1" && first.before == nil && first.class == 1 && first.model == "lenet-split2")
        try await show(1, times: 3)
        try await show(7)
        let second = try await Self.event(events)
        #expect(second.label == "7" && second.before == "1" && second.since <= second.time)
        let states = try await client.subscribe(to: topics.state("door"))
        let state = try await next(states)
        #expect(state.retained && state.payload == Array("7".utf8))

        let statuses = try await client.subscribe(to: topics.status(.aggregator, "b"))
        pipeline.roles[2].stop()
        let other = try pipeline.launcher.start(
            .aggregator, "b", ["--model", "lenet-split2", "--threshold", "0.3"])
        defer { other.stop() }
        while RoleStatus(try await next(statuses).payload)?.state != .ready {}
        try await show(7)
        try await show(1)
        let third = try await Self.event(events)
        #expect(third.label == "1" && third.before == "7")
    }

    @Test(
        "What an aggregator has seen of a label goes on with the one that takes over from it",
        arguments: [SIGTERM, SIGKILL])
    func takeover(signal: Int32) async throws {
        let rules = ["--threshold", "0.3", "--stable", "3/4", "--qos", "1"]
        let pipeline = try await Self.pipeline(rules)
        let (client, topics) = (pipeline.client, pipeline.topics)
        var overview = PipelineOverview()
        let statuses = try await client.subscribe(to: topics.statuses(.aggregator))
        func waitForShares(_ count: Int) async throws {
            var sharing = 0
            repeat {
                overview.add(try #require(RoleStatus(try await next(statuses).payload)))
                let aggregators = overview.members.map(\.status).filter { $0.role == .aggregator && $0.state == .ready }
                sharing = aggregators.count { $0.buckets == (count > 1 ? 16 : nil) }
            } while sharing < count
        }
        let other = try pipeline.launcher.start(.aggregator, "b", ["--model", "lenet-split2"] + rules)
        defer { other.stop() }
        try await waitForShares(2)
        overview.add(RoleStatus(state: .ready, role: .sensor, id: "door", birth: ""))
        let owner = try #require(overview.shares.first { $0.sensors == ["door"] }).aggregator

        let events = try await client.subscribe(to: topics.event("door"))
        let predictions = try await client.subscribe(to: topics.prediction("door"))
        func show(_ label: Int) async throws {
            try await client.publish(try Self.digit(label), to: topics.input("door"))
            _ = try await next(predictions)
        }
        for label in [1, 1, 1, 7, 7] { try await show(label) }
        #expect(try await Self.event(events).label == "1")
        if signal == SIGKILL {
            // By then it has said what it has seen.
            let beats = try await client.subscribe(to: topics.group(owner))
            for _ in 0..<2 { _ = try await next(beats) }
        }
        kill(owner == "b" ? other.processID : pipeline.roles[2].processID, signal)
        try await waitForShares(1)
        try await show(7)
        let second = try await Self.event(events)
        #expect(second.label == "7" && second.before == "1")
    }

    @Test("Endless strange sensors have no events beyond a limit, and are answered all the same")
    func manySensors() async throws {
        let pipeline = try await Self.pipeline(["--threshold", "0.1", "--policy", "all", "--queue", "10000"])
        let (client, topics) = (pipeline.client, pipeline.topics)
        let buffer = MQTTBufferPolicy(maximumMessages: 10_000, maximumBytes: 64 << 20)
        let events = try await client.subscribe(to: topics.event("+"), buffer: buffer)
        let predictions = try await client.subscribe(to: topics.predictions, buffer: buffer)
        let digit = try Self.digit(1)
        for index in 0..<1030 {
            try await client.publish(digit, to: topics.input("s\(index)"), qos: .atLeastOnce)
            _ = try await next(predictions)
        }
        try await client.publish(try Self.digit(7), to: topics.input("s0"))
        var count = 0
        while try await Self.event(events).before == nil { count += 1 }
        #expect(count == 1024)
    }

    @Test("A snapshot is the frame itself: of a sensor's from the sensor, of a bare picture from a worker")
    func snapshots() async throws {
        let pipeline = try await Self.pipeline(["--threshold", "0.3", "--snapshots"])
        let (client, topics) = (pipeline.client, pipeline.topics)
        let snapshots = try await client.subscribe(to: topics.snapshot("+"), options: .init(receivesRetained: false))
        func image() async throws -> (sensor: String, Image) {
            let message = try await next(snapshots)
            let image = try message.payload.withUnsafeBytes { try Image(decoding: $0, channels: 1) }
            return (Topics.sensor(of: message.topic), image)
        }
        try await client.publish(try Self.digit(1), to: topics.input("bare"))
        let expected = try Self.digit(1).withUnsafeBytes { try Image(decoding: $0, channels: 1) }
        let (name, bare) = try await image()
        #expect(name == "bare" && (bare.height, bare.width) == (expected.height, expected.width))
        let differences = zip(bare.pixels, expected.pixels).map { abs(Int($0) - Int($1)) }
        #expect(differences.reduce(0, +) < 8 * differences.count)

        // Requests that come at once are answered one after the other.
        try await client.publish(try Self.digit(1), to: topics.input("other"))
        #expect(try await image().sensor == "other")
        var wanted: Set = ["bare", "other"]
        for name in wanted { try await client.publish([], to: topics.snapshotRequest(name)) }
        while !wanted.isEmpty { wanted.remove(try await image().sensor) }

        let sensor = try Spawned(
            Repository.lcp,
            ["sensor", "--broker", pipeline.broker.url, "--pipeline", "test", "--name", "cam", "--rate", "1"])
        defer { kill(sensor.identifier, SIGKILL) }
        while try await image().sensor != "cam" {}
        // On request, and also where the request is nonsense before that.
        for payload in ["{", "{\"frame\":\"nonsense\"}"] {
            try await client.publish(Array(payload.utf8), to: topics.snapshotRequest("bare"))
        }
        try await client.publish([], to: topics.snapshotRequest("bare"))
        var others = 0
        while try await image().sensor != "bare" {
            others += 1
            try #require(others < 20, "the request for the bare picture was not answered")
        }
        let late = try await pipeline.broker.connect()
        let kept = try await late.subscribe(to: topics.snapshot("bare"))
        #expect(try await next(kept).retained)
        await late.close()
    }

    @Test("Home Assistant gets documents of cameras, workers and the aggregator, kept, and again when it starts")
    func homeAssistant() async throws {
        let broker = try TestBroker()
        let client = try await broker.connect()
        let documents = try await client.subscribe(to: "homeassistant/device/+/config")
        let pipeline = try await Self.pipeline(["--homeassistant"], broker: broker)
        let topics = pipeline.topics
        try await client.publish(try Self.digit(1), to: topics.input("bare"))
        let all: Set = ["worker_w0", "worker_w1", "aggregator_a", "sensor_bare"]
        func hear() async throws -> [String: [UInt8]] {
            var heard: [String: [UInt8]] = [:]
            while heard.count < all.count {
                let message = try await next(documents)
                heard[String(message.topic.split(separator: "/")[2].dropFirst("lcp_test_".count))] = message.payload
            }
            return heard
        }
        let first = try await hear()
        #expect(Set(first.keys) == all)
        for (_, payload) in first {
            let json = try #require(try JSONSerialization.jsonObject(with: Data(payload)) as? [String: Any])
            #expect(json["origin"] != nil && json["components"] != nil)
        }
        let label = try #require(first["sensor_bare"].map { String(decoding: $0, as: UTF8.self) })
        #expect(label.contains("\"state_topic\":\"lcp/test/state/bare\"") && label.contains("\"none\""))
        try await client.publish(Array("online".utf8), to: "homeassistant/status")
        #expect(try await hear() == first)
        let late = try await broker.connect()
        let kept = try await late.subscribe(to: "homeassistant/device/+/config")
        for _ in all { #expect(try await next(kept).retained) }
        // An aggregator of the same name without it takes them away.
        pipeline.roles[2].stop()
        let other = try pipeline.launcher.start(.aggregator, "a", ["--model", "lenet-split2"])
        defer { other.stop() }
        for _ in all { #expect(try await next(kept).payload.isEmpty) }
        await late.close()
        await client.close()
    }

    @Test("The example script acts on events, and what strangers write into a label is text to it")
    func script() async throws {
        guard ChildProcess.find("jq") != nil, ChildProcess.find("mosquitto_sub") != nil else {
            print("SKIPPED: there is no jq or mosquitto_sub: Examples/shell/on-event.sh was not tried")
            return
        }
        let broker = try TestBroker()
        let client = try await broker.connect()
        let folder = NSTemporaryDirectory() + "lcp-script-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let script = try Spawned(
            "/bin/sh",
            [
                Repository.root.appendingPathComponent("Examples/shell/on-event.sh").path, "test", "-p",
                "\(broker.broker.port)",
            ])
        defer { kill(script.identifier, SIGKILL) }
        let trap = "\(folder)/trapped"
        let labels = ["cat", "'; touch \(trap); '", "$(touch \(trap))", "a\ntouch \(trap) #'", "\u{2028}ü🐈"]
        let topic = try Topics(pipeline: "test").event("door")
        func event(_ label: String) -> [UInt8] {
            LabelEvent(
                sensor: "door", label: label, class: 0, confidence: 0.5, since: 0, time: 0, before: nil, frame: 1,
                model: "m"
            ).json
        }
        let sending = Task {
            while !Task.isCancelled {
                for label in labels { try await client.publish(event(label), to: topic) }
                try await client.publish(Array("no JSON".utf8), to: topic)
                try await client.publish(event("the end"), to: topic)
                try await Task.sleep(for: .milliseconds(100))
            }
        }
        defer { sending.cancel() }
        // It may have subscribed in the midst of them: what comes between two ends is all of them.
        try script.waitForOutput("door: the end, 0.5")
        try script.waitForOutput("door: the end, 0.5")
        #expect(!FileManager.default.fileExists(atPath: trap))
        kill(script.identifier, SIGTERM)
        #expect(await script.wait() == 1)
        let processes = try await run("/bin/ps", ["-eo", "args"])
        #expect(!processes.output.contains("lcp/test/event/+ -p \(broker.broker.port)"))
    }
}
