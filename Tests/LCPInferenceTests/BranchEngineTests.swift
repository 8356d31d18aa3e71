@testable import LCPInference
import LCPModels
import Tensors
import Testing

@Suite struct BranchEngineTests {
    /// Straight from the definitions, in double precision: CHW activations, no trick.
    static func reference(
        _ layers: [Layer], _ shapes: [FeatureMapShape], _ parameters: BranchParameters, input: [Double]
    ) -> [Double] {
        var values = input
        for (index, layer) in layers.enumerated() {
            let (from, to) = (shapes[index], shapes[index + 1])
            var next = [Double](repeating: 0, count: to.elementCount)
            switch layer {
            case .relu: next = values.map { max(0, $0) }
            case .fullyConnected(let outputs):
                let weights = parameters[index]!
                for output in 0..<outputs {
                    next[output] = Double(weights.bias[output])
                    for input in values.indices {
                        next[output] += Double(weights.weight[output * values.count + input]) * values[input]
                    }
                }
            case .maxPool(let size, let stride):
                for channel in 0..<to.channels {
                    for row in 0..<to.height {
                        for column in 0..<to.width {
                            var best = -Double.infinity
                            for y in 0..<size {
                                for x in 0..<size {
                                    let place =
                                        (channel * from.height + row * stride + y) * from.width + column * stride + x
                                    best = max(best, values[place])
                                }
                            }
                            next[(channel * to.height + row) * to.width + column] = best
                        }
                    }
                }
            case .convolution(let outputs, let kernel, let stride, let padding):
                let weights = parameters[index]!
                for output in 0..<outputs {
                    for row in 0..<to.height {
                        for column in 0..<to.width {
                            var sum = Double(weights.bias[output])
                            for channel in 0..<from.channels {
                                for y in 0..<kernel {
                                    for x in 0..<kernel {
                                        let (r, c) = (row * stride + y - padding, column * stride + x - padding)
                                        guard r >= 0, c >= 0, r < from.height, c < from.width else { continue }
                                        let weight = weights.weight[
                                            ((output * from.channels + channel) * kernel + y) * kernel + x]
                                        sum += Double(weight) * values[(channel * from.height + r) * from.width + c]
                                    }
                                }
                            }
                            next[(output * to.height + row) * to.width + column] = sum
                        }
                    }
                }
            }
            values = next
        }
        return values
    }

    /// A random network of LeNet's layer types with odd sizes.
    static func randomLayers(_ random: inout SeededGenerator, input: FeatureMapShape) -> [Layer] {
        var layers: [Layer] = []
        var shape = input
        func append(_ layer: Layer) {
            guard let next = try? layer.output(of: shape) else { return }
            layers.append(layer)
            shape = next
        }
        for _ in 0..<1 + random.index(3) {
            let kernel = 1 + random.index(5)
            append(
                .convolution(
                    outputs: 1 + random.index(random.index(3) == 0 ? 40 : 7), kernel: kernel,
                    stride: 1 + random.index(2),
                    padding: random.index(kernel)))
            if random.index(3) > 0 { append(.relu) }
            if random.index(3) > 0 { append(.maxPool(size: 2 + random.index(2), stride: 1 + random.index(3))) }
            if random.index(5) == 0 { append(.relu) }
        }
        for _ in 0..<random.index(3) {
            append(.fullyConnected(outputs: 1 + random.index(60)))
            if random.index(2) == 0 { append(.relu) }
        }
        if layers.allSatisfy({ $0.width == nil }) { append(.fullyConnected(outputs: 7)) }
        return layers
    }

