import FoundationEssentials

/// A prediction as a subscriber reads it: the JSON on `…/prediction/SENSOR`.
public struct Prediction: Sendable, Hashable, Codable {
    /// One class of many.
    public struct Candidate: Sendable, Hashable, Codable {
        public var `class`: Int
        public var label: String
        public var probability: Double
    }

    public var sensor: String
    /// The frame's number as a decimal string, because it may exceed JavaScript's integers.
    public var frame: String
    /// The most probable class.
    public var `class`: Int
    public var label: String
    /// In the order of the classes, where there are at most 100.
    public var probabilities: [Double]?
    /// The ten most probable, where there are more than 100 classes.
    public var top: [Candidate]?
    /// The branches that answered in time.
    public var branches: [Int]
    public var missing: [Int]
    /// Of the slowest branch.
    public var computeMilliseconds: Double
    /// From the first branch's features to the prediction, on the aggregator's clock; nil from aggregators that do not tell.
    public var joinMilliseconds: Double?
    /// From capture to prediction; nil where the capture time is unknown or implausible.
    public var latencyMilliseconds: Double?
    /// The true class, where it is known.
    public var truth: Int?

    enum CodingKeys: String, CodingKey {
        case sensor, frame, label, probabilities, top, branches, missing, truth
        case `class` = "class"
        case computeMilliseconds = "compute_ms"
        case joinMilliseconds = "join_ms"
        case latencyMilliseconds = "latency_ms"
    }

    /// Reads a prediction; nil for anything else.
    public init?(_ json: [UInt8]) {
        guard json.count <= 1 << 20, let value = try? JSONDecoder().decode(Prediction.self, from: Data(json)) else {
            return nil
        }
        self = value
    }

    /// The probability of the predicted class, where it is given.
    public var confidence: Double? {
        if let probabilities, probabilities.indices.contains(`class`) { return probabilities[`class`] }
        return top?.first?.probability
    }
}

/// Writes predictions into one buffer that is kept: JSON without an allocation per frame.
struct PredictionWriter {
    private(set) var bytes: [UInt8] = []
    private let labels: [[UInt8]]
    /// The most classes whose probabilities are all listed.
    static let maximumListed = 100

    init(labels: [String]) {
        self.labels = labels.map { label in
            var writer = PredictionWriter()
            writer.string(label)
            return writer.bytes
        }
        bytes.reserveCapacity(1024)
    }

    private init() { labels = [] }

    /// Writes a prediction.
    ///
    /// - Parameters:
    ///   - probabilities: one for each class.
    ///   - joinTime: from the first branch's features until now.
    ///   - latency: nanoseconds, or nil where it is left out.
    mutating func write(
        _ frame: JoinTable.Frame, probabilities: UnsafeBufferPointer<Float>, branchCount: Int, joinTime: Duration,
        latency: Int64?
    ) {
        bytes.removeAll(keepingCapacity: true)
        var best = 0
        for index in 1..<max(1, probabilities.count) where probabilities[index] > probabilities[best] { best = index }
        literal("{\"sensor\":")
        string(frame.key.sensor)
        literal(",\"frame\":\"")
        number(frame.key.frame)
        literal("\",\"class\":")
        number(UInt64(best))
        literal(",\"label\":")
        bytes += labels[best]
        if probabilities.count <= Self.maximumListed {
            literal(",\"probabilities\":[")
            for index in probabilities.indices {
                if index > 0 { byte(",") }
                fixed(Double(probabilities[index]), digits: 6)
            }
        } else {
            literal(",\"top\":[")
            let order = probabilities.indices.sorted { probabilities[$0] > probabilities[$1] }.prefix(10)
            for (position, index) in order.enumerated() {
                literal(position > 0 ? ",{\"class\":" : "{\"class\":")
                number(UInt64(index))
                literal(",\"label\":")
                bytes += labels[index]
                literal(",\"probability\":")
                fixed(Double(probabilities[index]), digits: 6)
                byte("}")
            }
        }
        literal("],\"branches\":[")
        list(frame.branches, branchCount)
        literal("],\"missing\":[")
        list(~frame.branches, branchCount)
        literal("],\"compute_ms\":")
        fixed(Double(frame.computeTime) / 1000, digits: 3)
        literal(",\"join_ms\":")
        fixed(joinTime.milliseconds, digits: 3)
        if let latency {
            literal(",\"latency_ms\":")
            fixed(Double(latency) / 1e6, digits: 3)
        }
        if frame.label >= 0 {
            literal(",\"truth\":")
            number(UInt64(frame.label))
        }
        byte("}")
    }

    private mutating func list(_ mask: UInt64, _ count: Int) {
        var isFirst = true
        for index in 0..<count where mask & UInt64(1) << UInt64(index) != 0 {
            if !isFirst { byte(",") }
            isFirst = false
            number(UInt64(index))
        }
    }

    private mutating func literal(_ text: StaticString) {
        text.withUTF8Buffer { bytes.append(contentsOf: $0) }
    }

    private mutating func byte(_ character: Unicode.Scalar) { bytes.append(UInt8(ascii: character)) }

    /// A number in decimal.
    private mutating func number(_ value: UInt64) {
        guard value >= 10 else { return bytes.append(48 + UInt8(value)) }
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 20) { digits in
            var (rest, position) = (value, 20)
            while rest > 0 {
                position -= 1
                digits[position] = 48 + UInt8(rest % 10)
                rest /= 10
            }
            bytes.append(contentsOf: digits[position...])
        }
    }

    /// A number that is not negative, with a fixed number of digits behind the point and no needless zeros.
    private mutating func fixed(_ value: Double, digits: Int) {
        var scale: UInt64 = 1
        for _ in 0..<digits { scale *= 10 }
        let scaled = UInt64(max(0, min(1e15, value * Double(scale))).rounded())
        number(scaled / scale)
        var fraction = scaled % scale
        guard fraction > 0 else { return }
        byte(".")
        var divisor = scale / 10
        while fraction > 0 {
            bytes.append(48 + UInt8(fraction / divisor))
            fraction %= divisor
            divisor /= 10
        }
    }

    /// A JSON string (RFC 8259, section 7).
    private mutating func string(_ text: String) {
        byte("\"")
        for unit in text.utf8 {
            switch unit {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"):
                byte("\\")
                bytes.append(unit)
            case 0..<0x20:
                literal("\\u00")
                let digits = Array("0123456789abcdef".utf8)
                bytes.append(digits[Int(unit >> 4)])
                bytes.append(digits[Int(unit & 15)])
            default: bytes.append(unit)
            }
        }
        byte("\"")
    }
}
