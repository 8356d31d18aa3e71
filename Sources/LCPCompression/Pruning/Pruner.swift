import Glibc
import LCPInference
public import LCPModels

/// Takes whole channels out of the convolutions of a network's branches, those that matter least: what is left is a smaller network
/// like any other, and no zeros are stored.
///
/// A channel matters as much as it adds to what the next layers sum up, on pictures. How many go from each layer is chosen by
/// trying: of every group of channels some are taken out alone, and what that costs in the loss is weighed against the weights that
/// it saves. Weights of fully connected layers that go with a channel save nothing that was asked for, and training cannot make up
/// for them: they count as part of the price.
public struct Pruner {
    /// Steps in which the channels of a group are tried, and taken out.
    private static let steps = 16

    private let network: BranchedNetwork
    private let parameters: ModelParameters
    private let preprocessing: ModelManifest.Preprocessing
    private let pixels: [UInt8]
    private let labels: [Int]
    private let join: BranchJoin
    /// What each branch adds to the logits of each picture, [branches, pictures, classes].
    private let shares: [[Float]]

    /// - Parameters:
    ///   - pixels: pictures that are trained on, one behind the other.
    ///   - labels: their classes.
    /// - Throws: ``NetworkError``, or ``InferenceError``.
    public init(
        network: BranchedNetwork, parameters: ModelParameters, preprocessing: ModelManifest.Preprocessing,
        pixels: [UInt8], labels: [Int]
    ) throws {
        try network.refuseParity("pruning")
        self.network = network
        self.parameters = parameters
        self.preprocessing = preprocessing
        self.pixels = pixels
        self.labels = labels
        let join = try BranchJoin(network: network, merge: parameters.merge)
        self.join = join
        shares = try network.branches.indices.map { branch in
            try Self.shares(
                network, branch, parameters.branches[branch], parameters.merge, preprocessing, pixels, labels.count,
                join)
        }
    }

    /// What a branch's convolutions have to lose, and what is left of them.
    public struct Result: Sendable {
        public var network: BranchedNetwork
        public var parameters: ModelParameters
        /// The weights of all convolutions, before and after.
        public var weightsBefore: Int
        public var weightsAfter: Int
    }

    /// Prunes all branches, each to the same share of its convolutions' weights.
    ///
    /// - Parameters:
    ///   - share: of the convolutions' weights that goes at least, above 0 and below 1.
    ///   - progress: is told the share of the work that is done, and says whether to go on.
    /// - Throws: ``NetworkError`` where every layer keeps one channel and too many weights are still there; ``InferenceError``;
    ///   `CancellationError`.
    public func prune(share: Double, progress: (Double) -> Bool) throws -> Result {
        var result = Result(network: network, parameters: parameters, weightsBefore: 0, weightsAfter: 0)
        for branch in network.branches.indices {
            let count = Double(network.branches.count)
            let pruned = try prune(branch, share: share) { progress((Double(branch) + $0) / count) }
            result.network.branches[branch] = pruned.layers
            result.parameters.branches[branch] = pruned.parameters
            result.weightsBefore += try Self.convolutionWeights(network.branches[branch], network.input)
            result.weightsAfter += try Self.convolutionWeights(pruned.layers, network.input)
        }
        try result.network.validate()
        return result
    }

