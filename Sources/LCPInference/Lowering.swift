import LCPModels

extension BranchGraph {
    /// Layers as operations, one for each layer that computes something, weights laid out for HWC activations.
    ///
    /// - Parameters:
    ///   - shapes: the input of every layer, and the output behind them.
    ///   - head: the branch's columns of the classification layer's W, [classes, features], where it applies them.
    ///   - integers: what makes it a graph in numbers of eight bits, whose parameters and head are whole numbers.
    /// - Throws: ``InferenceError`` where weights are missing.
    init(
        lowering layers: [Layer], shapes: [FeatureMapShape], parameters: BranchParameters, head: [Float]?,
        integers: IntegerBranch? = nil
    ) throws(InferenceError) {
        input = shapes[0]
        inputQuantization = integers?.values[0]
        // The value that each layer reads: dropout and `output(of:)` compute nothing, they only name another one.
        var current = 0
        for (index, layer) in layers.enumerated() {
            let (from, to) = (shapes[index], shapes[index + 1])
            func append(_ operation: Operation, reading others: [Int] = [], bounds: Bounds = .none) {
                nodes.append(
                    Node(
                        operation: operation, inputs: [current] + others, from: from, to: to, bounds: bounds,
                        integer: integers.map { Integer($0, layer: index) }))
                current = nodes.count
            }
            func weights() throws(InferenceError) -> LayerParameters {
                guard let values = parameters[index] else { throw InferenceError("\(layer) lacks its weights") }
                return values
            }
            switch layer {
            case .convolution(_, let window, let groups, _):
                let values = try weights()
                let bias = values.bias.isEmpty ? [Float](repeating: 0, count: to.channels) : values.bias
                if groups > 1, groups == from.channels, to.channels == from.channels {
                    append(
                        .depthwiseConvolution(
                            window, weight: transposed(values.weight, [1, groups, window.taps]), bias: bias))
                } else {
                    let weight = transposed(values.weight, [to.channels, from.channels / groups, window.taps])
                    append(.convolution(window, groups: groups, weight: weight, bias: bias))
                }
            case .depthwiseConvolution(let window, _):
                let values = try weights()
                append(
                    .depthwiseConvolution(
                        window, weight: transposed(values.weight, [1, from.channels, window.taps]),
                        bias: values.bias.isEmpty ? [Float](repeating: 0, count: to.channels) : values.bias))
            case .fullyConnected:
                let values = try weights()
                append(
                    .fullyConnected(
                        weight: transposed(values.weight, [to.channels, from.channels, from.height * from.width]),
                        bias: values.bias))
            case .batchNormalization(let epsilon):
                let values = try weights()
                let factors = zip(values.weight, values.runningVariance).map { weight, variance in
                    Double(weight) / (Double(variance) + Double(epsilon)).squareRoot()
                }
                let offsets = values.bias.indices.map { channel in
                    Double(values.bias[channel]) - Double(values.runningMean[channel]) * factors[channel]
                }
                append(.scale(weight: factors.map(Float.init), bias: offsets.map(Float.init)))
            // A window of one pixel only picks pixels: a depthwise convolution with 1 does that, which XNNPACK has for it.
            case .maxPool(let window) where window.taps == 1 && integers == nil,
                .averagePool(let window, _) where window.taps == 1 && integers == nil:
                append(
                    .depthwiseConvolution(
                        window.filled(from: from, to: to), weight: Array(repeating: 1, count: from.channels),
                        bias: Array(repeating: 0, count: from.channels)))
            case .maxPool(let window): append(.maxPool(window.filled(from: from, to: to)))
            case .averagePool(let window, let countsPadding):
                guard countsPadding, window.hasPadding else {
                    append(.averagePool(window.filled(from: from, to: to)))
                    break
                }
                // As PyTorch has it: zeros around the map count, and what is behind them does not.
                guard window.filled(from: from, to: to) == window.withoutRounding else {
                    throw InferenceError("\(layer) on \(from) counts its padding and rounds up, which is not possible")
                }
                let count = from.channels * window.taps
                append(
                    .depthwiseConvolution(
                        window.withoutRounding, weight: Array(repeating: 1 / Float(window.taps), count: count),
                        bias: Array(repeating: 0, count: from.channels)))
            case .globalAveragePool: append(.globalAveragePool)
            case .channelNormalization(let epsilon):
                let values = try weights()
                append(.channelNormalization(weight: values.weight, bias: values.bias, epsilon: epsilon))
            case .slice, .shuffle: append(.pick(layer.picked(of: from.channels) ?? []))
            case .localResponseNormalization(let size, let alpha, let beta, let k):
                append(.localResponseNormalization(size: size, alpha: alpha, beta: beta, k: k))
            case .relu: append(.clamp, bounds: Bounds(minimum: 0, maximum: .infinity))
            case .relu6: append(.clamp, bounds: Bounds(minimum: 0, maximum: 6))
            case .activation(let function): append(.activation(function))
            case .prelu: append(.prelu(slopes: try weights().weight))
            case .dropout: break
            case .softmax: append(.softmax)
            case .output(let layer): current = made[layer]
            case .add(let layer): append(.add, reading: [made[layer]])
            case .multiply(let layer):
                // The factors come second.
                let (own, other) = (current, made[layer])
                let isFactor = from.elementCount < to.elementCount
                nodes.append(
                    Node(
                        operation: .multiply, inputs: isFactor ? [other, own] : [own, other], from: to, to: to,
                        integer: integers.map { Integer($0, layer: index) }))
                current = nodes.count
            case .concatenate(let layers): append(.concatenate, reading: layers.map { made[$0] })
            }
            made.append(current)
        }
        if let head {
            let from = shapes[shapes.count - 1]
            let classes = head.count / from.elementCount
            // The bias is added once, by the aggregator.
            let weight = transposed(head, [classes, from.channels, from.height * from.width])
            nodes.append(
                Node(
                    operation: .fullyConnected(weight: weight, bias: [Float](repeating: 0, count: classes)),
                    inputs: [current], from: from, to: FeatureMapShape(features: classes),
                    integer: integers?.head.map { Integer(result: nil, scale: $0.scale, bias: $0.bias) }))
            current = nodes.count
        }
        output = current
    }
}

/// Swaps the last two of three dimensions: PyTorch's channels before positions to channels behind positions.
private func transposed(_ values: [Float], _ dimensions: [Int]) -> [Float] {
    let (blocks, rows, columns) = (dimensions[0], dimensions[1], dimensions[2])
    guard rows > 1, columns > 1 else { return values }
    return [Float](unsafeUninitializedCapacity: values.count) { result, filled in
        values.withUnsafeBufferPointer { values in
            for block in 0..<blocks {
                let start = block * rows * columns
                for row in 0..<rows {
                    for column in 0..<columns {
                        result[start + column * rows + row] = values[start + row * columns + column]
                    }
                }
            }
        }
        filled = values.count
    }
}
