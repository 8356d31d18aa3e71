import FoundationEssentials
import LCPModels
import ONNX

/// What lcp tells in the metadata of a model that it exports, and reads there again.
struct ExportMetadata {
    var preprocessing: ModelManifest.Preprocessing?
    var labels: [String]?
    /// Whether the graph takes pixels from 0 to 255 and normalises them itself.
    var isPixels = false

    private static let preprocessingKey = "lcp.preprocessing"
    private static let labelsKey = "lcp.labels"
    private static let inputKey = "lcp.input"

    init(preprocessing: ModelManifest.Preprocessing, labels: [String], isPixels: Bool) {
        self.preprocessing = preprocessing
        self.labels = labels
        self.isPixels = isPixels
    }

    init(_ model: ONNXModelProto) {
        func value(_ key: String) -> String? { model.metadataProps.first { $0.key == key }?.value }
        func decoded<Content: Decodable>(_ key: String) -> Content? {
            value(key).flatMap { try? JSONDecoder().decode(Content.self, from: Data($0.utf8)) }
        }
        preprocessing = decoded(Self.preprocessingKey)
        labels = decoded(Self.labelsKey)
        isPixels = ["pixels", "numbers"].contains(value(Self.inputKey))
    }

    /// As key and value.
    func entries() throws -> [(key: String, value: String)] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        func text(_ value: some Encodable) throws -> String {
            String(decoding: try encoder.encode(value), as: UTF8.self)
        }
        let raw = preprocessing?.signal == nil ? "pixels" : "numbers"
        var entries = [(Self.inputKey, isPixels ? raw : "normalized")]
        if let preprocessing { entries.append((Self.preprocessingKey, try text(preprocessing))) }
        if let labels { entries.append((Self.labelsKey, try text(labels))) }
        return entries.map { (key: $0.0, value: $0.1) }
    }
}
