import Platform

/// What a prediction says of its frame, besides the probabilities.
package struct AnsweredFrame: Sendable, Hashable {
    package var sensor: String
    package var number: UInt64
    /// The true class, −1 where unknown.
    package var label: Int32
    /// The branches whose features were received, bit by bit.
    package var branches: UInt64
    /// The branches that were needed and are not there, bit by bit.
    package var missing: UInt64
    /// Whether the parity branch stands in for one of them.
    package var hasStandIn: Bool
    /// The slowest branch's, microseconds.
    package var computeTime: UInt32

    package init(
        sensor: String, number: UInt64, label: Int32, branches: UInt64, missing: UInt64, hasStandIn: Bool = false,
        computeTime: UInt32
    ) {
        self.sensor = sensor
        self.number = number
        self.label = label
        self.branches = branches
        self.missing = missing
        self.hasStandIn = hasStandIn
        self.computeTime = computeTime
    }
}

/// Writes predictions into one buffer that is kept: JSON without an allocation per frame.
package struct PredictionWriter {
    package private(set) var bytes: [UInt8] = []
    private let labels: [[UInt8]]
    private let model: [UInt8]
    /// Whether every prediction says that its model came with lcp.
    package var isFallback = false
    /// The most probable class of the last prediction, and its probability.
    package private(set) var best: (class: Int, confidence: Float) = (0, 0)
    /// The most classes whose probabilities are all listed.
    package static let maximumListed = 100

    /// - Parameter model: its name.
    package init(labels: [String], model: String) {
        func quoted(_ text: String) -> [UInt8] {
            var writer = PredictionWriter()
            writer.string(text)
            return writer.bytes
        }
        self.labels = labels.map(quoted)
        self.model = quoted(model)
        bytes.reserveCapacity(1024)
    }

    private init() { (labels, model) = ([], []) }

    /// Writes a prediction.
    ///
    /// - Parameters:
    ///   - probabilities: one for each class.
    ///   - joinTime: from the first branch's features until now.
    ///   - latency: nanoseconds, or nil where it is left out.
    ///   - time: nanoseconds since 1970 UTC.
    package mutating func write(
        _ frame: AnsweredFrame, probabilities: UnsafeBufferPointer<Float>, joinTime: Duration,
        latency: Int64?, time: Int64
    ) {
        bytes.removeAll(keepingCapacity: true)
        var best = 0
        for index in 1..<max(1, probabilities.count) where probabilities[index] > probabilities[best] { best = index }
        self.best = (best, probabilities[best])
        literal("{\"sensor\":")
        string(frame.sensor)
        literal(",\"frame\":\"")
        number(frame.number)
        literal("\",\"class\":")
        number(UInt64(best))
        literal(",\"label\":")
        bytes += labels[best]
        literal(",\"confidence\":")
        fixed(Double(probabilities[best]), digits: 6)
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
        list(frame.branches)
        literal("],\"missing\":[")
        list(frame.missing)
        literal(frame.hasStandIn ? "],\"parity\":true,\"compute_ms\":" : "],\"compute_ms\":")
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
        literal(",\"model\":")
        bytes += model
        literal(",\"time\":\"")
        Timestamp.append(time, to: &bytes)
        literal(isFallback ? "\",\"fallback\":true}" : "\"}")
    }

    private mutating func list(_ mask: UInt64) {
        var isFirst = true
        for index in 0..<64 where mask & UInt64(1) << UInt64(index) != 0 {
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
