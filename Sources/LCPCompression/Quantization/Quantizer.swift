import LCPInference
public import LCPModels

/// Makes branches in numbers of eight bits: weights symmetric for each output channel, activations with one scale and zero for
/// each feature map, found with pictures.
public struct Quantizer {
    /// Without batch normalisations, which are in the weights.
    public let network: BranchedNetwork
    private let parameters: [BranchParameters]
    private let merge: LayerParameters
    private let preprocessing: ModelManifest.Preprocessing

    /// - Throws: ``NetworkError`` for a network with a layer that has no arithmetic in eight bits.
    public init(
        network: BranchedNetwork, parameters: ModelParameters, preprocessing: ModelManifest.Preprocessing
    ) throws(NetworkError) {
        for layer in network.branches.joined() {
            var isPossible = layer.hasIntegerArithmetic
            if case .localResponseNormalization(let size, _, _, _) = layer, size > ResponseTable.mostChannels {
                isPossible = false
            }
            guard isPossible else {
                throw NetworkError(
                    "\(layer) has no arithmetic in eight bits: keep the model in single precision, or train it with another layer "
                        + "in its place")
            }
        }
        (self.network, self.parameters) = try network.foldingNormalizations(parameters.branches)
        merge = parameters.merge
        self.preprocessing = preprocessing
    }

    /// Makes one branch.
    ///
    /// - Parameters:
    ///   - pixels: pictures of the network's input, one behind the other; a few hundred like those that will come.
    ///   - progress: is told the share that is done, and says whether to go on.
    /// - Throws: ``NetworkError`` where a layer makes nothing but zeros of these pictures, ``InferenceError``, or
    ///   `CancellationError`.
    public func branch(
        _ branch: Int, pixels: [UInt8], progress: (Double) -> Bool = { _ in true }
    ) throws -> IntegerBranch {
        let layers = network.branches[branch]
        let groups = ValueGroups(layers)
        let ranges = try ranges(branch, groups, pixels, progress)
        var scales = [Float](repeating: 1, count: layers.count + 1)
        var result = IntegerBranch(layers: [], values: [], head: nil)
        func value(_ index: Int) -> Quantization { result.values[index] }

        // Pixels are known, and a signal is as far as it was seen to go.
        result.values.append(preprocessing.signal == nil ? pixelQuantization : Quantization(covering: ranges[0]))
        scales[0] = value(0).scale
        for (index, layer) in layers.enumerated() {
            let first = groups.first[index + 1]
            guard first == index + 1 else {
                result.values.append(result.values[first])
                result.layers.append(nil)
                continue
            }
            guard ranges[first].upperBound > ranges[first].lowerBound else {
                throw NetworkError(
                    "layer \(index) of branch \(branch), \(layer), makes nothing but zeros of these pictures: take pictures like those that the model is for"
                )
            }
            var to = Quantization(covering: ranges[first])
            if let weights = parameters[branch][index] {
                let integers = IntegerWeights(rounding: weights, input: value(index))
                // Outputs are no finer than a sixty-fourth of what a weight of 1 adds.
                let coarsest = integers.scale.max() ?? 0
                to = to.coarser(than: value(index).scale * coarsest * 64.01, covering: ranges[first])
                result.layers.append(integers)
            } else {
                result.layers.append(nil)
            }
            if case .multiply(let other) = layer {
                to = to.coarser(than: value(index).scale * value(other + 1).scale * 64.01, covering: ranges[first])
            }
            if case .activation(let function) = layer {
                result.lookups[index] = function.lookup(from: value(index), to: to)
            }
            if case .localResponseNormalization(let size, let alpha, let beta, let k) = layer {
                guard
                    let table = ResponseTable(
                        size: size, alpha: alpha, beta: beta, k: k, input: value(index), output: to)
                else {
                    throw NetworkError(
                        "layer \(index) of branch \(branch), \(layer), changes numbers by too much for eight bits")
                }
                result.tables[index] = table
            }
            result.values.append(to)
        }
        if try network.output(of: branch) == .partialLogits {
            let weight = try network.mergeWeights(of: branch, merge: merge)
            let bias = [Float](repeating: 0, count: network.classes)
            result.head = IntegerWeights(
                rounding: LayerParameters(weight: weight, bias: bias), input: result.values[layers.count])
        }
        return result
    }

