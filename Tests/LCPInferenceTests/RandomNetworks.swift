import LCPModels
import Platform

/// Random networks of all layers, with odd sizes, skip connections and joins.
enum RandomNetworks {
    static let functions: [Activation] = [
        .sigmoid, .tanh, .silu, .hardSigmoid(alpha: 0.2, beta: 0.4), .hardSwish, .leakyReLU(slope: 0.1),
        .elu(alpha: 0.7), .gelu,
        .geluTanh,
    ]

    /// Any window, mostly square ones.
    static func window(
        _ random: inout SeededGenerator, size: Int, stride: Int, padding: Int, isPlain: Bool
    ) -> Window {
        var window = Window(size: size, stride: stride, padding: padding)
        guard random.index(3) == 0 else { return window }
        (window.height, window.width) = (1 + random.index(5), 1 + random.index(5))
        (window.strideDown, window.strideAcross) = (1 + random.index(3), 1 + random.index(3))
        if !isPlain, random.index(2) == 0 {
            (window.dilationDown, window.dilationAcross) = (1 + random.index(3), 1 + random.index(3))
        }
        (window.top, window.bottom) = (random.index(window.height), random.index(window.height))
        (window.left, window.right) = (random.index(window.width), random.index(window.width))
        return window
    }

    /// The same for pooling, with at most half of the window beyond the map.
    static func pool(_ random: inout SeededGenerator, isPlain: Bool) -> Window {
        var window = Self.window(
            &random, size: 1 + random.index(4), stride: 1 + random.index(4), padding: 0, isPlain: isPlain)
        let (down, across) = (window.height / 2, window.width / 2)
        (window.top, window.bottom) = (random.index(down + 1), random.index(down + 1))
        (window.left, window.right) = (random.index(across + 1), random.index(across + 1))
        window.roundsUp = random.index(3) == 0
        return window
    }