    private func prune(_ branch: Int, share: Double, progress: (Double) -> Bool) throws -> PrunedBranch {
        let layers = network.branches[branch]
        let groups = try ChannelGroups(layers, input: network.input)
        let readers = readers(branch, groups)
        let order = try importance(branch, groups, Set(readers.values.joined()).sorted())
        let whole = groups.convolutionWeights(layers, left: [:])
        let wanted = Double(whole) * (1 - share)
        func pruned(_ left: [Int: Int]) throws -> PrunedBranch {
            let kept = left.reduce(into: [Int: [Int]]()) { $0[$1.key] = order[$1.key]?.prefix($1.value).sorted() }
            return try PrunedBranch(
                layers, parameters.branches[branch], input: network.input, groups: groups, kept: kept)
        }
        func weights(_ left: [Int: Int]) -> Int { groups.convolutionWeights(layers, left: left) }
        /// How many channels stay after so many steps.
        func left(_ group: Int, _ steps: Int) -> Int {
            let width = groups.groups[group].width
            return max(1, width - width * steps / Self.steps)
        }
        /// The next number of steps with fewer channels; nil where there is none.
        func next(_ group: Int, _ steps: Int) -> Int? {
            (steps + 1..<Self.steps + 1).first { left(group, $0) < left(group, steps) }
        }

        let free = groups.free.filter { groups.groups[$0].width > 1 }
        let fewest = weights(free.reduce(into: [:]) { $0[$1] = 1 })
        guard Double(fewest) <= wanted else {
            let most = Int((100 * (1 - Double(fewest) / Double(max(1, whole)))).rounded(.down))
            throw NetworkError(
                "branch \(branch) keeps \(fewest) of \(whole) weights of its convolutions with one channel in each layer: "
                    + "at most \(most) % can go")
        }

        // What each group costs alone, after every step.
        let means = try moments(layers, parameters.branches[branch], of: Array(layers.indices)).mapValues(\.mean)
        let before = try loss(branch, shares[branch])
        var costs: [Int: [Double]] = [:]
        for (number, group) in free.enumerated() {
            var curve = [0.0]
            for step in 1...Self.steps {
                let done = (Double(number) + Double(step) / Double(Self.steps)) / Double(free.count)
                guard progress(done) else { throw CancellationError() }
                if left(group, step) == left(group, step - 1) {
                    curve.append(curve[step - 1])
                    continue
                }
                let trial = try settled(pruned([group: left(group, step)]), branch, readers[group] ?? [], means)
                // More channels never cost less.
                curve.append(max(curve[step - 1], try loss(branch, trialShares(branch, trial)) - before))
            }
            costs[group] = curve
        }

        // Less is not told from chance.
        let least = before / 1000
        /// What a step costs in the loss for each weight that the convolutions save, times all that go for each of these.
        func price(_ loss: Double, _ before: [Int: Int], _ after: [Int: Int]) -> Double {
            let saved = Double(max(1, weights(before) - weights(after)))
            let lost = groups.connectedWeights(layers, left: before) - groups.connectedWeights(layers, left: after)
            return max(loss, least) / saved * (1 + Double(lost) / saved)
        }
        // Step by step that which costs least.
        var taken = free.reduce(into: [Int: Int]()) { $0[$1] = 0 }
        func kept(_ taken: [Int: Int]) -> [Int: Int] {
            taken.reduce(into: [:]) { $0[$1.key] = left($1.key, $1.value) }
        }
        var now = weights(kept(taken))
        while Double(now) > wanted {
            var best: (group: Int, steps: Int, price: Double)?
            for group in free {
                let steps = taken[group] ?? 0
                guard let next = next(group, steps), let curve = costs[group] else { continue }
                var trial = taken
                trial[group] = next
                let price = price(curve[next] - curve[steps], kept(taken), kept(trial))
                if price < best?.price ?? .infinity { best = (group, next, price) }
            }
            guard let best else { break }
            taken[best.group] = best.steps
            now = weights(kept(taken))
        }
        // What the last step took too much comes back, a channel at a time, where it was dearest.
        var counts = kept(taken)
        let dearest = free.sorted { left, right in
            func price(_ group: Int) -> Double {
                let steps = taken[group] ?? 0
                guard steps > 0, let curve = costs[group] else { return 0 }
                return curve[steps] - curve[steps - 1]
            }
            return (price(left), right) > (price(right), left)
        }
        for group in dearest {
            while let count = counts[group], count < groups.groups[group].width {
                counts[group] = count + 1
                if Double(weights(counts)) > wanted {
                    counts[group] = count
                    break
                }
            }
        }
        return try settled(pruned(counts), branch, Set(readers.values.joined()).sorted(), means)
    }

