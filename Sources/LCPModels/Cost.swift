/// What one layer of a branch costs.
public struct LayerCost: Sendable, Hashable, Codable {
    /// The layer, for people.
    public var layer: String
    /// The feature map that it makes: height, width, channels.
    public var output: [Int]
    public var parameters: Int
    /// Multiply-accumulate operations for one image.
    public var macs: Int
    /// Of the weights in FP32.
    public var weightBytes: Int
    /// Of the output in FP32.
    public var activationBytes: Int

    enum CodingKeys: String, CodingKey {
        case layer, output, parameters, macs
        case weightBytes = "weight_bytes"
        case activationBytes = "activation_bytes"
    }
}

/// What one branch costs its device.
public struct BranchCost: Sendable, Hashable, Codable {
    public var parameters: Int
    /// Multiply-accumulate operations for one image.
    public var macs: Int
    public var weightBytes: Int
    /// The most activations that are needed at one time, FP32.
    public var peakActivationBytes: Int
    /// What the device receives for an image: raw pixels.
    public var inputBytes: Int
    /// What it sends: partial logits or features, whichever is fewer, FP32, without the message's header.
    public var outputBytes: Int
    public var layers: [LayerCost]

    /// Weights and activations: what has to fit the device.
    public var memoryBytes: Int { weightBytes + peakActivationBytes }

    enum CodingKeys: String, CodingKey {
        case parameters, macs, layers
        case weightBytes = "weight_bytes"
        case peakActivationBytes = "peak_activation_bytes"
        case inputBytes = "input_bytes"
        case outputBytes = "output_bytes"
    }
}

/// What the classification layer costs. Branches that send partial logits have done its multiplications already.
public struct MergeCost: Sendable, Hashable, Codable {
    public var parameters: Int
    public var macs: Int
    public var weightBytes: Int

    enum CodingKeys: String, CodingKey {
        case parameters, macs
        case weightBytes = "weight_bytes"
    }
}

/// What a way to spread a network over devices costs for one image.
public struct SpreadingCost: Sendable, Hashable, Codable {
    public enum Method: String, Sendable, Hashable, Codable, CaseIterable {
        /// The whole network on one device.
        case single
        /// Branches that never talk to each other: what lcp does.
        case lcp
        /// The whole network on every device, an image for each: more images a second, none of them sooner.
        case dataParallel = "data_parallel"
        /// Every layer's outputs divided over the devices, put together after every layer.
        case modelParallelByOutput = "model_parallel_by_output"
        /// Every layer's inputs divided over the devices, their sums added up after every layer.
        case modelParallelByInput = "model_parallel_by_input"
        /// A tree of layers: whole at first, then in halves, quarters and so on (Kim et al., 2017).
        case splitNet = "splitnet"
    }
    public var method: Method
    public var devices: Int
    /// Of all devices together; a copy counts again.
    public var parameters: Int
    /// Of the device with the most.
    public var largestParameters: Int
    /// For one image, all devices together.
    public var macs: Int
    /// Of the device with the most, for one image.
    public var largestMACs: Int
    /// What travels for one image: the input as pixels, everything else in FP32, headers left out.
    public var bytes: Int
    /// How often one device has to send to another for one image, the sensor and the one that joins included.
    public var connectedPairs: Int

    enum CodingKeys: String, CodingKey {
        case method, devices, parameters, macs, bytes
        case largestParameters = "largest_parameters"
        case largestMACs = "largest_macs"
        case connectedPairs = "connected_pairs"
    }
}

/// What a branched network costs, in all and by branch and layer, beside other ways to spread the network it came from.
public struct NetworkCost: Sendable, Hashable, Codable {
    public var network: String
    /// Branches and classification layer together.
    public var parameters: Int
    public var macs: Int
    public var weightBytes: Int
    public var branches: [BranchCost]
    public var merge: MergeCost
    /// The split first, then the others, where the original network is known.
    public var methods: [SpreadingCost]

    enum CodingKeys: String, CodingKey {
        case network, parameters, macs, branches, merge, methods
        case weightBytes = "weight_bytes"
    }

