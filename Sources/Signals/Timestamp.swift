/// Times as they stand in records.
enum Timestamp {
    /// Seconds since 1970 of a number, or of `2026-01-31T12:00:00.5Z` (ISO 8601, also with a space or without seconds, and an
    /// offset; UTC where none is told); nil for anything else.
    static func seconds(_ text: String) -> Double? {
        if let number = Double(text) { return number.isFinite ? number : nil }
        let bytes = Array(text.utf8)
        func digits(_ range: Range<Int>) -> Int? {
            guard range.upperBound <= bytes.count, bytes[range].allSatisfy({ (0x30...0x39).contains($0) }) else {
                return nil
            }
            return bytes[range].reduce(0) { $0 * 10 + Int($1) - 0x30 }
        }
        guard bytes.count >= 16, bytes[4] == UInt8(ascii: "-"), bytes[7] == UInt8(ascii: "-"),
            [UInt8(ascii: "T"), UInt8(ascii: " ")].contains(bytes[10]), bytes[13] == UInt8(ascii: ":"),
            let year = digits(0..<4), let month = digits(5..<7), let day = digits(8..<10), let hour = digits(11..<13),
            let minute = digits(14..<16), (1...12).contains(month), (1...31).contains(day), hour < 24, minute < 60
        else { return nil }
        var seconds = 0.0
        var rest = bytes[16...]
        if rest.first == UInt8(ascii: ":") {
            let number = rest.dropFirst().prefix { (0x30...0x39).contains($0) || $0 == UInt8(ascii: ".") }
            guard let value = Double(String(decoding: number, as: UTF8.self)), value < 61 else { return nil }
            seconds = value
            rest = rest[number.endIndex...]
        }
        let zone = Array(rest)
        if let sign = zone.first, sign != UInt8(ascii: "Z") {
            let numbers = zone.dropFirst().filter { $0 != UInt8(ascii: ":") }
            guard sign == UInt8(ascii: "+") || sign == UInt8(ascii: "-"), numbers.count == 4,
                let offset = Int(String(decoding: numbers, as: UTF8.self)), offset >= 0
            else { return nil }
            seconds -= Double((offset / 100 * 60 + offset % 100) * 60) * (sign == UInt8(ascii: "-") ? -1 : 1)
        } else if zone.count > 1 {
            return nil
        }
        // Days of the civil calendar (Hinnant, chrono-compatible low-level date algorithms).
        let shifted = month > 2 ? year : year - 1
        let era = (shifted >= 0 ? shifted : shifted - 399) / 400
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * ((month + 9) % 12) + 2) / 5 + day - 1
        let days = era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
        return Double(days) * 86_400 + Double(hour * 3600 + minute * 60) + seconds
    }
}

/// Tells where time was lost between two samples.
struct GapDetector {
    /// The longest step; nil for three times the median of the first steps.
    private let longest: Double?
    private var steps: [Double] = []
    private var last: Double?
    /// So many tell, and so many are kept.
    private static let (few, learned) = (4, 15)

    init(longest: Double?) { self.longest = longest }

    /// Whether the sample of a time does not follow the one before: it is too late, or before it.
    mutating func isGap(_ time: Double) -> Bool {
        defer { last = time }
        guard let last else { return false }
        let step = time - last
        guard step >= 0 else { return true }
        if let longest { return step > longest }
        if steps.count >= Self.few, step > 3 * steps.sorted()[steps.count / 2] { return true }
        if steps.count < Self.learned { steps.append(step) }
        return false
    }
}

/// Collects samples until there are as many as a window has.
struct WindowMaker {
    let width: Int
    let hop: Int
    private var samples: [[Float]] = []
    /// Samples to pass over where windows do not touch.
    private var skipped = 0

    init(width: Int, hop: Int) { (self.width, self.hop) = (width, hop) }

    /// Whether nothing is waiting.
    var isEmpty: Bool { samples.isEmpty && skipped == 0 }

    /// - Returns: the window that ends with the sample, where one does.
    mutating func add(_ sample: [Float]) -> [[Float]]? {
        guard skipped == 0 else {
            skipped -= 1
            return nil
        }
        samples.append(sample)
        guard samples.count == width else { return nil }
        defer {
            samples.removeFirst(min(hop, width))
            skipped = max(0, hop - width)
        }
        return samples
    }

    /// Whether the next sample is passed over.
    var isPassingOver: Bool { skipped > 0 }

    /// Begins anew.
    mutating func reset() { (samples, skipped) = ([], 0) }
}
