/// Numbers of 16 bits, 13 of them behind the point: −4 to 4 − 2^−13 in steps of 2^−13, "3.13" in the paper.
///
/// Everything here is specified to the bit in `Documentation/integer-arithmetic.md`.
public enum FixedPoint {
    public static let fractionBits = 13
    /// What the largest number stands for.
    public static let largest = 32_767.0 / 8192

    /// The number nearest to a real one, ties to even, as far as there is one; 0 for what is no number.
    public static func number(of real: Double) -> Int16 {
        guard !real.isNaN else { return 0 }
        return Int16(max(-32_768, min(32_767, (real * 8192).rounded(.toNearestOrEven))))
    }
}

/// The weights of a layer in fixed point, laid as in ``LayerParameters``. What its input and its output are scaled by is in them.
public struct FixedPointWeights: Sendable, Hashable {
    public var weight: [Int16]
    /// For each output.
    public var bias: [Int16]

    public init(weight: [Int16], bias: [Int16]) {
        self.weight = weight
        self.bias = bias
    }

    /// The nearest to real weights.
    ///
    /// - Parameters:
    ///   - input: what a number of the input is to be multiplied by to become what the layer reads.
    ///   - output: the same of the output.
    public init(rounding parameters: LayerParameters, input: Double, output: Double) {
        weight = parameters.weight.map { FixedPoint.number(of: Double($0) * input / output) }
        bias = parameters.bias.map { FixedPoint.number(of: Double($0) / output) }
    }
}

/// A branch in fixed point.
public struct FixedPointBranch: Sendable, Hashable {
    /// An entry for each layer, nil for those without weights.
    public var layers: [FixedPointWeights?]
    /// Of the input, and of what each layer makes: a power of two that its numbers are multiplied by to become real ones.
    public var scales: [Double]
    /// Of the layers that are response normalisations.
    public var tables: [Int: ResponseTable]
    /// The branch's columns of the classification layer, [classes, features], where it applies them; without bias.
    public var head: FixedPointWeights?
    /// Of the shares of the logits that the head makes.
    public var headScale: Double

    public init(
        layers: [FixedPointWeights?], scales: [Double], tables: [Int: ResponseTable] = [:],
        head: FixedPointWeights? = nil, headScale: Double = 1
    ) {
        self.layers = layers
        self.scales = scales
        self.tables = tables
        self.head = head
        self.headScale = headScale
    }
}
