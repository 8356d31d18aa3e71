extension BranchedNetwork {
    /// The same network without batch normalisations: each goes into the weights before it, where nobody else reads what is not
    /// normalised, also past a maximum, which factors from 0 up leave where it is; every other one becomes a depthwise convolution
    /// of single pixels. Every layer with weights has a bias.
    ///
    /// - Returns: the network, and the weights of its branches.
    /// - Throws: ``NetworkError`` where weights are missing.
    public func foldingNormalizations(
        _ parameters: [BranchParameters]
    ) throws(NetworkError) -> (network: BranchedNetwork, parameters: [BranchParameters]) {
        var (network, folded) = (self, parameters)
        for branch in branches.indices {
            var layers = FoldedLayers(layers: branches[branch], parameters: parameters[branch])
            try layers.fold()
            (network.branches[branch], folded[branch]) = (layers.layers, layers.parameters)
        }
        return (network, folded)
    }
}

/// Layers and their weights, while batch normalisations leave them.
private struct FoldedLayers {
    var layers: [Layer]
    var parameters: BranchParameters

    mutating func fold() throws(NetworkError) {
        var index = 0
        while index < layers.count {
            guard case .batchNormalization(let epsilon) = layers[index] else {
                index += 1
                continue
            }
            guard let values = parameters[index] else { throw NetworkError("\(layers[index]) lacks its weights") }
            let factors = zip(values.weight, values.runningVariance).map { weight, variance in
                Double(weight) / (Double(variance) + Double(epsilon)).squareRoot()
            }
            let offsets = factors.indices.map { Double(values.bias[$0]) - Double(values.runningMean[$0]) * factors[$0] }
            if let source = source(of: index, factors), let weights = parameters[source] {
                parameters[source] = weights.scaled(by: factors, plus: offsets)
                layers[source] = layers[source].withBias
                remove(index)
            } else {
                layers[index] = .depthwiseConvolution(kernel: 1)
                parameters[index] = LayerParameters(weight: factors.map(Float.init), bias: offsets.map(Float.init))
                index += 1
            }
        }
        for index in layers.indices where parameters[index]?.bias.isEmpty == true {
            var outputs = layers[index].width ?? 0
            if case .depthwiseConvolution(let window, _) = layers[index] {
                outputs = (parameters[index]?.weight.count ?? 0) / window.taps
            }
            layers[index] = layers[index].withBias
            parameters[index]?.bias = Array(repeating: 0, count: outputs)
        }
    }

    /// The layer whose weights can take a normalisation.
    private func source(of normalization: Int, _ factors: [Double]) -> Int? {
        let isNamed = { (index: Int) in layers.contains { $0.references.contains(index) } }
        var source = normalization - 1
        while source > 0, case .maxPool = layers[source], !isNamed(source), factors.allSatisfy({ $0 >= 0 }) {
            source -= 1
        }
        guard source >= 0, !isNamed(source) else { return nil }
        switch layers[source] {
        case .convolution, .depthwiseConvolution, .fullyConnected: return source
        default: return nil
        }
    }

    /// Takes a layer out; what named it names the one before it.
    private mutating func remove(_ removed: Int) {
        layers.remove(at: removed)
        parameters.remove(at: removed)
        for index in layers.indices { layers[index] = layers[index].renamed { $0 >= removed ? $0 - 1 : $0 } }
    }
}

extension LayerParameters {
    /// Weights and biases that make x · factor + offset of what they made, per output channel.
    fileprivate func scaled(by factors: [Double], plus offsets: [Double]) -> LayerParameters {
        let length = weight.count / factors.count
        return LayerParameters(
            weight: weight.indices.map { Float(Double(weight[$0]) * factors[$0 / length]) },
            bias: factors.indices.map { Float((bias.isEmpty ? 0 : Double(bias[$0])) * factors[$0] + offsets[$0]) })
    }
}

extension Layer {
    /// The same layer with a bias, where it has weights.
    package var withBias: Layer {
        switch self {
        case .convolution(let outputs, let window, let groups, _):
            .convolution(outputs: outputs, window: window, groups: groups)
        case .depthwiseConvolution(let window, _): .depthwiseConvolution(window: window)
        default: self
        }
    }

    /// The same layer with other names for the earlier layers that it reads.
    package func renamed(_ name: (Int) -> Int) -> Layer {
        switch self {
        case .output(let layer): .output(of: name(layer))
        case .add(let layer): .add(name(layer))
        case .multiply(let layer): .multiply(name(layer))
        case .concatenate(let layers): .concatenate(layers.map(name))
        default: self
        }
    }
}