    @Test func randomNetworksMatchAnIndependentReference() throws {
        var random = SeededGenerator(seed: 20_26)
        var worst = 0.0
        for _ in 0..<200 {
            let input = FeatureMapShape(
                height: 5 + random.index(28), width: 5 + random.index(28), channels: 1 + random.index(4))
            let layers = Self.randomLayers(&random, input: input)
            let network = BranchedNetwork(
                base: "random", input: input, branches: [layers], classes: 1 + random.index(30), merge: .concat)
            guard (try? network.validate()) != nil else { continue }
            let parameters = try ModelParameters.random(for: network, using: &random)
            let isPartial = try network.output(of: 0) == .partialLogits
            let engine = try BranchEngine(
                network: network, branch: 0, parameters: parameters.branches[0],
                mergeWeights: isPartial ? network.mergeWeights(of: 0, merge: parameters.merge) : nil,
                preprocessing: .init(
                    mean: (0..<input.channels).map { _ in random.uniform(0, 1) },
                    standardDeviation: Array(repeating: 0.5, count: input.channels)))
            // HWC for the engine, CHW for the reference.
            let hwc = (0..<input.elementCount).map { _ in random.uniform(-1, 1) }
            let area = input.height * input.width
            let chw = (0..<input.elementCount).map { Double(hwc[$0 % area * input.channels + $0 / area]) }
            try hwc.withUnsafeBytes { try engine.run(normalized: $0) }
            var expected = Self.reference(layers, try network.shapes(of: 0), parameters.branches[0], input: chw)
            if isPartial {
                let weights = try network.mergeWeights(of: 0, merge: parameters.merge)
                expected = (0..<network.classes).map { row in
                    expected.indices.reduce(0) { $0 + Double(weights[row * expected.count + $1]) * expected[$1] }
                }
            }
            #expect(engine.output.count == expected.count)
            let scale = max(1, expected.map(abs).max() ?? 1)
            for (found, wanted) in zip(engine.output, expected) {
                worst = max(worst, abs(Double(found) - wanted) / scale)
            }
            #expect(worst < 1e-4, "\(layers) on \(input)")
            // A second run on the same input gives the same bits.
            let first = Array(engine.output)
            try hwc.withUnsafeBytes { try engine.run(normalized: $0) }
            #expect(Array(engine.output) == first)
        }
        print("largest relative difference to the reference: \(worst)")
    }

    @Test func pixelsAreNormalisedAsTheManifestSays() throws {
        let input = FeatureMapShape(height: 4, width: 3, channels: 3)
        let network = BranchedNetwork(
            base: "t", input: input, branches: [[.fullyConnected(outputs: 5)]], classes: 9, merge: .concat)
        var random = SeededGenerator(seed: 1)
        let parameters = try ModelParameters.random(for: network, using: &random)
        let (mean, deviation): ([Float], [Float]) = ([0.1, 0.5, 0.9], [0.2, 0.3, 0.4])
        let engine = try BranchEngine(
            network: network, branch: 0, parameters: parameters.branches[0], mergeWeights: nil,
            preprocessing: .init(mean: mean, standardDeviation: deviation))
        let pixels = (0..<36).map { UInt8($0 * 7) }
        try pixels.withUnsafeBytes { try engine.run(pixels: $0) }
        let byPixels = Array(engine.output)
        let values = pixels.enumerated().map { (Float($1) / 255 - mean[$0 % 3]) / deviation[$0 % 3] }
        try values.withUnsafeBytes { try engine.run(normalized: $0) }
        for (left, right) in zip(byPixels, engine.output) { #expect(abs(left - right) < 1e-4) }
    }

    @Test func aWrongSizeIsAnErrorAndNothingElse() throws {
        var random = SeededGenerator(seed: 1)
        let network = try Network.lenet.split(into: 4)
        let parameters = try ModelParameters.random(for: network, using: &random)
        let engine = try BranchEngine(
            network: network, branch: 0, parameters: parameters.branches[0], mergeWeights: nil,
            preprocessing: .init(mean: [0], standardDeviation: [1]))
        for count in [0, 1, 783, 785, 784 * 4] {
            #expect(throws: InferenceError.self) {
                try [UInt8](repeating: 0, count: count).withUnsafeBytes { try engine.run(pixels: $0) }
            }
        }
    }
}
