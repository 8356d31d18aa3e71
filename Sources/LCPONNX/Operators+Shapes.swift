import LCPModels
import ONNX

/// What changes how a feature map is seen and not what it holds.
extension GraphImporter {
    mutating func flatten(_ node: ONNXNodeProto, _ attributes: ONNXAttributes) throws -> Value {
        var feature = try feature(node, inAnyOrder: true)
        let axis = attributes.int("axis", 1)
        guard (axis < 0 ? axis + feature.rank : axis) == 1 else {
            throw Problem("flattens from the axis \(axis), and only 1 leaves the batch as it is")
        }
        (feature.isFlat, feature.view) = (true, .map)
        return .feature(feature)
    }

    mutating func reshape(_ node: ONNXNodeProto, _ attributes: ONNXAttributes) throws -> Value {
        let target = try integers(node, 1)
        if case .constant(var constant) = try value(node, 0) {
            constant.dimensions = try Self.resolved(target.map { $0 ?? -1 }, from: constant.dimensions)
            guard !constant.isTransposed else { throw Problem("reshapes transposed weights, which is not known") }
            return .constant(constant)
        }
        if case .dimensions(let dimensions) = try value(node, 0) { return .dimensions(dimensions) }
        guard attributes.int("allowzero", 0) == 0 || !target.contains(0) else {
            throw Problem("makes something of no numbers")
        }
        let feature = try feature(node, inAnyOrder: true, inGroups: true, inRows: true)
        // One number for each image, and the batch alone.
        if feature.shape.elementCount == 1, target.count == 1 { return .feature(feature) }
        let shape = feature.shape
        let pixels = shape.height * shape.width
        if feature.isChannelsLast, !feature.isFlat, target.count == 2, target[1] == shape.channels || target[1] == -1,
            target[0] ?? -1 == -1 || target[0] == pixels, pixels > 1, !(target[0] ?? -1 == -1 && target[1] == -1)
        {
            var rows = feature
            rows.areRows = true
            return .feature(rows)
        }
        if feature.areRows {
            var map = feature
            map.areRows = false
            guard target.count == 4, [shape.height, -1].contains(target[1]), [shape.width, -1].contains(target[2]),
                [shape.channels, -1].contains(target[3])
            else { throw Problem("makes something else of a row for each pixel than the map that it was") }
            return .feature(map)
        }
        // A vector of a file for single images, without its batch.
        if target.count == 1, shape.elementCount == shape.channels, target[0] == -1 || target[0] == shape.channels {
            var vector = try seen(feature, as: [shape.channels])
            vector.isAlone = true
            return .feature(vector)
        }
        // Nil and -1 in front are the batch; 1 is that of a file for single images.
        guard target.count >= 2, let batch = target.first, batch ?? -1 >= -1 else {
            throw Problem("leaves no batch")
        }
        if batch == -1, target.dropFirst().contains(-1) { throw Problem("has two dimensions to be found out") }
        let rest = try Self.resolved(target.dropFirst().map { $0 ?? -1 }, from: feature.dimensions)
        return .feature(try seen(feature, as: rest))
    }

