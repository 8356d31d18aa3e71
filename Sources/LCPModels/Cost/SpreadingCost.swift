/// What a way to spread a network over devices costs for one image.
///
/// Around the devices stand the sensor, which has the image, and the one that joins, which has the result: both send and
/// receive, and neither is counted among the devices. Nothing here knows how devices and network behave: these are counts.
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
    /// What the receivers get for one image, all together: the image as pixels of a byte, everything else in FP32, headers
    /// left out.
    public var bytes: Int
    /// How often somebody has to send something to somebody else for one image. Whoever feeds n devices and collects from
    /// them makes 2n.
    public var connectedPairs: Int

    enum CodingKeys: String, CodingKey {
        case method, devices, parameters, macs, bytes
        case largestParameters = "largest_parameters"
        case largestMACs = "largest_macs"
        case connectedPairs = "connected_pairs"
    }
}

extension Network {
    /// What the whole network costs on one device, and spread over `devices` in the ways that lcp is measured against.
    func spreadingCosts(over devices: Int) throws(NetworkError) -> [SpreadingCost] {
        let whole = try split(into: 1)
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
        let steps = try parallelSteps()
        for method in [SpreadingCost.Method.modelParallelByOutput, .modelParallelByInput] {
            var cost = SpreadingCost(
                method: method, devices: devices, parameters: parameters, largestParameters: 0, macs: macs,
                largestMACs: 0, bytes: 0, connectedPairs: 0)
            for step in steps { step.add(to: &cost) }
            result.append(cost)
        }
        if let tree = try splitNet(devices: devices) { result.append(tree) }
        return result
    }

    /// Every layer with work, the classification layer last.
    private func parallelSteps() throws(NetworkError) -> [ParallelStep] {
        let layers = allLayers
        let shapes = try Layer.shapes(of: layers, input: input)
        var steps: [ParallelStep] = []
        for (index, layer) in layers.enumerated() {
            let (from, to) = (shapes[index], shapes[index + 1])
            let parameters = layer.parameterCount(input: from)
            if layer.hasStatistics {
                // A batch normalisation is one more factor and summand for every channel of the layer before it.
                if !steps.isEmpty { steps[steps.count - 1].perOutput += parameters }
                continue
            }
            let macs = try layer.macs(input: from)
            guard macs > 0 else { continue }
            var step = ParallelStep(
                inputs: from.channels, inputBytes: (index == 0 ? 1 : 4) * from.elementCount, outputs: to.channels,
                outputBytes: 4 * to.elementCount, perOutput: layer.hasBias ? to.channels : 0, weights: 0, macs: macs)
            step.weights = parameters - step.perOutput
            switch layer {
            case .fullyConnected: step.inputs = from.elementCount
            case .depthwiseConvolution: step.keepsChannelsApart = true
            default: break
            }
            steps.append(step)
        }
        return steps
    }
}

/// A layer that model parallelism divides over the devices.
private struct ParallelStep {
    /// Channels, or the numbers that a fully connected layer reads.
    var inputs: Int
    var inputBytes: Int
    var outputs: Int
    var outputBytes: Int
    /// Biases and what a batch normalisation has: some for every output.
    var perOutput: Int
    var weights: Int
    var macs: Int
    /// Whether an output needs only the input of its own channel.
    var keepsChannelsApart = false

    /// The one that joins feeds the devices that have something to do, and collects from them.
    func add(to cost: inout SpreadingCost) {
        let isByOutput = cost.method == .modelParallelByOutput
        let parts = isByOutput ? outputs : inputs
        let working = min(cost.devices, parts)
        let largest = (parts + working - 1) / working
        cost.largestMACs += macs / parts * largest
        cost.largestParameters += weights / parts * largest
        // Divided by input, the sums are incomplete until they are joined, and biases come after that.
        if isByOutput || keepsChannelsApart { cost.largestParameters += perOutput / outputs * largest }
        // By output every device needs the whole input; by input every device makes a summand of the whole output.
        let copiesOfInput = isByOutput && !keepsChannelsApart ? working : 1
        let copiesOfOutput = isByOutput || keepsChannelsApart ? 1 : working
        cost.bytes += copiesOfInput * inputBytes + copiesOfOutput * outputBytes
        cost.connectedPairs += 2 * working
    }
}
