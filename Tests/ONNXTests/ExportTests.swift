import Foundation
import LCPModels
import ONNX
import Platform
import Testing

@testable import LCPONNX

@Suite struct ExportTests {
    /// The zoo's kinds of layers, narrow, with random weights and statistics.
    static func bundle(_ network: BranchedNetwork, to path: String) throws -> ModelBundle {
        var random = SeededGenerator(seed: 5)
        var parameters = try ModelParameters.random(for: network, using: &random)
        for branch in network.branches.indices {
            for layer in network.branches[branch].indices where network.branches[branch][layer].hasStatistics {
                let count = parameters.branches[branch][layer]?.weight.count ?? 0
                parameters.branches[branch][layer]?.runningMean = (0..<count).map { _ in random.uniform(-0.1, 0.1) }
                parameters.branches[branch][layer]?.runningVariance = (0..<count).map { _ in random.uniform(0.5, 2) }
            }
        }
        parameters.merge.bias = (0..<network.classes).map { _ in random.uniform(-1, 1) }
        return try ModelBundle.write(
            name: "net", network: network, parameters: parameters,
            preprocessing: .usual(for: network.input), labels: (0..<network.classes).map { "class \($0)" }, to: path)
    }

    static let networks = [("lenet", 4), ("cifarnet", 16), ("mobilenet", 16), ("resnet18", 32), ("lenet-fc", 8)]

