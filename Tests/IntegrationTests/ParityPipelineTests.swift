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
}
