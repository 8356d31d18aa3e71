import LCPModels

/// What a name of a graph stands for.
enum Value {
    case feature(Feature)
    /// A function of a feature map, number by number, that is not a layer yet.
    case formula(Formula)
    case constant(Constant)
    /// The dimensions of a feature map, or some of them, while they are computed with; nil is the batch.
    case dimensions([Int?])
    /// What a node with several outputs makes.
    case several([Value])
    /// What a node makes that cannot be a layer.
    case unknown
}

/// A feature map: what a layer of the network makes, or the network's input.
struct Feature: Equatable {
    /// The layer's index; -1 for the input.
    var layer: Int
    /// Without the batch.
    var shape: FeatureMapShape
    /// Whether the graph sees [N, features], in CHW order, rather than [N, C, H, W].
    var isFlat: Bool
    /// Whether the graph sees its channels last: [N, H, W, C], or [N, features] in that order.
    var isChannelsLast = false
    /// Where the graph sees its channels in groups: how many, and whether it sees the place in a group first.
    var grouping: Grouping?

    struct Grouping: Equatable {
        var count: Int
        var isTurned = false
    }

    /// Whether the graph sees all four dimensions of a map.
    var view = View.map

    /// How the graph sees a map that is no vector.
    enum View: Equatable {
        case map
        /// One row, without its height: [N, C, L], or [N, L, C] with channels last.
        case line
        /// A grey image without its channel: [N, H, W].
        case plane
    }

    /// With the batch.
    var rank: Int { isAlone ? 1 : isFlat ? 2 : view == .map ? 4 : 3 }

    /// Whether the graph sees [features], without the batch, in a file for single images.
    var isAlone = false
    /// Zeros around the map that the next layer has to look at: top, left, bottom, right.
    var pads: [Int]?
    /// Whether the graph sees a map with its channels last as a row for each pixel: [N · H · W, C].
    var areRows = false
    /// Whether it has the bias that a node of its own added to the layer.
    var isBiased = false
    /// Of the network's input: what a normalisation within the graph does to it.
    var normalization: InputNormalization?

    /// The dimensions behind the batch.
    var dimensions: [Int] {
        if isFlat { return [shape.elementCount] }
        switch view {
        case .map: break
        case .plane: return [shape.height, shape.width]
        case .line:
            let width = shape.width + (pads.map { $0[1] + $0[3] } ?? 0)
            return isChannelsLast ? [width, shape.channels] : [shape.channels, width]
        }
        if let pads {
            let sides = [shape.height + pads[0] + pads[2], shape.width + pads[1] + pads[3]]
            return isChannelsLast ? sides + [shape.channels] : [shape.channels] + sides
        }
        if areRows { return [shape.height * shape.width, shape.channels] }
        if let grouping {
            let sides = [grouping.count, shape.channels / grouping.count]
            return (grouping.isTurned ? sides.reversed() : sides) + [shape.height, shape.width]
        }
        return isChannelsLast
            ? [shape.height, shape.width, shape.channels] : [shape.channels, shape.height, shape.width]
    }
}

/// x · scale + offset, per channel.
struct InputNormalization: Equatable {
    var scale: [Double]
    var offset: [Double]

    init(channels: Int) {
        scale = Array(repeating: 1, count: channels)
        offset = Array(repeating: 0, count: channels)
    }
}
