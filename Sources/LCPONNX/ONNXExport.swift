public import LCPModels
import ONNX
import Platform
import Signals

/// A model bundle as ONNX files: every branch, the merge, and all of them as one network.
///
/// They compute what the bundle does, without what it does about missing branches.
public struct ONNXExport {
    /// What the files take for an image.
    public enum Input: String, Sendable, CaseIterable {
        /// Pixels from 0 to 255 as FP32, or a signal's numbers as its source has them; the graph normalises them.
        case pixels
        /// Numbers that were normalised already.
        case normalized
    }

    private let bundle: ModelBundle
    private let parameters: ModelParameters
    /// Empty for a bundle in single precision.
    private let integers: [IntegerBranch]
    private let input: Input

    private var network: BranchedNetwork { bundle.network }
    private var signal: Signal? { bundle.manifest.preprocessing.signal }

    /// What the graphs call their input.
    public var inputName: String { input == .pixels && signal != nil ? "numbers" : input.rawValue }

    /// - Throws: ``ModelBundleError`` where weights cannot be read, `NetworkError` for a model with a parity branch.
    public init(_ bundle: ModelBundle, input: Input) throws {
        try bundle.network.refuseParity("a file for other programs")
        self.bundle = bundle
        self.input = input
        parameters = try bundle.parameters()
        integers =
            bundle.manifest.arithmetic == .int8
            ? try bundle.network.branches.indices.map { try bundle.integerBranch($0) } : []
    }

    /// The names of the files: `branch-K.onnx` for each branch, `merge.onnx`, and `model.onnx` with the whole network.
    public var fileNames: [String] {
        network.branches.indices.map { "branch-\($0).onnx" } + ["merge.onnx", "model.onnx"]
    }

    /// Writes all files; where that fails, none is written.
    ///
    /// - Parameter path: a new or empty folder, or that of an export, which is replaced.
    public func write(to path: String) throws {
        try StagedFolder.write(
            to: path, mark: "model.onnx", isOurs: { $0.hasPrefix("branch-") && $0.hasSuffix(".onnx") }
        ) { folder in
            for branch in network.branches.indices {
                try Task.checkCancellation()
                try FileIO.write(try self.branch(branch), to: "\(folder)/branch-\(branch).onnx")
            }
            try FileIO.write(try merge(), to: "\(folder)/merge.onnx")
            try FileIO.write(try whole(), to: "\(folder)/model.onnx")
        }
    }

    /// What a branch sends, from the image: its partial logits, or its features.
    func branch(_ branch: Int) throws -> [UInt8] {
        var graph = ONNXBuilder(name: "\(bundle.manifest.name)-branch-\(branch)")
        let image = addImage(to: &graph)
        var result = try writer(branch, prefix: "").add(to: &graph, input: image)
        let kind = try network.output(of: branch)
        if kind == .partialLogits { result = try addShare(of: branch, result, "share", "merge", to: &graph) }
        let count = try network.outputCount(of: branch)
        graph.addNode("Identity", kind.rawValue, [result])
        let meaning = kind == .features ? "pre-final activations" : "share of the logits, without the bias"
        graph.addOutput(kind.rawValue, [count], description: "The branch's \(meaning).")
        return try encoded(
            graph,
            "Branch \(branch) of \(network.branches.count) of \(bundle.manifest.name). \(imageText) Out: \(meaning).",
            imageMetadata(labels: []))
    }

    /// The logits, from what all branches send.
    func merge() throws -> [UInt8] {
        var graph = ONNXBuilder(name: "\(bundle.manifest.name)-merge")
        var shares: [String] = []
        for branch in network.branches.indices {
            let kind = try network.output(of: branch)
            let name = "branch_\(branch)"
            graph.addInput(
                name, [try network.outputCount(of: branch)],
                description: "What branch \(branch) sends: \(kind.rawValue).")
            guard kind == .features else {
                shares.append(name)
                continue
            }
            shares.append(try addShare(of: branch, name, "share_\(branch)", name, to: &graph))
        }
        addLogits(from: shares, to: &graph)
        return try encoded(
            graph,
            "The merge of \(bundle.manifest.name): from what \(network.branches.count) branches send to the logits. \(Self.logitsText)",
            [])
    }

