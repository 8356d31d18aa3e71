public import Platform
import Tensors

/// The weights of one layer, as PyTorch lays them: OIHW for a convolution, [outputs, inputs] for a fully connected layer,
/// [channels] for a batch normalisation.
public struct LayerParameters: Sendable, Hashable {
    public var weight: [Float]
    /// Empty for a convolution without bias.
    public var bias: [Float]
    /// The running mean and variance of a batch normalisation, [channels]; empty for every other layer.
    public var runningMean: [Float]
    public var runningVariance: [Float]

    public init(weight: [Float], bias: [Float], runningMean: [Float] = [], runningVariance: [Float] = []) {
        self.weight = weight
        self.bias = bias
        self.runningMean = runningMean
        self.runningVariance = runningVariance
    }

    /// One of the arrays, by its name in a file.
    enum Field: String, CaseIterable {
        case weight, bias
        case runningMean = "running_mean"
        case runningVariance = "running_var"

        var path: WritableKeyPath<LayerParameters, [Float]> {
            switch self {
            case .weight: \.weight
            case .bias: \.bias
            case .runningMean: \.runningMean
            case .runningVariance: \.runningVariance
            }
        }
    }

    /// The arrays that a layer has, and their dimensions.
    static func fields(of layer: Layer, input: FeatureMapShape) -> [(field: Field, dimensions: [Int])] {
        guard let dimensions = layer.weightDimensions(input: input) else { return [] }
        var fields = [(Field.weight, dimensions)]
        if layer.hasBias { fields.append((.bias, [dimensions[0]])) }
        if layer.hasStatistics {
            fields += [(.runningMean, [dimensions[0]]), (.runningVariance, [dimensions[0]])]
        }
        return fields
    }
}

/// The weights of one branch: an entry for each of its layers, nil for those without weights.
public typealias BranchParameters = [LayerParameters?]

/// All weights of a branched network.
public struct ModelParameters: Sendable, Hashable {
    public var branches: [BranchParameters]
    /// The classification layer: W is [classes, merged features], b is [classes].
    public var merge: LayerParameters

    public init(branches: [BranchParameters], merge: LayerParameters) {
        self.branches = branches
        self.merge = merge
    }
}

extension ModelParameters {
    /// Random weights: He's uniform (gain √2) for the branches and Glorot's for the classification layer, or the paper's normal
    /// ones for all; biases zero; batch normalisations begin as the identity, PReLUs with a slope of 1/4 as PyTorch has them.
    public static func random(
        for network: BranchedNetwork, initialization: TrainingRecipe.Initialization = .he,
        using generator: inout SeededGenerator
    ) throws(NetworkError) -> ModelParameters {
        func uniform(_ count: Int, limit: Float, _ generator: inout SeededGenerator) -> [Float] {
            [Float](unsafeUninitializedCapacity: count) { values, filled in
                for index in 0..<count {
                    values[index] =
                        initialization == .normal ? 0.04 * generator.normal() : generator.uniform(-limit, limit)
                }
                filled = count
            }
        }
        var branches: [BranchParameters] = []
        for branch in network.branches.indices {
            let shapes = try network.shapes(of: branch)
            branches.append(
                zip(network.branches[branch], shapes).map { layer, shape in
                    guard let dimensions = layer.weightDimensions(input: shape) else { return nil }
                    let zeros = [Float](repeating: 0, count: dimensions[0])
                    guard !layer.hasStatistics else {
                        let ones = [Float](repeating: 1, count: dimensions[0])
                        return LayerParameters(weight: ones, bias: zeros, runningMean: zeros, runningVariance: ones)
                    }
                    if layer == .prelu { return LayerParameters(weight: zeros.map { _ in 0.25 }, bias: []) }
                    if layer.isPerChannel { return LayerParameters(weight: zeros.map { _ in 1 }, bias: zeros) }
                    let fanIn = dimensions.dropFirst().reduce(1, *)
                    let limit = (6 / Float(fanIn)).squareRoot()
                    return LayerParameters(
                        weight: uniform(dimensions[0] * fanIn, limit: limit, &generator),
                        bias: layer.hasBias ? zeros : [])
                })
        }
        let features = try network.mergedFeatureCount()
        // Every class hears all branches, also where they are summed.
        let heard = network.merge == .sum ? features * network.branches.count : features
        let limit = (6 / Float(heard + network.classes)).squareRoot()
        return ModelParameters(
            branches: branches,
            merge: LayerParameters(
                weight: uniform(network.classes * features, limit: limit, &generator),
                bias: Array(repeating: 0, count: network.classes)))
    }
}

extension BranchedNetwork {
    /// The columns of W that belong to a branch, as a [classes, features] matrix of their own.
    public func mergeWeights(of branch: Int, merge parameters: LayerParameters) throws(NetworkError) -> [Float] {
        let columns = try mergeColumns(of: branch)
        let total = try mergedFeatureCount()
        return (0..<classes).flatMap { row in
            parameters.weight[row * total + columns.lowerBound..<row * total + columns.upperBound]
        }
    }

    /// The weights of a branch out of named tensors; every one must be there with its exact shape, and no other.
    func parameters(of branch: Int, from file: Safetensors) throws -> BranchParameters {
        var remaining = Set(file.tensors.keys)
        // PyTorch counts the batches that a normalisation has seen; nothing here needs to know.
        remaining = remaining.filter { !$0.hasSuffix(".num_batches_tracked") }
        var result: BranchParameters = []
        for (index, (layer, shape)) in zip(branches[branch], try shapes(of: branch)).enumerated() {
            let fields = LayerParameters.fields(of: layer, input: shape)
            var values = LayerParameters(weight: [], bias: [])
            for (field, dimensions) in fields {
                let name = "layers.\(index).\(field.rawValue)"
                values[keyPath: field.path] = try file.floats(name, dimensions: dimensions)
                remaining.remove(name)
            }
            if let negative = values.runningVariance.first(where: { $0 < 0 }) {
                throw NetworkError("its layers.\(index).running_var holds \(negative), and no variance is below 0")
            }
            result.append(fields.isEmpty ? nil : values)
        }
        if let extra = remaining.min() {
            throw NetworkError("it holds the tensor \(extra.quoted), which the model does not have")
        }
        return result
    }

    func mergeParameters(from file: Safetensors) throws -> LayerParameters {
        LayerParameters(
            weight: try file.floats("weight", dimensions: [classes, try mergedFeatureCount()]),
            bias: try file.floats("bias", dimensions: [classes]))
    }
}

extension Safetensors {
    fileprivate func floats(_ name: String, dimensions: [Int]) throws -> [Float] {
        guard let tensor = tensors[name] else { throw NetworkError("it lacks the tensor \(name)") }
        guard [.fp32, .fp16].contains(tensor.dtype), tensor.shape.dimensions == dimensions else {
            let expected = dimensions.map(String.init).joined(separator: "×")
            throw NetworkError(
                "its \(name) is \(tensor.dtype.name) \(tensor.shape), the model needs FP32 or FP16 \(expected)")
        }
        let values = try tensor.singles()
        guard values.allSatisfy(\.isFinite) else { throw NetworkError("its \(name) holds values that are not finite") }
        return values
    }
}
