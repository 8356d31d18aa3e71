/// What one layer of a branch costs.
public struct LayerCost: Sendable, Hashable, Codable {
    /// The layer, for people.
    public var layer: String
    /// The feature map that it makes: height, width, channels.
    public var output: [Int]
    public var parameters: Int
    /// Multiply-accumulate operations for one image; convolutions and fully connected layers have some.
    public var macs: Int
    /// Of the weights, in FP32 a batch normalisation's running statistics included; in eight bits that lies in other weights, and
    /// every output has a scale and a bias of four bytes.
    public var weightBytes: Int
    /// Of the output.
    public var activationBytes: Int

    enum CodingKeys: String, CodingKey {
        case layer, output, parameters, macs
        case weightBytes = "weight_bytes"
        case activationBytes = "activation_bytes"
    }
}

/// What one branch costs its device.
///
/// The classification layer stands apart, so that the branches and ``MergeCost`` add up to the network. A device whose branch
/// sends partial logits holds its columns of that layer and multiplies by them; ``mergeParameters`` and ``mergeMACs`` say so.
public struct BranchCost: Sendable, Hashable, Codable {
    /// Weights and biases, without the classification layer.
    public var parameters: Int
    /// Multiply-accumulate operations for one image, without the classification layer.
    public var macs: Int
    /// Of the classification layer, what lies on this device: 0 where the branch sends features.
    public var mergeParameters: Int
    /// Of the classification layer, what this device does for one image: 0 where the branch sends features.
    public var mergeMACs: Int
    /// Of the branch's weights, without the classification layer.
    public var weightBytes: Int
    /// The most activations that are needed at one time; see ``BranchedNetwork/cost(of:arithmetic:)``.
    public var peakActivationBytes: Int
    /// What has to fit the device: the branch's weights, its share of the classification layer, and the peak of activations.
    public var memoryBytes: Int
    /// What the device receives for an image: raw pixels.
    public var inputBytes: Int
    /// What it sends: partial logits or features, whichever is fewer, FP32, without the message's header.
    public var outputBytes: Int
    public var layers: [LayerCost]

    enum CodingKeys: String, CodingKey {
        case parameters, macs, layers
        case mergeParameters = "merge_parameters"
        case mergeMACs = "merge_macs"
        case weightBytes = "weight_bytes"
        case peakActivationBytes = "peak_activation_bytes"
        case memoryBytes = "memory_bytes"
        case inputBytes = "input_bytes"
        case outputBytes = "output_bytes"
    }
}

/// What the classification layer costs, wherever its multiplications are done: see ``BranchCost/mergeMACs``.
public struct MergeCost: Sendable, Hashable, Codable {
    public var parameters: Int
    public var macs: Int
    public var weightBytes: Int

    enum CodingKeys: String, CodingKey {
        case parameters, macs
        case weightBytes = "weight_bytes"
    }
}

/// What a branched network costs, in all and by branch and layer, beside other ways to spread the network it came from.
///
/// `parameters`, `macs` and `weightBytes` are the sums over the branches and the merge.
public struct NetworkCost: Sendable, Hashable, Codable {
    /// The network that was split.
    public var network: String
    /// What branches compute with; nil for FP32.
    public var arithmetic: ModelManifest.Arithmetic?
    /// Branches and classification layer together.
    public var parameters: Int
    public var macs: Int
    public var weightBytes: Int
    public var branches: [BranchCost]
    public var merge: MergeCost
    /// The split first, then the others, where the original network is known.
    public var methods: [SpreadingCost]

    enum CodingKeys: String, CodingKey {
        case network, arithmetic, parameters, macs, branches, merge, methods
        case weightBytes = "weight_bytes"
    }

    /// - Parameters:
    ///   - original: the network that was split, to compare with; nil leaves the other methods out.
    ///   - arithmetic: what branches compute with; nil for FP32.
    /// - Throws: ``NetworkError`` where the network does not fit its input.
    public init(
        _ network: BranchedNetwork, original: Network?, arithmetic: ModelManifest.Arithmetic? = nil
    ) throws(NetworkError) {
        try network.validate()
        self.network = network.base
        self.arithmetic = arithmetic
        var branches: [BranchCost] = []
        for branch in network.branches.indices { branches.append(try network.cost(of: branch, arithmetic: arithmetic)) }
        let features = try network.mergedFeatureCount()
        merge = MergeCost(
            parameters: network.classes * features + network.classes, macs: network.classes * features,
            weightBytes: 4 * network.classes * (features + 1))
        self.branches = branches
        parameters = branches.reduce(merge.parameters) { $0 + $1.parameters }
        macs = branches.reduce(merge.macs) { $0 + $1.macs }
        weightBytes = branches.reduce(merge.weightBytes) { $0 + $1.weightBytes }
        let lcp = SpreadingCost(
            method: .lcp, devices: branches.count, parameters: parameters,
            largestParameters: branches.map { $0.parameters + $0.mergeParameters }.max() ?? 0, macs: macs,
            largestMACs: branches.map { $0.macs + $0.mergeMACs }.max() ?? 0,
            bytes: branches.reduce(0) { $0 + $1.inputBytes + $1.outputBytes }, connectedPairs: 2 * branches.count)
        methods = [lcp]
        if let original { methods += try original.spreadingCosts(over: branches.count) }
    }
}

