import Tensors

/// An array of weights that is read a piece at a time, so that it never needs to be in memory whole.
public struct WeightStream {
    /// The number of weights.
    public let count: Int
    /// Gives all weights to its argument, in pieces, in their order.
    public let read: (_ piece: (UnsafeBufferPointer<Float>) throws -> Void) throws -> Void

    public init(count: Int, read: @escaping (_ piece: (UnsafeBufferPointer<Float>) throws -> Void) throws -> Void) {
        self.count = count
        self.read = read
    }

    /// Weights that are in memory already.
    public init(_ values: [Float]) {
        self.init(count: values.count) { piece in try values.withUnsafeBufferPointer(piece) }
    }

    /// So many times 0.
    public static func zeros(_ count: Int) -> WeightStream {
        WeightStream(count: count) { piece in
            try [Float](repeating: 0, count: count).withUnsafeBufferPointer(piece)
        }
    }

    /// All weights in memory.
    public func values() throws -> [Float] {
        var values: [Float] = []
        values.reserveCapacity(count)
        try read { values.append(contentsOf: $0) }
        return values
    }
}

/// The weights of one layer as streams, laid as in ``LayerParameters``.
public struct LayerWeights {
    public var weight: WeightStream
    /// Nil for a convolution without bias.
    public var bias: WeightStream?
    /// Of a batch normalisation; nil for every other layer.
    public var runningMean: WeightStream?
    public var runningVariance: WeightStream?

    public init(
        weight: WeightStream, bias: WeightStream? = nil, runningMean: WeightStream? = nil,
        runningVariance: WeightStream? = nil
    ) {
        self.weight = weight
        self.bias = bias
        self.runningMean = runningMean
        self.runningVariance = runningVariance
    }

    /// Weights that are in memory already.
    public init(_ parameters: LayerParameters) {
        func stream(_ values: [Float]) -> WeightStream? { values.isEmpty ? nil : WeightStream(values) }
        self.init(
            weight: WeightStream(parameters.weight), bias: stream(parameters.bias),
            runningMean: stream(parameters.runningMean), runningVariance: stream(parameters.runningVariance))
    }

    /// All of them in memory.
    public func parameters() throws -> LayerParameters {
        LayerParameters(
            weight: try weight.values(), bias: try bias?.values() ?? [], runningMean: try runningMean?.values() ?? [],
            runningVariance: try runningVariance?.values() ?? [])
    }

    subscript(_ field: LayerParameters.Field) -> WeightStream? {
        switch field {
        case .weight: weight
        case .bias: bias
        case .runningMean: runningMean
        case .runningVariance: runningVariance
        }
    }
}

/// All weights of a branched network as streams.
public struct ModelWeights {
    /// For each branch an entry for each of its layers, nil for those without weights.
    public var branches: [[LayerWeights?]]
    /// The classification layer.
    public var merge: LayerWeights

    public init(branches: [[LayerWeights?]], merge: LayerWeights) {
        self.branches = branches
        self.merge = merge
    }

    /// Weights that are in memory already.
    public init(_ parameters: ModelParameters) {
        self.init(
            branches: parameters.branches.map { $0.map { $0.map { LayerWeights($0) } } },
            merge: LayerWeights(parameters.merge))
    }

    /// Reads all of them once and keeps none: for what reading alone finds, such as weights that are not finite.
    public func check() throws {
        for layer in branches.joined().compactMap(\.self) + [merge] {
            for field in LayerParameters.Field.allCases { try layer[field]?.read { _ in } }
        }
    }
}

extension BranchedNetwork {
    /// A branch's weights as named tensors: `layers.I.weight`, `layers.I.bias`, and for a batch normalisation
    /// `layers.I.running_mean` and `layers.I.running_var`, I being the layer's index.
    ///
    /// - Parameter isHalf: whether the weights of convolutions and fully connected layers are in half precision.
    func entries(
        of branch: Int, _ weights: [LayerWeights?], isHalf: Bool = false
    ) throws -> [SafetensorsFile.Entry] {
        var entries: [SafetensorsFile.Entry] = []
        for (index, (layer, shape)) in zip(branches[branch], try shapes(of: branch)).enumerated() {
            guard let layerWeights = weights[index] else { continue }
            for (field, dimensions) in LayerParameters.fields(of: layer, input: shape) {
                guard let shape = Shape(dimensions) else { throw NetworkError("\(layer) is too large") }
                guard let stream = layerWeights[field] else {
                    throw NetworkError("\(layer) lacks its \(field.rawValue)")
                }
                let name = "layers.\(index).\(field.rawValue)"
                entries.append(
                    isHalf && field == .weight && !layer.hasStatistics
                        ? .init(name: name, shape: shape, halves: stream.read)
                        : .init(name: name, shape: shape, write: stream.read))
            }
        }
        return entries
    }

    /// The classification layer as named tensors: `weight` and `bias`.
    func entries(merge weights: LayerWeights, isHalf: Bool = false) throws -> [SafetensorsFile.Entry] {
        guard let weightShape = Shape([classes, try mergedFeatureCount()]), let biasShape = Shape([classes]),
            let bias = weights.bias
        else { throw NetworkError("the classification layer is too large, or lacks its bias") }
        return [
            isHalf
                ? .init(name: "weight", shape: weightShape, halves: weights.weight.read)
                : .init(name: "weight", shape: weightShape, write: weights.weight.read),
            .init(name: "bias", shape: biasShape, write: bias.read),
        ]
    }
}
