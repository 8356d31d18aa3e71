/// What branches of a network may look like: how many, how wide each layer is, and what is put in a convolution's place.
///
/// All branches are alike, so that any device can compute any of them.
public struct BranchShape: Sendable, Hashable {
    /// What stands in the place of a convolution.
    public struct Convolution: Sendable, Hashable {
        public var width: Int
        /// The side of its kernel. One of the network's own size has the network's padding, every other one such that the image
        /// keeps its size.
        public var kernel: Int
        /// Whether it is one of every channel by itself and one of 1 × 1 behind it.
        public var isSeparable = false
        /// Convolutions of 3 × 3 behind it, as wide as it is: whether a pooling of 2 × 2 follows each.
        public var more: [Bool] = []
    }

    /// The most convolutions behind one.
    public static let maximumMore = 4

    public var branches: Int
    public var convolutions: [Convolution]
    /// The widths of the fully connected layers, in their order.
    public var fullyConnected: [Int]
    public var merge: Merge

    /// A network's own split, as the paper makes it.
    ///
    /// - Throws: `NetworkError` as `Network.split(into:fattening:)`.
    public init(of network: Network, branches: Int, fattening: Fattening = .none) throws(NetworkError) {
        let layers = try network.split(into: branches, fattening: fattening).branches[0]
        self.branches = branches
        convolutions = layers.compactMap {
            guard case .convolution(let width, let window, _, _) = $0 else { return nil }
            return Convolution(width: width, kernel: window.height)
        }
        fullyConnected = layers.compactMap { if case .fullyConnected(let width) = $0 { width } else { nil } }
        merge = network.merge
    }

    /// Whether the layers are those of a network but for their widths, so that branches may begin as shares of it.
    public func hasLayers(of base: Network) -> Bool {
        convolutions.allSatisfy { !$0.isSeparable && $0.more.isEmpty }
            && convolutions.map(\.kernel) == base.layers.compactMap(\.kernelOfConvolution)
    }

