import Foundation
import LCPWire
import Platform
import Testing

@Suite("The model before") struct RollbackTests {
    private struct Listed: Decodable {
        struct Push: Decodable {
            var name: String
            var number: UInt64
        }
        var pushed: Push?
        var previous: Push?
    }

    private final class Folder {
        let path = "/tmp/lcp-test-\(UUID().uuidString)"
        deinit { try? FileManager.default.removeItem(atPath: path) }
    }

    private static func listed(_ broker: TestBroker) async throws -> Listed {
        let told = try await run(
            Repository.lcp, ["model", "list", "--pipeline", "p", "--broker", broker.url, "--json"])
        return try JSONDecoder().decode(Listed.self, from: Data(told.output.utf8))
    }

    @Test("A rollback gives the older model a new number, a second one undoes it, and a worker follows both")
    func back() async throws {
        let (broker, folder) = (try TestBroker(), Folder())
        func model(_ words: [String]) async throws -> Outcome {
            try await run(
                Repository.lcp, ["model"] + words + ["--broker", broker.url, "--pipeline", "p"],
                environment: ["LCP_CACHE": "\(folder.path)/own"])
        }
        let none = try await model(["rollback"])
        #expect(none.status == 1 && none.errors.contains("no model before the present one of lcp/p"), "\(none.errors)")
        // Small pieces: each file has several.
        for name in ["lenet-split8", "lenet-split2", "lenet-split4"] {
            let pushed = try await model(["push", name, "--chunk", "4096"])
            #expect(pushed.status == 0, "\(pushed.errors)")
        }
        let before = try await Self.listed(broker)
        #expect(before.pushed?.name == "lenet-split4" && before.previous?.name == "lenet-split2")

        let worker = try Spawned(
            Repository.lcp, ["worker", "--broker", broker.url, "--pipeline", "p", "--name", "a"],
            environment: ["LCP_CACHE": "\(folder.path)/worker"])
        defer { kill(worker.identifier, SIGKILL) }
        try worker.waitForErrors("ready")
        let rolled = try await model(["rollback"])
        #expect(rolled.status == 0 && rolled.output.contains("run by worker a"), "\(rolled.output)\(rolled.errors)")
        let after = try await Self.listed(broker)
        #expect(after.pushed?.name == "lenet-split2" && after.previous?.name == "lenet-split4")
        #expect(try #require(after.pushed?.number) > #require(before.pushed?.number))
        // The same model once more leaves the one before where it is.
        #expect(try await model(["push", "lenet-split2", "--chunk", "4096"]).status == 0)
        #expect(try await Self.listed(broker).previous?.name == "lenet-split4")
        let undone = try await model(["rollback", "--json"])
        #expect(undone.status == 0 && undone.output.contains(#""name":"lenet-split4""#), "\(undone.errors)")
        #expect(try await Self.listed(broker).pushed?.name == "lenet-split4")

        // What is older than the one before is not kept.
        let client = try await broker.connect()
        let kept = try await client.subscribe(to: "lcp/p/model/#", options: .init(qos: .atLeastOnce))
        await kept.end()
        var (names, blobs) = (Set<String>(), Set<String>())
        for try await message in kept where !message.payload.isEmpty {
            let levels = message.topic.split(separator: "/").map(String.init)
            if levels[3] == "blob" { blobs.insert(levels[4]) } else { names.insert(levels[3]) }
        }
        #expect(names == ["manifest", "previous"] && blobs.count == 4 + 6, "\(names) \(blobs.count)")
        kill(worker.identifier, SIGTERM)
        #expect(await worker.wait() == 0)
    }

    @Test("What the broker has lost of the model before is told in a sentence, and nothing changes") func lost()
        async throws
    {
        let (broker, folder) = (try TestBroker(), Folder())
        for name in ["lenet-split2", "lenet-split4"] {
            let pushed = try await run(
                Repository.lcp, ["model", "push", name, "--broker", broker.url, "--pipeline", "p"])
            #expect(pushed.status == 0, "\(pushed.errors)")
        }
        let client = try await broker.connect()
        let previous = try await client.subscribe(to: "lcp/p/model/previous")
        let offer = try ModelOffer(try await next(previous).payload)
        try await client.publish(
            [], to: "lcp/p/model/blob/\(offer.files[1].sha256)/0", qos: .atLeastOnce, retain: true)
        let rolled = try await run(
            Repository.lcp, ["model", "rollback", "--broker", broker.url, "--pipeline", "p"],
            environment: ["LCP_CACHE": folder.path])
        #expect(
            rolled.status == 1 && rolled.errors.contains("has not kept all of branch-0.safetensors of lenet-split2"),
            "\(rolled.errors)")
        #expect(try await Self.listed(broker).pushed?.name == "lenet-split4")
    }
}
