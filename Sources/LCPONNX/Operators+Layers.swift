import LCPModels
import ONNX

/// Normalisations, fully connected layers, activations and what joins feature maps.
extension GraphImporter {
    mutating func batchNormalization(_ node: ONNXNodeProto, _ attributes: ONNXAttributes) throws -> Value {
        let feature = try feature(node)
        guard attributes.int("training_mode", 0) == 0, attributes.int("spatial", 1) == 1 else {
            throw Problem("uses the batch's own statistics: export the network for inference")
        }
        guard !feature.isFlat || feature.shape.height * feature.shape.width == 1 else {
            throw Problem(
                "normalises a flattened feature map number by number, which is not possible: put it before Flatten")
        }
        let names = ["scales", "biases", "means", "variances"]
        var parts: [WeightStream] = []
        for (index, name) in names.enumerated() {
            let part = try weight(node, index + 1, name)
            guard part.count == feature.shape.channels else {
                throw Problem("has \(part.count) \(name) for \(feature.shape.channels) channels")
            }
            parts.append(part.stream(minimum: index == 3 ? 0 : -.infinity, file: model.name))
        }
        return .feature(
            try append(
                .batchNormalization(epsilon: attributes.float("epsilon", 1e-5)), on: feature,
                weights: LayerWeights(
                    weight: parts[0], bias: parts[1], runningMean: parts[2], runningVariance: parts[3])))
    }

    mutating func responseNormalization(_ node: ONNXNodeProto, _ attributes: ONNXAttributes) throws -> Value {
        let size = attributes.int("size", 0)
        guard size > 0, size % 2 == 1 else {
            throw Problem("normalises over \(size) channels, and only odd numbers of them are possible")
        }
        return .feature(
            try append(
                .localResponseNormalization(
                    size: size, alpha: attributes.float("alpha", 1e-4), beta: attributes.float("beta", 0.75),
                    k: attributes.float("bias", 1)), on: map(node)))
    }

    mutating func gemm(_ node: ONNXNodeProto, _ attributes: ONNXAttributes) throws -> Value {
        guard attributes.int("transA", 0) == 0 else { throw Problem("turns its input (transA), which is not possible") }
        let isTurned = attributes.int("transB", 0) != 0
        let (alpha, beta) = (attributes.float("alpha", 1), attributes.float("beta", 1))
        let feature = try feature(node, inAnyOrder: true, inRows: true)
        let result =
            feature.areRows
            ? try pointwise(node, feature, outputsFirst: isTurned, factor: alpha)
            : try fullyConnected(node, feature, outputsFirst: isTurned, factor: alpha)
        guard has(node, 2) else { return .feature(result) }
        let bias = try weight(node, 2, "biases")
        guard bias.count == 1 || isPerChannel(bias, result) else {
            throw Problem("has \(bias.count) biases for \(result.dimensions[0]) outputs")
        }
        let one = bias.stream(factor: beta, file: model.name)
        let stream = bias.count == 1 ? one.repeated(result.shape.channels) : one
        return .feature(setBias(stream, of: result) ?? result)
    }

    mutating func matMul(_ node: ONNXNodeProto) throws -> Value {
        let feature = try feature(node, inAnyOrder: true, inRows: true)
        guard feature.isFlat || !feature.isChannelsLast else { return .feature(try pointwise(node, feature)) }
        return .feature(try fullyConnected(node, feature, outputsFirst: false, factor: 1))
    }

    /// A matrix that every pixel of a map with its channels last is multiplied by: a convolution of single pixels.
    private mutating func pointwise(
        _ node: ONNXNodeProto, _ feature: Feature, outputsFirst: Bool = false, factor: Float = 1
    ) throws -> Feature {
        let weight = try weight(node, 1, "weights")
        guard weight.dimensions.count == 2, weight.dimensions[outputsFirst ? 1 : 0] == feature.shape.channels else {
            throw Problem("has weights that do not fit an input of \(feature.shape.channels) channels")
        }
        var result = try append(
            .convolution(outputs: weight.dimensions[outputsFirst ? 0 : 1], kernel: 1, hasBias: false), on: feature,
            weights: LayerWeights(
                weight: weight.stream(transposed: !outputsFirst, factor: factor, file: model.name)))
        (result.isChannelsLast, result.areRows) = (true, feature.areRows)
        markBiasless(result)
        return result
    }

