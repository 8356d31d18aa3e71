import LCPModels

/// Which channels of a branch belong together: those that an addition adds, and those that a layer passes on one by one, are kept
/// or taken out together.
struct ChannelGroups {
    /// Channels that layers make, and what happens to them.
    struct Group {
        var width: Int
        /// The layers that make them.
        var producers: [Int] = []
        /// Whether some may be taken out: they come from convolutions, and nobody outside the branch sees them.
        var isFree = true
    }
    /// A run of a value's channels.
    struct Segment: Hashable {
        var group: Int
        var width: Int
    }

    private(set) var groups: [Group] = []
    /// The channels of the input, and of what each layer makes.
    private var segments: [[Segment]] = []
    /// The pixels of the input, and of what each layer makes.
    private var areas: [Int] = []
    /// For each group the one that it has become part of.
    private var parents: [Int] = []

    /// - Throws: ``NetworkError`` where the layers do not fit.
    init(_ layers: [Layer], input: FeatureMapShape) throws(NetworkError) {
        let shapes = try Layer.shapes(of: layers, input: input)
        areas = shapes.map { $0.height * $0.width }
        segments = [[add(width: input.channels, isFree: false)]]
        for (index, layer) in layers.enumerated() {
            let (current, channels) = (segments[index], shapes[index + 1].channels)
            switch layer {
            case .convolution(_, _, let groups, _):
                // Groups of channels that do not mix stay as they are.
                if groups > 1 { freeze(current) }
                segments.append([add(width: channels, isFree: groups == 1, producer: index)])
            case .fullyConnected: segments.append([add(width: channels, isFree: false, producer: index)])
            case .output(let other): segments.append(segments[other + 1])
            case .add(let other), .multiply(let other):
                unite(current, segments[other + 1])
                segments.append(current)
            case .concatenate(let others): segments.append(current + others.flatMap { segments[$0 + 1] })
            case .slice, .shuffle:
                // Which channels are picked depends on how many there are.
                freeze(current)
                segments.append([add(width: channels, isFree: false)])
            case .softmax, .channelNormalization:
                freeze(current)
                segments.append(current)
            default: segments.append(current)
            }
        }
        freeze(segments[layers.count])
    }

    /// The channels of the input for 0, of what layer i makes for i + 1.
    func segments(of value: Int) -> [Segment] {
        segments[value].map { Segment(group: root($0.group), width: $0.width) }
    }

    /// The groups that something may be taken out of.
    var free: [Int] { groups.indices.filter { parents[$0] == $0 && groups[$0].isFree } }

    /// The weights of all convolutions where groups have so many channels left.
    func convolutionWeights(_ layers: [Layer], left: [Int: Int]) -> Int {
        layers.enumerated().reduce(0) { sum, layer in
            switch layer.element {
            case .convolution(_, let window, let groups, _):
                sum + channels(layer.offset + 1, left) * channels(layer.offset, left) / groups * window.taps
            case .depthwiseConvolution(let window, _): sum + channels(layer.offset, left) * window.taps
            default: sum
            }
        }
    }

    /// The weights of all fully connected layers where groups have so many channels left.
    func connectedWeights(_ layers: [Layer], left: [Int: Int]) -> Int {
        layers.enumerated().reduce(0) { sum, layer in
            guard case .fullyConnected(let outputs) = layer.element else { return sum }
            return sum + outputs * areas[layer.offset] * channels(layer.offset, left)
        }
    }

    private func channels(_ value: Int, _ left: [Int: Int]) -> Int {
        segments(of: value).reduce(0) { $0 + (left[$1.group] ?? $1.width) }
    }

    private mutating func add(width: Int, isFree: Bool, producer: Int? = nil) -> Segment {
        groups.append(Group(width: width, producers: producer.map { [$0] } ?? [], isFree: isFree))
        parents.append(groups.count - 1)
        return Segment(group: groups.count - 1, width: width)
    }

    private func root(_ group: Int) -> Int { parents[group] == group ? group : root(parents[group]) }

    private mutating func freeze(_ segments: [Segment]) {
        for segment in segments { groups[root(segment.group)].isFree = false }
    }

    private mutating func unite(_ left: [Segment], _ right: [Segment]) {
        guard left.map(\.width) == right.map(\.width) else {
            // Joined from different parts: nothing of them is taken out.
            freeze(left + right)
            return
        }
        for (left, right) in zip(left, right) {
            let (kept, gone) = (root(left.group), root(right.group))
            guard kept != gone else { continue }
            parents[gone] = kept
            groups[kept].producers += groups[gone].producers
            groups[kept].isFree = groups[kept].isFree && groups[gone].isFree
        }
    }
}
