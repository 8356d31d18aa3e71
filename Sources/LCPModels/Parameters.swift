import Tensors

/// The weights of one layer, as PyTorch lays them: OIHW for a convolution, [outputs, inputs] for a fully connected layer.
public struct LayerParameters: Sendable, Hashable {
    public var weight: [Float]
    public var bias: [Float]

    public init(weight: [Float], bias: [Float]) {
        self.weight = weight
        self.bias = bias
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
    /// Random weights: He's uniform (gain √2) for the branches, Glorot's for the classification layer, biases zero.
    public static func random(
        for network: BranchedNetwork, using generator: inout some RandomNumberGenerator
    ) throws(NetworkError) -> ModelParameters {
        func uniform(_ count: Int, limit: Float, _ generator: inout some RandomNumberGenerator) -> [Float] {
            (0..<count).map { _ in Float.random(in: -limit...limit, using: &generator) }
        }
        var branches: [BranchParameters] = []
        for branch in network.branches.indices {
            let shapes = try network.shapes(of: branch)
            branches.append(
                zip(network.branches[branch], shapes).map { layer, shape in
                    guard let dimensions = layer.weightDimensions(input: shape) else { return nil }
                    let fanIn = dimensions.dropFirst().reduce(1, *)
                    let limit = (6 / Float(fanIn)).squareRoot()
                    return LayerParameters(
                        weight: uniform(dimensions[0] * fanIn, limit: limit, &generator),
                        bias: Array(repeating: 0, count: dimensions[0]))
                })
        }
        let features = try network.mergedFeatureCount()
        let limit = (6 / Float(features + network.classes)).squareRoot()
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

    /// A branch's weights as named tensors: `layers.I.weight` and `layers.I.bias`, I being the layer's index.
    func tensors(of branch: Int, _ parameters: BranchParameters) throws -> Safetensors {
        var file = Safetensors()
        for (index, (layer, shape)) in zip(branches[branch], try shapes(of: branch)).enumerated() {
            guard let dimensions = layer.weightDimensions(input: shape), let values = parameters[index],
                let weightShape = Shape(dimensions), let biasShape = Shape([dimensions[0]])
            else { continue }
            file.tensors["layers.\(index).weight"] = try Tensor(values.weight, shape: weightShape)
            file.tensors["layers.\(index).bias"] = try Tensor(values.bias, shape: biasShape)
        }
        return file
    }

    /// The weights of a branch out of named tensors; every one must be there with its exact shape, and no other.
    func parameters(of branch: Int, from file: Safetensors) throws -> BranchParameters {
        var remaining = Set(file.tensors.keys)
        var result: BranchParameters = []
        for (index, (layer, shape)) in zip(branches[branch], try shapes(of: branch)).enumerated() {
            guard let dimensions = layer.weightDimensions(input: shape) else {
                result.append(nil)
                continue
            }
            let weight = try file.floats("layers.\(index).weight", dimensions: dimensions)
            let bias = try file.floats("layers.\(index).bias", dimensions: [dimensions[0]])
            remaining.subtract(["layers.\(index).weight", "layers.\(index).bias"])
            result.append(LayerParameters(weight: weight, bias: bias))
        }
        if let extra = remaining.min() {
            throw NetworkError("it holds the tensor \(extra), which the model does not have")
        }
        return result
    }

    func tensors(merge parameters: LayerParameters) throws -> Safetensors {
        guard let weightShape = Shape([classes, try mergedFeatureCount()]), let biasShape = Shape([classes]) else {
            throw NetworkError("the classification layer is too large")
        }
        return Safetensors(tensors: [
            "weight": try Tensor(parameters.weight, shape: weightShape),
            "bias": try Tensor(parameters.bias, shape: biasShape),
        ])
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
        guard tensor.dtype == .fp32, tensor.shape.dimensions == dimensions else {
            let expected = dimensions.map(String.init).joined(separator: "×")
            throw NetworkError("its \(name) is \(tensor.dtype.name) \(tensor.shape), the model needs FP32 \(expected)")
        }
        let values = try tensor.floats()
        guard values.allSatisfy(\.isFinite) else { throw NetworkError("its \(name) holds values that are not finite") }
        return values
    }
}