extension BranchedNetwork {
    /// What one branch costs its device.
    ///
    /// The peak of activations counts what a layer reads, what it makes, and what a later layer still reads. ReLU,
    /// batch normalisation and additions work in place where nobody needs their input any more; dropout and a named earlier
    /// output copy nothing. Scratch space of an engine is not counted.
    ///
    /// - Parameter arithmetic: what it computes with; nil for FP32.
    public func cost(
        of branch: Int, arithmetic: ModelManifest.Arithmetic? = nil
    ) throws(NetworkError) -> BranchCost {
        let size = arithmetic == .int8 ? 1 : 4
        let shapes = try shapes(of: branch)
        var layers: [LayerCost] = []
        for (index, layer) in branches[branch].enumerated() {
            let output = shapes[index + 1]
            let parameters = layer.parameterCount(input: shapes[index])
            let weightBytes: Int
            switch (arithmetic, layer) {
            case (.int8, .batchNormalization): weightBytes = 0
            case (.int8, .localResponseNormalization): weightBytes = 2 * ResponseTable.count + 4
            case (.int8, _):
                let outputs = layer.weightDimensions(input: shapes[index])?[0] ?? 0
                weightBytes = parameters - (layer.hasBias ? outputs : 0) + 8 * outputs
            // Running statistics are no parameters, but they lie in memory.
            case (nil, _): weightBytes = 4 * (parameters + (layer.hasStatistics ? 2 * output.channels : 0))
            }
            layers.append(
                LayerCost(
                    layer: layer.description, output: [output.height, output.width, output.channels],
                    parameters: parameters, macs: try layer.macs(input: shapes[index]),
                    weightBytes: weightBytes, activationBytes: size * output.elementCount))
        }
        let sendsLogits = try self.output(of: branch) == .partialLogits
        let share = sendsLogits ? classes * (try featureCount(of: branch)) : 0
        let weightBytes = layers.reduce(0) { $0 + $1.weightBytes }
        let peak = size * Self.peakActivations(branches[branch], shapes, logits: sendsLogits ? classes * 4 / size : 0)
        return BranchCost(
            parameters: layers.reduce(0) { $0 + $1.parameters }, macs: layers.reduce(0) { $0 + $1.macs },
            mergeParameters: share, mergeMACs: share, weightBytes: weightBytes, peakActivationBytes: peak,
            memoryBytes: weightBytes + size * share + peak, inputBytes: input.elementCount,
            outputBytes: 4 * (try outputCount(of: branch)), layers: layers)
    }

    /// The most numbers that live at one time; `logits` more are made of the branch's output.
    private static func peakActivations(_ layers: [Layer], _ shapes: [FeatureMapShape], logits: Int) -> Int {
        // Value i is what layer i finds before it; the last is the branch's output. Some are another one under a new name.
        var origin = Array(shapes.indices)
        var lastRead = Array(shapes.indices)
        for (index, layer) in layers.enumerated() {
            switch layer {
            case .output(let earlier): origin[index + 1] = origin[earlier + 1]
            case .dropout: origin[index + 1] = origin[index]
            default: for read in [index] + layer.references.map({ $0 + 1 }) { lastRead[origin[read]] = index }
            }
        }
        lastRead[origin[layers.count]] = layers.count
        var peak = 0
        for (index, layer) in layers.enumerated() {
            let isNew = origin[index + 1] == index + 1
            let overwrites = layer.canWorkInPlace && lastRead[origin[index]] == index
            let living = (0...index).filter { origin[$0] == $0 && lastRead[$0] >= index }
            let made = isNew && !overwrites ? shapes[index + 1].elementCount : 0
            peak = max(peak, living.reduce(made) { $0 + shapes[$1].elementCount })
        }
        return max(peak, shapes[layers.count].elementCount + logits)
    }
}

extension Layer {
    /// Whether each number of the output needs only the one in its place, so that it may overwrite it.
    fileprivate var canWorkInPlace: Bool {
        switch self {
        case .relu, .relu6, .activation, .prelu, .batchNormalization, .add: true
        default: false
        }
    }
}
