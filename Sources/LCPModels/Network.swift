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

    /// Step 2 and 3 of the paper: `branches` narrow copies that never talk to each other.
    ///
    /// Every width is divided by the number of branches and rounded down, but never below 1; kernels, strides, padding and
    /// pooling stay; each branch sees the whole input.
    ///
    /// - Throws: ``NetworkError`` where the number of branches is not 1 to 64, or the network does not fit its input.
    public func split(into branches: Int) throws(NetworkError) -> BranchedNetwork {
        guard (1...BranchedNetwork.maximumBranches).contains(branches) else {
            throw NetworkError(
                "a network splits into 1 to \(BranchedNetwork.maximumBranches) branches, not \(branches)")
        }
        let branch = layers.map { layer in layer.width.map { layer.withWidth(max(1, $0 / branches)) } ?? layer }
        let result = BranchedNetwork(
            base: name, input: input, branches: Array(repeating: branch, count: branches), classes: classes,
            merge: merge)
        try result.validate()
        return result
    }
}

/// How the aggregator joins the pre-final activations of the branches. Both are linear, so each branch may send its share of
/// the logits in place of its features.
public enum Merge: String, Sendable, Hashable, Codable {
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

/// A network of branches that never talk to each other, and one classification layer that joins them.
public struct BranchedNetwork: Sendable, Hashable, Codable {
    /// The most branches that a message and a join can name.
    public static let maximumBranches = 64

    /// The network that was split.
    public var base: String
    /// The shape of one input image, which every branch gets whole.
    public var input: FeatureMapShape
    /// The layers of each branch; widths may differ where the merge is a concatenation.
    public var branches: [[Layer]]
    /// The classes, and so the outputs of the classification layer.
    public var classes: Int
    /// How the branches are joined.
    public var merge: Merge

    public init(base: String, input: FeatureMapShape, branches: [[Layer]], classes: Int, merge: Merge) {
        self.base = base
        self.input = input
        self.branches = branches
        self.classes = classes
        self.merge = merge
    }

    /// The input of every layer of a branch, and behind them the branch's output.
    public func shapes(of branch: Int) throws(NetworkError) -> [FeatureMapShape] {
        var shapes = [input]
        for layer in branches[branch] {
            let next = try layer.output(of: shapes[shapes.count - 1])
            guard next.elementCount <= 1 << 28 else { throw NetworkError("\(layer) makes a feature map of \(next)") }
            shapes.append(next)
        }
        return shapes
    }

    /// The number of pre-final activations of a branch.
    public func featureCount(of branch: Int) throws(NetworkError) -> Int {
        try shapes(of: branch)[branches[branch].count].elementCount
    }

    /// The inputs of the classification layer.
    public func mergedFeatureCount() throws(NetworkError) -> Int {
        switch merge {
        case .sum: return try featureCount(of: 0)
        case .concat:
            var total = 0
            for branch in branches.indices { total += try featureCount(of: branch) }
            return total
        }
    }

    /// The columns of the classification layer's W that belong to a branch.
    public func mergeColumns(of branch: Int) throws(NetworkError) -> Range<Int> {
        let count = try featureCount(of: branch)
        guard merge == .concat else { return 0..<count }
        var start = 0
        for earlier in 0..<branch { start += try featureCount(of: earlier) }
        return start..<start + count
    }

    /// Partial logits exactly where they are fewer numbers than the features.
    public func output(of branch: Int) throws(NetworkError) -> BranchOutput {
        classes < (try featureCount(of: branch)) ? .partialLogits : .features
    }

    /// How many numbers a branch sends for a frame.
    public func outputCount(of branch: Int) throws(NetworkError) -> Int {
        try output(of: branch) == .partialLogits ? classes : featureCount(of: branch)
    }

    /// Weights and biases of one branch.
    public func parameterCount(of branch: Int) throws(NetworkError) -> Int {
        let shapes = try shapes(of: branch)
        return zip(branches[branch], shapes).reduce(0) { $0 + $1.0.parameterCount(input: $1.1) }
    }

    /// Weights and biases of all branches and of the classification layer.
    public func parameterCount() throws(NetworkError) -> Int {
        var total = classes * (try mergedFeatureCount()) + classes
        for branch in branches.indices { total += try parameterCount(of: branch) }
        return total
    }

    /// Multiply-accumulate operations for one image, over all branches and the classification layer.
    public func macs() throws(NetworkError) -> Int {
        var total = classes * (try mergedFeatureCount())
        for branch in branches.indices {
            for (layer, shape) in zip(branches[branch], try shapes(of: branch)) {
                total += try layer.macs(input: shape)
            }
        }
        return total
    }

    /// Checks that every layer fits, which a model read from a file has to show first.
    public func validate() throws(NetworkError) {
        guard (1...Self.maximumBranches).contains(branches.count) else {
            throw NetworkError("a model has 1 to \(Self.maximumBranches) branches, not \(branches.count)")
        }
        guard (1...1_000_000).contains(classes) else {
            throw NetworkError("a model has at least one class, not \(classes)")
        }
        guard (1...16_384).contains(input.height), (1...16_384).contains(input.width),
            (1...4096).contains(input.channels),
            input.elementCount <= 1 << 28
        else { throw NetworkError("an input of \(input) is not possible") }
        for branch in branches.indices {
            guard (1...4096).contains(branches[branch].count) else {
                throw NetworkError("branch \(branch) has \(branches[branch].count) layers")
            }
            let count = try featureCount(of: branch)
            if merge == .sum, count != (try featureCount(of: 0)) {
                throw NetworkError(
                    "branches that are summed need the same number of features, and branch \(branch) differs")
            }
            guard try parameterCount(of: branch) <= 1 << 30 else {
                throw NetworkError("branch \(branch) has more parameters than any device can hold")
            }
        }
    }
}
