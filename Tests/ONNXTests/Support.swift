import LCPEvaluation
import Foundation
import LCPModels
import LCPONNX
import ONNX
import SwiftProtobuf

/// The files that Tests/Fixtures/onnx/make-onnx.py makes, and what ONNX Runtime computes with them.
struct Golden: Sendable, CustomStringConvertible {
    struct Content: Decodable, Sendable {
        var input: [Int]
        var logits: [Float]
        var options: [String]
    }

    var name: String
    var content: Content

    static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("Fixtures/onnx")

    static let all: [Golden] = {
        guard let data = try? Data(contentsOf: folder.appendingPathComponent("expected.json")),
            let contents = try? JSONDecoder().decode([String: Content].self, from: data)
        else { return [] }
        return contents.map { Golden(name: $0.key, content: $0.value) }.sorted { $0.name < $1.name }
    }()

    static func named(_ name: String) -> Golden? { all.first { $0.name == name } }

    var description: String { name }
    var path: String { Self.folder.path + "/\(name).onnx" }

    var input: FeatureMapShape {
        FeatureMapShape(height: content.input[0], width: content.input[1], channels: content.input[2])
    }

    func imported() throws -> ONNXImport {
        var options = ONNXImport.Options(name: name)
        if content.options.contains("input") { options.input = input }
        return try ONNXImport(ONNXModel(path: path), options: options)
    }

    /// The model's protobuf, to change.
    func proto() throws -> ONNXModelProto {
        try ONNXModelProto(serializedBytes: Data(contentsOf: URL(fileURLWithPath: path)))
    }
}

/// The image of the fixtures.
func pixels(_ shape: FeatureMapShape) -> [UInt8] {
    (0..<shape.elementCount).map { (index: Int) -> UInt8 in
        let value: Int = 73 * index + 31 * (index / 7)
        return UInt8(value % 256)
    }
}

func logits(_ bundle: ModelBundle) throws -> [Float] {
    try pixels(bundle.network.input).withUnsafeBytes { try BundleEvaluator(bundle: bundle).logits(pixels: $0) }
}

func softmax(_ logits: [Float]) -> [Float] {
    let largest = logits.max() ?? 0
    let exponentials: [Float] = logits.map { exp($0 - largest) }
    let sum = exponentials.reduce(0, +)
    return exponentials.map { $0 / sum }
}

func largestDifference(_ first: [Float], _ second: [Float]) -> Float {
    first.count == second.count ? zip(first, second).map { abs($0 - $1) }.max() ?? 0 : .infinity
}

/// Runs with a new folder, which is taken away afterwards.
func withFolder<Result>(_ body: (String) throws -> Result) throws -> Result {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("lcp-onnx-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    return try body(folder)
}

extension ONNXImport {
    /// Writes a bundle.
    func written(to folder: String) throws -> ModelBundle {
        try write(labels: nil, source: "net.onnx", command: "a test", to: "\(folder)/bundle")
    }
}

extension ONNXModelProto {
    /// The model, read as a file's bytes are.
    func opened() throws -> ONNXModel { try ONNXModel(decoding: serializedBytes(), name: "net.onnx") }
}
