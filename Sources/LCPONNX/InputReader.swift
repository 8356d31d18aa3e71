import LCPModels
import ONNX
import Platform

/// Finds the input of a graph and its shape.
struct InputReader {
    private let model: ONNXModel
    private let graph: ONNXGraph

    init(_ model: ONNXModel, _ graph: ONNXGraph) {
        self.model = model
        self.graph = graph
    }

    /// The input's name, and what it holds.
    ///
    /// - Parameter given: the shape that the user names, for what the file leaves open.
    func feature(
        given: FeatureMapShape?
    ) throws(ONNXError) -> (name: String, feature: Feature, isOrderAssumed: Bool) {
        let inputs = graph.inputs.filter { graph.uses[$0.name] != nil }
        guard inputs.count == 1, let input = inputs.first else {
            throw ONNXError(
                "\(model.name) has \(inputs.count) inputs, and a network has one: the image; bind the others before the export"
            )
        }
        if let given { try check(given) }
        let type = input.type.tensorType
        let known: [ONNXTensorProto.DataType] = [.float, .float16, .double, .uint8]
        guard let element = ONNXTensorProto.DataType(rawValue: Int(type.elemType)), known.contains(element) else {
            throw ONNXError(
                "\(model.name): its input \(input.name.quoted) holds no floating-point numbers or bytes, and only images are read"
            )
        }
        // Nil is a dimension that is not fixed.
        var dimensions = type.shape.dim.map { dimension -> Int? in
            if case .dimValue(let value) = dimension.value, value > 0 { Int(value) } else { nil }
        }
        if !type.hasShape { dimensions = [nil, nil, nil, nil] }
        if dimensions.count == 2, let features = dimensions[1] ?? given?.elementCount {
            guard given != nil || features <= 4096 else {
                throw ONNXError(
                    "\(model.name): its input \(input.name.quoted) has \(features) numbers: tell the image's shape with --input, for "
                        + "example 64x64x3")
            }
            let shape = given ?? FeatureMapShape(features: features)
            try check(shape)
            guard shape.elementCount == features else { throw mismatch(input.name, "\(features) numbers", shape) }
            return (input.name, Feature(layer: -1, shape: shape, isFlat: true), shape.channels > 1 && shape.height > 1)
        }
        if dimensions.count == 3 { return (input.name, try line(input.name, dimensions, given: given), false) }
        guard dimensions.count == 4 else {
            throw ONNXError(
                "\(model.name): its input \(input.name.quoted) has \(dimensions.count) dimensions, and an image has 4: batch, channels, "
                    + "height, width; a line of samples has 3")
        }
        let names = type.shape.dim.map { dimension -> String in
            if case .dimParam(let name) = dimension.value { name.lowercased() } else { "" }
        }
        let (isChannelsLast, isOrderAssumed) = try order(input.name, dimensions, names, given: given)
        let fixed = Self.image(dimensions, isChannelsLast: isChannelsLast)
        let wanted = given.map { [$0.height, $0.width, $0.channels] }
        let found = (0..<3).compactMap { fixed[$0] ?? wanted?[$0] }
        guard found.count == 3 else {
            throw ONNXError(
                "\(model.name): the size of its input \(input.name.quoted) is not fixed: give it with --input, for example 224x224x3"
            )
        }
        let shape = FeatureMapShape(height: found[0], width: found[1], channels: found[2])
        try check(shape)
        if let given, given != shape { throw mismatch(input.name, "\(shape)", given) }
        return (
            input.name, Feature(layer: -1, shape: shape, isFlat: false, isChannelsLast: isChannelsLast),
            isOrderAssumed && shape.channels > 1
        )
    }

    /// An input without one of its dimensions: a line of samples, where what reads it is for lines, and a grey image otherwise.
    private func line(_ name: String, _ dimensions: [Int?], given: FeatureMapShape?) throws(ONNXError) -> Feature {
        let (view, isChannelsLast) = view(of: name)
        let named = given.map {
            view == .plane
                ? [$0.height, $0.width] : isChannelsLast ? [$0.width, $0.channels] : [$0.channels, $0.width]
        }
        let sides = (0..<2).compactMap { dimensions[$0 + 1] ?? named?[$0] }
        guard sides.count == 2 else {
            throw ONNXError(
                "\(model.name): the size of its input \(name.quoted) is not fixed: give it with --input, for example 1x128x3"
            )
        }
        let shape =
            view == .plane
            ? FeatureMapShape(height: sides[0], width: sides[1], channels: 1)
            : FeatureMapShape(height: 1, width: sides[isChannelsLast ? 0 : 1], channels: sides[isChannelsLast ? 1 : 0])
        try check(shape)
        // What reads a plane may make another shape of it.
        if let given, given != shape, view != .plane || given.elementCount != shape.elementCount {
            throw mismatch(name, "\(shape)", given)
        }
        return Feature(layer: -1, shape: shape, isFlat: false, isChannelsLast: isChannelsLast, view: view)
    }

