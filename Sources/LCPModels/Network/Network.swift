/// A network as a value: its input, the layers up to the pre-final activations, and the number of classes.
///
/// The classification layer (fully connected, from the last of ``layers`` to ``classes``) is not among the layers, because a
/// split never divides it (paper section 3, step 2).
public struct Network: Sendable, Hashable, Codable {
    /// A name of the zoo, for example `lenet`.
    public var name: String
    /// The shape of one input image.
    public var input: FeatureMapShape
    /// Everything but the classification layer.
    public var layers: [Layer]
    /// The classes, and so the outputs of the classification layer.
    public var classes: Int
    /// How the branches of a split are joined.
    public var merge: Merge

    public init(name: String, input: FeatureMapShape, layers: [Layer], classes: Int, merge: Merge) {
        self.name = name
        self.input = input
        self.layers = layers
        self.classes = classes
        self.merge = merge
    }

    /// The same network for other images and classes.
    public func with(input: FeatureMapShape? = nil, classes: Int? = nil, merge: Merge? = nil) -> Network {
        var result = self
        result.input = input ?? result.input
        result.classes = classes ?? result.classes
        result.merge = merge ?? result.merge
        return result
    }

    /// Step 2, 3 and 5 of the paper: `branches` narrow copies that never talk to each other.
    ///
    /// Every width is divided by the number of branches and rounded down, but never below 1, and then made wider by
    /// `fattening` and rounded to the nearest; kernels, strides, padding and pooling stay; each branch sees the whole
    /// input.
    ///
    /// - Throws: ``NetworkError`` where the number of branches is not 1 to 64, or the network does not fit its input.
    public func split(into branches: Int, fattening: Fattening = .none) throws(NetworkError) -> BranchedNetwork {
        guard (1...BranchedNetwork.maximumBranches).contains(branches) else {
            throw NetworkError(
                "a network splits into 1 to \(BranchedNetwork.maximumBranches) branches, not \(branches)")
        }
        return try split(shares: Array(repeating: 1, count: branches), fattening: fattening)
    }

    /// A split into branches of different widths, for devices of different speeds: a branch gets its share of every width.
    ///
    /// - Parameters:
    ///   - shares: one for each branch, in any unit: [2, 1, 1] gives the first branch half of every width.
    ///   - fattening: −90 to 1000 per cent each.
    /// - Throws: ``NetworkError`` also where branches that differ would have to be summed.
    public func split(shares: [Int], fattening: Fattening = .none) throws(NetworkError) -> BranchedNetwork {
        guard !shares.isEmpty, shares.allSatisfy({ (1...1_000_000).contains($0) }) else {
            throw NetworkError("the share of a branch is 1 to 1,000,000")
        }
        guard shares.count <= BranchedNetwork.maximumBranches else {
            throw NetworkError(
                "a network splits into 1 to \(BranchedNetwork.maximumBranches) branches, not \(shares.count)")
        }
        for percent in [fattening.convolutions, fattening.fullyConnected] where !Fattening.range.contains(percent) {
            throw NetworkError(
                "branches are fattened by \(Fattening.range.lowerBound) to \(Fattening.range.upperBound) per cent, not \(percent)"
            )
        }
        guard merge == .concat || Set(shares).count == 1 else {
            throw NetworkError(
                "\(name) sums its branches, so they need the same width: give equal shares, or join them by concat")
        }
        try BranchedNetwork.validate(input: input, classes: classes)
        let total = shares.reduce(0, +)
        var branches: [[Layer]] = []
        for share in shares {
            branches.append(
                try resized { index, width in
                    fattening.width(max(1, width * share / total), of: layers[index])
                })
        }
        let result = BranchedNetwork(base: name, input: input, branches: branches, classes: classes, merge: merge)
        try result.validate()
        return result
    }

    /// ``layers``, and the classification layer behind them.
    package var allLayers: [Layer] { layers + [.fullyConnected(outputs: classes)] }

    /// The layers with other widths, by the layer's index and its width; the channels that come in follow.
    package func resized(_ newWidth: (Int, Int) -> Int) throws(NetworkError) -> [Layer] {
        var result: [Layer] = []
        var shapes = [input]
        for (index, layer) in layers.enumerated() {
            guard layer.references.allSatisfy({ (0..<index).contains($0) }) else {
                throw NetworkError("layer \(index), \(layer), names a layer that is not before it")
            }
            var layer = layer
            if let width = layer.width {
                layer = layer.withWidth(newWidth(index, width), inputs: shapes[index].channels)
            }
            shapes.append(try layer.output(of: shapes[index], referenced: layer.references.map { shapes[$0 + 1] }))
            result.append(layer)
        }
        return result
    }
}

/// How the aggregator joins the pre-final activations of the branches. Both are linear, so each branch may send its share of
/// the logits in place of its features.
public enum Merge: String, Sendable, Hashable, Codable, CaseIterable {
    /// The features one after the other, branch 0 first.
    case concat
    /// The features added up, element by element.
    case sum
}

/// What a branch sends to the aggregator.
public enum BranchOutput: String, Sendable, Hashable, Codable {
    /// Its pre-final activations.
    case features
    /// Its share Wₖ·fₖ of the logits, without the bias.
    case partialLogits = "partial_logits"
}
