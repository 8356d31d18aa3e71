import Foundation
import LCPLocal
import LCPModels
import LCPWire
import MQTT
import Platform
import Testing

/// A model that is tried beside the pipeline's on a share of the frames.
@Suite struct CanaryPipelineTests {
    /// Two workers and an aggregator that run lenet-split4, and a stream through them.
    private func pipeline(_ body: (TestBroker, Topics, RoleLauncher, [String]) async throws -> Void) async throws {
        let broker = try TestBroker()
        let cache = NSTemporaryDirectory() + "lcp-canary-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: cache) }
        let launcher = RoleLauncher(executable: Repository.lcp, url: broker.url, pipeline: "can", cache: cache)
        var roles: [ChildProcess] = []
        defer { for role in roles { role.stop() } }
        for name in ["w1", "w2"] { roles.append(try launcher.start(.worker, name)) }
        roles.append(try launcher.start(.aggregator, "agg", ["--deadline", "5000"]))
        let common = ["--broker", broker.url, "--pipeline", "can"]
        let push = try await run(Repository.lcp, ["model", "push", "lenet-split4", "--wait", "30"] + common)
        #expect(push.status == 0, "\(push.errors)")
        try await body(broker, try Topics(pipeline: "can"), launcher, common)
    }

    @Test(
        "A model is tried, promoted and another aborted while frames come: each is answered once, by the pipeline's model"
    )
    func wholeTrial() async throws {
        try await pipeline { broker, topics, launcher, common in
            let client = try await broker.connect()
            let predictions = try await client.subscribe(
                to: topics.predictions, buffer: .init(maximumMessages: 10_000, maximumBytes: 16 << 20))
            let statistics = try await client.subscribe(to: topics.statistics(.aggregator, "agg"))
            func command(_ arguments: [String]) async throws -> String {
                let outcome = try await run(Repository.lcp, ["model"] + arguments + common)
                #expect(outcome.status == 0, "\(arguments): \(outcome.errors)\(outcome.output)")
                return outcome.output
            }
            let sensor = try launcher.start(.sensor, "cam", ["--source", "drawn", "--rate", "100", "--count", "2500"])
            defer { sensor.stop() }
            #expect(
                try await command(["push", "lenet-split4-int8", "--canary", "20%", "--wait", "30"])
                    .contains("tried by aggregator agg, worker w1, worker w2"))
            var counts: RoleStatistics.Canary?
            while counts?.frames ?? 0 < 20 { counts = RoleStatistics(try await next(statistics).payload)?.canary }
            let found = try #require(counts)
            #expect(Double(found.agreed) >= 0.9 * Double(found.frames) && found.share == 0.2)
            #expect(found.tried.name == "lenet-split4-int8" && found.present.confidence > 0.9)
            #expect(try await command(["list"]).contains("tried on 20.00 % of the frames: lenet-split4-int8"))
            #expect(try await command(["promote", "--wait", "30"]).contains("run by aggregator agg"))
            _ = try await command(["push", "lenet-split4", "--canary", "50%", "--wait", "30"])
            #expect(try await command(["abort"]) == "lcp/can does not try lenet-split4 any more\n")
            #expect(try await !command(["list"]).contains("tried"))

            var seen: [String: Int] = [:]
            var models: [String] = []
            while seen.count < 2500 {
                let prediction = try #require(Prediction(try await next(predictions, within: .seconds(20)).payload))
                seen[prediction.frame, default: 0] += 1
                if let model = prediction.model, models.last != model { models.append(model) }
            }
            #expect(seen.values.allSatisfy { $0 == 1 })
            #expect(models.first == "lenet-split4" && models.last == "lenet-split4-int8")
            await client.close()
        }
    }

    @Test(
        "A trial ends when its model is pushed, another one is tried, or the pipeline's has other branches; else it goes on"
    )
    func pointless() async throws {
        let broker = try TestBroker()
        let topics = try Topics(pipeline: "can")
        let common = ["--broker", broker.url, "--pipeline", "can"]
        let client = try await broker.connect()
        func push(_ arguments: [String], says words: String?) async throws {
            let outcome = try await run(
                Repository.lcp, ["model", "push"] + arguments + ["--wait", "0"] + common)
            #expect(outcome.status == 0, "\(arguments): \(outcome.errors)")
            if let words {
                #expect(outcome.output.contains(words), "\(arguments): \(outcome.output)")
            } else {
                #expect(!outcome.output.contains("tried"), "\(arguments): \(outcome.output)")
            }
        }
        func tried() async throws -> String? {
            let kept = try await client.subscribe(to: topics.modelCanary)
            await kept.end(within: .seconds(10))
            for try await message in kept where !message.payload.isEmpty {
                return try CanaryOffer(Array(message.payload)).offer.name
            }
            return nil
        }
        let other = NSTemporaryDirectory() + "lcp-other-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: other) }
        try FileManager.default.copyItem(atPath: ModelBundle.find("lenet-split4-int8").path, toPath: other)
        let manifest = try String(contentsOfFile: "\(other)/model.json", encoding: .utf8)
        try manifest.replacingOccurrences(of: "\"lenet-split4-int8\"", with: "\"other\"")
            .write(toFile: "\(other)/model.json", atomically: true, encoding: .utf8)
        try await push(["lenet-split4"], says: nil)
        try await push(["lenet-split4-int8", "--canary", "1%"], says: nil)
        try await push([other, "--canary", "1%"], says: "lenet-split4-int8 is tried no more: this one is tried")
        #expect(try await tried() == "other")
        try await push(["lenet-split4-int8"], says: "other is still tried, beside this one now")
        #expect(try await tried() == "other")
        try await push([other], says: nil)
        #expect(try await tried() == nil)
        try await push(["lenet-split4", "--canary", "1%"], says: nil)
        try await push(["lenet-split2"], says: "lenet-split4 is tried no more: it has other branches")
        #expect(try await tried() == nil)
        await client.close()
    }

    @Test("What cannot be tried is refused in one sentence, and the pipeline goes on")
    func refusals() async throws {
        try await pipeline { broker, topics, launcher, common in
            func fails(_ arguments: [String], _ sentence: String) async throws {
                let outcome = try await run(Repository.lcp, ["model"] + arguments + common)
                #expect(outcome.status != 0 && outcome.errors.contains(sentence), "\(arguments): \(outcome.errors)")
            }
            try await fails(["promote"], "no model is tried in lcp/can")
            try await fails(["abort"], "no model is tried in lcp/can")
            try await fails(["push", "lenet-split4", "--canary", "5%"], "runs lenet-split4 already")
            try await fails(["push", "lenet-split4", "--canary", "0"], "a share of the frames")
            try await fails(
                ["push", "lenet-split2", "--canary", "5%"],
                "lenet-split2 cannot be tried in lcp/can: it has 2 branches, and the pipeline's model 4")
            let client = try await broker.connect()
            // What nobody tries is not promoted: a model that its files are not those of.
            let manifests = try await client.subscribe(to: topics.modelManifest)
            var offer = try ModelOffer(try await next(manifests).payload)
            offer.model = String(offer.model.reversed())
            try await client.publish(
                CanaryOffer(share: 0.5, offer: offer).json, to: topics.modelCanary, qos: .atLeastOnce, retain: true)
            try await fails(["promote"], "lenet-split4 is not tried in lcp/can yet, although it shall be")
            try await client.publish(Array("{}".utf8), to: topics.modelCanary, qos: .atLeastOnce, retain: true)
            let sensor = try launcher.start(
                .sensor, "cam", ["--source", "drawn", "--rate", "100", "--count", "50", "--qos", "1"])
            try await wait("the sensor has ended") { sensor.poll() != nil }
            #expect(sensor.poll() == 0)
            await client.close()
        }
    }
}
