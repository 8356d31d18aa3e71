import Foundation
import LCPInference
import LCPModels
import LCPONNX
import ONNX
import Testing

/// Networks for lines of samples and for grey images without a channel beside ONNX Runtime: see Tests/Fixtures/make-lines.py.
@Suite("Inputs of three dimensions")
struct LineTests {
    private struct Golden: Decodable {
        var input: [Float]
        var logits: [Float]
    }

    private static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appendingPathComponent("../Fixtures/lines").standardized

    @Test(
        "They say what ONNX Runtime says",
        arguments: ["plain", "residual", "channels-last", "grey"].flatMap { [$0, "\($0)-dynamo"] } + ["cropped-dynamo"])
    func same(name: String) throws {
        let goldens = try JSONDecoder().decode(
            [String: Golden].self, from: Data(contentsOf: Self.folder.appendingPathComponent("expected.json")))
        let golden = try #require(goldens[name])
        let imported = try ONNXImport(
            ONNXModel(path: Self.folder.appendingPathComponent("\(name).onnx").path), options: .init(name: name))
        let input = imported.network.input
        #expect(
            input
                == (name.hasPrefix("grey")
                    ? FeatureMapShape(height: 12, width: 5, channels: 1)
                    : FeatureMapShape(height: 1, width: 20, channels: 3)))
        let bundle = FileManager.default.temporaryDirectory.appendingPathComponent("lcp-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: bundle) }
        let written = try imported.write(labels: nil, source: "x.onnx", command: "", to: bundle)
        let engine = try BranchEngine(bundle: written, branch: 0)
        try golden.input.withUnsafeBytes { try engine.run(normalized: $0) }
        let merge = try written.mergeParameters()
        var logits = Array(engine.output)
        if engine.outputKind == .partialLogits {
            logits = zip(logits, merge.bias).map(+)
        } else {
            let count = logits.count
            let features = logits
            logits = merge.bias.indices.map { row in
                merge.bias[row]
                    + zip(features, merge.weight[row * count..<(row + 1) * count]).reduce(0) { $0 + $1.0 * $1.1 }
            }
        }
        let scale = golden.logits.map(abs).max() ?? 1
        #expect(logits.count == golden.logits.count)
        for (one, other) in zip(logits, golden.logits) { #expect(abs(one - other) < 1e-5 * scale) }
    }
}