    /// Of every free group the channels, the most important first: by the mean square of what they are, times the squares of the
    /// weights that read them.
    ///
    /// - Parameter readers: the layers that sum over channels of free groups, ascending.
    private func importance(_ branch: Int, _ groups: ChannelGroups, _ readers: [Int]) throws -> [Int: [Int]] {
        let layers = network.branches[branch]
        let probe = try BranchProbe(
            network: network, branch: branch, parameters: parameters.branches[branch], preprocessing: preprocessing)
        var squares = readers.reduce(into: [Int: [Double]]()) {
            $0[$1] = Array(repeating: 0, count: probe.shapes[$1].channels)
        }
        for picture in 0..<min(labels.count, 200) {
            try probe.run(picture, of: pixels)
            for index in readers {
                let numbers = probe.numbers(of: index)
                let channels = probe.shapes[index].channels
                for position in numbers.indices {
                    squares[index]?[position % channels] += Double(numbers[position] * numbers[position])
                }
            }
        }
        var scores: [Int: [Double]] = groups.free.reduce(into: [:]) {
            $0[$1] = Array(repeating: 0, count: groups.groups[$1].width)
        }
        for index in readers {
            guard let values = parameters.branches[branch][index], let sums = squares[index] else { continue }
            let outputs =
                values.weight.count
                / (layers[index].weightDimensions(input: probe.shapes[index]) ?? [1])
                .dropFirst().reduce(1, *)
            // Of each input channel as many weights of every output.
            let taps = values.weight.count / outputs / sums.count
            var offset = 0
            for segment in groups.segments(of: index) {
                for channel in 0..<segment.width where scores[segment.group] != nil {
                    var sum = 0.0
                    for output in 0..<outputs {
                        let start = (output * sums.count + offset + channel) * taps
                        for weight in values.weight[start..<start + taps] { sum += Double(weight * weight) }
                    }
                    scores[segment.group]?[channel] += sum * sums[offset + channel]
                }
                offset += segment.width
            }
        }
        return scores.mapValues { scores in
            scores.indices.sorted { (scores[$0], $1) > (scores[$1], $0) }
        }
    }

    // MARK: Settling

    /// Pictures that means are taken over.
    private static let settlingPictures = 128

    /// For each free group the layers that sum over its channels.
    private func readers(_ branch: Int, _ groups: ChannelGroups) -> [Int: [Int]] {
        let free = Set(groups.free)
        var readers: [Int: [Int]] = [:]
        for (index, layer) in network.branches[branch].enumerated() {
            switch layer {
            case .convolution, .fullyConnected:
                for group in free.intersection(groups.segments(of: index).map(\.group)) {
                    readers[group, default: []].append(index)
                }
            default: break
            }
        }
        return readers
    }

    /// The batch normalisation behind a layer, also behind a maximum.
    private static func normalization(behind index: Int, _ layers: [Layer]) -> Int? {
        var next = index + 1
        while next < layers.count, case .maxPool = layers[next] { next += 1 }
        return next < layers.count && layers[next].hasStatistics ? next : nil
    }

    /// Makes up for what some layers no longer hear: batch normalisations learn anew what comes to them, and biases keep the mean
    /// where it was.
    ///
    /// - Parameters:
    ///   - readers: these layers, ascending.
    ///   - means: of what each layer made before, by its index.
    private func settled(
        _ pruned: PrunedBranch, _ branch: Int, _ readers: [Int], _ means: [Int: [Float]]
    ) throws -> PrunedBranch {
        var pruned = pruned
        for reader in readers {
            if let normalization = Self.normalization(behind: reader, pruned.layers) {
                // What comes to it is what the layer before it makes.
                let moments = try moments(pruned.layers, pruned.parameters, of: [normalization - 1])[normalization - 1]
                pruned.parameters[normalization]?.runningMean = moments?.mean ?? []
                pruned.parameters[normalization]?.runningVariance = moments?.variance ?? []
            } else if pruned.layers[reader].hasBias, let before = means[reader] {
                let now = try moments(pruned.layers, pruned.parameters, of: [reader])[reader]?.mean ?? []
                for (index, channel) in pruned.channels[reader + 1].enumerated() {
                    pruned.parameters[reader]?.bias[index] += before[channel] - now[index]
                }
            }
        }
        return pruned
    }