    /// The network in branches of this shape.
    ///
    /// - Throws: `NetworkError` where the shape is none of the network, or a layer does not fit.
    public func network(of base: Network) throws(NetworkError) -> BranchedNetwork {
        let own = base.layers.count { $0.kernelOfConvolution != nil }
        let ownFullyConnected = base.layers.count { if case .fullyConnected = $0 { true } else { false } }
        guard convolutions.count == own, fullyConnected.count == ownFullyConnected else {
            throw NetworkError(
                "\(self) is no shape of \(base.name), which has \(own) convolutions and \(ownFullyConnected) fully connected "
                    + "layers before the last one")
        }
        guard (1...BranchedNetwork.maximumBranches).contains(branches) else {
            throw NetworkError("a shape has 1 to \(BranchedNetwork.maximumBranches) branches, not \(branches)")
        }
        guard hasLayers(of: base) || base.layers.allSatisfy({ $0.references.isEmpty }) else {
            throw NetworkError("\(base.name) has layers that read earlier ones, so that only its widths can change")
        }
        var (convolutions, fullyConnected) = (convolutions[...], fullyConnected[...])
        var layers: [Layer] = []
        if hasLayers(of: base) {
            layers = try base.resized { index, _ in
                if case .fullyConnected = base.layers[index] { return fullyConnected.removeFirst() }
                return convolutions.removeFirst().width
            }
        } else {
            /// The convolution that waits for the next ReLU, with those behind it.
            var waiting: Convolution?
            let isNormalized = base.layers.contains { $0.hasStatistics }
            for layer in base.layers {
                switch layer {
                case .convolution:
                    let convolution = convolutions.removeFirst()
                    layers += convolution.layers(for: layer)
                    waiting = convolution
                case .fullyConnected:
                    layers.append(.fullyConnected(outputs: fullyConnected.removeFirst()))
                    waiting = nil
                case .relu, .relu6:
                    layers.append(layer)
                    for isPooled in waiting?.more ?? [] {
                        layers.append(
                            .convolution(outputs: waiting?.width ?? 1, kernel: 3, padding: 1, hasBias: !isNormalized))
                        if isPooled { layers.append(.maxPool(size: 2, stride: 2)) }
                        if isNormalized { layers.append(.batchNormalization()) }
                        layers.append(layer)
                    }
                    waiting = nil
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

extension BranchShape.Convolution {
    /// The layers in the place of a network's own convolution.
    fileprivate func layers(for layer: Layer) -> [Layer] {
        guard case .convolution(_, var window, _, let hasBias) = layer else { return [layer] }
        if kernel != window.height {
            let padding = kernel / 2
            (window.height, window.width) = (kernel, kernel)
            (window.top, window.bottom, window.left, window.right) = (padding, padding, padding, padding)
        }
        guard isSeparable else {
            return [.convolution(outputs: width, window: window, hasBias: hasBias)]
        }
        return [
            .depthwiseConvolution(window: window, hasBias: false),
            .convolution(outputs: width, kernel: 1, hasBias: hasBias),
        ]
    }
}

extension Layer {
    /// The side of the kernel of a convolution with a width; nil for every other layer.
    package var kernelOfConvolution: Int? {
        if case .convolution(_, let window, _, _) = self { window.height } else { nil }
    }
}

// MARK: Text

extension BranchShape: LosslessStringConvertible {
    /// `8x14k5-16k3s+p+-48-24/concat`: eight branches that are joined by concatenation; a convolution of 14 channels, 5 × 5; one of 16,
    /// 3 × 3 and separable, with two of 3 × 3 behind it, of which the first is pooled; fully connected layers of 48 and 24.
    public var description: String {
        let words =
            convolutions.map { convolution in
                "\(convolution.width)k\(convolution.kernel)" + (convolution.isSeparable ? "s" : "")
                    + convolution.more.map { $0 ? "+p" : "+" }.joined()
            } + fullyConnected.map(String.init)
        return "\(branches)x\(words.joined(separator: "-"))/\(merge.rawValue)"
    }

    /// Reads a ``description``; nil where the text is none.
    public init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let merge = Merge(rawValue: String(parts[1])),
            let cross = parts[0].firstIndex(of: "x"), let branches = Self.number(parts[0][..<cross])
        else { return nil }
        (self.branches, self.merge, convolutions, fullyConnected) = (branches, merge, [], [])
        for word in parts[0][parts[0].index(after: cross)...].split(separator: "-", omittingEmptySubsequences: false) {
            if let width = Self.number(word) {
                fullyConnected.append(width)
                continue
            }
            guard fullyConnected.isEmpty, let convolution = Self.convolution(word) else { return nil }
            convolutions.append(convolution)
        }
    }

    /// `16k3s+p+`
    private static func convolution(_ word: Substring) -> Convolution? {
        let pieces = word.split(separator: "+", omittingEmptySubsequences: false)
        guard var first = pieces.first, pieces.count <= maximumMore + 1,
            pieces.dropFirst().allSatisfy({ $0 == "" || $0 == "p" })
        else { return nil }
        let isSeparable = first.last == "s"
        if isSeparable { first.removeLast() }
        let numbers = first.split(separator: "k", omittingEmptySubsequences: false)
        guard numbers.count == 2, let width = number(numbers[0]), let kernel = number(numbers[1]) else { return nil }
        return Convolution(
            width: width, kernel: kernel, isSeparable: isSeparable, more: pieces.dropFirst().map { $0 == "p" })
    }

    /// A number of at most five digits.
    private static func number(_ text: Substring) -> Int? {
        guard (1...5).contains(text.count), text.allSatisfy({ $0.isASCII && $0.isNumber }), let number = Int(text),
            number > 0
        else { return nil }
        return number
    }
}

extension BranchShape: Codable {
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard let shape = Self(text) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "\(text) is no shape of branches")
        }
        self = shape
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}
