/// One layer of a network, as data. Weights lie beside it, as ``LayerParameters``.
///
/// A list of layers is a network: each reads what the one before it made. Skip connections and parallel paths are layers, too:
/// ``output(of:)``, ``add(_:)`` and ``concatenate(_:)`` read what an earlier layer of the list made, named by its index.
public enum Layer: Sendable, Hashable {
    /// A convolution: `outputs` channels, zero padding, channels in `groups` that do not mix. Weights are OIHW, [outputs, inputs /
    /// groups, height, width].
    case convolution(outputs: Int, window: Window, groups: Int = 1, hasBias: Bool = true)
    /// A convolution of every channel by itself; as many channels come out as go in. Weights are [channels, 1, height, width].
    case depthwiseConvolution(window: Window, hasBias: Bool = true)
    /// The maximum over windows; padding counts as −∞.
    case maxPool(window: Window)
    /// The mean over windows; what is beyond the map counts as zeros only where the padding is counted.
    case averagePool(window: Window, countsPadding: Bool = false)
    /// The mean of every channel: 1 × 1 × channels.
    case globalAveragePool
    /// (x − mean) / √(variance + ε) · weight + bias per channel (Ioffe and Szegedy, 2015), with the batch's statistics in
    /// training and the running ones otherwise.
    case batchNormalization(epsilon: Float = 1e-5)
    /// (x − mean) / √(variance + ε) · weight + bias, mean and variance over the channels of a pixel (Ba et al., 2016; ConvNeXt). Weights
    /// are [channels].
    case channelNormalization(epsilon: Float = 1e-5)
    /// x / (k + α / size · Σ x²)^β, the sum over `size` neighbouring channels (Krizhevsky et al., 2012; α as in PyTorch).
    case localResponseNormalization(size: Int, alpha: Float, beta: Float, k: Float)
    /// A fully connected layer with bias over the CHW-flattened input. Weights are [outputs, inputs].
    case fullyConnected(outputs: Int)
    /// max(0, x).
    case relu
    /// min(max(0, x), 6).
    case relu6
    /// A function of every number by itself.
    case activation(Activation)
    /// x from 0 up, and below that times a weight of the channel's own (He et al., 2015). Weights are [channels].
    case prelu
    /// In training, every number is zero with this probability and otherwise 1 / (1 − rate) times itself; nothing elsewhere.
    case dropout(rate: Float)
    /// exp(x) / Σ exp(x), the sum over the channels.
    case softmax
    /// What an earlier layer made: the next layer reads that.
    case output(of: Int)
    /// Some channels side by side: `count` of them from `first` on, of `total` that the network in one piece has; of fewer the same
    /// part.
    case slice(first: Int, count: Int, of: Int)
    /// Channels in another order: the first ones of so many groups, then the second ones, and so on (ShuffleNet).
    case shuffle(groups: Int)
    /// The sum with what an earlier layer made.
    case add(Int)
    /// The product with what an earlier layer made. One of both may be 1 × 1 × channels: a factor for every channel of the other.
    case multiply(Int)
    /// The channels of the layer before this one, and behind them those of earlier layers.
    case concatenate([Int])

    /// Output channels or features, where the layer has a width of its own: what a split divides.
    public var width: Int? {
        switch self {
        case .convolution(let outputs, _, _, _): outputs
        case .fullyConnected(let outputs): outputs
        default: nil
        }
    }

    /// The same layer with another width; layers without a width stay as they are.
    ///
    /// - Parameter inputs: the channels that will come in; a grouped convolution takes as many of its groups as fit.
    public func withWidth(_ width: Int, inputs: Int) -> Layer {
        switch self {
        case .convolution(let outputs, let window, let groups, let hasBias):
            // A narrower branch has groups of the same size, and so fewer of them.
            var fitting = max(1, min(groups, groups * width / outputs))
            while inputs % fitting != 0 || width % fitting != 0 { fitting -= 1 }
            return .convolution(outputs: width, window: window, groups: fitting, hasBias: hasBias)
        case .fullyConnected: return .fullyConnected(outputs: width)
        default: return self
        }
    }