    /// A feature map under other dimensions, as many numbers in the same order.
    private mutating func seen(_ feature: Feature, as dimensions: [Int]) throws -> Feature {
        var result = feature
        result.isAlone = false
        let shape = feature.shape
        if let grouping = feature.grouping {
            guard grouping.isTurned, dimensions == [shape.channels, shape.height, shape.width] else {
                throw Problem("makes something else of channels in groups than a map whose channels are shuffled")
            }
            result.grouping = nil
            return try append(.shuffle(groups: grouping.count), on: result)
        }
        if dimensions == [shape.elementCount] {
            (result.isFlat, result.view) = (true, .map)
        } else if feature.view == .plane, dimensions == [1, shape.height, shape.width] {
            result.view = .map
        } else if feature.view == .plane, dimensions == [shape.height, shape.width, 1] {
            (result.view, result.isChannelsLast) = (.map, true)
        } else if feature.view == .line, !feature.isChannelsLast, dimensions == [shape.channels, 1, shape.width] {
            result.view = .map
        } else if shape.elementCount == shape.channels, dimensions == [1, 1, shape.channels] {
            // The order of a vector is one.
            (result.isFlat, result.isChannelsLast) = (false, true)
        } else if dimensions == [shape.channels, shape.height, shape.width],
            !feature.isChannelsLast || shape.channels == 1
        {
            // The order of a single channel is one.
            (result.isFlat, result.isChannelsLast) = (false, false)
        } else if !feature.isFlat, !feature.isChannelsLast, feature.layer >= 0, dimensions.count == 4,
            dimensions[0] * dimensions[1] == shape.channels, dimensions[2...] == [shape.height, shape.width]
        {
            result.grouping = Feature.Grouping(count: dimensions[0])
        } else if feature.layer < 0, dimensions.count == 3, feature.normalization == nil, !feature.isChannelsLast,
            let image = reshapeInput(
                FeatureMapShape(height: dimensions[1], width: dimensions[2], channels: dimensions[0]))
        {
            result = image
        } else {
            throw Problem(
                "makes \(dimensions.map(String.init).joined(separator: "×")) of "
                    + "\(feature.dimensions.map(String.init).joined(separator: "×")), and only flattening is possible")
        }
        return result
    }

    /// ONNX's rules for a shape: 0 keeps a dimension, -1 is what is left.
    private static func resolved(_ target: [Int], from dimensions: [Int]) throws -> [Int] {
        var result = target
        for (index, value) in target.enumerated() where value == 0 {
            guard dimensions.indices.contains(index) else { throw Problem("keeps a dimension that is not there") }
            result[index] = dimensions[index]
        }
        let count = dimensions.reduce(1, *)
        var known = 1
        for value in result where value != -1 {
            let (product, overflows) = known.multipliedReportingOverflow(by: value)
            guard value >= 1, !overflows else { throw Problem("has an impossible shape") }
            known = product
        }
        if let free = result.firstIndex(of: -1) {
            guard count % known == 0 else { throw Problem("has a shape that \(count) numbers do not fill") }
            result[free] = count / known
        }
        guard !result.contains(-1), result.reduce(1, { $0.multipliedReportingOverflow(by: $1).partialValue }) == count
        else {
            throw Problem("has a shape that \(count) numbers do not fill")
        }
        return result
    }

    private func axes(_ node: ONNXNodeProto, _ attributes: ONNXAttributes) throws -> [Int]? {
        try attributes.ints("axes") ?? (has(node, 1) ? integers(node, 1).compactMap { $0 } : nil)
    }

    mutating func squeeze(_ node: ONNXNodeProto, _ attributes: ONNXAttributes) throws -> Value {
        switch try value(node, 0) {
        case .several, .unknown: throw Problem("reads several values as one")
        case .dimensions(let dimensions): return .dimensions(dimensions)
        case .constant(var constant):
            constant.dimensions = constant.isTransposed ? constant.dimensions : constant.dimensions.filter { $0 != 1 }
            return .constant(constant)
        case .feature, .formula:
            var feature = try feature(node, inAnyOrder: true)
            // One number for each image, and the batch alone.
            if feature.isFlat, feature.shape.elementCount == 1 { return .feature(feature) }
            let left = try axes(node, attributes).map { Set($0.map { $0 < 0 ? $0 + feature.rank : $0 }) }
            if !feature.isFlat, feature.view == .map, feature.shape.height == 1, feature.pads == nil,
                left == [feature.isChannelsLast ? 1 : 2]
            {
                feature.view = .line
                return .feature(feature)
            }
            if feature.view == .line, feature.shape.width == 1, left == [feature.isChannelsLast ? 1 : 2] {
                (feature.isFlat, feature.isChannelsLast, feature.view) = (true, false, .map)
                return .feature(feature)
            }
            let usual: Set = feature.isChannelsLast ? [1, 2] : [2, 3]
            let axes = try axes(node, attributes).map { Set($0.map { $0 < 0 ? $0 + 4 : $0 }) } ?? usual
            guard !feature.isFlat, feature.shape.height * feature.shape.width == 1, axes == usual else {
                throw Problem("leaves out other dimensions than a height and width of 1, which is not possible")
            }
            feature.isFlat = true
            // The order of a vector is one.
            feature.isChannelsLast = false
            return .feature(feature)
        }
    }

