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
    /// The branch that stands in for others that are missing, always the last; nil for none. Its features are a share of the logits
    /// in place of each other branch, [other branches, classes]; they are left out where all others answer.
    public var parity: Int?

    public init(base: String, input: FeatureMapShape, branches: [[Layer]], classes: Int, merge: Merge) {
        self.base = base
        self.input = input
        self.branches = branches
        self.classes = classes
        self.merge = merge
    }

    /// The same branches for other classes.
    public func with(classes: Int?) -> BranchedNetwork {
        var result = self
        result.classes = classes ?? result.classes
        return result
    }

    /// The input of every layer of a branch, and behind them the branch's output.
    public func shapes(of branch: Int) throws(NetworkError) -> [FeatureMapShape] {
        try Layer.shapes(of: branches[branch], input: input)
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
            for branch in branches.indices where branch != parity { total += try featureCount(of: branch) }
            return total
        }
    }

    /// The columns of the classification layer's W that belong to a branch; none for a parity branch.
    public func mergeColumns(of branch: Int) throws(NetworkError) -> Range<Int> {
        guard branch != parity else { return 0..<0 }
        let count = try featureCount(of: branch)
        guard merge == .concat else { return 0..<count }
        var start = 0
        for earlier in 0..<branch { start += try featureCount(of: earlier) }
        return start..<start + count
    }

    /// Partial logits exactly where they are fewer numbers than the features; a parity branch has features alone.
    public func output(of branch: Int) throws(NetworkError) -> BranchOutput {
        let count = try featureCount(of: branch)
        return branch != parity && classes < count ? .partialLogits : .features
    }

    /// How many numbers a branch sends for a frame.
    public func outputCount(of branch: Int) throws(NetworkError) -> Int {
        try output(of: branch) == .partialLogits ? classes : featureCount(of: branch)
    }

    /// The multiplications of the classification layer that are left to who joins the branches.
    public var joinMultiplications: Int {
        get throws(NetworkError) {
            var sum = 0
            for branch in branches.indices where try output(of: branch) == .features && branch != parity {
                sum += classes * (try featureCount(of: branch))
            }
            return sum
        }
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

    /// Multiply-accumulate operations of one branch for one image, its share of the classification layer not counted.
    public func macs(of branch: Int) throws(NetworkError) -> Int {
        var total = 0
        for (layer, shape) in zip(branches[branch], try shapes(of: branch)) { total += try layer.macs(input: shape) }
        return total
    }

    /// Multiply-accumulate operations for one image, over all branches and the classification layer.
    public func macs() throws(NetworkError) -> Int {
        var total = classes * (try mergedFeatureCount())
        for branch in branches.indices { total += try macs(of: branch) }
        return total
    }

    /// The network of the zoo that this one was split from, with its input, classes and merge; nil where the zoo has none whose
    /// layers differ from these branches in nothing but their widths.
    public var original: Network? {
        guard let network = Network.zoo.first(where: { $0.name == base }) else { return nil }
        let original = network.with(input: input, classes: classes, merge: merge)
        let matches = branches.allSatisfy { branch in
            guard branch.count == original.layers.count else { return false }
            return (try? original.resized { index, width in branch[index].width ?? width }) == branch
        }
        return matches ? original : nil
    }

    /// The network of a single branch, which can be split; nil where there are several.
    public var unsplit: Network? {
        branches.count == 1
            ? Network(name: base, input: input, layers: branches[0], classes: classes, merge: merge) : nil
    }

    /// Refuses what adds up all branches' shares, where one of them only stands in for another.
    ///
    /// - Parameter work: what is refused, as the beginning of a sentence.
    package func refuseParity(_ work: String) throws(NetworkError) {
        guard let parity else { return }
        throw NetworkError(
            "\(work) takes all branches together, and branch \(parity) only stands in for one that is missing: give the model "
                + "that it was added to")
    }

    /// Checks that every layer fits, which a model read from a file has to show first.
    public func validate() throws(NetworkError) {
        guard (1...Self.maximumBranches).contains(branches.count) else {
            throw NetworkError("a model has 1 to \(Self.maximumBranches) branches, not \(branches.count)")
        }
        try Self.validate(input: input, classes: classes)
        guard parity == nil || branches.count > 2 && parity == branches.count - 1 else {
            throw NetworkError(
                "a parity branch is the last of three or more, and not branch \(parity ?? 0) of \(branches.count)")
        }
        for branch in branches.indices {
            guard (1...4096).contains(branches[branch].count) else {
                throw NetworkError("branch \(branch) has \(branches[branch].count) layers")
            }
            let count = try featureCount(of: branch)
            if branch == parity {
                guard count == branch * classes else {
                    throw NetworkError(
                        "a parity branch has \(classes) numbers for each of the others, \(branch * classes), and not \(count)"
                    )
                }
            } else if merge == .sum, count != (try featureCount(of: 0)) {
                throw NetworkError(
                    "branches that are summed need the same number of features, and branch \(branch) differs")
            }
            guard try parameterCount(of: branch) <= 1 << 30 else {
                throw NetworkError("branch \(branch) has more parameters than any device can hold")
            }
            // So that the sum over all branches is still a number.
            guard try macs(of: branch) <= 1 << 54 else {
                throw NetworkError("branch \(branch) has more work than any device can do")
            }
        }
    }

    /// Checks what a network is told from outside, before anything is computed with it.
    package static func validate(input: FeatureMapShape, classes: Int) throws(NetworkError) {
        guard (1...1_000_000).contains(classes) else {
            throw NetworkError("a network has 1 to 1,000,000 classes, not \(classes)")
        }
        guard (1...16_384).contains(input.height), (1...16_384).contains(input.width),
            (1...4096).contains(input.channels), input.elementCount <= 1 << 28
        else {
            throw NetworkError(
                "an input of \(input) is not possible: height and width are 1 to 16,384, the channels 1 to 4096")
        }
    }
}
