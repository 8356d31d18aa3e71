import LCPModels
import ONNX

/// Parts of the channels, their order, and normalisations over them.
extension GraphImporter {
    /// The place of an axis, counted from the front.
    private func isChannels(_ axis: Int, _ feature: Feature) -> Bool {
        let rank = feature.rank
        let place = axis < 0 ? axis + rank : axis
        if feature.isFlat { return place == rank - 1 && feature.shape.elementCount == feature.shape.channels }
        return feature.view != .plane && place == (feature.isChannelsLast ? rank - 1 : 1)
    }

    private mutating func slice(_ feature: Feature, _ range: Range<Int>) throws -> Feature {
        let channels = feature.shape.channels
        guard !range.isEmpty, range.lowerBound >= 0, range.upperBound <= channels else {
            throw Problem("takes channels that are not there")
        }
        guard range.count < channels else { return feature }
        var result = try append(.slice(first: range.lowerBound, count: range.count, of: channels), on: feature)
        result.isChannelsLast = feature.isChannelsLast
        return result
    }

    /// Parts of the channels, one behind the other.
    mutating func split(_ node: ONNXNodeProto, _ attributes: ONNXAttributes) throws -> Value {
        let feature = try feature(node, inAnyOrder: true)
        guard isChannels(attributes.int("axis", 0), feature) else {
            throw Problem("divides something else than the channels, which is not possible")
        }
        let channels = feature.shape.channels
        var sizes = try attributes.ints("split") ?? (has(node, 1) ? integers(node, 1).compactMap { $0 } : nil)
        if sizes == nil {
            let count = max(1, attributes.int("num_outputs", node.output.count))
            let size = (channels + count - 1) / count
            sizes = (0..<count).map { min(size, channels - $0 * size) }
        }
        guard let sizes, sizes.count == node.output.count, sizes.allSatisfy({ $0 > 0 && $0 <= channels }),
            sizes.reduce(0, +) == channels
        else { throw Problem("divides \(channels) channels into parts that do not fit them") }
        var first = 0
        return .several(
            try sizes.map { size in
                defer { first += size }
                return .feature(try slice(feature, first..<first + size))
            })
    }

    /// A run of a shape's dimensions, or of the channels.
    mutating func slice(_ node: ONNXNodeProto, _ attributes: ONNXAttributes) throws -> Value {
        func numbers(_ index: Int, _ name: String) throws -> [Int]? {
            try attributes.ints(name) ?? (has(node, index) ? integers(node, index).compactMap { $0 } : nil)
        }
        guard let starts = try numbers(1, "starts"), let ends = try numbers(2, "ends"), starts.count == 1,
            ends.count == 1,
            try numbers(4, "steps") ?? [1] == [1]
        else { throw Problem("takes something else than a run of one dimension, which is not possible") }
        let axis = try numbers(3, "axes")?.first ?? 0
        func run(_ count: Int) -> Range<Int> {
            let begin = min(max(starts[0] < 0 ? starts[0] + count : starts[0], 0), count)
            let end = min(max(ends[0] < 0 ? ends[0] + count : ends[0], 0), count)
            return begin..<max(begin, end)
        }
        if case .dimensions(let dimensions) = try value(node, 0) {
            guard axis == 0 else { throw Problem("takes a part of a shape that has no such dimension") }
            return .dimensions(Array(dimensions[run(dimensions.count)]))
        }
        let feature = try feature(node, inAnyOrder: true)
        let rank = feature.rank
        if !isChannels(axis, feature), (0..<rank).contains(axis < 0 ? axis + rank : axis) {
            // All of another dimension.
            let sides = [1] + feature.dimensions
            let side = sides[axis < 0 ? axis + rank : axis]
            if (axis == 0 && starts[0] == 0 && ends[0] >= 1) || (axis != 0 && run(side) == 0..<side) {
                return .feature(feature)
            }
        }
        guard isChannels(axis, feature) else {
            throw Problem("takes a part of something else than the channels, which is not possible")
        }
        return .feature(try slice(feature, run(feature.shape.channels)))
    }

    /// Some channels, by their numbers.
    mutating func pick(_ node: ONNXNodeProto, axis: Int) throws -> Value {
        let feature = try feature(node, inAnyOrder: true)
        let channels = feature.shape.channels
        let indices = try constant(node, 1, "indices")
        let table = try indices.tensor.integers(limit: channels).map { $0 < 0 ? $0 + channels : $0 }
        guard isChannels(axis, feature), let first = table.first, table.allSatisfy({ (0..<channels).contains($0) })
        else {
            throw Problem("picks numbers out of something else than a shape or the channels, which is not possible")
        }
        if table == Array(first..<first + table.count) {
            var result = try slice(feature, first..<first + table.count)
            if feature.isAlone {
                // The indices have the shape of the result.
                switch indices.dimensions {
                case [table.count]: break
                case [1, table.count]: result.isAlone = false
                case [1, table.count, 1, 1]: (result.isAlone, result.isFlat) = (false, false)
                default: throw Problem("makes a shape of channels that is not possible")
                }
            }
            return .feature(result)
        }
        let groups = table.count > 1 ? channels / max(1, table[1] - table[0]) : 1
        let shuffle = Layer.shuffle(groups: groups)
        guard table.count == channels, channels % groups == 0, shuffle.picked(of: channels) == table else {
            throw Problem("picks channels in an order that no shuffle of groups has")
        }
        var result = try append(shuffle, on: feature)
        result.isChannelsLast = feature.isChannelsLast
        return .feature(result)
    }

    /// A normalisation over the channels of every pixel.
    mutating func layerNormalization(_ node: ONNXNodeProto, _ attributes: ONNXAttributes) throws -> Value {
        let feature = try feature(node, inAnyOrder: true)
        let channels = feature.shape.channels
        let axis = attributes.int("axis", -1)
        let isVector = feature.shape.elementCount == channels
        let isLast = axis == -1 || axis == (feature.isAlone ? 0 : feature.isFlat ? 1 : 3)
        guard isLast, feature.isFlat ? isVector : feature.isChannelsLast else {
            throw Problem("normalises over something else than the channels, which is not possible")
        }
        let scale = try weight(node, 1, "scales")
        let bias = has(node, 2) ? try weight(node, 2, "biases") : nil
        guard scale.count == channels, bias?.count ?? channels == channels else {
            throw Problem("has \(scale.count) scales for \(channels) channels")
        }
        return .feature(
            try append(
                .channelNormalization(epsilon: attributes.float("epsilon", 1e-5)), on: feature,
                weights: LayerWeights(
                    weight: scale.stream(file: model.name),
                    bias: bias?.stream(file: model.name) ?? .zeros(channels))))
    }
}