    /// The earlier layers that this one reads besides the one before it.
    public var references: [Int] {
        switch self {
        case .output(let layer), .add(let layer), .multiply(let layer): [layer]
        case .concatenate(let layers): layers
        default: []
        }
    }

    /// The shape that the layer makes of `input`. A fully connected layer's is 1 × 1 × outputs.
    ///
    /// - Parameter referenced: the shapes of ``references``, in their order.
    /// - Throws: ``NetworkError`` where the layer does not fit the input or has an impossible size.
    public func output(
        of input: FeatureMapShape, referenced: [FeatureMapShape] = []
    ) throws(NetworkError) -> FeatureMapShape {
        func places(_ window: Window, channels: Int) throws(NetworkError) -> FeatureMapShape {
            guard let places = window.places(on: input) else {
                throw NetworkError("\(self) does not fit an input of \(input)")
            }
            return FeatureMapShape(height: places.down, width: places.across, channels: channels)
        }
        switch self {
        case .convolution(let outputs, let window, let groups, _):
            guard (1...65_536).contains(outputs), groups > 0, input.channels % groups == 0, outputs % groups == 0,
                !window.roundsUp
            else {
                throw NetworkError("\(self) does not fit an input of \(input)")
            }
            return try places(window, channels: outputs)
        case .depthwiseConvolution(let window, _):
            guard !window.roundsUp else { throw NetworkError("\(self) does not fit an input of \(input)") }
            return try places(window, channels: input.channels)
        case .maxPool(let window), .averagePool(let window, _):
            guard max(window.top, window.bottom) <= window.height / 2,
                max(window.left, window.right) <= window.width / 2
            else { throw NetworkError("\(self) has more padding than half its window") }
            return try places(window, channels: input.channels)
        case .globalAveragePool: return FeatureMapShape(features: input.channels)
        case .fullyConnected(let outputs):
            guard (1...1_048_576).contains(outputs) else { throw NetworkError("\(self) has an impossible width") }
            return FeatureMapShape(features: outputs)
        case .slice(_, _, let total):
            guard let range = slice(of: input.channels), !range.isEmpty, range.upperBound <= input.channels else {
                throw NetworkError("\(self) does not fit \(input.channels) channels of \(total)")
            }
            return FeatureMapShape(height: input.height, width: input.width, channels: range.count)
        case .shuffle(let groups):
            guard groups > 0, input.channels % groups == 0 else {
                throw NetworkError("\(self) does not fit \(input.channels) channels")
            }
            return input
        case .batchNormalization(let epsilon), .channelNormalization(let epsilon):
            guard epsilon.isFinite, epsilon > 0 else { throw NetworkError("\(self) needs an ε above 0") }
            return input
        case .localResponseNormalization(let size, let alpha, let beta, let k):
            guard (1...1024).contains(size), alpha.isFinite, alpha >= 0, beta.isFinite, beta >= 0, k.isFinite, k > 0
            else { throw NetworkError("\(self) has impossible constants") }
            return input
        case .dropout(let rate):
            guard rate >= 0, rate < 1 else { throw NetworkError("\(self) needs a rate from 0 to below 1") }
            return input
        case .activation(let function):
            guard function.isPossible else { throw NetworkError("\(self) has impossible constants") }
            return input
        case .relu, .relu6, .prelu, .softmax: return input
        case .output: return referenced[0]
        case .add:
            guard referenced[0] == input else {
                throw NetworkError("\(self) adds \(referenced[0]) to \(input): they differ")
            }
            return input
        case .multiply:
            let other = referenced[0]
            guard other.channels == input.channels,
                other == input || other.elementCount == other.channels || input.elementCount == input.channels
            else { throw NetworkError("\(self) multiplies \(input) by \(other): they differ") }
            return other.elementCount > input.elementCount ? other : input
        case .concatenate(let layers):
            guard (1...64).contains(layers.count),
                referenced.allSatisfy({ $0.height == input.height && $0.width == input.width })
            else { throw NetworkError("\(self) joins feature maps of different sizes") }
            return FeatureMapShape(
                height: input.height, width: input.width,
                channels: referenced.reduce(input.channels) { $0 + $1.channels })
        }
    }

