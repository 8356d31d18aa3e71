/// The numbers that a value has had, and the range that stands for them best.
struct ValueRange {
    private static let bins = 2048

    private(set) var low: Float = 0
    private(set) var high: Float = 0
    private var counts: [Int] = []

    /// The first time: how far they reach.
    mutating func reach(_ numbers: UnsafeBufferPointer<Float>) {
        for number in numbers {
            low = min(low, number)
            high = max(high, number)
        }
    }

    /// The second time: how often they are where.
    mutating func count(_ numbers: UnsafeBufferPointer<Float>) {
        guard high > low else { return }
        if counts.isEmpty { counts = Array(repeating: 0, count: Self.bins) }
        let factor = Float(Self.bins) / (high - low)
        counts.withUnsafeMutableBufferPointer { counts in
            for number in numbers { counts[min(Self.bins - 1, Int((number - low) * factor))] += 1 }
        }
    }

    /// The range whose 256 numbers are nearest to all that was counted, by their mean squared distance: what is rarely reached is
    /// clamped where the rest gets finer for it.
    var best: ClosedRange<Float> {
        guard high > low, !counts.isEmpty else { return low...high }
        // First the upper end comes nearer, and then the lower.
        var best = low...high
        let shares = (0...70).map { Float(1 - 0.01 * Double($0)) }
        func choose(_ candidates: [ClosedRange<Float>]) {
            let distances = candidates.map { distance($0) }
            best = zip(candidates, distances).min { $0.1 < $1.1 }?.0 ?? best
        }
        choose(shares.map { low...high * $0 })
        choose(shares.map { low * $0...best.upperBound })
        return best
    }

    /// The sum of squared distances between what was counted and the nearest of 256 numbers of a range.
    private func distance(_ range: ClosedRange<Float>) -> Double {
        let width = Double(high - low) / Double(Self.bins)
        let step = Double(range.upperBound - range.lowerBound) / 255
        var sum = 0.0
        for (bin, count) in counts.enumerated() where count > 0 {
            let number = Double(low) + (Double(bin) + 0.5) * width
            let outside = max(0, Double(range.lowerBound) - number, number - Double(range.upperBound))
            // Zero itself is always one of the numbers.
            let isZero = number - width / 2 <= 0 && number + width / 2 >= 0
            sum += Double(count) * (outside > 0 ? outside * outside : isZero ? 0 : step * step / 12)
        }
        return sum
    }
}