    /// - Parameter outputsFirst: whether weights are [outputs, inputs].
    private mutating func fullyConnected(
        _ node: ONNXNodeProto, _ feature: Feature, outputsFirst: Bool, factor: Float
    ) throws -> Feature {
        guard feature.isFlat else {
            throw Problem("multiplies a feature map that is not flattened, which is not possible")
        }
        let weight = try weight(node, 1, "weights")
        let inputs = feature.shape.elementCount
        guard weight.dimensions.count == 2, weight.dimensions[outputsFirst ? 1 : 0] == inputs else {
            throw Problem(
                "has weights of \(weight.dimensions.map(String.init).joined(separator: "×")), which do not fit an input of \(inputs) "
                    + "features")
        }
        let outputs = weight.dimensions[outputsFirst ? 0 : 1]
        let stream = weight.stream(transposed: !outputsFirst, factor: factor, file: model.name)
        let weights = LayerWeights(
            weight: feature.isChannelsLast ? stream.forChannelsFirst(feature.shape) : stream, bias: .zeros(outputs))
        var result = try append(.fullyConnected(outputs: outputs), on: feature, weights: weights, isFlat: true)
        result.isChannelsLast = false
        markBiasless(result)
        return result
    }

    /// Whether a constant has a number for every channel of a feature, in a shape that means that.
    func isPerChannel(_ constant: Constant, _ feature: Feature) -> Bool {
        let channels = feature.isFlat ? feature.shape.elementCount : feature.shape.channels
        let dimensions = constant.dimensions.drop { $0 == 1 }
        let around = Array(repeating: 1, count: feature.isFlat || feature.isChannelsLast ? 0 : feature.rank - 2)
        let wanted = ([channels] + around).drop { $0 == 1 }
        return constant.count == channels && dimensions.elementsEqual(wanted)
    }

    mutating func clip(_ node: ONNXNodeProto, _ attributes: ONNXAttributes) throws -> Value {
        func bound(_ index: Int, _ name: String, _ missing: Float) throws -> Float {
            guard has(node, index) else { return attributes.float(name, missing) }
            let values = try constant(node, index, "bounds").floats(limit: 1)
            return values.first ?? missing
        }
        let (least, most) = (try bound(1, "min", -.infinity), try bound(2, "max", .infinity))
        guard !least.isNaN, !most.isNaN else { throw Problem("clips to no numbers") }
        // What files write for no bound.
        let isOpen = (least <= -.greatestFiniteMagnitude, most >= .greatestFiniteMagnitude)
        if isOpen == (true, true) { return try value(node, 0) }
        if case .feature = try value(node, 0), least == 0, isOpen.1 || most == 6 {
            return .feature(try append(isOpen.1 ? .relu : .relu6, on: feature(node, inAnyOrder: true)))
        }
        return try function(node, .clip(Double(least), isOpen.1 ? .infinity : Double(most)))
    }

    mutating func dropout(_ node: ONNXNodeProto, _ attributes: ONNXAttributes) throws -> Value {
        let rate =
            has(node, 1)
            ? try constant(node, 1, "a rate").floats(limit: 1).first ?? 0.5 : attributes.float("ratio", 0.5)
        let isTraining = has(node, 2) ? try constant(node, 2, "a mode").tensor.integers() != [0] : false
        guard !isTraining || rate == 0 else {
            throw Problem("drops numbers at random, in the mode for training: export the network for inference")
        }
        return .feature(try append(.dropout(rate: rate), on: feature(node, inAnyOrder: true)))
    }

    /// Whether nothing but other shapes stands between a node and the graph's output.
    func leadsOut(_ node: ONNXNodeProto) -> Bool {
        var name = node.output.first ?? ""
        while name != graph.output {
            let readers = graph.nodes.filter { $0.input.contains(name) }
            guard readers.count == 1, readers[0].input.first == name, let next = readers[0].output.first,
                ["Reshape", "Flatten", "Squeeze", "Identity", "Cast"].contains(readers[0].opType)
            else { return false }
            name = next
        }
        return true
    }

    /// As the last operator of a network with one output the probability of yes, elsewhere an activation.
    mutating func sigmoid(_ node: ONNXNodeProto) throws -> Value {
        guard leadsOut(node), isFeature(node, 0) else { return try function(node, .sigmoid) }
        let feature = try feature(node)
        guard feature.shape.elementCount == 1 else {
            throw Problem(
                "is possible at the end of a network with one output only, where it makes the probability of yes")
        }
        return .feature(feature)
    }

