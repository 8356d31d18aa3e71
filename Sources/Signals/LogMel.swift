import Glibc

/// How sound becomes numbers: the logarithm of its energy in bands of pitch, frame after frame.
///
/// As torchaudio's `MelSpectrogram(center=False, power=2, norm=None, mel_scale="htk")` computes it, with samples from −1 to 1: a
/// periodic Hann window of `window` samples in the middle of `fft` of them, the squared magnitude of their Fourier transform,
/// triangles that are evenly spaced on the scale 2595 log₁₀(1 + f / 700), and `ln(energy + 1e-6)` of each.
public struct LogMel: Sendable, Hashable, Codable {
    /// Samples per second.
    public var sampleRate = 16_000
    /// Samples under the window.
    public var window = 480
    /// Samples from one frame to the next.
    public var hop = 320
    /// Samples that are transformed, a power of two.
    public var fft = 512
    public var bands = 40
    /// The lowest and the highest frequency, Hz.
    public var lowest = 20.0
    public var highest = 8000.0

    public static let floor = 1e-6

    public init() {}

    enum CodingKeys: String, CodingKey {
        case window, hop, fft, bands
        case sampleRate = "sample_rate_hz"
        case lowest = "lowest_hz"
        case highest = "highest_hz"
    }

    /// Why it cannot be computed; nil where it can.
    public var fault: String? {
        let isPossible =
            (1000...384_000).contains(sampleRate) && (16...65_536).contains(fft) && fft & (fft - 1) == 0
            && (1...fft).contains(window) && (1...sampleRate).contains(hop) && (1...1024).contains(bands)
            && lowest >= 0 && lowest < highest && highest <= Double(sampleRate) / 2
        return isPossible ? nil : "its sound has a rate, a window or bands that cannot be"
    }
}

/// Computes frames of a sound as its samples come.
public struct LogMelStream: Sendable {
    private let settings: LogMel
    private let window: [Double]
    /// For each band the first frequency that it has a part of, and its parts.
    private let triangles: [(first: Int, weights: [Double])]
    private let transform: FourierTransform
    private var samples: [Float] = []
    private var start = 0

    /// - Parameter settings: without a ``LogMel/fault``.
    public init(_ settings: LogMel) {
        self.settings = settings
        let (size, width) = (settings.fft, settings.window)
        let before = (size - width) / 2
        window = (0..<size).map { index in
            let place = index - before
            return (0..<width).contains(place) ? 0.5 - 0.5 * cos(2 * .pi * Double(place) / Double(width)) : 0
        }
        transform = FourierTransform(size: size)
        func mel(_ frequency: Double) -> Double { 2595 * log10(1 + frequency / 700) }
        let (low, high) = (mel(settings.lowest), mel(settings.highest))
        let corners = (0..<settings.bands + 2).map { index in
            700 * (pow(10, (low + (high - low) * Double(index) / Double(settings.bands + 1)) / 2595) - 1)
        }
        triangles = (0..<settings.bands).map { band in
            let weights = (0...size / 2).map { bin in
                let frequency = Double(bin) * Double(settings.sampleRate) / Double(size)
                let up = (frequency - corners[band]) / (corners[band + 1] - corners[band])
                let down = (corners[band + 2] - frequency) / (corners[band + 2] - corners[band + 1])
                return max(0, min(up, down))
            }
            let first = weights.firstIndex { $0 > 0 } ?? 0
            let last = weights.lastIndex { $0 > 0 } ?? 0
            return (first, Array(weights[first...last]))
        }
    }

    /// Takes samples, −1 to 1.
    public mutating func add(_ more: some Sequence<Float>) {
        if start > 1 << 16 {
            samples.removeFirst(start)
            start = 0
        }
        samples += more
    }

    /// The next frame, a number for each band; nil where samples are missing.
    public mutating func next() -> [Float]? {
        guard samples.count - start >= settings.fft else { return nil }
        defer { start = min(start + settings.hop, samples.count) }
        let real = (0..<settings.fft).map { Double(samples[start + $0]) * window[$0] }
        let power = transform.power(real)
        return triangles.map { triangle in
            var energy = 0.0
            for (index, weight) in triangle.weights.enumerated() { energy += weight * power[triangle.first + index] }
            return Float(log(energy + LogMel.floor))
        }
    }
}

/// The discrete Fourier transform of a power of two of numbers (Cooley and Tukey, 1965).
struct FourierTransform: Sendable {
    private let size: Int
    private let cosines: [Double]
    private let sines: [Double]
    private let order: [Int]

    init(size: Int) {
        self.size = size
        let bits = size.trailingZeroBitCount
        cosines = (0..<size / 2).map { cos(2 * .pi * Double($0) / Double(size)) }
        sines = (0..<size / 2).map { -sin(2 * .pi * Double($0) / Double(size)) }
        order = (0..<size).map { index in
            (0..<bits).reduce(0) { $0 | (index >> $1 & 1) << (bits - 1 - $1) }
        }
    }

    /// The squared magnitudes of the frequencies from 0 to half of the size.
    func power(_ values: [Double]) -> [Double] {
        var real = order.map { values[$0] }
        var imaginary = [Double](repeating: 0, count: size)
        var half = 1
        while half < size {
            let stride = size / (2 * half)
            for block in Swift.stride(from: 0, to: size, by: 2 * half) {
                for index in 0..<half {
                    let (upper, lower) = (block + index, block + index + half)
                    let (c, s) = (cosines[index * stride], sines[index * stride])
                    let r = real[lower] * c - imaginary[lower] * s
                    let i = real[lower] * s + imaginary[lower] * c
                    (real[lower], imaginary[lower]) = (real[upper] - r, imaginary[upper] - i)
                    (real[upper], imaginary[upper]) = (real[upper] + r, imaginary[upper] + i)
                }
            }
            half *= 2
        }
        return (0...size / 2).map { real[$0] * real[$0] + imaginary[$0] * imaginary[$0] }
    }
}
