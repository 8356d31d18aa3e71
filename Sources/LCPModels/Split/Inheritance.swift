extension ModelParameters {
    /// Gives every branch its share of a whole network's weights: of each layer the channels that are the branch's, and of their
    /// weights those that connect them; what connects branches is lost. Branch k of n channels gets those from k · n on, and
    /// begins at the first one again where the whole network has no more.
    ///
    /// The classification layer follows where the branches are joined by concatenation; a sum keeps its own. A network in one
    /// piece gets everything, and keeps its classification layer only where it tells other classes apart.
    ///
    /// - Parameters:
    ///   - whole: a network in one piece with the same layers, but for their widths.
    ///   - parameters: its weights.
    ///   - network: the network that these parameters are of.
    /// - Throws: ``NetworkError`` where the networks differ in more than widths, or have convolutions in groups.
    public mutating func inherit(
        from whole: BranchedNetwork, _ parameters: ModelParameters, for network: BranchedNetwork
    ) throws(NetworkError) {
        guard whole.branches.count == 1, let source = parameters.branches.first else {
            throw NetworkError(
                "branches begin as shares of a network in one piece, and the teacher has \(whole.branches.count) branches"
            )
        }
        guard whole.input == network.input else {
            throw NetworkError(
                "branches begin as shares of a network for the same images: the teacher's are \(whole.input), these \(network.input)"
            )
        }
        if network.branches == whole.branches {
            branches = parameters.branches
            if network.classes == whole.classes { merge = parameters.merge }
            return
        }
        let wholeShapes = try whole.shapes(of: 0)
        var columns: [Int] = []
        for branch in network.branches.indices {
            let shapes = try network.shapes(of: branch)
            guard network.branches[branch].count == whole.branches[0].count else {
                throw NetworkError(
                    "the teacher has other layers than the branches, so they cannot begin as its shares: "
                        + "with initialization=he they begin with random weights")
            }
            // The channels of the whole network that the branch has: the input's, and those of every layer.
            var channels = Array(0..<network.input.channels)
            var made: [[Int]] = []
            for (index, layer) in network.branches[branch].enumerated() {
                let original = whole.branches[0][index]
                let (from, to, wide) = (shapes[index], shapes[index + 1], wholeShapes[index + 1])
                guard !layer.isGrouped, !original.isGrouped, layer.references == original.references,
                    (layer.width == nil) == (original.width == nil), to.height == wide.height, to.width == wide.width,
                    original.withWidth(layer.width ?? 0, inputs: from.channels) == layer
                else {
                    throw NetworkError("\(layer) cannot begin as a share of the teacher's \(original)")
                }
                defer { made.append(channels) }
                switch layer {
                case .output(let earlier): channels = made[earlier]
                case .add(let earlier), .multiply(let earlier):
                    guard made[earlier] == channels else {
                        throw NetworkError("\(layer) of the branches joins other channels than the teacher's")
                    }
                case .slice, .shuffle:
                    // The branch's share of a part is no part of the branch's share.
                    throw NetworkError(
                        "\(layer) of the branches picks other channels than the teacher's: with initialization=he they begin with "
                            + "random weights")
                case .concatenate(let layers):
                    var first = wholeShapes[index].channels
                    for earlier in layers {
                        channels += made[earlier].map { first + $0 }
                        first += wholeShapes[earlier + 1].channels
                    }
                default: break
                }
                guard let values = source[index], var own = branches[branch][index] else { continue }
                if let taps = layer.tapsOfChannel {
                    own.weight = channels.flatMap { values.weight[$0 * taps..<($0 + 1) * taps] }
                    if !own.bias.isEmpty { own.bias = channels.map { values.bias[$0] } }
                } else if layer.hasStatistics {
                    for field in LayerParameters.Field.allCases {
                        own[keyPath: field.path] = channels.map { values[keyPath: field.path][$0] }
                    }
                } else {
                    // A fully connected layer reads all positions of a channel, a convolution its kernel.
                    let wideRow = values.weight.count / wide.channels
                    let perChannel = wideRow / wholeShapes[index].channels
                    let kept = (0..<to.channels).map { (branch * to.channels + $0) % wide.channels }
                    own.weight = kept.flatMap { output in
                        channels.flatMap { input in
                            let first = output * wideRow + input * perChannel
                            return values.weight[first..<first + perChannel]
                        }
                    }
                    if !own.bias.isEmpty { own.bias = kept.map { values.bias[$0] } }
                    channels = kept
                }
                branches[branch][index] = own
            }
            let area = shapes[shapes.count - 1].height * shapes[shapes.count - 1].width
            columns += channels.flatMap { channel in (0..<area).map { channel * area + $0 } }
        }
        guard network.merge == .concat, network.classes == whole.classes else { return }
        let row = parameters.merge.weight.count / whole.classes
        // A column that several branches have counts once.
        var times = [Float](repeating: 0, count: row)
        for column in columns { times[column] += 1 }
        merge.weight = (0..<network.classes).flatMap { output in
            columns.map { parameters.merge.weight[output * row + $0] / times[$0] }
        }
        merge.bias = parameters.merge.bias
    }
}

extension Layer {
    /// The weights of a channel, where the layer computes every channel by itself.
    fileprivate var tapsOfChannel: Int? {
        switch self {
        case .depthwiseConvolution(let window, _): window.taps
        case .prelu, .channelNormalization: 1
        default: nil
        }
    }

    fileprivate var isGrouped: Bool {
        switch self {
        case .convolution(_, _, let groups, _): groups > 1
        default: false
        }
    }
}
