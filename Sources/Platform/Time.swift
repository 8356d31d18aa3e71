import CLinux
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

/// Holds this thread until a time, without the 50 µs by which Linux wakes threads late so that others wake with them.
package func sleepThread(until due: ContinuousClock.Instant) {
    linux_set_timer_slack(1)
    while true {
        let left = (due - .now).milliseconds
        guard left > 0 else { return }
        let nanoseconds = Int(left * 1e6)
        var time = timespec(tv_sec: nanoseconds / 1_000_000_000, tv_nsec: nanoseconds % 1_000_000_000)
        nanosleep(&time, nil)
    }
}
