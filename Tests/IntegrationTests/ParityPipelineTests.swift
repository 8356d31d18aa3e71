import Foundation
import LCPDatasets
import LCPEvaluation
import LCPModels
import LCPWire
import MQTT
import Platform
import Testing

/// Two branches, and a third that stands in for either.
@Suite("A parity branch in a pipeline") struct ParityPipelineTests {
    private static func model(_ folder: String) throws -> ModelBundle {
        var network = try Network.named("lenet").split(into: 2)
        network.branches.append(network.branches[0] + [.fullyConnected(outputs: 2 * network.classes)])
        network.parity = 2
        var random = SeededGenerator(seed: 5)
        return try ModelBundle.write(
            name: "guarded", network: network, parameters: try .random(for: network, using: &random),
            preprocessing: .usual(for: network.input), labels: (0..<10).map(String.init), missingScale: [1, 1.5],
            to: folder)
    }

    @Test(
        "Answers are those of all others, and with one missing those with what it says in that one's place",
        arguments: [[0, 1, 2], [0, 1], [0, 2], [1, 2], [0]])
    func answers(running: [Int]) async throws {
        let folder = "/tmp/lcp-test-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let bundle = try Self.model(folder)
        let evaluator = try BundleEvaluator(bundle: bundle)
        let pipeline = try await TestPipeline(branches: running, deadline: 100, arguments: ["--model", folder])
        let predictions = try await pipeline.client.subscribe(to: pipeline.topics.predictions)
        let missing = Set(0..<3).subtracting(running)
        for number in 0..<5 as Range<UInt64> {
            let pixels = DrawnDigits(seed: 2).image(number).pixels
            let logits = try pixels.withUnsafeBytes { try evaluator.logits(pixels: $0, missing: missing) }
            try await pipeline.client.publish(PipelineTests.input(number).message, to: pipeline.topics.input("cam"))
            let prediction = try #require(Prediction(try await next(predictions).payload))
            let best = try #require(logits.indices.max { logits[$0] < logits[$1] })
            let sum = logits.reduce(0.0) { $0 + exp(Double($1 - logits[best])) }
            #expect(prediction.class == best && abs((prediction.confidence ?? 0) - 1 / sum) < 2e-6)
            let isWhole = running.contains(0) && running.contains(1)
            #expect(prediction.missing == (isWhole ? [] : missing.sorted()))
            #expect(prediction.parity == (!isWhole && running.contains(2) ? true : nil))
        }
    }

    @Test("What would add up all branches refuses it in a sentence")
    func refusals() async throws {
        let folder = "/tmp/lcp-test-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        _ = try Self.model("\(folder)/guarded")
        let (model, out) = ("\(folder)/guarded", ["--out", "\(folder)/out"])
        let drawn = ["--data", "drawn:100"]
        for words in [
            ["model", "export", model] + out, ["prune", model, "--convolutions", "0.5"] + drawn + out,
            ["quantize", model, "--epochs", "1"] + drawn + out,
            ["train", "lenet", "--branches", "2", "--teacher", model, "--set", "distillation=0.5"] + drawn + out,
        ] {
            let outcome = try await run(Repository.lcp, words)
            #expect(outcome.status != 0 && outcome.errors.contains("only stands in for"), "\(words): \(outcome.errors)")
        }
        for (words, sentence) in [
            (["train", model, "--parity"] + drawn + out, "has a parity branch already"),
            (["train", model] + drawn + out, "stands in for the others"),
            (["train", model, "--anew"] + drawn + out, "nothing of its own to learn"),
            (["train", "lenet-split4", "--parity", "--half"] + drawn + out, "would change the other branches"),
            (["train", "lenet-split4", "--parity", "--anew"] + drawn + out, "leave out --anew"),
            (["train", "lenet-split1", "--parity"] + drawn + out, "has 1 branch"),
            (["train", "lenet-split4", "--parity", "--auto"] + drawn + out, "leave out --auto"),
            (["train", "lenet-split4", "--auto"] + drawn + out, "goes on from its weights"),
            (["train", "lenet", "--budget", "2"] + drawn + out, "--budget is for trials"),
            (
                ["train", "lenet", "--auto", "--set", "branch_dropout=0.1"] + drawn + out,
                "--auto chooses branch_dropout"
            ),
            (["evaluate", model, "--missing", "2"], "has 2 branches and one that stands in"),
            (["search", "lenet", "--devices", "4", "--budget", "3"] + drawn + out, "give a time with its unit"),
            (
                ["search", "lenet", "--devices", "4", "--budget", "3s", "--parameters", "9"] + drawn + out,
                "keeps to the limits"
            ),
        ] {
            let outcome = try await run(Repository.lcp, words)
            #expect(outcome.status != 0 && outcome.errors.contains(sentence), "\(words): \(outcome.errors)")
        }
        #expect(!FileManager.default.fileExists(atPath: "\(folder)/out"))
        let quantized = try await run(Repository.lcp, ["quantize", model] + drawn + out)
        #expect(quantized.status == 0, "\(quantized.errors)")
        #expect(try ModelBundle(path: "\(folder)/out").network.parity == 2)
    }
}
