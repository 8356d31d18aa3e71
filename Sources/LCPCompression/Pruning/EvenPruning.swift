package import LCPModels

extension BranchedNetwork {
    /// The same network with all convolutions narrower by one factor, so that a share of their weights is gone: what a pruned
    /// network takes in time, without weights to prune.
    ///
    /// - Parameter share: of the convolutions' weights that goes at least, above 0 and below 1.
    /// - Throws: ``NetworkError`` where even one channel in each layer is too many.
    package func evenlyPruned(share: Double) throws(NetworkError) -> BranchedNetwork {
        func weights(_ layers: [Layer]) throws(NetworkError) -> Int {
            try ChannelGroups(layers, input: input).convolutionWeights(layers, left: [:])
        }
        var result = self
        for branch in branches.indices {
            let layers = branches[branch]
            let network = Network(name: base, input: input, layers: layers, classes: classes, merge: merge)
            let wanted = Double(try weights(layers)) * (1 - share)
            func narrower(_ factor: Double) throws(NetworkError) -> [Layer] {
                try network.resized { index, width in
                    if case .fullyConnected = layers[index] { return width }
                    return max(1, Int((Double(width) * factor).rounded()))
                }
            }
            var (low, high) = (0.0, 1.0)
            for _ in 0..<20 {
                let middle = (low + high) / 2
                if Double(try weights(narrower(middle))) > wanted { high = middle } else { low = middle }
            }
            result.branches[branch] = try narrower(low)
            guard Double(try weights(result.branches[branch])) <= wanted else {
                throw NetworkError("\(base) keeps more of its convolutions' weights with one channel in each layer")
            }
        }
        return result
    }
}