    /// - Parameter original: the network that was split, to compare with; nil leaves the other methods out.
    /// - Throws: ``NetworkError`` where the network does not fit its input.
    public init(_ network: BranchedNetwork, original: Network?) throws(NetworkError) {
        self.network = network.base
        var branches: [BranchCost] = []
        for branch in network.branches.indices { branches.append(try network.cost(of: branch)) }
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
            largestParameters: branches.map(\.parameters).max() ?? 0, macs: macs,
            largestMACs: branches.map(\.macs).max() ?? 0,
            bytes: branches.reduce(0) { $0 + $1.inputBytes + $1.outputBytes }, connectedPairs: 2 * branches.count)
        methods = [lcp]
        if let original { methods += try original.spreadingCosts(over: branches.count) }
    }
}

extension BranchedNetwork {
    /// What one branch costs its device.
    public func cost(of branch: Int) throws(NetworkError) -> BranchCost {
        let shapes = try shapes(of: branch)
        var layers: [LayerCost] = []
        for (index, layer) in branches[branch].enumerated() {
            let output = shapes[index + 1]
            let parameters = layer.parameterCount(input: shapes[index])
            // Running statistics are no parameters, but they lie in memory.
            let statistics = layer.hasStatistics ? 2 * output.channels : 0
            layers.append(
                LayerCost(
                    layer: layer.description, output: [output.height, output.width, output.channels],
                    parameters: parameters, macs: try layer.macs(input: shapes[index]),
                    weightBytes: 4 * (parameters + statistics), activationBytes: 4 * output.elementCount))
        }
        return BranchCost(
            parameters: layers.reduce(0) { $0 + $1.parameters }, macs: layers.reduce(0) { $0 + $1.macs },
            weightBytes: layers.reduce(0) { $0 + $1.weightBytes },
            peakActivationBytes: 4 * Self.peakActivations(branches[branch], shapes), inputBytes: input.elementCount,
            outputBytes: 4 * (try outputCount(of: branch)), layers: layers)
    }

    /// The most numbers that live at one time: what a layer makes, what it reads, and what is still needed later.
    private static func peakActivations(_ layers: [Layer], _ shapes: [FeatureMapShape]) -> Int {
        // The value in front of layer i is i; a layer's own is i + 1.
        var lastUse = Array(shapes.indices)
        for (index, layer) in layers.enumerated() {
            lastUse[index] = max(lastUse[index], index)
            for reference in layer.references { lastUse[reference + 1] = index }
        }
        var peak = shapes[0].elementCount
        for index in layers.indices {
            let living = (0...index).filter { lastUse[$0] >= index }.reduce(0) { $0 + shapes[$1].elementCount }
            peak = max(peak, living + shapes[index + 1].elementCount)
        }
        return peak
    }
}