    /// The weights of ``network``, in single precision.
    public var modelParameters: ModelParameters { ModelParameters(branches: parameters, merge: merge) }

    /// The numbers that layers of a branch make, by layer, without those that only pick some: what training for eight bits rounds
    /// to.
    public func rounding(_ branch: Int, _ integers: IntegerBranch) -> [Int: Quantization] {
        let groups = ValueGroups(network.branches[branch])
        return network.branches[branch].indices.reduce(into: [:]) { result, index in
            if groups.first[index + 1] == index + 1 { result[index] = integers.values[index + 1] }
        }
    }

    /// Of all pixels that there can be.
    private var pixelQuantization: Quantization {
        var (low, high): (Float, Float) = (0, 0)
        for (mean, deviation) in zip(preprocessing.mean, preprocessing.standardDeviation) {
            low = min(low, -mean / deviation)
            high = max(high, (1 - mean) / deviation)
        }
        return Quantization(covering: low...high)
    }

    /// For the first value of each group.
    private func ranges(
        _ branch: Int, _ groups: ValueGroups, _ pixels: [UInt8], _ progress: (Double) -> Bool
    ) throws -> [ClosedRange<Float>] {
        let probe = try BranchProbe(
            network: network, branch: branch, parameters: parameters[branch], preprocessing: preprocessing)
        let count = pixels.count / probe.inputSize
        var ranges = [ValueRange](repeating: ValueRange(), count: groups.first.count)
        let used = groups.used.filter { $0 > 0 } + (preprocessing.signal == nil ? [] : [0])
        for pass in 0..<2 {
            for picture in 0..<count {
                guard progress((Double(pass) + Double(picture) / Double(count)) / 2) else { throw CancellationError() }
                try probe.run(picture, of: pixels)
                for value in used {
                    let numbers = probe.numbers(of: value)
                    if pass == 0 {
                        ranges[groups.first[value]].reach(numbers)
                    } else {
                        ranges[groups.first[value]].count(numbers)
                    }
                }
            }
        }
        return ranges.map(\.best)
    }
}

extension Quantization {
    /// The numbers for as much more than a range as their scale has to be larger.
    fileprivate func coarser(than least: Float, covering range: ClosedRange<Float>) -> Quantization {
        guard scale < least else { return self }
        let wider = least / scale
        return Quantization(covering: range.lowerBound * wider...range.upperBound * wider)
    }
}

extension IntegerWeights {
    /// The nearest to real weights, ties to even, with the scale of each output as small as its largest weight allows.
    ///
    /// - Parameter input: what the layer reads.
    init(rounding parameters: LayerParameters, input: Quantization) {
        let length = parameters.weight.count / parameters.bias.count
        self.init(weight: [], scale: [], bias: [])
        weight.reserveCapacity(parameters.weight.count)
        for (output, bias) in parameters.bias.enumerated() {
            let weights = parameters.weight[output * length..<(output + 1) * length]
            let largest = weights.reduce(0) { max($0, abs($1)) }
            // Large enough, too, for the bias to fit.
            let scale = max(largest / 127, abs(bias) / (input.scale * 0x1p28), Float.leastNormalMagnitude * 0x1p30)
            self.scale.append(scale)
            for value in weights {
                weight.append(Int8(max(-127, min(127, (value / scale).rounded(.toNearestOrEven)))))
            }
            self.bias.append(
                Int32((Double(bias) / (Double(input.scale) * Double(scale))).rounded(.toNearestOrEven)))
        }
    }
}
