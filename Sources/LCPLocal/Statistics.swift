import Glibc

extension [Double] {
    /// 0 for none.
    package var mean: Double { isEmpty ? 0 : reduce(0, +) / Double(count) }

    /// Of numbers above 0; 1 for none.
    package var geometricMean: Double { isEmpty ? 1 : exp(map(log).mean) }

    /// Of sorted numbers: what a part of them is below, between neighbours in proportion; 0 for none.
    package func quantile(_ part: Double) -> Double {
        guard count > 1 else { return first ?? 0 }
        let position = part * Double(count - 1)
        let below = Swift.min(Int(position), count - 2)
        return self[below] + (position - Double(below)) * (self[below + 1] - self[below])
    }
}
