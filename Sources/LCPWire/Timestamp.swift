/// A time of day with its date, as machines read it.
public enum Timestamp {
    /// The time as RFC 3339 writes it, in UTC, with milliseconds: `2026-02-03T04:05:06.789Z`.
    ///
    /// - Parameter nanoseconds: since 1970 UTC.
    public static func text(_ nanoseconds: Int64) -> String {
        var bytes: [UInt8] = []
        append(nanoseconds, to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Appends the same in ASCII.
    static func append(_ nanoseconds: Int64, to bytes: inout [UInt8]) {
        func padded(_ value: Int64, _ digits: Int) {
            var divisor: Int64 = 1
            for _ in 1..<digits { divisor *= 10 }
            while divisor > 0 {
                bytes.append(48 + UInt8(value / divisor % 10))
                divisor /= 10
            }
        }
        func mark(_ character: Unicode.Scalar) { bytes.append(UInt8(ascii: character)) }

        let milliseconds = max(0, nanoseconds) / 1_000_000
        let (days, rest) = (milliseconds / 86_400_000, milliseconds % 86_400_000)
        // The calendar repeats every 400 years, which are 146,097 days; years begin in March, behind the leap day.
        let shifted = days + 719_468
        let (era, day) = (shifted / 146_097, shifted % 146_097)
        let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365
        let dayOfYear = day - (365 * year + year / 4 - year / 100)
        let month = (5 * dayOfYear + 2) / 153
        padded(year + era * 400 + (month >= 10 ? 1 : 0), 4)
        mark("-")
        padded(month < 10 ? month + 3 : month - 9, 2)
        mark("-")
        padded(dayOfYear - (153 * month + 2) / 5 + 1, 2)
        mark("T")
        padded(rest / 3_600_000, 2)
        mark(":")
        padded(rest / 60_000 % 60, 2)
        mark(":")
        padded(rest / 1000 % 60, 2)
        mark(".")
        padded(rest % 1000, 3)
        mark("Z")
    }
}
