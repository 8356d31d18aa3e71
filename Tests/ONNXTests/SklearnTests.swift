import Foundation
import LCPEvaluation
import LCPModels
import LCPONNX
import ONNX
import Signals
import Testing

/// Classifiers of scikit-learn beside what ONNX Runtime makes of them: see Tests/Fixtures/make-sklearn.py.
@Suite("Classifiers of scikit-learn")
struct SklearnTests {
    struct Golden: Decodable {
        struct Model: Decodable {
            var labels: [String]
            var classes: [String]
            var scores: [[Float]]
        }
        var records: [[Float]]
        var models: [String: Model]
    }

    enum Content: Sendable {
        case numbers([Float])
        case word(String)
    }

    private static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appendingPathComponent("../Fixtures/sklearn").standardized

    @Test(
        "They say what ONNX Runtime says of records as they are, and call the classes as they were told",
        arguments: ["mlp", "mlp-binary", "logistic", "logistic-binary", "ridge", "perceptron"])
    func same(name: String) throws {
        let golden = try JSONDecoder().decode(
            Golden.self, from: Data(contentsOf: Self.folder.appendingPathComponent("expected.json")))
        let expected = try #require(golden.models[name])
        var options = ONNXImport.Options(name: name)
        options.signal = Signal(fields: ["a", "b", "c", "d"])
        let imported = try ONNXImport(
            ONNXModel(path: Self.folder.appendingPathComponent("\(name).onnx").path), options: options)
        #expect(imported.labels == expected.labels)
        let bundle = FileManager.default.temporaryDirectory.appendingPathComponent("lcp-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: bundle) }
        let evaluator = try BundleEvaluator(
            bundle: imported.write(labels: nil, source: "x.onnx", command: "", to: bundle))
        for (index, record) in golden.records.enumerated() {
            let logits = try record.withUnsafeBytes { try evaluator.logits(pixels: $0) }
            let best = try #require(logits.indices.max { logits[$0] < logits[$1] })
            #expect(expected.labels[best] == expected.classes[index])
            let exponentials = logits.map { exp($0 - logits[best]) }
            let probabilities = exponentials.map { $0 / exponentials.reduce(0, +) }
            let isScore = name == "ridge" || name == "perceptron"
            let scale = logits.map(abs).max() ?? 1
            for (one, other) in zip(isScore ? logits : probabilities, expected.scores[index]) {
                #expect(abs(one - other) < 1e-5 * (isScore ? scale : 1))
            }
        }
    }

    @Test(
        "What no softmax is equal to, or divides records, is refused with its reason",
        arguments: [
            (
                "LinearClassifier", [("coefficients", .numbers([1, 2, 3, 4])), ("post_transform", .word("LOGISTIC"))],
                "logistic"
            ),
            ("LinearClassifier", [("coefficients", .numbers([1, 2, 3, 4, 5]))], "5 coefficients"),
            (
                "LinearClassifier", [("coefficients", .numbers([1, 2])), ("intercepts", .numbers([1, 2]))],
                "2 intercepts"
            ),
            ("LinearClassifier", [("coefficients", .numbers([1, 2])), ("post_transform", .word("PROBIT"))], "PROBIT"),
            ("Normalizer", [("norm", .word("L2"))], "L2 norm"),
            ("Scaler", [("scale", .numbers([1, -1]))], "turns fields over"),
            ("Scaler", [("offset", .numbers([1, 1, 1]))], "3 numbers"),
        ] as [(String, [(String, Content)], String)])
    func refused(operation: String, attributes: [(String, Content)], words: String) throws {
        var graph = ONNXBuilder(name: "net")
        graph.addInput("x", [2], description: "")
        graph.addNode(operation, operation == "LinearClassifier" ? "label" : "y", ["x"])
        graph.addOutput("y", [2], description: "")
        var proto = try ONNXModelProto(serializedBytes: graph.encoded(producer: "test", description: "", metadata: []))
        proto.graph.node[0].domain = "ai.onnx.ml"
        proto.graph.node[0].attribute = attributes.map { name, content in
            var attribute = ONNXAttributeProto()
            attribute.name = name
            switch content {
            case .numbers(let numbers): attribute.floats = numbers
            case .word(let word): attribute.s = Data(word.utf8)
            }
            return attribute
        }
        if operation == "LinearClassifier" { proto.graph.node[0].output.append("y") }
        let error = #expect(throws: ONNXError.self) { try ONNXImport(proto.opened(), options: .init(name: "net")) }
        #expect(error?.description.contains(words) == true, "\(error?.description ?? "")")
    }
}
