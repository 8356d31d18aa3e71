import Glibc

/// How numbers of eight bits stand for real ones: real = scale · (number − zero).
///
/// The arithmetic of everything here is specified to the bit in `Documentation/integer-arithmetic.md`.
public struct Quantization: Sendable, Hashable {
    public var scale: Float
    public var zero: Int8

    public init(scale: Float, zero: Int8) {
        self.scale = scale
        self.zero = zero
    }

    /// The numbers for a range of real ones and 0, which is one of them: −128 to 127 stand for all of it.
    ///
    /// A range of nothing but 0 gets the scale 1.
    public init(covering range: ClosedRange<Float>) {
        let (low, high) = (Double(min(0, range.lowerBound)), Double(max(0, range.upperBound)))
        guard high > low else {
            self.init(scale: 1, zero: -128)
            return
        }
        let scale = max(Float((high - low) / 255), .leastNormalMagnitude)
        self.init(scale: scale, zero: Int8(max(-128, min(127, (-128 - low / Double(scale)).rounded(.toNearestOrEven)))))
    }

    /// The number nearest to a real one, ties to even, as far as there is one.
    public func number(of real: Float) -> Int8 {
        let steps = (Double(real) / Double(scale)).rounded(.toNearestOrEven) + Double(zero)
        return Int8(max(-128, min(127, steps)))
    }

    public func real(of number: Int8) -> Float { Float(Int(number) - Int(zero)) * scale }
}

extension Activation {
    /// The numbers that −128 to 127 become.
    package func lookup(from: Quantization, to: Quantization) -> [Int8] {
        (-128...127).map { number in
            let steps = self(Double(from.scale) * Double(number - Int(from.zero))) / Double(to.scale)
            return Int8(max(-128, min(127, steps.rounded(.toNearestOrEven) + Double(to.zero))))
        }
    }
}

/// How a sum of products becomes a number of eight bits: multiplier · 2^−(21 + shift) times the sum, rounded.
public struct Rescaling: Sendable, Hashable {
    /// 16,384 to 32,767, or 0.
    public var multiplier: Int16
    /// 0 to 30.
    public var shift: UInt8

    /// The nearest to a ratio above 0.
    ///
    /// - Returns: nil for a ratio of 1/64 and above, which a sum of products does not have.
    public init?(_ ratio: Double) {
        guard ratio > 0, ratio < 1.0 / 64 else { return nil }
        // ratio = significand · 2^exponent, the significand from 1 to below 2.
        var shift = -7 - Int(ratio.exponent)
        var multiplier = (ratio.significand * 16_384).rounded(.toNearestOrEven)
        if multiplier == 32_768 {
            guard shift > 0 else { return nil }
            (multiplier, shift) = (16_384, shift - 1)
        }
        guard shift <= 30 else {
            self.init(multiplier: 0, shift: 0)
            return
        }
        self.init(multiplier: Int16(multiplier), shift: UInt8(shift))
    }

    public init(multiplier: Int16, shift: UInt8) {
        self.multiplier = multiplier
        self.shift = shift
    }

    /// For a mean: what its sum is multiplied by first, a power of two, so that the ratio is below 1/64.
    ///
    /// - Returns: nil where the scales are too far apart.
    public static func mean(
        over count: Int, from: Quantization, to: Quantization
    ) -> (weight: Int, rescaling: Rescaling)? {
        let ratio = Double(from.scale) / (Double(to.scale) * Double(count))
        var weight = 1
        while weight * count <= 1 << 22 {
            if let rescaling = Rescaling(ratio / Double(weight)) { return (weight, rescaling) }
            weight *= 2
        }
        return nil
    }

    /// What it multiplies by.
    public var ratio: Double { Double(multiplier) * Double(sign: .plus, exponent: -21 - Int(shift), significand: 1) }
}

/// What one or two numbers are multiplied by when they are added, or only get another scale.
public struct SumWeights: Sendable, Hashable {
    /// The largest from 8,192 to 16,384.
    public var factors: [Int]
    /// 1 to 30: the sum is divided by two to the power of this.
    public var shift: Int