    mutating func unsqueeze(_ node: ONNXNodeProto, _ attributes: ONNXAttributes) throws -> Value {
        switch try value(node, 0) {
        case .several, .unknown: throw Problem("reads several values as one")
        case .dimensions(let dimensions): return .dimensions(dimensions)
        case .constant(var constant):
            let axes = try axes(node, attributes) ?? []
            let rank = constant.dimensions.count + axes.count
            guard rank <= 8, !constant.isTransposed else { throw Problem("adds too many dimensions") }
            for axis in axes.map({ $0 < 0 ? $0 + rank : $0 }).sorted() {
                guard (0...constant.dimensions.count).contains(axis) else {
                    throw Problem("adds a dimension that cannot be")
                }
                constant.dimensions.insert(1, at: axis)
            }
            return .constant(constant)
        case .feature, .formula:
            var feature = try feature(node, inAnyOrder: true)
            let added = try axes(node, attributes) ?? []
            let axes = Set(added.map { $0 < 0 ? $0 + feature.rank + added.count : $0 })
            switch feature.view {
            case .line where axes == [feature.isChannelsLast ? 1 : 2]:
                feature.view = .map
                return .feature(feature)
            case .plane where axes == [1] || axes == [3]:
                (feature.view, feature.isChannelsLast) = (.map, axes == [3])
                return .feature(feature)
            default: break
            }
            guard feature.isFlat, feature.shape.height * feature.shape.width == 1, axes == [2, 3] else {
                throw Problem("adds other dimensions than a height and width of 1, which is not possible")
            }
            (feature.isFlat, feature.isChannelsLast) = (false, false)
            return .feature(feature)
        }
    }

    mutating func transpose(_ node: ONNXNodeProto, _ attributes: ONNXAttributes) throws -> Value {
        let order = attributes.ints("perm")
        if isFeature(node, 0) { _ = try feature(node, inAnyOrder: true, inGroups: true, inPads: true) }
        switch try value(node, 0) {
        case .constant(var constant):
            guard constant.dimensions.count == 2, order ?? [1, 0] == [1, 0] else {
                throw Problem("swaps dimensions of weights other than the two of a matrix, which is not known")
            }
            constant.dimensions.reverse()
            constant.isTransposed.toggle()
            return .constant(constant)
        case .feature(var feature) where feature.grouping != nil && order == [0, 2, 1, 3, 4]:
            feature.grouping?.isTurned.toggle()
            return .feature(feature)
        case .feature(var feature) where feature.view == .line && order == [0, 2, 1]:
            feature.isChannelsLast.toggle()
            return .feature(feature)
        case .feature(var feature)
        where !feature.isFlat && feature.grouping == nil && feature.view == .map
            && order == (feature.isChannelsLast ? [0, 3, 1, 2] : [0, 2, 3, 1]):
            feature.isChannelsLast.toggle()
            return .feature(feature)
        default:
            throw Problem(
                "swaps dimensions of a feature map, which is not possible: export the network with channels first")
        }
    }

    mutating func shape(_ node: ONNXNodeProto, _ attributes: ONNXAttributes) throws -> Value {
        guard !attributes.has("start"), !attributes.has("end") else {
            throw Problem("takes a part of a shape, which is not known")
        }
        return .dimensions([nil] + (try feature(node, inAnyOrder: true).dimensions))
    }

