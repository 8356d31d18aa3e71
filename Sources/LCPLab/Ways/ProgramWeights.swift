import LCPModels

/// The weights that device programs take their parts from: whole networks', with batch normalisations folded in.
struct ProgramWeights {
    private let layers: [Layer]
    private let shapes: [FeatureMapShape]
    /// By ``DeviceProgram/WeightSource/set``.
    private let sets: [BranchParameters]

    /// - Parameters:
    ///   - layers: the whole network's, as parts number them.
    ///   - sets: weights of these layers; nil for those that no part takes from the set.
    init(_ layers: [Layer], input: FeatureMapShape, sets: [BranchParameters]) throws(NetworkError) {
        self.layers = layers
        shapes = try Layer.shapes(of: layers, input: input)
        self.sets = sets
    }

    /// The weights of a layer of a part.
    ///
    /// - Parameters:
    ///   - input: of the layer in the part; where the layer is fully connected, whose channels lie apart in its columns.
    func parameters(_ source: DeviceProgram.WeightSource, input: FeatureMapShape) -> LayerParameters {
        guard let whole = sets[source.set][source.layer] else { return LayerParameters(weight: [], bias: []) }
        // Numbers for each output and channel of the input.
        let perChannel: Int
        let channels: Int
        switch layers[source.layer] {
        case .fullyConnected:
            (perChannel, channels) = (input.height * input.width, columns(source) / max(1, input.height * input.width))
        case .convolution(_, let window, _, _):
            (perChannel, channels) = (window.taps, columns(source) / (window.taps))
        case .depthwiseConvolution(let window, _): (perChannel, channels) = (window.taps, 1)
        default: return whole
        }
        var weight: [Float] = []
        weight.reserveCapacity(source.outputs.count * source.inputs.count * perChannel)
        let (factors, offsets) = scale(of: source)
        for (place, output) in source.outputs.enumerated() {
            let start = (output * channels + source.inputs.lowerBound) * perChannel
            let row = whole.weight[start..<start + source.inputs.count * perChannel]
            if factors[place] == 1 { weight += row } else { weight += row.map { $0 * factors[place] } }
        }
        let bias =
            source.hasBias
            ? zip(source.outputs, zip(factors, offsets)).map { output, scale in
                (whole.bias.isEmpty ? 0 : whole.bias[output]) * scale.0 + scale.1
            } : Array(repeating: 0, count: source.outputs.count)
        return LayerParameters(weight: weight, bias: bias)
    }

    /// Numbers in a row of a layer's weights.
    private func columns(_ source: DeviceProgram.WeightSource) -> Int {
        guard let whole = sets[source.set][source.layer] else { return 0 }
        return whole.weight.count / rows(source)
    }

    private func rows(_ source: DeviceProgram.WeightSource) -> Int {
        guard let whole = sets[source.set][source.layer] else { return 1 }
        if !whole.bias.isEmpty { return whole.bias.count }
        switch layers[source.layer] {
        case .convolution(let outputs, _, _, _): return outputs
        default: return shapes[source.layer + 1].channels
        }
    }

    /// What a batch normalisation behind a layer multiplies each output with, and adds.
    private func scale(of source: DeviceProgram.WeightSource) -> (factors: [Float], offsets: [Float]) {
        let next = source.layer + 1
        guard next < layers.count, case .batchNormalization(let epsilon) = layers[next],
            let values = sets[source.set][next]
        else {
            return (
                Array(repeating: 1, count: source.outputs.count), Array(repeating: 0, count: source.outputs.count)
            )
        }
        let factors = source.outputs.map { values.weight[$0] / (values.runningVariance[$0] + epsilon).squareRoot() }
        let offsets = zip(source.outputs, factors).map { values.bias[$0] - values.runningMean[$0] * $1 }
        return (factors, offsets)
    }
}
