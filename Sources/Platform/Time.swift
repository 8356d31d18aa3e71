import Glibc

/// Nanoseconds since 1970 UTC.
package func wallClockNanoseconds() -> Int64 {
    var now = timespec()
    clock_gettime(CLOCK_REALTIME, &now)
    return Int64(now.tv_sec) * 1_000_000_000 + Int64(now.tv_nsec)
}

extension Duration {
    /// Milliseconds, with fractions.
    package var milliseconds: Double {
        // Whole words: seconds and attoseconds take a division of 128 bits, and a conversion of those takes longer still.
        let (low, high) = unsafeBitCast(attoseconds.littleEndian, to: (UInt64, Int64).self)
        return (Double(high) * 0x1p64 + Double(low)) / 1e15
    }
}