    /// The mean and the variance of every channel of what some layers make.
    private func moments(
        _ layers: [Layer], _ parameters: BranchParameters, of indices: [Int]
    ) throws -> [Int: (mean: [Float], variance: [Float])] {
        var network = network
        network.branches = [layers]
        let probe = try BranchProbe(
            network: network, branch: 0, parameters: parameters, preprocessing: preprocessing)
        let count = min(labels.count, Self.settlingPictures)
        var sums = indices.reduce(into: [Int: (sum: [Double], square: [Double])]()) {
            let zeros = [Double](repeating: 0, count: probe.shapes[$1 + 1].channels)
            $0[$1] = (zeros, zeros)
        }
        for picture in 0..<count {
            try probe.run(picture, of: pixels)
            for index in indices {
                guard var (sum, square) = sums.removeValue(forKey: index) else { continue }
                let numbers = probe.numbers(of: index + 1)
                for position in numbers.indices {
                    let number = Double(numbers[position])
                    sum[position % sum.count] += number
                    square[position % sum.count] += number * number
                }
                sums[index] = (sum, square)
            }
        }
        return sums.reduce(into: [:]) { result, entry in
            let (sum, square) = entry.value
            let total = Double(count * probe.shapes[entry.key + 1].elementCount / max(1, sum.count))
            let means = sum.map { $0 / total }
            result[entry.key] = (
                means.map(Float.init), zip(square, means).map { Float(max(0, $0 / total - $1 * $1)) }
            )
        }
    }

    // MARK: Loss

    private func trialShares(_ branch: Int, _ trial: PrunedBranch) throws -> [Float] {
        var network = network
        network.branches[branch] = trial.layers
        return try Self.shares(
            network, branch, trial.parameters, parameters.merge, preprocessing, pixels, labels.count, join)
    }

    private static func shares(
        _ network: BranchedNetwork, _ branch: Int, _ parameters: BranchParameters, _ merge: LayerParameters,
        _ preprocessing: ModelManifest.Preprocessing, _ pixels: [UInt8], _ count: Int, _ join: BranchJoin
    ) throws -> [Float] {
        let engine = try BranchEngine(
            network: network, branch: branch, parameters: parameters,
            mergeWeights: network.output(of: branch) == .partialLogits
                ? network.mergeWeights(of: branch, merge: merge) : nil,
            preprocessing: preprocessing)
        let (size, classes) = (network.input.elementCount * preprocessing.elementSize, network.classes)
        var result = [Float](repeating: 0, count: count * classes)
        try pixels.withUnsafeBytes { pixels in
            try result.withUnsafeMutableBufferPointer { result in
                for picture in 0..<count {
                    try engine.run(pixels: .init(rebasing: pixels[picture * size..<(picture + 1) * size]))
                    join.share(
                        of: branch, UnsafeRawBufferPointer(engine.output),
                        into: .init(rebasing: result[picture * classes..<(picture + 1) * classes]))
                }
            }
        }
        return result
    }

    /// The mean cross-entropy of all branches, where one has other shares.
    private func loss(_ changed: Int, _ share: [Float]) throws -> Double {
        let classes = network.classes
        var sum = 0.0
        for (picture, label) in labels.enumerated() {
            var logits = parameters.merge.bias.map(Double.init)
            for branch in network.branches.indices {
                let shares = branch == changed ? share : shares[branch]
                for index in 0..<classes { logits[index] += Double(shares[picture * classes + index]) }
            }
            let largest = logits.max() ?? 0
            sum += log(logits.reduce(0) { $0 + exp($1 - largest) }) + largest - logits[label]
        }
        return sum / Double(max(1, labels.count))
    }

    private static func convolutionWeights(_ layers: [Layer], _ input: FeatureMapShape) throws(NetworkError) -> Int {
        try ChannelGroups(layers, input: input).convolutionWeights(layers, left: [:])
    }
}
