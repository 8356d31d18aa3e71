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