    /// The input of every layer of a list, and behind them the list's output.
    ///
    /// - Throws: ``NetworkError``, also for a layer that names one behind it.
    public static func shapes(of layers: [Layer], input: FeatureMapShape) throws(NetworkError) -> [FeatureMapShape] {
        var shapes = [input]
        for (index, layer) in layers.enumerated() {
            guard layer.references.allSatisfy({ (0..<index).contains($0) }) else {
                throw NetworkError("layer \(index), \(layer), names a layer that is not before it")
            }
            let next = try layer.output(of: shapes[index], referenced: layer.references.map { shapes[$0 + 1] })
            guard next.elementCount <= 1 << 28 else {
                throw NetworkError(
                    "\(layer) makes a feature map of \(next), and none may hold more than 268,435,456 numbers")
            }
            // In floating point, because the product may be more than an Int holds.
            let weights = layer.weightDimensions(input: shapes[index])?.reduce(1.0) { $0 * Double($1) } ?? 0
            guard weights <= 0x1p30 else {
                throw NetworkError("\(layer) on \(shapes[index]) has more weights than any device can hold")
            }
            shapes.append(next)
        }
        return shapes
    }

    /// The dimensions of the layer's weights as PyTorch has them, or nil for a layer without weights. The bias has the first.
    public func weightDimensions(input: FeatureMapShape) -> [Int]? {
        switch self {
        case .convolution(let outputs, let window, let groups, _):
            [outputs, input.channels / groups, window.height, window.width]
        case .depthwiseConvolution(let window, _): [input.channels, 1, window.height, window.width]
        case .fullyConnected(let outputs): [outputs, input.elementCount]
        case .batchNormalization, .channelNormalization, .prelu: [input.channels]
        default: nil
        }
    }

    /// Whether the layer has weights and, beside them, a bias.
    public var hasBias: Bool {
        switch self {
        case .convolution(_, _, _, let hasBias), .depthwiseConvolution(_, let hasBias): hasBias
        case .fullyConnected, .batchNormalization, .channelNormalization: true
        default: false
        }
    }

    /// Whether bundles with it have the format 5, because programs that read format 4 do not know it.
    var cameLater: Bool {
        switch self {
        case .activation, .prelu, .multiply, .channelNormalization, .slice, .shuffle: true
        case .averagePool(let window, _) where window.hasPadding: true
        default: window.map { $0.square == nil } ?? false
        }
    }

    /// Whether there is arithmetic in eight bits for it: see `Documentation/integer-arithmetic.md`.
    package var hasIntegerArithmetic: Bool {
        switch self {
        case .softmax, .channelNormalization, .prelu: false
        case .averagePool(let window, _): !window.hasPadding && !window.roundsUp && !window.isDilated
        default: window?.isDilated != true
        }
    }

    /// Whether there is arithmetic in fixed point for it, which has square windows with the same padding on all sides only, and means
    /// without any.
    package var hasFixedPointArithmetic: Bool {
        switch self {
        case .softmax, .multiply, .channelNormalization, .slice, .shuffle, .activation, .prelu: return false
        case .averagePool(let window, _) where window.hasPadding: return false
        default: return window.map { $0.square != nil } ?? true
        }
    }

    /// The window of a layer that has one.
    public var window: Window? {
        switch self {
        case .convolution(_, let window, _, _), .depthwiseConvolution(let window, _), .maxPool(let window),
            .averagePool(let window, _):
            window
        default: nil
        }
    }

    /// Whether its weights are one for each channel, and no sum over several.
    package var isPerChannel: Bool {
        switch self {
        case .batchNormalization, .channelNormalization, .prelu: true
        default: false
        }
    }

    /// The channels that a slice takes of so many; nil for other layers, and where it is none.
    package func slice(of channels: Int) -> Range<Int>? {
        guard case .slice(let first, let count, let total) = self, first >= 0, count > 0, total <= 1 << 20,
            count <= total, first <= total - count
        else { return nil }
        func place(_ channel: Int) -> Int { (2 * channel * channels + total) / (2 * total) }
        return place(first)..<place(first + count)
    }

