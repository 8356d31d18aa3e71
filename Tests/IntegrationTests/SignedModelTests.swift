import Foundation
import LCPWire
import Platform
import Testing

@Suite("A pipeline that takes signed models only") struct SignedModelTests {
    private final class Folder {
        let path = "/tmp/lcp-test-\(UUID().uuidString)"
        init() throws { try FileIO.makeFolder(path) }
        deinit { try? FileManager.default.removeItem(atPath: path) }
    }

    /// Makes a key.
    ///
    /// - Returns: the public one, as a pipeline file has it.
    private static func key(_ path: String) async throws -> String {
        let made = try await run(Repository.lcp, ["model", "keygen", "--out", path])
        try #require(made.status == 0, "\(made.errors)")
        let line = try #require(made.output.split(separator: "\n").last { $0.hasPrefix("model_key: ") })
        return String(line.dropFirst("model_key: ".count))
    }

    @Test("A key is for its owner's eyes, and none is overwritten") func keygen() async throws {
        let folder = try Folder()
        let path = "\(folder.path)/kitchen.key"
        let text = try await Self.key(path)
        let attributes = try FileManager.default.attributesOfItem(atPath: path)
        #expect(attributes[.posixPermissions] as? Int == 0o600)
        let pem = try String(contentsOfFile: "\(path).pub", encoding: .utf8)
        #expect(pem == "-----BEGIN PUBLIC KEY-----\n\(text)\n-----END PUBLIC KEY-----\n")
        let again = try await run(Repository.lcp, ["model", "keygen", "--out", path])
        #expect(again.status == 1 && again.errors.contains("is there already"), "\(again.errors)")
        #expect(try String(contentsOfFile: "\(path).pub", encoding: .utf8) == pem)
    }

    @Test("Workers refuse and count what is unsigned, foreign or of another pipeline, and take what is signed")
    func refused() async throws {
        let (broker, folder) = (try TestBroker(), try Folder())
        let (own, other) = ("\(folder.path)/own.key", "\(folder.path)/other.key")
        let key = try await Self.key(own)
        _ = try await Self.key(other)
        func push(_ model: String, _ pipeline: String, _ words: [String] = [], key: String? = nil) async throws
            -> Outcome
        {
            try await run(
                Repository.lcp,
                ["model", "push", model, "--broker", broker.url, "--pipeline", pipeline, "--wait", "0"] + words,
                environment: key.map { ["LCP_MODEL_KEY": $0] } ?? [:])
        }
        let worker = try Spawned(
            Repository.lcp, ["worker", "--broker", broker.url, "--pipeline", "kitchen", "--name", "a"],
            environment: ["LCP_MODEL_KEY": key, "LCP_CACHE": "\(folder.path)/cache"])
        defer { kill(worker.identifier, SIGKILL) }
        try worker.waitForErrors("ready")
        #expect(try await push("lenet-split2", "kitchen").status == 0)
        try worker.waitForErrors("the model lenet-split2 is not signed, and this pipeline has a model_key")
        #expect(try await push("lenet-split2", "kitchen", ["--sign", other]).status == 0)
        try worker.waitForErrors("signed with another key than this pipeline's model_key")

        #expect(try await push("lenet-split8", "kitchen", ["--sign", own], key: key).status == 0)
        try worker.waitForErrors("lenet-split8")
        let careless = try await push("lenet-split2", "kitchen")
        #expect(
            careless.status != 0 && careless.errors.contains("runs lenet-split8, which is signed: give --sign"),
            "\(careless.errors)")
        // Somebody who takes a signed model of another pipeline: the broker's answer is the manifest as it lies there.
        #expect(try await push("lenet-split2", "garage", ["--sign", own]).status == 0)
        let client = try await broker.connect()
        let manifests = try await client.subscribe(to: "lcp/garage/model/manifest")
        let message = try await next(manifests)
        try await client.publish(
            message.payload, to: "lcp/kitchen/model/manifest", qos: .atLeastOnce, retain: true)
        let said = try worker.waitForErrors("put the manifest of lenet-split8 back")
        #expect(said.contains("it was signed for another pipeline, or changed afterwards"), "\(said)")

        let statistics = try await client.subscribe(to: "lcp/kitchen/stats/worker/a")
        try await client.publish([], to: "lcp/kitchen/probe/a")
        while true {
            let found =
                try JSONSerialization.jsonObject(with: Data(try await next(statistics).payload)) as? [String: Any]
            guard let dropped = found?["dropped"] as? [String: Int], dropped["forged_model"] == 1 else { continue }
            #expect(dropped["unsigned_model"] == 1 && dropped["foreign_model"] == 1, "\(dropped)")
            break
        }
        kill(worker.identifier, SIGTERM)
        #expect(await worker.wait() == 0)
    }

    @Test("A push that the roles would refuse, and a key that cannot be read, are told before anything is sent")
    func mistakes() async throws {
        let (broker, folder) = (try TestBroker(), try Folder())
        let (own, other) = ("\(folder.path)/own.key", "\(folder.path)/other.key")
        let key = try await Self.key(own)
        _ = try await Self.key(other)
        try FileIO.write(Array("rubbish".utf8), to: "\(folder.path)/rubbish")
        for (words, key, sentence) in [
            ([], key, "give --sign"), (["--sign", other], key, "another than the model_key"),
            (["--sign", "\(own).pub"], key, "is no private key of Ed25519"),
            (["--sign", "\(folder.path)/rubbish"], key, "is no private key of Ed25519"),
            (["--sign", "/nowhere"], key, "/nowhere"), ([], "rubbish", "LCP_MODEL_KEY is no public key"),
        ] {
            let outcome = try await run(
                Repository.lcp, ["model", "push", "lenet-split2", "--broker", broker.url, "--wait", "0"] + words,
                environment: ["LCP_MODEL_KEY": key])
            #expect(outcome.status != 0 && outcome.errors.contains(sentence), "\(words): \(outcome.errors)")
        }
    }
}