    /// Some dimensions of a shape.
    mutating func gather(_ node: ONNXNodeProto, _ attributes: ONNXAttributes) throws -> Value {
        if isFeature(node, 0) { return try pick(node, axis: attributes.int("axis", 0)) }
        guard case .dimensions(let dimensions) = try value(node, 0), attributes.int("axis", 0) == 0 else {
            throw Problem("picks numbers out of something else than a shape, which is not possible")
        }
        let picked = try integers(node, 1).map { index throws -> Int? in
            let index = index ?? 0
            let place = index < 0 ? index + dimensions.count : index
            guard dimensions.indices.contains(place) else { throw Problem("picks a dimension that is not there") }
            return dimensions[place]
        }
        return .dimensions(picked)
    }

    /// Numbers stay what they are, whatever their floating-point type; shapes are whole anyway.
    mutating func cast(_ node: ONNXNodeProto, _ attributes: ONNXAttributes) throws -> Value {
        let value = try value(node, 0)
        let type = ONNXTensorProto.DataType(rawValue: attributes.int("to", 0)) ?? .undefined
        if isFeature(node, 0), ![.float, .double, .float16, .bfloat16].contains(type) {
            throw Problem("rounds a feature map to the type \(type), which is not possible")
        }
        return value
    }

    mutating func constant(_ node: ONNXNodeProto, _ attributes: ONNXAttributes) throws -> Value {
        var tensor = attributes.tensor("value") ?? ONNXTensorProto()
        if let values = attributes.ints("value_ints")
            ?? (attributes.has("value_int") ? [attributes.int("value_int", 0)] : nil)
        {
            tensor.dataType = Int32(ONNXTensorProto.DataType.int64.rawValue)
            tensor.dims = [Int64(values.count)]
            tensor.int64Data = values.map { Int64($0) }
        } else if let values = attributes.floats("value_floats")
            ?? (attributes.has("value_float") ? [attributes.float("value_float", 0)] : nil)
        {
            tensor.dataType = Int32(ONNXTensorProto.DataType.float.rawValue)
            tensor.dims = [Int64(values.count)]
            tensor.floatData = values
        } else if !attributes.has("value") {
            throw Problem("holds no numbers")
        }
        if tensor.name.isEmpty { tensor.name = node.output.first ?? "" }
        return .constant(Constant(try model.tensor(tensor)))
    }

    /// Zeros around a map, which the next layer looks at.
    mutating func pad(_ node: ONNXNodeProto, _ attributes: ONNXAttributes) throws -> Value {
        guard attributes.string("mode", "constant") == "constant" else {
            throw Problem("pads with something else than zeros, which is not possible")
        }
        let value =
            has(node, 2) ? try constant(node, 2, "a number").floats(limit: 1).first ?? 0 : attributes.float("value", 0)
        guard value == 0 else { throw Problem("pads with \(value), and only zeros are possible") }
        var feature = try feature(node, inAnyOrder: true, inPads: true)
        let pads = try attributes.ints("pads") ?? integers(node, 1).compactMap { $0 }
        let axes =
            has(node, 3)
            ? try integers(node, 3).compactMap { $0 }.map { $0 < 0 ? $0 + feature.rank : $0 } : Array(0..<feature.rank)
        guard !feature.isFlat, feature.view != .plane, pads.count == 2 * axes.count, Set(axes).count == axes.count
        else {
            throw Problem("pads something else than a feature map, which is not possible")
        }
        // Of a line the width alone.
        let first = feature.view == .map ? 0 : 1
        let sides = Array((feature.isChannelsLast ? [1, 2] : [2, 3]).prefix(2 - first))
        var result = feature.pads ?? [0, 0, 0, 0]
        for (index, axis) in axes.enumerated() {
            let (before, behind) = (pads[index], pads[index + axes.count])
            guard let side = sides.firstIndex(of: axis).map({ $0 + first }) else {
                guard before == 0, behind == 0 else { throw Problem("pads something else than height and width") }
                continue
            }
            guard (0...1024).contains(before), (0...1024).contains(behind) else {
                throw Problem("has pads of \(before) and \(behind), which are not possible")
            }
            result[side] += before
            result[side + 2] += behind
        }
        feature.pads = result.allSatisfy { $0 == 0 } ? nil : result
        return .feature(feature)
    }
}
