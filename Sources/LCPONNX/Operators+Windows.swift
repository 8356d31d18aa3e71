import LCPModels
import ONNX

/// Convolutions and pooling.
extension GraphImporter {
    /// - Parameter inPads: whether there may be zeros around it.
    mutating func map(_ node: ONNXNodeProto, inPads: Bool = false) throws -> Feature {
        let feature = try feature(node, inPads: inPads)
        guard !feature.isFlat, feature.view != .plane else { throw Problem("reads features without height and width") }
        return feature
    }

    /// The window of a node, where it is one that a layer can have.
    private func window(
        _ node: ONNXNodeProto, _ attributes: ONNXAttributes, kernel: [Int]?, on feature: Feature
    ) throws -> Window {
        let shape = feature.shape
        func text(_ values: [Int]) -> String { values.prefix(8).map(String.init).joined(separator: "×") }
        // A line's windows have one side.
        func sides(_ name: String) -> [Int]? {
            attributes.ints(name).map { feature.view == .line && $0.count == 1 ? [1] + $0 : $0 }
        }
        let kernel = sides("kernel_shape") ?? kernel ?? []
        let strides = sides("strides") ?? [1, 1]
        let dilations = sides("dilations") ?? [1, 1]
        let outer = feature.pads ?? [0, 0, 0, 0]
        let extent = [shape.height + outer[0] + outer[2], shape.width + outer[1] + outer[3]]
        guard kernel.count == 2, kernel.allSatisfy({ (1...1024).contains($0) }) else {
            throw Problem("has a kernel of \(text(kernel)), and only sides of 1 to 1,024 are possible")
        }
        guard strides.count == 2, strides.allSatisfy({ (1...1024).contains($0) }) else {
            throw Problem("has strides of \(text(strides)), and only 1 to 1,024 are possible")
        }
        guard dilations.count == 2, dilations.allSatisfy({ (1...1024).contains($0) }) else {
            throw Problem("has dilations of \(text(dilations)), and only 1 to 1,024 are possible")
        }
        let reach = zip(kernel, dilations).map { ($0 - 1) * $1 + 1 }
        var pads = attributes.ints("pads") ?? [0, 0, 0, 0]
        if feature.view == .line, pads.count == 2 { pads = [0, pads[0], 0, pads[1]] }
        switch attributes.string("auto_pad", "NOTSET") {
        case "NOTSET": break
        case "VALID": pads = [0, 0, 0, 0]
        case let mode where mode == "SAME_UPPER" || mode == "SAME_LOWER":
            let totals = (0..<2).map { side -> Int in
                let places = (extent[side] + strides[side] - 1) / strides[side]
                return max(0, (places - 1) * strides[side] + reach[side] - extent[side])
            }
            let less = totals.map { $0 / 2 }
            let more = zip(totals, less).map { $0 - $1 }
            pads = mode == "SAME_UPPER" ? less + more : more + less
        default: throw Problem("has an auto_pad that is not known")
        }
        guard pads.count == 4, pads.allSatisfy({ (0...1024).contains($0) }) else {
            throw Problem("has pads of \(text(pads)), which are not possible")
        }
        pads = zip(pads, outer).map(+)
        let roundsUp = attributes.has("ceil_mode") && attributes.int("ceil_mode", 0) != 0
        var window = Window(
            height: kernel[0], width: kernel[1], strideDown: strides[0], strideAcross: strides[1], top: pads[0],
            bottom: pads[2], left: pads[1], right: pads[3], dilationDown: dilations[0], dilationAcross: dilations[1])
        // Padding at the end that no window reaches may be anything, and a map that windows fill needs no rounding.
        func places(_ window: Window) -> [Int]? { window.places(on: shape).map { [$0.down, $0.across] } }
        var other = window
        (other.bottom, other.right) = (window.top, window.left)
        if places(other) == places(window) { window = other }
        var rounded = window
        rounded.roundsUp = roundsUp
        return places(rounded) == places(window) ? window : rounded
    }

    mutating func convolution(_ node: ONNXNodeProto, _ attributes: ONNXAttributes) throws -> Value {
        var feature = try map(node, inPads: true)
        let weight = try weight(node, 1, "weights")
        let dimensions = weight.dimensions
        guard dimensions.count == feature.rank, !weight.isTransposed else {
            throw Problem(
                "has weights of \(dimensions.count) dimensions, and only convolutions over height and width are possible"
            )
        }
        let (outputs, channels) = (dimensions[0], feature.shape.channels)
        let groups = attributes.int("group", 1)
        guard groups >= 1, channels % groups == 0, outputs % groups == 0, dimensions[1] == channels / groups else {
            throw Problem(
                "has weights of \(dimensions.map(String.init).joined(separator: "×")) in \(groups) groups, which do not fit an input "
                    + "of \(channels) channels")
        }
        let kernel = (feature.view == .line ? [1] : []) + Array(dimensions[2...])
        guard attributes.ints("kernel_shape").map({ $0 == Array(dimensions[2...]) }) ?? true else {
            throw Problem("has a kernel_shape that is not its weights'")
        }
        let window = try window(node, attributes, kernel: kernel, on: feature)
        var weights = LayerWeights(weight: weight.stream(file: model.name))
        let hasBias = has(node, 2)
        if hasBias {
            let bias = try self.weight(node, 2, "biases")
            guard bias.count == outputs else { throw Problem("has \(bias.count) biases for \(outputs) channels") }
            weights.bias = bias.stream(file: model.name)
        }
        let isDepthwise = groups > 1 && groups == channels && outputs == channels
        let layer: Layer =
            isDepthwise
            ? .depthwiseConvolution(window: window, hasBias: hasBias)
            : .convolution(outputs: outputs, window: window, groups: groups, hasBias: hasBias)
        feature.pads = nil
        let result = try append(layer, on: feature, weights: weights)
        if !hasBias { markBiasless(result) }
        return .feature(result)
    }

