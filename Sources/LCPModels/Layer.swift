/// The shape of one image or feature map: height, width and channels, without a batch.
public struct FeatureMapShape: Sendable, Hashable, Codable, CustomStringConvertible {
    public var height: Int
    public var width: Int
    public var channels: Int

    public init(height: Int, width: Int, channels: Int) {
        self.height = height
        self.width = width
        self.channels = channels
    }

    /// height × width × channels.
    public var elementCount: Int { height * width * channels }

    public var description: String { "\(height)×\(width)×\(channels)" }
}

/// One layer of a network, as data. Weights lie beside it, as ``LayerParameters``.
public enum Layer: Sendable, Hashable {
    /// A square convolution with bias: `outputs` channels, zero padding on all sides. Weights are OIHW.
    case convolution(outputs: Int, kernel: Int, stride: Int = 1, padding: Int = 0)
    /// The maximum over square windows, without padding; what does not fill a window is left out.
    case maxPool(size: Int, stride: Int)
    /// A fully connected layer with bias over the CHW-flattened input. Weights are [outputs, inputs].
    case fullyConnected(outputs: Int)
    /// max(0, x).
    case relu

    /// Output channels or features, where the layer has a width of its own: what a split divides.
    public var width: Int? {
        switch self {
        case .convolution(let outputs, _, _, _): outputs
        case .fullyConnected(let outputs): outputs
        case .maxPool, .relu: nil
        }
    }

    /// The same layer with another width; layers without a width stay as they are.
    public func withWidth(_ width: Int) -> Layer {
        switch self {
        case .convolution(_, let kernel, let stride, let padding):
            .convolution(outputs: width, kernel: kernel, stride: stride, padding: padding)
        case .fullyConnected: .fullyConnected(outputs: width)
        case .maxPool, .relu: self
        }
    }

    /// The shape that the layer makes of `input`. A fully connected layer's is 1 × 1 × outputs.
    ///
    /// - Throws: ``NetworkError`` where the layer does not fit the input or has an impossible size.
    public func output(of input: FeatureMapShape) throws(NetworkError) -> FeatureMapShape {
        func window(_ size: Int, _ kernel: Int, _ stride: Int) -> Int { (size - kernel) / stride + 1 }
        switch self {
        case .convolution(let outputs, let kernel, let stride, let padding):
            guard (1...65_536).contains(outputs), (1...1024).contains(kernel), (1...1024).contains(stride),
                (0..<kernel).contains(padding), input.height + 2 * padding >= kernel,
                input.width + 2 * padding >= kernel
            else { throw NetworkError("\(self) does not fit an input of \(input)") }
            return FeatureMapShape(
                height: window(input.height + 2 * padding, kernel, stride),
                width: window(input.width + 2 * padding, kernel, stride), channels: outputs)
        case .maxPool(let size, let stride):
            guard (2...1024).contains(size), (1...1024).contains(stride), input.height >= size, input.width >= size
            else {
                throw NetworkError("\(self) does not fit an input of \(input)")
            }
            return FeatureMapShape(
                height: window(input.height, size, stride), width: window(input.width, size, stride),
                channels: input.channels)
        case .fullyConnected(let outputs):
            guard (1...1_048_576).contains(outputs) else { throw NetworkError("\(self) has an impossible width") }
            return FeatureMapShape(height: 1, width: 1, channels: outputs)
        case .relu:
            return input
        }
    }

    /// The dimensions of the layer's weights as PyTorch has them, or nil for a layer without weights. The bias has the first.
    public func weightDimensions(input: FeatureMapShape) -> [Int]? {
        switch self {
        case .convolution(let outputs, let kernel, _, _): [outputs, input.channels, kernel, kernel]
        case .fullyConnected(let outputs): [outputs, input.elementCount]
        case .maxPool, .relu: nil
        }
    }

    /// Weights and biases.
    public func parameterCount(input: FeatureMapShape) -> Int {
        guard let dimensions = weightDimensions(input: input) else { return 0 }
        return dimensions.reduce(1, *) + dimensions[0]
    }

    /// Multiply-accumulate operations for one image; padding counts as work.
    public func macs(input: FeatureMapShape) throws(NetworkError) -> Int {
        guard let dimensions = weightDimensions(input: input) else { return 0 }
        let output = try output(of: input)
        return output.height * output.width * dimensions.reduce(1, *)
    }
}

extension Layer: CustomStringConvertible {
    public var description: String {
        switch self {
        case .convolution(let outputs, let kernel, let stride, let padding):
            "convolution \(kernel)×\(kernel)/\(stride) to \(outputs) channels, padding \(padding)"
        case .maxPool(let size, let stride): "max pooling \(size)×\(size)/\(stride)"
        case .fullyConnected(let outputs): "fully connected to \(outputs)"
        case .relu: "ReLU"
        }
    }
}

extension Layer: Codable {
    private enum Key: String, CodingKey { case type, outputs, kernel, stride, padding, size }
    private enum Kind: String, Codable {
        case convolution
        case maxPool = "max_pool"
        case fullyConnected = "fully_connected"
        case relu
    }

    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: Key.self)
        switch try values.decode(Kind.self, forKey: .type) {
        case .convolution:
            self = .convolution(
                outputs: try values.decode(Int.self, forKey: .outputs),
                kernel: try values.decode(Int.self, forKey: .kernel),
                stride: try values.decodeIfPresent(Int.self, forKey: .stride) ?? 1,
                padding: try values.decodeIfPresent(Int.self, forKey: .padding) ?? 0)
        case .maxPool:
            self = .maxPool(
                size: try values.decode(Int.self, forKey: .size), stride: try values.decode(Int.self, forKey: .stride))
        case .fullyConnected: self = .fullyConnected(outputs: try values.decode(Int.self, forKey: .outputs))
        case .relu: self = .relu
        }
    }

    public func encode(to encoder: any Encoder) throws {
        var values = encoder.container(keyedBy: Key.self)
        switch self {
        case .convolution(let outputs, let kernel, let stride, let padding):
            try values.encode(Kind.convolution, forKey: .type)
            try values.encode(outputs, forKey: .outputs)
            try values.encode(kernel, forKey: .kernel)
            try values.encode(stride, forKey: .stride)
            try values.encode(padding, forKey: .padding)
        case .maxPool(let size, let stride):
            try values.encode(Kind.maxPool, forKey: .type)
            try values.encode(size, forKey: .size)
            try values.encode(stride, forKey: .stride)
        case .fullyConnected(let outputs):
            try values.encode(Kind.fullyConnected, forKey: .type)
            try values.encode(outputs, forKey: .outputs)
        case .relu: try values.encode(Kind.relu, forKey: .type)
        }
    }
}

/// A network that cannot be: one sentence that says which layer and why.
public struct NetworkError: Error, Hashable, CustomStringConvertible {
    public let description: String
    init(_ description: String) { self.description = description }
}
