import LCPInference
public import LCPModels

/// Makes branches in fixed point 3.13.
///
/// Activations beyond ±4 do not fit: every feature map has a scale, a power of two, that comes to it through the weights of the
/// layers that make it and leaves it through those that read it. So every layer is plain fixed point.
public struct FixedPointConverter {
    /// Without batch normalisations, which are in the weights.
    public let network: BranchedNetwork
    private let parameters: [BranchParameters]
    private let merge: LayerParameters
    private let preprocessing: ModelManifest.Preprocessing

    /// - Throws: ``NetworkError`` for a network with a layer that has no arithmetic in fixed point.
    public init(
        network: BranchedNetwork, parameters: ModelParameters, preprocessing: ModelManifest.Preprocessing
    ) throws(NetworkError) {
        try preprocessing.refuseSignal("fixed point")
        for layer in network.branches.joined() {
            guard layer.hasFixedPointArithmetic else {
                throw NetworkError("\(layer) in a branch has no arithmetic in fixed point")
            }
        }
        (self.network, self.parameters) = try network.foldingNormalizations(parameters.branches)
        merge = parameters.merge
        self.preprocessing = preprocessing
    }

    /// Makes one branch.
    ///
    /// - Parameter pixels: pictures of the network's input, one behind the other; a few hundred like those that will come.
    /// - Throws: ``NetworkError`` where no scales are large enough, or ``InferenceError``.
    public func branch(_ branch: Int, pixels: [UInt8]) throws -> FixedPointBranch {
        let layers = network.branches[branch]
        let isLogits = try network.output(of: branch) == .partialLogits
        let head =
            isLogits
            ? LayerParameters(
                weight: try network.mergeWeights(of: branch, merge: merge),
                bias: Array(repeating: 0, count: network.classes))
            : nil
        let largest = try largest(branch, head, pixels)
        let first = Self.groups(layers)
        var scales = [Double](repeating: 0, count: layers.count + 1)
        func fit(_ value: Int, _ real: Double) { scales[first[value]] = max(scales[first[value]], Self.scale(real)) }
        for value in scales.indices { fit(value, largest[value]) }
        // A layer's weights and biases fit, too. What a larger scale asks of the layers behind it is found in the next round.
        var before: [Double] = []
        var rounds = 0
        while scales != before {
            guard rounds <= layers.count else {
                throw NetworkError(
                    "branch \(branch) has no scales for fixed point: weights of more than \(Int(FixedPoint.largest.rounded())) "
                        + "lead back to what they read")
            }
            (before, rounds) = (scales, rounds + 1)
            for (index, values) in parameters[branch].enumerated() {
                guard let values else { continue }
                fit(index + 1, Self.largest(values.weight) * scales[first[index]])
                fit(index + 1, Self.largest(values.bias))
            }
        }
        var result = FixedPointBranch(layers: [], scales: scales.indices.map { scales[first[$0]] })
        for (index, layer) in layers.enumerated() {
            let (input, output) = (result.scales[index], result.scales[index + 1])
            result.layers.append(
                parameters[branch][index].map { FixedPointWeights(rounding: $0, input: input, output: output) })
            guard case .localResponseNormalization(let size, let alpha, let beta, let k) = layer else { continue }
            guard
                let table = ResponseTable(
                    size: size, alpha: alpha, beta: beta, k: k, inputScale: input, outputScale: output)
            else { throw NetworkError("layer \(index) of branch \(branch), \(layer), changes numbers by too much") }
            result.tables[index] = table
        }
        if let head {
            let input = result.scales[layers.count]
            result.headScale = max(
                Self.scale(largest[layers.count + 1]), Self.scale(Self.largest(head.weight) * input))
            result.head = FixedPointWeights(rounding: head, input: input, output: result.headScale)
        }
        return result
    }

    /// For each value the first of those that have its scale: whoever only picks numbers, or adds or joins them, changes none.
    ///
    /// Value 0 is the input, value i + 1 what layer i makes.
    private static func groups(_ layers: [Layer]) -> [Int] {
        var first = [0]
        for (index, layer) in layers.enumerated() {
            let same: [Int]
            switch layer {
            case .dropout, .maxPool, .averagePool, .globalAveragePool, .relu, .relu6: same = [index]
            case .output(let other): same = [other + 1]
            case .add, .concatenate: same = [index] + layer.references.map { $0 + 1 }
            default: same = []
            }
            let groups = Set(same.map { first[$0] })
            first.append(groups.min() ?? index + 1)
            for value in first.indices where groups.contains(first[value]) { first[value] = groups.min() ?? value }
        }
        return first
    }

    /// How far the input, what each layer makes and the shares of the logits reach.
    private func largest(_ branch: Int, _ head: LayerParameters?, _ pixels: [UInt8]) throws -> [Double] {
        let layers = network.branches[branch]
        var network = network
        var parameters = parameters[branch]
        if let head {
            network.branches[branch].append(.fullyConnected(outputs: network.classes))
            parameters.append(head)
        }
        let probe = try BranchProbe(
            network: network, branch: branch, parameters: parameters, preprocessing: preprocessing)
        var result = [Double](repeating: 0, count: layers.count + (head == nil ? 1 : 2))
        for picture in 0..<pixels.count / network.input.elementCount {
            try probe.run(picture, of: pixels)
            for value in result.indices { result[value] = max(result[value], Self.largest(probe.numbers(of: value))) }
        }
        // All pixels that there can be.
        for (mean, deviation) in zip(preprocessing.mean, preprocessing.standardDeviation) {
            result[0] = max(result[0], Double(max(mean, 1 - mean) / deviation))
        }
        return result
    }

    private static func largest(_ numbers: some Sequence<Float>) -> Double {
        numbers.reduce(0) { max($0, Double(abs($1))) }
    }

    /// The least power of two, 2^−20 at least, that real numbers are divided by to fit.
    private static func scale(_ largest: Double) -> Double {
        var scale = 0x1p-20
        while largest > scale * FixedPoint.largest, scale < 0x1p60 { scale *= 2 }
        return scale
    }
}