    mutating func softmax(_ node: ONNXNodeProto, _ attributes: ONNXAttributes) throws -> Value {
        let feature = try feature(node)
        let rank = feature.rank
        let axis = attributes.int("axis", model.operatorSet < 13 ? 1 : -1)
        // Older operator sets took all behind the axis together.
        let isOverChannels = (axis < 0 ? axis + rank : axis) == 1 && (model.operatorSet >= 13 || rank == 2)
        let isVector = feature.shape.height * feature.shape.width == 1
        guard isVector || (isOverChannels && !feature.isFlat) else {
            throw Problem("is over something else than the channels, which is not possible")
        }
        guard isVector ? (axis < 0 ? axis + rank : axis) == 1 : true else {
            throw Problem("is over the axis \(axis), which has one number only")
        }
        return .feature(try append(.softmax, on: feature))
    }

    mutating func logSoftmax(_ node: ONNXNodeProto, _ attributes: ONNXAttributes) throws -> Value {
        guard node.output.first == graph.output else {
            throw Problem("is not the last operator, and only there it makes no difference")
        }
        return try softmax(node, attributes)
    }

    mutating func sum(_ node: ONNXNodeProto) throws -> Value {
        var result = try feature(node)
        for index in node.input.indices.dropFirst() { result = try added(result, feature(node, index)) }
        return .feature(result)
    }

    mutating func added(_ first: Feature, _ second: Feature) throws -> Feature {
        guard first.dimensions == second.dimensions else {
            throw Problem("adds feature maps of \(first.shape) and \(second.shape), and only equal ones are possible")
        }
        let (base, other) = !isLast(first) && isLast(second) ? (second, first) : (first, second)
        let index = try reference(other)
        return try append(.add(index), on: base)
    }

    mutating func concatenate(_ node: ONNXNodeProto, _ attributes: ONNXAttributes) throws -> Value {
        guard node.input.indices.allSatisfy({ isFeature(node, $0) }) else {
            // The parts of a shape.
            return .dimensions(try node.input.indices.flatMap { try integers(node, $0) })
        }
        if let answer = try yesNo(node) { return .feature(answer) }
        let features = try node.input.indices.map { try feature(node, $0) }
        let axis = attributes.int("axis", 1)
        guard let first = features.first, (axis < 0 ? axis + first.rank : axis) == 1 else {
            throw Problem("joins along the axis \(axis), and only channels are joined")
        }
        // Flattened maps of one size lie channel by channel, so that they can be joined, too.
        guard
            features.allSatisfy({
                $0.isFlat == first.isFlat && $0.view == first.view && $0.shape.height == first.shape.height
                    && $0.shape.width == first.shape.width
            })
        else { throw Problem("joins feature maps of different sizes") }
        guard features.count <= 65 else {
            throw Problem("joins \(features.count) feature maps, and at most 65 are possible")
        }
        guard features.count > 1 else { return .feature(first) }
        var others: [Int] = []
        for feature in features.dropFirst() { others.append(try reference(feature)) }
        return .feature(try append(.concatenate(others), on: first))
    }

    func normalizeInput(
        _ node: ONNXNodeProto, _ feature: Feature, _ constant: Constant, isSwapped: Bool
    ) throws -> Value {
        let channels = feature.shape.channels
        let isOneForAll = constant.count == 1
        guard isOneForAll || isPerChannel(constant, feature), isOneForAll || constant.count == channels,
            !isSwapped || ["Add", "Mul"].contains(node.opType)
        else {
            throw Problem("normalises the network's input in another way than by channels, which is not possible")
        }
        let numbers = try constant.floats(limit: 4096).map(Double.init)
        let all = (0..<channels).map { numbers[isOneForAll ? 0 : $0] }
        let (ones, zeros) = (all.map { _ in 1.0 }, all.map { _ in 0.0 })
        switch node.opType {
        case "Add": return try normalized(feature, factor: ones, offset: all)
        case "Sub": return try normalized(feature, factor: ones, offset: all.map { -$0 })
        case "Mul": return try normalized(feature, factor: all, offset: zeros)
        default: return try normalized(feature, factor: all.map { 1 / $0 }, offset: zeros)
        }
    }

    /// The network's input, behind what was done to it before, times a factor and plus an offset for each channel.
    func normalized(_ feature: Feature, factor: [Double], offset: [Double]) throws -> Value {
        var result = feature
        var normalization = feature.normalization ?? InputNormalization(channels: feature.shape.channels)
        for channel in factor.indices {
            normalization.scale[channel] *= factor[channel]
            normalization.offset[channel] = normalization.offset[channel] * factor[channel] + offset[channel]
        }
        guard normalization.scale.allSatisfy({ $0.isFinite && $0 > 0 }), normalization.offset.allSatisfy(\.isFinite)
        else {
            throw Problem("normalises the network's input with numbers that make nothing of it or turn it over")
        }
        result.normalization = normalization
        return .feature(result)
    }
}