    /// - Parameter isSmooth: whether there may be layers that only single precision has.
    static func layers(
        _ random: inout SeededGenerator, input: FeatureMapShape, isSmooth: Bool = true
    ) -> [Layer] {
        var layers: [Layer] = []
        var shapes = [input]
        /// Adds a layer where it fits.
        @discardableResult func append(_ layer: Layer) -> Bool {
            guard let after = try? Layer.shapes(of: layers + [layer], input: input), after.last!.elementCount > 0 else {
                return false
            }
            layers.append(layer)
            shapes = after
            return true
        }
        func earlier(_ condition: (FeatureMapShape) -> Bool) -> [Int] {
            layers.indices.filter { condition(shapes[$0 + 1]) }
        }
        func activation(_ random: inout SeededGenerator) {
            switch random.index(5) {
            case 0, 1: append(.relu)
            case 2: append(.relu6)
            case 3 where isSmooth:
                append(random.index(4) == 0 ? .prelu : .activation(functions[random.index(functions.count)]))
            default: break
            }
        }
        for _ in 0..<3 + random.index(9) {
            let now = shapes.last!
            let kernel = 1 + random.index(5)
            switch random.index(isSmooth ? 21 : 16) {
            case 0, 1, 2:
                let outputs = 1 + random.index(random.index(3) == 0 ? 40 : 9)
                append(
                    .convolution(
                        outputs: outputs,
                        window: window(
                            &random, size: kernel, stride: 1 + random.index(2), padding: random.index(kernel),
                            isPlain: !isSmooth), hasBias: random.index(3) > 0))
                if random.index(2) == 0 { append(.batchNormalization(epsilon: 1e-3)) }
                activation(&random)
            case 3:
                let groups = (1...now.channels).filter { now.channels % $0 == 0 }
                let chosen = groups[random.index(groups.count)]
                append(
                    .convolution(
                        outputs: chosen * (1 + random.index(3)),
                        window: window(
                            &random, size: kernel, stride: 1 + random.index(2), padding: random.index(kernel),
                            isPlain: !isSmooth), groups: chosen, hasBias: random.index(2) == 0))
                activation(&random)
            case 4:
                append(
                    .depthwiseConvolution(
                        window: window(
                            &random, size: random.index(6) == 0 ? 7 : kernel, stride: 1 + random.index(2),
                            padding: random.index(kernel), isPlain: !isSmooth), hasBias: random.index(2) == 0))
                if random.index(2) == 0 { append(.batchNormalization()) }
                activation(&random)
            case 5:
                append(.maxPool(window: pool(&random, isPlain: !isSmooth)))
            case 6:
                guard isSmooth else {
                    append(.averagePool(size: 1 + random.index(4), stride: 1 + random.index(3)))
                    continue
                }
                var window = pool(&random, isPlain: true)
                let countsPadding = random.index(2) == 0
                if countsPadding { window.roundsUp = false }
                append(.averagePool(window: window, countsPadding: countsPadding))
            case 7: append(.batchNormalization())
            case 8:
                append(
                    .localResponseNormalization(
                        size: 1 + random.index(9), alpha: random.uniform(0.001, 1),
                        beta: [0.75, 0.5, 1, 0.6][random.index(4)], k: random.uniform(0.5, 2)))
            case 9: activation(&random)
            case 10: append(.dropout(rate: 0.5))
            case 11, 12:
                let same = earlier { $0 == now }
                if !same.isEmpty { append(.add(same[random.index(same.count)])) }
                activation(&random)
            case 13:
                let same = earlier { $0.height == now.height && $0.width == now.width && $0.channels < 30 }
                if !same.isEmpty {
                    append(.concatenate((0..<1 + random.index(3)).map { _ in same[random.index(same.count)] }))
                }
                activation(&random)
            case 14: if !layers.isEmpty { append(.output(of: random.index(layers.count))) }
            case 15: if random.index(3) == 0 { append(.softmax) }
            case 18:
                let first = random.index(now.channels)
                append(.slice(first: first, count: 1 + random.index(now.channels - first), of: now.channels))
            case 19:
                let groups = (1...now.channels).filter { now.channels % $0 == 0 }
                append(.shuffle(groups: groups[random.index(groups.count)]))
            case 20: append(.channelNormalization(epsilon: 1e-3))
            case 16:
                let others = earlier { $0 == now || $0.channels == now.channels && $0.elementCount == now.channels }
                if !others.isEmpty { append(.multiply(others[random.index(others.count)])) }
            default:
                // A gate for every channel.
                guard !layers.isEmpty, now.elementCount > now.channels else { continue }
                let gated = layers.count - 1
                append(.globalAveragePool)
                append(.convolution(outputs: now.channels, kernel: 1))
                append(.activation(random.index(2) == 0 ? .sigmoid : .hardSigmoid(alpha: 1 / 6, beta: 0.5)))
                append(.multiply(gated))
            }
        }
        if random.index(3) == 0 { append(.globalAveragePool) }
        for _ in 0..<random.index(3) {
            append(.fullyConnected(outputs: 1 + random.index(60)))
            if random.index(3) == 0 { append(.batchNormalization()) }
            activation(&random)
            if random.index(4) == 0 { append(.softmax) }
        }
        return layers
    }

    /// Random weights, with biases and running statistics that matter.
    static func parameters(
        for network: BranchedNetwork, using random: inout SeededGenerator
    ) throws -> ModelParameters {
        var result = try ModelParameters.random(for: network, using: &random)
        func values(_ count: Int, _ low: Float, _ high: Float) -> [Float] {
            (0..<count).map { _ in random.uniform(low, high) }
        }
        for branch in result.branches.indices {
            for index in result.branches[branch].indices {
                guard var layer = result.branches[branch][index] else { continue }
                layer.bias = values(layer.bias.count, -0.5, 0.5)
                if network.branches[branch][index].hasStatistics {
                    layer.weight = values(layer.weight.count, 0.5, 1.5)
                    layer.runningMean = values(layer.weight.count, -0.5, 0.5)
                    layer.runningVariance = values(layer.weight.count, 0.25, 2)
                }
                result.branches[branch][index] = layer
            }
        }
        return result
    }
}
