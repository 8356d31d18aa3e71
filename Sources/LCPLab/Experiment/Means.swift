import Glibc

extension [Double] {
    /// 0 for none.
    package var mean: Double { isEmpty ? 0 : reduce(0, +) / Double(count) }

    /// Of numbers above 0; 1 for none.
    package var geometricMean: Double { isEmpty ? 1 : exp(map(log).mean) }
}
