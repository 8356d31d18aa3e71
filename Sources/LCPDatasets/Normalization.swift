/// The mean and the standard deviation of each channel, of pixels as numbers from 0 to 1.
public struct Normalization: Sendable, Hashable {
    public var mean: [Float]
    public var standardDeviation: [Float]

    public init(mean: [Float], standardDeviation: [Float]) {
        self.mean = mean
        self.standardDeviation = standardDeviation
    }

    static let mnist = Self(mean: [0.1307], standardDeviation: [0.3081])
    static let fashionMNIST = Self(mean: [0.2860], standardDeviation: [0.3530])
    static let cifar10 = Self(mean: [0.4914, 0.4822, 0.4465], standardDeviation: [0.2470, 0.2435, 0.2616])
    static let cifar100 = Self(mean: [0.5071, 0.4865, 0.4409], standardDeviation: [0.2673, 0.2564, 0.2762])
    /// ImageNet's, which photographs are usually normalised with.
    static let imageNet = Self(mean: [0.485, 0.456, 0.406], standardDeviation: [0.229, 0.224, 0.225])
    /// The means of ImageNet's three channels.
    static let greyImageNet = Self(mean: [0.449], standardDeviation: [0.226])
}

extension LabeledImages {
    /// The mean and the standard deviation of these images' channels.
    public func measuredNormalization() -> Normalization {
        guard signal == nil else { return measuredNumbers() }
        var histograms = [Int](repeating: 0, count: channels * 256)
        pixels.withUnsafeBufferPointer { pixels in
            histograms.withUnsafeMutableBufferPointer { histograms in
                var (index, channel) = (0, 0)
                while index < pixels.count {
                    histograms[channel * 256 + Int(pixels[index])] += 1
                    channel = channel + 1 == channels ? 0 : channel + 1
                    index += 1
                }
            }
        }
        let moments = (0..<channels).map { channel -> (mean: Double, deviation: Double) in
            var (count, sum, squares) = (0.0, 0.0, 0.0)
            for (value, frequency) in histograms[channel * 256..<(channel + 1) * 256].enumerated() {
                let (value, frequency) = (Double(value) / 255, Double(frequency))
                count += frequency
                sum += frequency * value
                squares += frequency * value * value
            }
            let mean = sum / max(count, 1)
            return (mean, max(0, squares / max(count, 1) - mean * mean).squareRoot())
        }
        return Normalization(
            mean: moments.map { Float($0.mean) }, standardDeviation: moments.map { Float($0.deviation) })
    }

    /// The mean and the standard deviation of each channel of a signal; 1 where all of its numbers are the same.
    private func measuredNumbers() -> Normalization {
        var (sums, squares) = ([Double](repeating: 0, count: channels), [Double](repeating: 0, count: channels))
        pixels.withUnsafeBytes { bytes in
            let numbers = bytes.bindMemory(to: Float.self)
            let rows = max(1, numbers.count / channels)
            for (index, number) in numbers.enumerated() { sums[index % channels] += Double(number) }
            sums = sums.map { $0 / Double(rows) }
            for (index, number) in numbers.enumerated() {
                let distance = Double(number) - sums[index % channels]
                squares[index % channels] += distance * distance
            }
            squares = squares.map { ($0 / Double(rows)).squareRoot() }
        }
        return Normalization(
            mean: sums.map(Float.init),
            standardDeviation: zip(squares, sums).map { $0 > 1e-6 * abs($1) && Float($0) > 0 ? Float($0) : 1 })
    }
}
