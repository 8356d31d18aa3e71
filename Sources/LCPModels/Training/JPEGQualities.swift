/// The qualities of JPEG that training images go through, each drawn between two: `60-95` on a command line, `none` for images as
/// they are.
public struct JPEGQualities: Sendable, Hashable, Codable, CustomStringConvertible {
    /// 1 to 100; nil for none.
    public var range: ClosedRange<Int>?

    public static let none = JPEGQualities(range: nil)

    public init(range: ClosedRange<Int>?) { self.range = range }

    /// Reads `none`, one quality or two; nil for anything else.
    public init?(_ text: String) {
        guard text != "none" else {
            self = .none
            return
        }
        let numbers = text.split(separator: "-", omittingEmptySubsequences: false).map { Int($0) }
        guard (1...2).contains(numbers.count), let low = numbers[0], let high = numbers[numbers.count - 1],
            low >= 1, low <= high, high <= 100
        else { return nil }
        self.init(range: low...high)
    }

    public var description: String {
        guard let range else { return "none" }
        return range.count == 1 ? "\(range.lowerBound)" : "\(range.lowerBound)-\(range.upperBound)"
    }

    /// A single quality may also be a number.
    public init(from decoder: any Decoder) throws {
        let value = try decoder.singleValueContainer()
        let text = try (try? value.decode(Int.self)).map { "\($0)" } ?? value.decode(String.self)
        guard let qualities = Self(text) else {
            throw DecodingError.dataCorruptedError(in: value, debugDescription: "no qualities of JPEG")
        }
        self = qualities
    }

    public func encode(to encoder: any Encoder) throws {
        var value = encoder.singleValueContainer()
        try value.encode(description)
    }
}
