import Glibc

/// From values to pixels, with the ticks of the axis.
struct Scale {
    let ticks: [Double]
    let labels: [String]
    private let isLogarithmic: Bool
    private let low: Double
    private let high: Double
    private var start = 0.0
    private var end = 1.0

    /// The largest value that a chart shows; beyond it differences would overflow.
    private static let limit = 1e300

    /// - Parameters:
    ///   - values: what is to be shown; numbers that are not finite do not count.
    ///   - includesZero: whether 0 is part of a linear scale.
    ///   - isTight: whether the scale ends with the data and not with a tick.
    ///   - target: about how many ticks there should be.
    init(_ axis: Axis, values: [Double], includesZero: Bool = false, isTight: Bool = false, target: Int) {
        isLogarithmic = axis.isLogarithmic
        var finite = values.filter { $0.isFinite && (!axis.isLogarithmic || $0 > 0) }
        if let range = axis.range {
            finite += [range.lowerBound, range.upperBound].filter { $0.isFinite && (!axis.isLogarithmic || $0 > 0) }
        }
        if includesZero, !axis.isLogarithmic { finite.append(0) }
        var low = max(-Self.limit, min(Self.limit, finite.min() ?? (axis.isLogarithmic ? 1 : 0)))
        var high = max(-Self.limit, min(Self.limit, finite.max() ?? (axis.isLogarithmic ? 10 : 1)))
        if axis.isLogarithmic {
            low = max(low, 1e-300)
            high = max(high, low)
            (low, high, ticks) = Self.logarithmic(low, high, target: target)
            labels = ticks.map { axis.format.logarithmicTickText($0) }
        } else {
            if low == high {
                // One value only: room on both sides, or above 0.
                let room = low == 0 ? 1 : abs(low) * 0.1
                if axis.isWhole { (low, high) = (low - 1, high + 1) } else { high += room }
                if !includesZero, !axis.isWhole { low -= room }
            }
            let step = Self.step(low, high, target: target, isWhole: axis.isWhole)
            if !isTight { (low, high) = (floor(low / step + 1e-9) * step, ceil(high / step - 1e-9) * step) }
            ticks = Self.multiples(of: step, from: low, to: high)
            labels = axis.format.tickTexts(ticks, step: step)
        }
        (self.low, self.high) = (low, high)
    }

    /// The same scale between two pixels.
    func placed(from start: Double, to end: Double) -> Scale {
        var copy = self
        (copy.start, copy.end) = (start, end)
        return copy
    }

    /// Where a value lies; nil for what has no place. Values outside lie on the edge.
    func position(_ value: Double) -> Double? {
        guard value.isFinite, !isLogarithmic || value > 0 else { return nil }
        let inside = max(low, min(high, value))
        let fraction =
            isLogarithmic ? (log10(inside) - log10(low)) / (log10(high) - log10(low)) : (inside - low) / (high - low)
        return start + (fraction.isFinite ? fraction : 0) * (end - start)
    }

    /// Where bars begin.
    var baseline: Double { isLogarithmic ? start : position(0) ?? start }

    /// The nicest step, 1, 2 or 5 times a power of ten, for about `target` ticks.
    static func step(_ low: Double, _ high: Double, target: Int, isWhole: Bool = false) -> Double {
        let rough = (high - low) / Double(max(1, target))
        guard rough.isFinite, rough > 0 else { return 1 }
        let power = pow(10, floor(log10(rough)))
        let factor = rough / power
        let step = power * (factor <= 1.0001 ? 1 : factor <= 2.0001 ? 2 : factor <= 5.0001 ? 5 : 10)
        return isWhole ? max(1, step.rounded()) : step
    }

    private static func multiples(of step: Double, from low: Double, to high: Double) -> [Double] {
        let first = ceil(low / step - 1e-9)
        let count = min(100, max(0, floor(high / step + 1e-9) - first) + 1)
        // Where the step is lost in the size of the numbers, there is nothing to count.
        guard first.isFinite, first + 1 != first, count >= 1 else { return low == high ? [low] : [low, high] }
        return (0..<Int(count)).map { (first + Double($0)) * step }
    }

    private static func logarithmic(_ low: Double, _ high: Double, target: Int) -> (Double, Double, [Double]) {
        let first = Int(floor(log10(low) + 1e-9))
        var last = Int(ceil(log10(high) - 1e-9))
        if last <= first { last = first + 1 }
        let stride = max(1, (last - first + target) / (target + 1))
        var ticks: [Double] = []
        for exponent in Swift.stride(from: first, through: last, by: stride) {
            ticks.append(power(exponent))
            if last - first <= 2, exponent < last { ticks += [2, 5].map { $0 * power(exponent) } }
        }
        return (power(first), power(last), ticks)
    }

    private static func power(_ exponent: Int) -> Double {
        exponent < 0 ? 1 / pow(10, Double(-exponent)) : pow(10, Double(exponent))
    }
}