    /// - Returns: nil where the scales are too far apart.
    public init?(from: [Quantization], to: Quantization) {
        let ratios = from.map { Double($0.scale) / Double(to.scale) }
        guard let largest = ratios.max(), largest.isNormal else { return nil }
        // Times 2^shift the largest is from 2^13 to below 2^14.
        let shift = 13 - Int(largest.exponent)
        guard (1...30).contains(shift) else { return nil }
        self.shift = shift
        factors = ratios.map {
            Int(($0 * Double(sign: .plus, exponent: shift, significand: 1)).rounded(.toNearestOrEven))
        }
    }
}

/// The weights of a layer in eight bits, laid as in ``LayerParameters``.
public struct IntegerWeights: Sendable, Hashable {
    /// −127 to 127.
    public var weight: [Int8]
    /// What a weight of 1 stands for, for each output.
    public var scale: [Float]
    /// For each output, in units of the input's scale times the weight's.
    public var bias: [Int32]

    public init(weight: [Int8], scale: [Float], bias: [Int32]) {
        self.weight = weight
        self.scale = scale
        self.bias = bias
    }
}

/// What a response normalisation multiplies by, for 257 sums of squares at the same distance.
public struct ResponseTable: Sendable, Hashable {
    public static let count = 257
    /// The most channels that are summed over.
    public static let mostChannels = 128

    /// Factors times 2^``shift``.
    public var factors: [Int16]
    /// 1 to 30.
    public var shift: Int

    public init(factors: [Int16], shift: Int) {
        self.factors = factors
        self.shift = shift
    }

    /// The factors of a layer, (k + α / size · Σ x²)^−β in units of the output for numbers of the input.
    ///
    /// - Returns: nil where the first is not between 2^−16 and 2^13.
    public init?(
        size: Int, alpha: Float, beta: Float, k: Float, input: Quantization, output: Quantization
    ) {
        self.init(
            ratio: Double(input.scale) / Double(output.scale),
            square: Double(alpha) / Double(size) * Double(input.scale) * Double(input.scale),
            distance: 1 << Self.segmentShift(size: size, zero: input.zero), beta: beta, k: k)
    }

    /// The factors of a layer in fixed point, where its numbers are real ones divided by scales.
    ///
    /// - Returns: nil where the first is not between 2^−16 and 2^13.
    public init?(size: Int, alpha: Float, beta: Float, k: Float, inputScale: Double, outputScale: Double) {
        let step = inputScale / 8192
        self.init(
            ratio: inputScale / outputScale, square: Double(alpha) / Double(size) * step * step,
            distance: 1 << Self.fixedPointShift(size: size), beta: beta, k: k)
    }

    private init?(ratio: Double, square: Double, distance: Int, beta: Float, k: Float) {
        let factors = (0..<Self.count).map { segment in
            ratio * pow(Double(k) + square * Double(segment * distance), -Double(beta))
        }
        guard let largest = factors.max(), largest >= 0x1p-16, largest < 0x1p13 else { return nil }
        let shift = 14 - Int(largest.exponent)
        self.init(
            factors: factors.map {
                Int16(min(32_767, ($0 * Double(sign: .plus, exponent: shift, significand: 1)).rounded()))
            },
            shift: shift)
    }

    /// By how many bits a sum of squares is shifted to the number of its segment.
    public static func segmentShift(size: Int, zero: Int8) -> Int {
        let farthest = max(127 - Int(zero), Int(zero) + 128)
        var shift = 0
        while (size * farthest * farthest) >> shift > 255 { shift += 1 }
        return shift
    }

    /// The same for numbers of 16 bits in fixed point.
    public static func fixedPointShift(size: Int) -> Int {
        var shift = 0
        while (size << 30) >> shift > 255 { shift += 1 }
        return shift
    }
}

/// A branch in numbers of eight bits.
public struct IntegerBranch: Sendable, Hashable {
    /// An entry for each layer, nil for those without weights.
    public var layers: [IntegerWeights?]
    /// Of the input, and of what each layer makes.
    public var values: [Quantization]
    /// Of the layers that are response normalisations.
    public var tables: [Int: ResponseTable]
    /// Of the layers that are functions of a number: what −128 to 127 become.
    public var lookups: [Int: [Int8]]
    /// The branch's columns of the classification layer, [classes, features], where it applies them; without bias.
    public var head: IntegerWeights?

    public init(
        layers: [IntegerWeights?], values: [Quantization], tables: [Int: ResponseTable] = [:],
        lookups: [Int: [Int8]] = [:], head: IntegerWeights?
    ) {
        self.layers = layers
        self.values = values
        self.tables = tables
        self.lookups = lookups
        self.head = head
    }
}
