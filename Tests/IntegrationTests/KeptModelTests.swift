import Foundation
import LCPLocal
import LCPWire
import MQTT
import Testing

/// Which model a pipeline runs, where none was pushed, one was pushed long ago, or two disagree.
@Suite struct KeptModelTests {
    private static func prediction(_ devices: Devices, _ frame: Int) async throws -> Prediction {
        let predictions = try await devices.client.subscribe(to: devices.topics.predictions)
        try await devices.send(frame)
        return try #require(Prediction(try await next(predictions).payload))
    }

    @Test(
        "A model that came with lcp and was never pushed is named as such, in predictions and statuses, until it is pushed"
    )
    func fallback() async throws {
        let devices = try await Devices()
        try devices.start(.aggregator, "agg", ["--deadline", "5000"])
        try devices.start(.worker, "a")
        try await devices.wait("all branches") { devices.owners($0).count == 4 && $0["agg"]?.state == .ready }
        #expect(devices.known["a"]?.isFallback == true && devices.known["agg"]?.isFallback == true)
        let first = try await Self.prediction(devices, 1)
        #expect(first.fallback == true && first.model == "lenet-split4")
        let status = try await run(
            Repository.lcp, ["status", "--for", "1", "--broker", devices.broker.url, "--pipeline", "join"])
        #expect(status.output.contains("lcp/join runs lenet-split4 (came with lcp)"), "\(status.output)")
        #expect(status.output.contains("no model was pushed to lcp/join: push yours with lcp model push"))
        try await devices.push("lenet-split4")
        try await devices.wait("a pushed model") { $0["a"]?.isFallback == nil && $0["agg"]?.isFallback == nil }
        #expect(try await Self.prediction(devices, 2).fallback == nil)
    }

    @Test("An older push that comes late is put back, and the pipeline goes on with the newer")
    func olderPush() async throws {
        let devices = try await Devices()
        try await devices.push("lenet-split2")
        try devices.start(.aggregator, "agg", ["--deadline", "5000"])
        try devices.start(.worker, "a")
        try await devices.wait("both branches") { devices.owners($0).count == 2 && $0["agg"]?.state == .ready }
        let manifests = try await devices.client.subscribe(to: devices.topics.modelManifest)
        let newest = try ModelOffer(try await next(manifests).payload)
        #expect(newest.givenNumber != nil)
        var older = newest
        (older.name, older.model, older.givenNumber) = ("old", String(repeating: "f", count: 32), nil)
        let json = JSONEncoder()
        try await devices.client.publish(
            Array(try json.encode(older)), to: devices.topics.modelManifest, qos: .atLeastOnce, retain: true)
        while try ModelOffer(try await next(manifests).payload) != newest {}
        #expect(try await Self.prediction(devices, 1).model == "lenet-split2")
    }

    @Test("Where a kept model cannot be written, that is said in a sentence, and the rest goes on")
    func cannotKeep() async throws {
        let devices = try await Devices()
        try await devices.push("lenet-split2")
        try FileManager.default.createDirectory(atPath: devices.cache, withIntermediateDirectories: true)
        try Data().write(to: URL(fileURLWithPath: "\(devices.cache)/pipelines"))
        let worker = try Spawned(
            Repository.lcp, ["worker", "--broker", devices.broker.url, "--pipeline", "join", "--name", "a"],
            environment: ["LCP_CACHE": devices.cache])
        defer { kill(worker.identifier, SIGKILL) }
        let said = try worker.waitForErrors("ready: branch")
        #expect(said.contains("will not be known here after a power cut: "), "\(said)")
        kill(worker.identifier, SIGTERM)
        #expect(await worker.wait() == 0)
    }

    @Test("A broker keeps for a day that somebody is gone, with a goodbye or without", arguments: [SIGTERM, SIGKILL])
    func expiry(_ number: Int32) async throws {
        let devices = try await Devices()
        try devices.start(.worker, "a")
        try await devices.wait("a worker") { $0["a"]?.state == .ready }
        let statuses = try await devices.client.subscribe(to: devices.topics.status(.worker, "a"))
        #expect(try await next(statuses).properties?.messageExpiry == nil)
        devices.signal("a", number)
        var last = try await next(statuses)
        while RoleStatus(last.payload)?.state == .ready { last = try await next(statuses) }
        #expect(last.properties?.messageExpiry == 86_400)
    }

    @Test("What is kept of a device that is gone can be taken away, and of one that is there not")
    func forget() async throws {
        let devices = try await Devices()
        let (client, topics) = (devices.client, devices.topics)
        try devices.start(.aggregator, "agg", ["--deadline", "5000", "--homeassistant"])
        try devices.start(.worker, "a")
        try await devices.wait("all branches") { devices.owners($0).count == 4 && $0["agg"]?.state == .ready }
        func forget(_ name: String) async throws -> Outcome {
            try await run(
                Repository.lcp, ["forget", name, "--broker", devices.broker.url, "--pipeline", "join"])
        }
        let alive = try await forget("a")
        #expect(alive.status == 1 && alive.errors.contains("the worker a is there: stop it first"), "\(alive.errors)")
        #expect(devices.stop("a") == 0)
        try await devices.wait("its end") { $0["a"]?.state == .disconnected }
        let gone = try await forget("a")
        #expect(gone.status == 0 && gone.output.contains("status as a worker"), "\(gone.output)\(gone.errors)")
        let again = try await forget("a")
        #expect(again.status == 1 && again.errors.contains("nothing is kept of a in lcp/join"), "\(again.errors)")
        // Nor does the aggregator tell Home Assistant of it again.
        let documents = try await client.subscribe(to: "homeassistant/device/+/config")
        #expect(try await next(documents).topic.contains("aggregator_agg"))
        try await client.publish(Array("online".utf8), to: "homeassistant/status")
        #expect(try await next(documents).topic.contains("aggregator_agg"))
        #expect(try await next(client.subscribe(to: topics.status(.aggregator, "agg"))).retained)
    }
}