    /// The logits, from the image.
    func whole() throws -> [UInt8] {
        var graph = ONNXBuilder(name: bundle.manifest.name)
        let image = addImage(to: &graph)
        var features: [String] = []
        for branch in network.branches.indices {
            let prefix = network.branches.count == 1 ? "" : "branch.\(branch)."
            features.append(try writer(branch, prefix: prefix).add(to: &graph, input: image))
        }
        if !integers.isEmpty {
            // Every branch has the classification layer's columns in eight bits.
            let shares = try features.enumerated().map { branch, features in
                try addShare(of: branch, features, "share_\(branch)", "branch_\(branch)", to: &graph)
            }
            addLogits(from: shares, to: &graph)
            return try encoded(
                graph, "\(bundle.manifest.name). \(imageText) Out: logits. \(Self.logitsText)",
                imageMetadata(labels: bundle.manifest.labels))
        }
        if features.count > 1 {
            features = [
                network.merge == .concat
                    ? graph.addNode("Concat", "features", features, [("axis", .int(1))])
                    : graph.addNode("Sum", "features", features)
            ]
        }
        let weight = graph.addTensor(
            "merge.weight", parameters.merge.weight, [network.classes, try network.mergedFeatureCount()])
        let bias = graph.addTensor("merge.bias", parameters.merge.bias, [network.classes])
        graph.addNode("Gemm", "logits", features + [weight, bias], [("transB", .int(1))])
        graph.addOutput("logits", [network.classes], description: Self.logitsText)
        return try encoded(
            graph, "\(bundle.manifest.name). \(imageText) Out: logits. \(Self.logitsText)",
            imageMetadata(labels: bundle.manifest.labels))
    }

    private func writer(_ branch: Int, prefix: String) -> BranchWriter {
        BranchWriter(
            network, branch: branch, parameters.branches[branch],
            integers: integers.isEmpty ? nil : integers[branch], prefix: prefix)
    }

    /// Adds a branch's share of the logits, without the bias.
    private func addShare(
        of branch: Int, _ features: String, _ name: String, _ prefix: String, to graph: inout ONNXBuilder
    ) throws -> String {
        let dimensions = [network.classes, try network.featureCount(of: branch)]
        if !integers.isEmpty, let head = integers[branch].head {
            let weight = graph.addWholeNumbers("\(prefix).weight", head.weight, dimensions)
            let scale = graph.addTensor("\(prefix).weight_scale", head.scale, [network.classes])
            let real = graph.addNode(
                "DequantizeLinear", "\(prefix).weight.real", [weight, scale], [("axis", .int(0))])
            return graph.addNode("Gemm", name, [features, real], [("transB", .int(1))])
        }
        let columns = try network.mergeWeights(of: branch, merge: parameters.merge)
        let weight = graph.addTensor("\(prefix).weight", columns, dimensions)
        return graph.addNode("Gemm", name, [features, weight], [("transB", .int(1))])
    }

    /// Adds the logits, from what all branches add to them.
    private func addLogits(from shares: [String], to graph: inout ONNXBuilder) {
        let sum = graph.addNode("Sum", "sum", shares)
        let bias = graph.addTensor("merge.bias", parameters.merge.bias, [network.classes])
        graph.addNode("Add", "logits", [sum, bias])
        graph.addOutput("logits", [network.classes], description: Self.logitsText)
    }

    private static let logitsText = "Softmax makes probabilities of logits."

    /// The input for people.
    private var imageText: String {
        let preprocessing = bundle.manifest.preprocessing
        func list(_ values: [Float]) -> String { values.map { "\($0)" }.joined(separator: ", ") }
        let formula =
            "(\(signal == nil ? "pixel / 255" : "number") - [\(list(preprocessing.mean))]) / [\(list(preprocessing.standardDeviation))]"
        let shape = "FP32 [N, \(network.input.channels), \(network.input.height), \(network.input.width)]"
        return input == .pixels
            ? "In: \(signal == nil ? "pixels from 0 to 255" : "numbers as they are"), \(shape); the graph normalises them as \(formula)."
            : "In: \(shape), normalised as \(formula)."
    }

    /// Adds the input, and its normalisation as the engine computes it.
    private func addImage(to graph: inout ONNXBuilder) -> String {
        let shape = network.input
        graph.addInput(inputName, [shape.channels, shape.height, shape.width], description: imageText)
        guard input == .pixels else { return input.rawValue }
        let preprocessing = bundle.manifest.preprocessing
        let scale = graph.addTensor(
            "pixels.scale", preprocessing.standardDeviation.map { 1 / ((signal == nil ? 255 : 1) * $0) },
            [1, shape.channels, 1, 1])
        let offset = graph.addTensor(
            "pixels.offset", zip(preprocessing.mean, preprocessing.standardDeviation).map { -$0 / $1 },
            [1, shape.channels, 1, 1])
        let scaled = graph.addNode("Mul", "pixels.scaled", [inputName, scale])
        return graph.addNode("Add", "pixels.normalized", [scaled, offset])
    }

    private func imageMetadata(labels: [String]) throws -> [(key: String, value: String)] {
        var metadata = ExportMetadata(
            preprocessing: bundle.manifest.preprocessing, labels: labels, isPixels: input == .pixels)
        if labels.isEmpty { metadata.labels = nil }
        return try metadata.entries()
    }

    private func encoded(
        _ graph: ONNXBuilder, _ description: String, _ metadata: [(key: String, value: String)]
    ) throws -> [UInt8] {
        try graph.encoded(
            producer: "lcp", description: description, metadata: metadata + [("lcp.model", "\(bundle.hash)")])
    }
}