    /// The channel that each channel of a slice or shuffle of so many channels is; nil for other layers.
    package func picked(of channels: Int) -> [Int]? {
        switch self {
        case .slice: return slice(of: channels).map(Array.init)
        case .shuffle(let groups):
            let size = channels / groups
            return (0..<channels).map { $0 % groups * size + $0 / groups }
        default: return nil
        }
    }

    /// Whether the layer is a batch normalisation, which has running statistics beside its weights.
    public var hasStatistics: Bool { if case .batchNormalization = self { true } else { false } }

    /// Weights and biases; running statistics are not parameters.
    public func parameterCount(input: FeatureMapShape) -> Int {
        guard let dimensions = weightDimensions(input: input) else { return 0 }
        return dimensions.reduce(1, *) + (hasBias ? dimensions[0] : 0)
    }

    /// Multiply-accumulate operations for one image; padding counts as work. Only convolutions and fully connected layers
    /// count, as in the paper.
    public func macs(input: FeatureMapShape) throws(NetworkError) -> Int {
        guard !isPerChannel, let dimensions = weightDimensions(input: input) else { return 0 }
        let output = try output(of: input)
        return output.height * output.width * dimensions.reduce(1, *)
    }
}

// MARK: Square windows

extension Layer {
    /// A square convolution with the same padding on all sides.
    public static func convolution(
        outputs: Int, kernel: Int, stride: Int = 1, padding: Int = 0, groups: Int = 1, hasBias: Bool = true
    ) -> Layer {
        .convolution(
            outputs: outputs, window: Window(size: kernel, stride: stride, padding: padding), groups: groups,
            hasBias: hasBias)
    }

    /// A square convolution of every channel by itself.
    public static func depthwiseConvolution(
        kernel: Int, stride: Int = 1, padding: Int = 0, hasBias: Bool = true
    ) -> Layer {
        .depthwiseConvolution(window: Window(size: kernel, stride: stride, padding: padding), hasBias: hasBias)
    }

    /// The maximum over square windows.
    public static func maxPool(size: Int, stride: Int, padding: Int = 0) -> Layer {
        .maxPool(window: Window(size: size, stride: stride, padding: padding))
    }

    /// The mean over square windows without padding.
    public static func averagePool(size: Int, stride: Int) -> Layer {
        .averagePool(window: Window(size: size, stride: stride))
    }
}

extension Layer: CustomStringConvertible {
    public var description: String {
        switch self {
        case .convolution(let outputs, let window, let groups, _):
            "convolution \(window) to \(outputs) channels" + (groups > 1 ? ", \(groups) groups" : "")
        case .depthwiseConvolution(let window, _): "depthwise convolution \(window)"
        case .maxPool(let window): "max pooling \(window)"
        case .averagePool(let window, let countsPadding):
            "average pooling \(window)" + (countsPadding && window.hasPadding ? " that is counted" : "")
        case .globalAveragePool: "global average pooling"
        case .batchNormalization: "batch normalisation"
        case .channelNormalization: "normalisation over the channels"
        case .slice(let first, let count, let total): "\(count) channels of \(total) from \(first) on"
        case .shuffle(let groups): "shuffle of \(groups) groups"
        case .localResponseNormalization(let size, _, _, _): "local response normalisation over \(size)"
        case .fullyConnected(let outputs): "fully connected to \(outputs)"
        case .relu: "ReLU"
        case .relu6: "ReLU6"
        case .activation(let function): "\(function)"
        case .prelu: "PReLU"
        case .dropout(let rate): "dropout \(rate)"
        case .softmax: "softmax"
        case .output(let layer): "output of layer \(layer)"
        case .add(let layer): "add layer \(layer)"
        case .multiply(let layer): "multiply by layer \(layer)"
        // A list that a stranger wrote may be of any length.
        case .concatenate(let layers) where layers.count > 64: "concatenate with \(layers.count) layers"
        case .concatenate(let layers): "concatenate with layers \(layers.map(String.init).joined(separator: ", "))"
        }
    }
}

/// A network that cannot be: one sentence that says which layer and why.
public struct NetworkError: Error, Hashable, CustomStringConvertible {
    public let description: String
    package init(_ description: String) { self.description = description }
}
