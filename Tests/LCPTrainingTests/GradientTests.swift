import CTrainingKernels
import Foundation
import LCPModels
import Platform
import Testing

@testable import LCPTraining

@Suite struct GradientTests {
    static func network(_ layers: [[Layer]], merge: Merge = .concat) -> BranchedNetwork {
        BranchedNetwork(
            base: "test", input: .init(height: 9, width: 7, channels: 2), branches: layers, classes: 3, merge: merge)
    }

    static let small: [Layer] = [
        .convolution(outputs: 3, kernel: 3, padding: 1), .relu, .maxPool(size: 2, stride: 2),
        .convolution(outputs: 2, kernel: 3), .fullyConnected(outputs: 5),
    ]
    static let normalized: [Layer] = [
        .convolution(outputs: 4, kernel: 3, padding: 1, hasBias: false), .batchNormalization(), .relu,
        .convolution(outputs: 3, kernel: 3, hasBias: false), .batchNormalization(epsilon: 1e-3), .relu6,
    ]

    /// What PyTorch made of a batch in double precision; see Fixtures/make-torch-training.py.
    struct Golden: Decodable {
        struct Gradient: Decodable {
            let name: String
            let count: Int
            let norm: Double
            let places: [Int]
            let values: [Double]
        }
        let network: BranchedNetwork
        let seed: UInt64
        let batch: Int
        let loss: Double
        let gradients: [Gradient]

        static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("../Fixtures/torch-training").standardized

        static let names =
            (try? FileManager.default.contentsOfDirectory(atPath: folder.path))?.filter { $0.hasSuffix(".json") }
            .sorted()
            ?? []
    }

    @Test func thereIsAFileForEveryNetworkOfTheZoo() {
        #expect(Golden.names.count >= 25)
        for network in Network.zoo {
            #expect(Golden.names.contains { $0.hasPrefix("\(network.name)-split") }, "\(network.name)")
        }
    }

    @Test(arguments: Golden.names)
    func lossAndGradientsArePyTorchs(name: String) throws {
        let golden = try JSONDecoder().decode(
            Golden.self, from: Data(contentsOf: Golden.folder.appendingPathComponent(name)))
        let network = golden.network
        var random = SeededGenerator(seed: golden.seed)
        let parameters = try Self.parameters(network, &random)
        let team = try Team(threads: 2)
        let graph = try TrainingGraph(network, batch: golden.batch, team: team)
        graph.modelParameters = parameters
        var images = SeededGenerator(seed: golden.seed + 1)
        for image in 0..<golden.batch { Self.fill(graph.images[0], image) { images.uniform(-1, 1) } }
        let targets = Targets(
            labels: (0..<golden.batch).map { UInt16($0 % network.classes) }, smoothing: 0.1, teacher: nil)
        let pass = Pass(isTraining: true, images: golden.batch)
        team.run { graph.forward(pass, thread: $0) }
        let loss = (0..<graph.blocks).reduce(0.0) {
            $0 + targets.loss(of: graph.logits, block: $1, pass: pass).loss / Double(golden.batch)
        }
        #expect(abs(loss - golden.loss) < 1e-4 * max(1, golden.loss), "\(loss), \(golden.loss)")

        team.run { graph.backward(pass, thread: $0) }
        graph.parameters.values = graph.gradients.values
        let found = graph.modelParameters
        var expected = golden.gradients[...]
        // A deep network with normalisations over few images is steep: single precision shows in it.
        // Without fused multiply-adds a little more of it.
        let isFused = String(cString: lcp_kernels_best().pointee.name) != "portable"
        let tolerance = network.branches[0].count > 60 ? isFused ? 2e-2 : 3e-2 : 1e-3
        func check(_ values: [Float], _ label: String) throws {
            let gradient = try #require(expected.first)
            expected = expected.dropFirst()
            try #require(values.count == gradient.count, "\(label) and \(gradient.name)")
            let norm = values.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
            // Some gradients vanish altogether, such as that of a bias in front of a batch normalisation.
            let scale = max(gradient.norm, 1e-3)
            #expect(abs(norm - gradient.norm) < tolerance * scale, "\(label): norm \(norm), \(gradient.norm)")
            for (place, value) in zip(gradient.places, gradient.values) {
                #expect(
                    abs(Double(values[place]) - value) < tolerance * scale,
                    "\(label)[\(place)]: \(values[place]), \(value)")
            }
        }
        for (branch, layers) in found.branches.enumerated() {
            for (index, layer) in layers.enumerated() {
                guard let layer else { continue }
                try check(layer.weight, "\(branch).\(index).weight")
                if !layer.bias.isEmpty { try check(layer.bias, "\(branch).\(index).bias") }
            }
        }
        try check(found.merge.weight, "merge.weight")
        try check(found.merge.bias, "merge.bias")
        #expect(expected.isEmpty)
    }

    /// The weights that the script draws, in its order.
    static func parameters(_ network: BranchedNetwork, _ random: inout SeededGenerator) throws -> ModelParameters {
        func limit(_ fan: Int) -> Float { (6 / Float(fan)).squareRoot() }
        func draw(_ count: Int, _ low: Float, _ high: Float) -> [Float] {
            (0..<count).map { _ in random.uniform(low, high) }
        }
        var branches: [BranchParameters] = []
        for branch in network.branches.indices {
            var layers: BranchParameters = []
            for (layer, shape) in zip(network.branches[branch], try network.shapes(of: branch)) {
                guard let dimensions = layer.weightDimensions(input: shape) else {
                    layers.append(nil)
                    continue
                }
                let channels = dimensions[0]
                if layer.hasStatistics {
                    layers.append(
                        LayerParameters(
                            weight: draw(channels, 0.5, 1.5), bias: draw(channels, -0.1, 0.1),
                            runningMean: Array(repeating: 0, count: channels),
                            runningVariance: Array(repeating: 1, count: channels)))
                } else {
                    let fan = dimensions.dropFirst().reduce(1, *)
                    layers.append(
                        LayerParameters(
                            weight: draw(channels * fan, -limit(fan), limit(fan)),
                            bias: layer.hasBias ? draw(channels, -0.1, 0.1) : []))
                }
            }
            branches.append(layers)
        }
        let merged = try network.mergedFeatureCount()
        let bound = limit(merged + network.classes)
        return ModelParameters(
            branches: branches,
            merge: LayerParameters(
                weight: draw(network.classes * merged, -bound, bound), bias: draw(network.classes, -0.1, 0.1)))
    }

    /// Fills an image, HWC.
    static func fill(_ volume: Volume, _ image: Int, _ value: () -> Float) {
        let layout = volume.layout
        for row in 0..<Int(layout.height) {
            for column in 0..<Int(layout.width) {
                for channel in 0..<Int(layout.channels) {
                    volume.block(image / Volume.lanes)[
                        channel * Int(layout.channel_stride) + row * Int(layout.row_stride) + Int(layout.origin)
                            + column * Volume.lanes + image % Volume.lanes] = value()
                }
            }
        }
    }
}