extension Network {
    /// What the whole network costs on one device, and spread over `devices` in the ways that lcp is measured against.
    func spreadingCosts(over devices: Int) throws(NetworkError) -> [SpreadingCost] {
        let whole = try split(into: 1)
        let single = try whole.cost(of: 0)
        let (parameters, macs) = (try whole.parameterCount(), try whole.macs())
        let ends = input.elementCount + 4 * classes
        var result = [
            SpreadingCost(
                method: .single, devices: 1, parameters: parameters, largestParameters: parameters, macs: macs,
                largestMACs: macs, bytes: ends, connectedPairs: 2),
            SpreadingCost(
                method: .dataParallel, devices: devices, parameters: parameters * devices,
                largestParameters: parameters, macs: macs, largestMACs: macs, bytes: ends, connectedPairs: 2),
        ]
        // Every layer with work, the classification layer behind them.
        var steps:
            [(inputs: Int, inputBytes: Int, outputs: Int, outputBytes: Int, biases: Int, weights: Int, macs: Int)] = []
        let shapes = try whole.shapes(of: 0)
        for (index, layer) in layers.enumerated() where single.layers[index].macs > 0 {
            let (from, to) = (shapes[index], shapes[index + 1])
            let biases = layer.hasBias ? to.channels : 0
            var inputs = from.channels
            if case .fullyConnected = layer { inputs = from.elementCount }
            steps.append(
                (
                    inputs, steps.isEmpty ? from.elementCount : 4 * from.elementCount, to.channels,
                    4 * to.elementCount, biases, single.layers[index].parameters - biases, single.layers[index].macs
                ))
        }
        let features = try whole.mergedFeatureCount()
        steps.append((features, 4 * features, classes, 4 * classes, classes, classes * features, classes * features))
        let elsewhere = parameters - steps.reduce(0) { $0 + $1.weights + $1.biases }
        for method in [SpreadingCost.Method.modelParallelByOutput, .modelParallelByInput] {
            // Batch normalisations are computed where the feature maps are put together.
            var cost = SpreadingCost(
                method: method, devices: devices, parameters: parameters, largestParameters: elsewhere, macs: macs,
                largestMACs: 0, bytes: 0, connectedPairs: 0)
            for step in steps {
                let parts = method == .modelParallelByOutput ? step.outputs : step.inputs
                let working = min(devices, parts)
                let largest = (parts + working - 1) / working
                cost.largestParameters += step.weights / parts * largest
                cost.largestMACs += step.macs / parts * largest
                if method == .modelParallelByOutput {
                    cost.largestParameters += step.biases / parts * largest
                    cost.bytes += working * step.inputBytes + step.outputBytes
                } else {
                    cost.largestParameters += step.biases
                    cost.bytes += step.inputBytes + working * step.outputBytes
                }
                cost.connectedPairs += 2 * working
            }
            result.append(cost)
        }
        if let tree = try splitNet(devices: devices) { result.append(tree) }
        return result
    }

    /// SplitNet's tree over a number of devices that is a power of two; nil where the network has too few places to part.
    ///
    /// The layers with work are divided into as many stretches as the tree has levels, as evenly as skip connections allow: a
    /// stretch of level l stands in 2^l groups, each 2^l times narrower, and a device that has a stretch also has the first of
    /// the two below it.
    private func splitNet(devices: Int) throws(NetworkError) -> SpreadingCost? {
        guard devices > 1, devices & (devices - 1) == 0 else { return nil }
        let levels = devices.trailingZeroBitCount
        // A stretch may begin at a layer with a width that no later layer reaches across.
        var reach = layers.count
        var places: Set<Int> = []
        for index in layers.indices.reversed() {
            reach = min(reach, layers[index].references.min() ?? reach)
            if index > 0, layers[index].width != nil, reach >= index - 1 { places.insert(index) }
        }
        let working = layers.indices.filter { layers[$0].width != nil }
        var starts: [Int] = []
        for level in 1...levels {
            let ideal = working[min(working.count - 1, level * working.count / (levels + 1))]
            let candidates = places.filter { $0 > (starts.last ?? 0) }
            guard let start = candidates.min(by: { (abs($0 - ideal), $0) < (abs($1 - ideal), $1) }) else { return nil }
            starts.append(start)
        }
        let path = try resized { layer, width in max(1, width >> starts.filter { $0 <= layer }.count) }
        let shapes = try Layer.shapes(of: path, input: input)
        var cost = SpreadingCost(
            method: .splitNet, devices: devices, parameters: 0, largestParameters: 0, macs: 0, largestMACs: 0,
            bytes: input.elementCount, connectedPairs: 1)
        for (index, layer) in path.enumerated() {
            let level = starts.filter { $0 <= index }.count
            let (parameters, macs) = (layer.parameterCount(input: shapes[index]), try layer.macs(input: shapes[index]))
            cost.parameters += parameters << level
            cost.macs += macs << level
            cost.largestParameters += parameters
            cost.largestMACs += macs
            if starts.contains(index) {
                cost.bytes += 4 * shapes[index].elementCount << (level - 1)
                cost.connectedPairs += 1 << (level - 1)
            }
        }
        let features = shapes[path.count].elementCount
        cost.parameters += classes * features * devices + classes
        cost.macs += classes * features * devices
        cost.bytes += 4 * min(features, classes) * devices
        cost.connectedPairs += devices
        return cost
    }
}
