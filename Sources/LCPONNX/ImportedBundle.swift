public import LCPModels
import ONNX
import Platform

extension ONNXImport {
    /// Writes the network as a model bundle of one branch, the weights a piece at a time; where that fails, nothing is written.
    ///
    /// - Parameters:
    ///   - labels: the name of each class; nil for those of the file, or numbers.
    ///   - source: the file's name, for the bundle's record.
    ///   - command: the command that makes the bundle, for its record.
    ///   - path: a new or empty folder, or that of a bundle, which is replaced.
    /// - Throws: ``ONNXError``, ``ModelBundleError`` or a file's error.
    @discardableResult
    public func write(labels: [String]?, source: String, command: String, to path: String) throws -> ModelBundle {
        let branched = try network.split(into: 1)
        var record = ModelManifest.TrainingRecord(
            command: command, data: "what \(source) was trained on", epochs: 0, seed: 0, accuracy: [:])
        record.importedFrom = "\(source) (\(producer))"
        try StagedFolder.write(
            to: path, mark: "model.json",
            isOurs: { $0.hasPrefix("branch-") && $0.hasSuffix(".safetensors") || $0 == "merge.safetensors" }
        ) { folder in
            do {
                try ModelBundle.write(
                    name: network.name, network: branched, weights: weights, preprocessing: preprocessing,
                    labels: labels ?? self.labels ?? (0..<network.classes).map { "\($0)" }, training: record, to: folder
                )
            } catch {
                // It knows the folder that it was given only.
                throw ONNXError("\(error)".replacing(folder, with: path))
            }
        }
        return try ModelBundle(path: path)
    }
}
