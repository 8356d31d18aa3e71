import LCPCompression
import LCPInference
import LCPModels
import Platform
import Testing

@testable import LCPTraining

@Suite("Training with rounding to eight bits") struct RoundingTests {
    @Test("Branches that round make what branches in eight bits make", arguments: ["lenet", "cifarnet-bn"])
    func sameNumbers(name: String) throws {
        let network = try Network.named(name).split(into: 4)
        let preprocessing = ModelManifest.Preprocessing.usual(for: network.input)
        var random = SeededGenerator(seed: 6)
        let quantizer = try Quantizer(
            network: network, parameters: .random(for: network, using: &random), preprocessing: preprocessing)
        let (count, size) = (16, network.input.elementCount)
        let pixels = (0..<count * size).map { _ in UInt8(random.index(256)) }
        let branches = try network.branches.indices.map { try quantizer.branch($0, pixels: pixels) }
        var extras = TrainingGraph.Extras()
        extras.rounding = branches.indices.map { quantizer.rounding($0, branches[$0]) }
        let team = try Team(threads: 2)
        let graph = try TrainingGraph(quantizer.network, batch: count, team: team, extras: extras)
        graph.modelParameters = quantizer.modelParameters
        let channels = network.input.channels
        for image in 0..<count {
            var next = 0
            GradientTests.fill(graph.images[0], image) {
                defer { next += 1 }
                return (Float(pixels[image * size + next]) / 255 - preprocessing.mean[next % channels])
                    / preprocessing.standardDeviation[next % channels]
            }
        }
        team.run { graph.forward(Pass(isTraining: false, images: count), thread: $0) }
        for (index, branch) in branches.enumerated() {
            var features = branch
            features.head = nil
            let engine = try BranchEngine(
                network: quantizer.network, branch: index, integers: features, preprocessing: preprocessing)
            let scale = try #require(branch.values.last).scale
            let volume = graph.features[index].values
            var different = 0
            for image in 0..<count {
                try pixels[image * size..<(image + 1) * size].withUnsafeBytes { try engine.run(pixels: $0) }
                for (place, expected) in engine.output.enumerated() {
                    let found = volume.block(image / Volume.lanes)[place * Volume.lanes + image % Volume.lanes]
                    // Whole steps, and nearly always the same.
                    let steps = (found - expected) / scale
                    #expect(abs(steps - steps.rounded()) < 1e-2 && abs(steps) < 8, "\(found) \(expected) \(scale)")
                    if abs(steps) > 2.5 { different += 1 }
                }
            }
            #expect(different * 50 < count * engine.outputCount, "\(different) of \(count * engine.outputCount)")
        }
    }

    @Test("What lies beyond eight bits passes no gradient, and what is rounded does") func gradient() throws {
        let network = BranchedNetwork(
            base: "test", input: FeatureMapShape(features: 3), branches: [[.fullyConnected(outputs: 3)]], classes: 2,
            merge: .concat)
        var extras = TrainingGraph.Extras()
        extras.rounding = [[0: Quantization(covering: -1...1)]]
        let team = try Team(threads: 1)
        let graph = try TrainingGraph(network, batch: 16, team: team, extras: extras)
        graph.modelParameters = ModelParameters(
            branches: [
                [
                    LayerParameters(weight: [0.1, 0.2, 0.3, 0.1, -0.25, 0.3, 0.2, 0.1, 0.1], bias: [5, 0, -5])
                ]
            ], merge: LayerParameters(weight: [1, 2, 3, -1, 1, -2], bias: [0, 0]))
        for image in 0..<16 {
            var next: Float = 0
            GradientTests.fill(graph.images[0], image) {
                next += 0.25
                return next
            }
        }
        let pass = Pass(isTraining: true, images: 16)
        graph.forward(pass, thread: 0)
        let found = (0..<3).map { graph.features[0].values.block(0)[$0 * Volume.lanes] }
        let quantization = Quantization(covering: -1...1)
        #expect(found[0] == quantization.real(of: 127) && found[2] == quantization.real(of: -128))
        let steps = found[1] / quantization.scale
        #expect(abs(steps - steps.rounded()) < 1e-4 && steps != 0)
        _ = Targets(labels: Array(repeating: 0, count: 16), smoothing: 0, teacher: nil)
            .loss(of: graph.logits, block: 0, pass: pass)
        graph.backward(pass, thread: 0)
        graph.parameters.values = graph.gradients.values
        let slopes = try #require(graph.modelParameters.branches[0][0])
        #expect(slopes.weight[0..<3].allSatisfy { $0 == 0 } && slopes.weight[6..<9].allSatisfy { $0 == 0 })
        #expect(slopes.weight[3..<6].allSatisfy { $0 != 0 } && slopes.bias[1] != 0 && slopes.bias[0] == 0)
    }
}
