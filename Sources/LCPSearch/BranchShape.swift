public import LCPModels

/// What branches of a network may look like: how many, how wide each layer is, and what is put in a convolution's place.
///
/// All branches are alike, so that any device can compute any of them.
public struct BranchShape: Sendable, Hashable, Codable {
    public var branches: Int
    /// Of every layer that has a width, in their order.
    public var widths: [Int]
    /// How many convolutions of 3 × 3 come behind each convolution.
    public var deeper: [Int]
    /// Which convolutions are one of every channel by itself and one of 1 × 1 behind it.
    public var isSeparable: [Bool]
    public var merge: Merge

    public init(branches: Int, widths: [Int], deeper: [Int], isSeparable: [Bool], merge: Merge) {
        self.branches = branches
        self.widths = widths
        self.deeper = deeper
        self.isSeparable = isSeparable
        self.merge = merge
    }

    enum CodingKeys: String, CodingKey {
        case branches, widths, deeper, merge
        case isSeparable = "separable"
    }

    /// A network's own split, as the paper makes it.
    ///
    /// - Throws: `NetworkError` as `Network.split(into:fattening:)`.
    public init(of network: Network, branches: Int, fattening: Fattening = .none) throws(NetworkError) {
        let split = try network.split(into: branches, fattening: fattening)
        let convolutions = network.layers.count { $0.isConvolution }
        self.init(
            branches: branches, widths: split.branches[0].compactMap(\.width),
            deeper: Array(repeating: 0, count: convolutions),
            isSeparable: Array(repeating: false, count: convolutions), merge: network.merge)
    }

    /// Whether the layers are the network's own but for their widths, so that branches may begin as shares of it.
    public var hasOwnLayers: Bool { deeper.allSatisfy { $0 == 0 } && !isSeparable.contains(true) }

    /// The network in branches of this shape.
    ///
    /// - Throws: `NetworkError` where the shape is none of the network, or a layer does not fit.
    public func network(of base: Network) throws(NetworkError) -> BranchedNetwork {
        let (own, convolutions) = (base.layers.compactMap(\.width).count, base.layers.count { $0.isConvolution })
        guard widths.count == own, deeper.count == convolutions, isSeparable.count == convolutions,
            (1...BranchedNetwork.maximumBranches).contains(branches)
        else { throw NetworkError("this shape is none of \(base.name)") }
        guard hasOwnLayers || base.layers.allSatisfy({ $0.references.isEmpty }) else {
            throw NetworkError("\(base.name) has layers that read earlier ones, so that only its widths can change")
        }
        var rest = widths[...]
        var layers: [Layer] = []
        if hasOwnLayers {
            layers = try base.resized { _, _ in rest.removeFirst() }
        } else {
            let isNormalized = base.layers.contains { $0.hasStatistics }
            var convolution = -1
            /// How many convolutions of what width wait for the next ReLU.
            var waiting = (count: 0, width: 0)
            for layer in base.layers {
                switch layer {
                case .convolution(_, let kernel, let stride, let padding, _, let hasBias):
                    convolution += 1
                    let width = rest.removeFirst()
                    waiting = (deeper[convolution], width)
                    if isSeparable[convolution] {
                        layers += [
                            .depthwiseConvolution(kernel: kernel, stride: stride, padding: padding, hasBias: false),
                            .convolution(outputs: width, kernel: 1, hasBias: hasBias),
                        ]
                    } else {
                        layers.append(
                            .convolution(
                                outputs: width, kernel: kernel, stride: stride, padding: padding, hasBias: hasBias))
                    }
                case .fullyConnected:
                    layers.append(.fullyConnected(outputs: rest.removeFirst()))
                    waiting.count = 0
                case .relu, .relu6:
                    layers.append(layer)
                    for _ in 0..<waiting.count {
                        layers.append(
                            .convolution(outputs: waiting.width, kernel: 3, padding: 1, hasBias: !isNormalized))
                        if isNormalized { layers.append(.batchNormalization()) }
                        layers.append(layer)
                    }
                    waiting.count = 0
                default: layers.append(layer)
                }
            }
        }
        let result = BranchedNetwork(
            base: base.name, input: base.input, branches: Array(repeating: layers, count: branches),
            classes: base.classes, merge: merge)
        try result.validate()
        return result
    }
}

extension BranchShape: CustomStringConvertible {
    /// `8 x 14-14+1-34-17 concat`: the widths, `+1` for a convolution more behind one, `s` for a separable one.
    public var description: String {
        var words: [String] = []
        for (index, width) in widths.enumerated() {
            guard deeper.indices.contains(index) else {
                words.append("\(width)")
                continue
            }
            words.append("\(width)" + (isSeparable[index] ? "s" : "") + (deeper[index] > 0 ? "+\(deeper[index])" : ""))
        }
        return "\(branches) x \(words.joined(separator: "-")) \(merge.rawValue)"
    }
}

extension Layer {
    /// Whether it is a convolution with a width.
    var isConvolution: Bool { if case .convolution = self { true } else { false } }
}