    /// How the graph sees an input of three dimensions, by the first node that cares.
    private func view(of name: String) -> (Feature.View, isChannelsLast: Bool) {
        var names: Set = [name]
        for node in graph.nodes where node.input.contains(where: names.contains) {
            switch node.opType {
            case "Identity", "Cast", "Add", "Sub", "Mul", "Div", "Relu", "Clip", "Dropout", "Pad":
                names.formUnion(node.output.prefix(1))
            case "Conv", "MaxPool", "AveragePool", "BatchNormalization", "GlobalAveragePool": return (.line, false)
            case "Transpose": return (.line, true)
            case "Unsqueeze":
                let axes =
                    node.attribute.first { $0.name == "axes" }?.ints.map { Int($0) }
                    ?? node.input.dropFirst().first.flatMap { graph.initializers[$0] }
                    .flatMap { try? model.tensor($0).integers() } ?? []
                switch axes {
                case [2], [-2]: return (.line, false)
                default: return (.plane, false)
                }
            case "Shape": break
            default: return (.plane, false)
            }
        }
        return (.plane, false)
    }

    /// Height, width and channels out of a batch's dimensions.
    private static func image(_ dimensions: [Int?], isChannelsLast: Bool) -> [Int?] {
        isChannelsLast
            ? [dimensions[1], dimensions[2], dimensions[3]] : [dimensions[2], dimensions[3], dimensions[1]]
    }

    private func check(_ shape: FeatureMapShape) throws(ONNXError) {
        do { try BranchedNetwork.validate(input: shape, classes: 1) } catch {
            throw ONNXError("\(model.name): \(error)")
        }
    }

    private func mismatch(_ name: String, _ found: String, _ given: FeatureMapShape) -> ONNXError {
        ONNXError(
            "\(model.name): its input \(name.quoted) is fixed to \(found), which --input \(given) cannot change: leave it out"
        )
    }

    /// Whether the graph's images have their channels last: it turns them before its first layer, or flattens them, so that nothing
    /// but their size and what their dimensions are called tells.
    ///
    /// - Returns: also whether neither does.
    private func order(
        _ name: String, _ dimensions: [Int?], _ dimensionNames: [String], given: FeatureMapShape?
    ) throws(ONNXError) -> (isChannelsLast: Bool, isAssumed: Bool) {
        var names: Set = [name]
        var (isTurned, isFlattened, isRead) = (false, false, false)
        for node in graph.nodes where node.input.contains(where: names.contains) {
            switch node.opType {
            case "Transpose" where node.attribute.contains { $0.name == "perm" && $0.ints == [0, 3, 1, 2] }:
                isTurned = true
            case "Flatten", "Reshape": isFlattened = true
            case "Identity", "Cast", "Add", "Sub", "Mul", "Div", "Relu", "Clip", "Dropout":
                names.formUnion(node.output.prefix(1))
            case "Shape": break
            default: isRead = true
            }
        }
        guard !isTurned || !isRead else {
            throw ONNXError(
                "\(model.name) reads its input \(name.quoted) both with channels first and last, which is not known")
        }
        guard !isTurned, !isRead, isFlattened else { return (isTurned, false) }
        // Which of both ways the user means, and otherwise which gives an image.
        let ways = [false, true].map { Self.image(dimensions, isChannelsLast: $0) }
        if let given {
            let wanted = [given.height, given.width, given.channels]
            let fits = ways.map { way in zip(way, wanted).allSatisfy { $0 == nil || $0 == $1 } }
            if fits[0] != fits[1] { return (fits[1], false) }
        }
        let areChannels = [dimensionNames.dropFirst().first, dimensionNames.last].map {
            ["c", "channel", "channels"].contains($0)
        }
        if areChannels[0] != areChannels[1] { return (areChannels[1], false) }
        let areImages = ways.map { [1, 3].contains($0[2]) }
        return (areImages[1] && !areImages[0], areImages[0] == areImages[1])
    }
}