    /// One narrow branch, so that it can be read back as it was; of two channels or more, because one channel has no depth.
    @Test(arguments: networks) func aBundleComesBackAsItWas(_ name: String, narrower: Int) throws {
        let zoo = try Network.named(name)
        let small =
            name == "resnet18" || name == "mobilenet" ? FeatureMapShape(height: 64, width: 64, channels: 3) : zoo.input
        var network = try zoo.with(input: small, classes: 10, merge: .concat).split(into: narrower)
        network.branches = [network.branches[0]]
        try withFolder { folder in
            let bundle = try Self.bundle(network, to: "\(folder)/first")
            for input in ONNXExport.Input.allCases {
                let export = try ONNXExport(bundle, input: input)
                let model = try ONNXModel(decoding: export.whole(), name: "model.onnx")
                let imported = try ONNXImport(model, options: .init(name: name))
                #expect(imported.network.layers == network.branches[0])
                #expect(imported.preprocessing == bundle.manifest.preprocessing && imported.pixelsFrom == .file)
                #expect(imported.labels == bundle.manifest.labels)
                let second = try imported.write(
                    labels: nil, source: "model.onnx", command: "a test", to: "\(folder)/\(input.rawValue)")
                #expect(second.network == network)
                #expect(try second.parameters() == bundle.parameters())
                // Without what lcp says of its own files, the normalisation is found in the graph.
                guard input == .pixels else { continue }
                var options = ONNXImport.Options(name: name)
                options.scale = 1
                let found = try ONNXImport(model, options: options).preprocessing
                #expect(largestDifference(found.mean, bundle.manifest.preprocessing.mean) < 1e-6)
                #expect(
                    largestDifference(found.standardDeviation, bundle.manifest.preprocessing.standardDeviation) < 1e-6)
            }
        }
    }

    @Test(arguments: [("lenet", 4, Merge.concat), ("cifarnet", 4, .sum), ("lenet-fc", 2, .sum)])
    func severalBranchesComputeTheSameAsOneNetwork(_ name: String, branches: Int, merge: Merge) throws {
        let network = try Network.named(name).with(merge: merge).split(into: branches)
        try withFolder { folder in
            let bundle = try Self.bundle(network, to: "\(folder)/first")
            let export = try ONNXExport(bundle, input: .pixels)
            try export.write(to: "\(folder)/onnx")
            #expect(
                try FileIO.list("\(folder)/onnx")
                    == (0..<branches).map { "branch-\($0).onnx" } + ["merge.onnx", "model.onnx"])
            let whole = try ONNXImport(ONNXModel(path: "\(folder)/onnx/model.onnx"), options: .init(name: "whole"))
            let second = try whole.write(labels: nil, source: "model.onnx", command: "a test", to: "\(folder)/second")
            #expect(second.network.branches.count == 1)
            let (ours, theirs) = (try logits(second), try logits(bundle))
            #expect(largestDifference(ours, theirs) < 1e-4)
        }
    }

    /// Every layer that the zoo's networks do not have, and windows of every kind.
    static let others = Network(
        name: "others", input: FeatureMapShape(height: 13, width: 11, channels: 3),
        layers: [
            .convolution(
                outputs: 12,
                window: Window(
                    height: 3, width: 2, strideDown: 1, strideAcross: 1, top: 2, bottom: 0, left: 0, right: 1)),
            .activation(.silu),
            .depthwiseConvolution(
                window: Window(
                    height: 3, width: 3, top: 2, bottom: 2, left: 2, right: 2, dilationDown: 2, dilationAcross: 2)),
            .activation(.hardSwish), .globalAveragePool, .convolution(outputs: 4, kernel: 1), .relu,
            .convolution(outputs: 12, kernel: 1), .activation(.hardSigmoid(alpha: 1 / 6, beta: 0.5)), .multiply(3),
            .slice(first: 0, count: 4, of: 12), .activation(.gelu), .output(of: 9), .slice(first: 4, count: 8, of: 12),
            .activation(.geluTanh), .concatenate([11]), .shuffle(groups: 3), .channelNormalization(epsilon: 1e-4),
            .maxPool(window: Window(height: 2, width: 2, strideDown: 2, strideAcross: 2, roundsUp: true)), .prelu,
            .averagePool(window: Window(size: 3, stride: 1, padding: 1), countsPadding: true),
            .activation(.elu(alpha: 0.5)),
            .averagePool(
                window: Window(
                    height: 3, width: 2, strideDown: 2, strideAcross: 1, top: 1, bottom: 1, left: 0, right: 1)),
            .activation(.leakyReLU(slope: 0.2)), .activation(.tanh), .convolution(outputs: 6, kernel: 2),
            .activation(.sigmoid),
            .fullyConnected(outputs: 7), .activation(.hardSwish),
        ], classes: 5, merge: .concat)

    @Test("Every layer goes out as ONNX and comes back as what it was")
    func others() throws {
        try withFolder { folder in
            let bundle = try Self.bundle(Self.others.split(into: 1), to: "\(folder)/first")
            let export = try ONNXExport(bundle, input: .pixels)
            try export.write(to: "\(folder)/onnx")
            let back = try ONNXImport(ONNXModel(path: "\(folder)/onnx/model.onnx"), options: .init(name: "back"))
            // Activations come where they are read, and constants that are found from values differ in the last digits.
            func kinds(_ layers: [Layer]) -> [String] {
                layers.map { $0.description.filter { !"0123456789.".contains($0) } }.filter { !$0.hasPrefix("output") }
                    .sorted()
            }
            #expect(kinds(back.network.layers) == kinds(Self.others.layers))
            let second = try back.write(labels: nil, source: "model.onnx", command: "a test", to: "\(folder)/second")
            let (ours, theirs) = (try logits(second), try logits(bundle))
            #expect(largestDifference(ours, theirs) < 1e-5)
        }
    }

    /// Shipped bundles beside what ONNX Runtime made of their exports: see Tests/Fixtures/onnx/check-export.py.
    @Test func anExportComputesInONNXRuntimeWhatTheBundleDoes() throws {
        let file = Golden.folder.appendingPathComponent("exports.json")
        let exports = try JSONDecoder().decode([String: [Float]].self, from: Data(contentsOf: file))
        #expect(exports.count == 4)
        let models = Golden.folder.deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("Models")
        for (name, theirs) in exports {
            let ours = try logits(ModelBundle(path: models.appendingPathComponent(name).path))
            #expect(largestDifference(ours, theirs) < 1e-4, "\(name)")
        }
    }

    @Test func anExportIsReplacedWhole() throws {
        try withFolder { folder in
            for branches in [4, 2] {
                let network = try Network.lenet.split(into: branches)
                let bundle = try Self.bundle(network, to: "\(folder)/bundle-\(branches)")
                try ONNXExport(bundle, input: .normalized).write(to: "\(folder)/onnx")
            }
            #expect(
                try FileIO.list("\(folder)/onnx") == ["branch-0.onnx", "branch-1.onnx", "merge.onnx", "model.onnx"])
            let bundle = try ModelBundle(path: "\(folder)/bundle-2")
            #expect(throws: FileError.self) {
                try ONNXExport(bundle, input: .normalized).write(to: "\(folder)/bundle-4")
            }
        }
    }
}
