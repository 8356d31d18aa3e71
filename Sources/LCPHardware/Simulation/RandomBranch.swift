public import LCPModels

/// A branch in eight bits of a few random layers of odd sizes: for comparing arithmetics.
public struct RandomBranch: Sendable {
    public let network: BranchedNetwork
    public let integers: IntegerBranch
    public let preprocessing: ModelManifest.Preprocessing

    public init(using random: inout some RandomNumberGenerator) throws {
        let channels = Int.random(in: 1...4, using: &random)
        var maker = Maker(
            shape: FeatureMapShape(
                height: .random(in: 5...17, using: &random), width: .random(in: 5...23, using: &random),
                channels: channels))
        let input = maker.shapes[0]
        preprocessing = ModelManifest.Preprocessing(
            mean: Array(repeating: 0.5, count: channels), standardDeviation: Array(repeating: 0.25, count: channels))
        for _ in 0..<Int.random(in: 1...5, using: &random) { try maker.add(using: &random) }
        if maker.layers.isEmpty || Bool.random(using: &random) {
            try maker.add(.fullyConnected(outputs: .random(in: 1...70, using: &random)), &random)
        }
        network = BranchedNetwork(
            base: "random", input: input, branches: [maker.layers],
            classes: maker.shapes[maker.layers.count].elementCount,
            merge: .concat)
        integers = IntegerBranch(layers: maker.weights, values: maker.values, head: nil)
    }

    private struct Maker {
        var layers: [Layer] = []
        var shapes: [FeatureMapShape]
        var weights: [IntegerWeights?] = []
        var values: [Quantization]

        init(shape: FeatureMapShape) {
            shapes = [shape]
            values = [Quantization(scale: 0.02, zero: 3)]
        }

        mutating func add(using random: inout some RandomNumberGenerator) throws {
            let shape = shapes[layers.count]
            let least = min(shape.height, shape.width)
            func upTo(_ most: Int) -> Int { Int.random(in: 1...max(1, min(most, least)), using: &random) }
            switch Int.random(in: 0..<9, using: &random) {
            case 0...2:
                let kernel = upTo(5)
                try add(
                    .convolution(
                        outputs: .random(in: 1...70, using: &random), kernel: kernel,
                        stride: .random(in: 1...3, using: &random), padding: .random(in: 0..<kernel, using: &random)),
                    &random)
                if Bool.random(using: &random) { try add(Bool.random(using: &random) ? .relu : .relu6, &random) }
                let now = shapes[layers.count]
                if Bool.random(using: &random), min(now.height, now.width) > 1 {
                    try add(.maxPool(size: 2, stride: 2), &random)
                }
            case 3:
                let kernel = upTo(4)
                try add(
                    .depthwiseConvolution(
                        kernel: kernel, stride: .random(in: 1...2, using: &random),
                        padding: .random(in: 0..<kernel, using: &random)), &random)
            case 4:
                let size = upTo(3)
                try add(
                    .maxPool(
                        size: size, stride: .random(in: 1...3, using: &random),
                        padding: .random(in: 0...size / 2, using: &random)), &random)
            case 5:
                let size = upTo(3)
                if size > 1 { try add(.averagePool(size: size, stride: .random(in: 1...3, using: &random)), &random) }
            case 6: try add(.relu, &random)
            case 7:
                // A path around a convolution that keeps the shape.
                guard !layers.isEmpty else { return }
                let around = layers.count - 1
                try add(.convolution(outputs: shape.channels, kernel: 3, padding: 1), &random)
                try add(.add(around), &random)
            default: if layers.count > 2 { try add(.globalAveragePool, &random) }
            }
        }

        mutating func add(_ layer: Layer, _ random: inout some RandomNumberGenerator) throws {
            let (input, from) = (shapes[layers.count], values[layers.count])
            let referenced = layer.references.map { shapes[$0 + 1] }
            shapes.append(try layer.output(of: input, referenced: referenced))
            var to = Quantization(
                scale: from.scale * Float.random(in: 0.6...1.5, using: &random),
                zero: .random(in: -128...127, using: &random))
            var made: IntegerWeights?
            switch layer {
            case .maxPool: to = from
            case .relu, .relu6:
                if case .convolution = layers.last { to = from }
            case .averagePool, .globalAveragePool: to.scale = from.scale
            default:
                if let dimensions = layer.weightDimensions(input: input) {
                    let outputs = dimensions[0]
                    let count = dimensions.dropFirst().reduce(1, *)
                    // So that sums use the numbers that there are, and some are beyond them.
                    let scale = to.scale / from.scale / Float(count).squareRoot() / 70
                    made = IntegerWeights(
                        weight: (0..<outputs * count).map { _ in .random(in: -127...127, using: &random) },
                        scale: (0..<outputs).map { _ in scale * Float.random(in: 0.2...1, using: &random) },
                        bias: (0..<outputs).map { _ in .random(in: -2000...2000, using: &random) })
                }
            }
            layers.append(layer)
            weights.append(made)
            values.append(to)
        }
    }
}