    mutating func maxPool(_ node: ONNXNodeProto, _ attributes: ONNXAttributes) throws -> Value {
        var feature = try map(node, inPads: true)
        let window = try window(node, attributes, kernel: nil, on: feature)
        if let pads = feature.pads {
            feature.pads = nil
            // Zeros are no more than what is there behind a ReLU only; elsewhere they have to be made.
            guard feature.layer >= 0, [.relu, .relu6].contains(layers[feature.layer]) else {
                return .feature(try append(.maxPool(window: window.without(pads)), on: zeros(pads, around: feature)))
            }
        }
        return .feature(try append(.maxPool(window: window), on: feature))
    }

    /// A map with zeros around it: every channel by itself, a window's middle.
    private mutating func zeros(_ pads: [Int], around feature: Feature) throws -> Feature {
        let reach = pads.max() ?? 0
        let size = 2 * reach + 1
        let window = Window(
            height: size, width: size, top: reach + pads[0], bottom: reach + pads[2], left: reach + pads[1],
            right: reach + pads[3])
        let middle = (0..<size * size).map { $0 == size * size / 2 ? Float(1) : 0 }
        let count = feature.shape.channels
        let weight = WeightStream(count: count * middle.count) { piece in
            for _ in 0..<count { try middle.withUnsafeBufferPointer(piece) }
        }
        return try append(
            .depthwiseConvolution(window: window, hasBias: false), on: feature, weights: LayerWeights(weight: weight))
    }

    mutating func averagePool(_ node: ONNXNodeProto, _ attributes: ONNXAttributes) throws -> Value {
        var feature = try map(node, inPads: true)
        let (height, width) = (feature.shape.height, feature.shape.width)
        let hasOwnPads = attributes.ints("pads")?.contains { $0 != 0 } ?? false
        if height != width, feature.view == .map, attributes.ints("kernel_shape") == [height, width], !hasOwnPads,
            feature.pads == nil
        {
            return try globalAveragePool(node, isFlat: false)
        }
        let window = try window(node, attributes, kernel: nil, on: feature)
        let countsOwn = attributes.int("count_include_pad", 0) != 0
        guard feature.pads == nil || !hasOwnPads || countsOwn else {
            throw Problem("reads what a Pad makes, and has a padding of its own that it does not count: leave out one")
        }
        let countsPadding = window.hasPadding && (feature.pads != nil || countsOwn)
        feature.pads = nil
        guard !countsPadding || !window.roundsUp else {
            throw Problem("counts its padding (count_include_pad) and rounds its output up (ceil_mode): leave out one")
        }
        return .feature(try append(.averagePool(window: window, countsPadding: countsPadding), on: feature))
    }

    mutating func globalAveragePool(_ node: ONNXNodeProto, isFlat: Bool) throws -> Value {
        .feature(try append(.globalAveragePool, on: map(node), isFlat: isFlat))
    }

    mutating func globalMaxPool(_ node: ONNXNodeProto) throws -> Value {
        let feature = try map(node)
        let window = Window(height: feature.shape.height, width: feature.shape.width)
        return .feature(try append(.maxPool(window: window), on: feature))
    }

    /// The mean over height and width is global average pooling.
    mutating func reduceMean(_ node: ONNXNodeProto, _ attributes: ONNXAttributes) throws -> Value {
        let axes = try attributes.ints("axes") ?? (has(node, 1) ? integers(node, 1).compactMap { $0 } : [])
        let feature = try feature(node, inAnyOrder: true)
        let sides = feature.isChannelsLast ? 1..<feature.rank - 1 : 2..<max(2, feature.rank)
        guard !feature.isFlat, feature.view != .plane, !sides.isEmpty,
            Set(axes.map { $0 < 0 ? $0 + feature.rank : $0 }) == Set(sides)
        else { throw Problem("takes a mean over something else than height and width, which is not possible") }
        let isFlat = attributes.int("keepdims", 1) == 0
        var result = try append(.globalAveragePool, on: feature, isFlat: isFlat)
        // The order of a vector is one.
        result.isChannelsLast = feature.isChannelsLast && !isFlat
        return .feature(result)
    }
}

extension Window {
    /// The same window on a map that has these zeros around it already: top, left, bottom, right.
    fileprivate func without(_ pads: [Int]) -> Window {
        var result = self
        (result.top, result.left) = (top - pads[0], left - pads[1])
        (result.bottom, result.right) = (max(0, bottom - pads[2]), max(0, right - pads[3]))
        return result
    }
}
