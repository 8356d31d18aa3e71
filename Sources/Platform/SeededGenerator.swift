import Glibc

/// A random number generator whose numbers depend on nothing but its seed: SplitMix64 (Steele, Lea and Flood, 2014).
///
/// Training, data and tests that name a seed give the same result everywhere.
public struct SeededGenerator: RandomNumberGenerator, Sendable {
    private var state: UInt64

    public init(seed: UInt64) { state = seed }

    /// A generator for one of many things that share a seed, independent of the others and of their order.
    public init(seed: UInt64, stream: UInt64) {
        var mixer = SeededGenerator(seed: seed)
        state = mixer.next() ^ (stream &* 0xD1B5_4A32_D192_ED03)
        state = next()
    }

    public mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }

    /// Uniform in [0, 1), with 24 bits.
    public mutating func unit() -> Float { Float(next() >> 40) * 0x1p-24 }

    /// Uniform between two numbers.
    public mutating func uniform(_ low: Float, _ high: Float) -> Float { low + (high - low) * unit() }

    /// Normal with mean 0 and standard deviation 1 (Box and Muller, 1958).
    public mutating func normal() -> Float {
        let radius = (-2 * logf(1 - unit())).squareRoot()
        return radius * cosf(2 * .pi * unit())
    }

    /// Uniform in 0..<count.
    public mutating func index(_ count: Int) -> Int { Int(((next() >> 32) &* UInt64(count)) >> 32) }
}
