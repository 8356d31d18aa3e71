/// Goes through the protobuf of a model and copies all of it but the elements of tensors, which stay where they are: a model of
/// half a gigabyte comes to a few kilobytes, which are then parsed.
///
/// In the copy, a tensor's `raw_data` is the index of its payload, eight bytes, little-endian. Fields that the schema does not
/// have, and texts for people, are left out.
struct WireScanner {
    /// The kinds of messages that have tensors somewhere in them.
    private enum Kind {
        case model, graph, node, attribute, tensor

        /// What becomes of a field.
        enum Treatment { case copy, skip, payload, message(Kind) }

        func treatment(of field: UInt64) -> Treatment {
            switch (self, field) {
            case (.model, 7): .message(.graph)
            case (.graph, 1): .message(.node)
            case (.graph, 5), (.attribute, 5): .message(.tensor)
            case (.node, 5): .message(.attribute)
            // raw_data, and float_data, whose packed form is the same.
            case (.tensor, 9), (.tensor, 4): .payload
            case (.model, 1), (.model, 2), (.model, 3), (.model, 8), (.model, 14), (.graph, 2), (.graph, 11),
                (.graph, 12),
                (.node, 1), (.node, 2), (.node, 3), (.node, 4), (.node, 7), (.attribute, 1), (.attribute, 2),
                (.attribute, 3), (.attribute, 4), (.attribute, 7), (.attribute, 8), (.attribute, 9), (.attribute, 20),
                (.tensor, 1), (.tensor, 2), (.tensor, 5), (.tensor, 7), (.tensor, 8), (.tensor, 10), (.tensor, 11),
                (.tensor, 13), (.tensor, 14):
                .copy
            default: .skip
            }
        }
    }

    /// The most bytes of the copy.
    static let maximumCopy = 16 << 20
    /// The most fields that are gone through.
    static let maximumFields = 1 << 20
    private static let windowSize = 1 << 16

    private let source: ByteSource
    private var window: [UInt8] = []
    private var windowStart = 0
    private var fields = 0
    private var copied = 0
    /// Where the elements of tensors lie.
    private(set) var payloads: [Range<Int>] = []

    init(_ source: ByteSource) { self.source = source }

    /// The copy.
    ///
    /// - Throws: ``ONNXError``, as the rest of a sentence that begins with the file's name.
    mutating func scan() throws(ONNXError) -> [UInt8] { try message(.model, in: 0..<source.count) }

    private mutating func message(_ kind: Kind, in range: Range<Int>) throws(ONNXError) -> [UInt8] {
        var result: [UInt8] = []
        var position = range.lowerBound
        while position < range.upperBound {
            let start = position
            fields += 1
            guard fields <= Self.maximumFields else {
                throw ONNXError("has more than \(Self.maximumFields) fields, which no network needs")
            }
            let key = try varint(&position, range.upperBound)
            let content = try self.content(wireType: key & 7, &position, range.upperBound)
            let isDelimited = key & 7 == 2
            switch kind.treatment(of: key >> 3) {
            case .message(let kind) where isDelimited:
                let inner = try message(kind, in: content)
                Self.append(key, to: &result)
                Self.append(UInt64(inner.count), to: &result)
                result += inner
            case .payload where isDelimited:
                // Field 9, eight bytes.
                result += [9 << 3 | 2, 8]
                withUnsafeBytes(of: UInt64(payloads.count).littleEndian) { result += $0 }
                payloads.append(content)
            case .skip: break
            case .copy, .message, .payload: result += try copy(start..<position)
            }
        }
        return result
    }

    /// Where a field's content lies; `position` goes behind it.
    private mutating func content(
        wireType: UInt64, _ position: inout Int, _ end: Int
    ) throws(ONNXError) -> Range<Int> {
        let length: UInt64
        let start: Int
        switch wireType {
        case 0:
            start = position
            _ = try varint(&position, end)
            return start..<position
        case 1: length = 8
        case 2: length = try varint(&position, end)
        case 5: length = 4
        default: throw ONNXError("is no ONNX model, or is damaged at byte \(position): export or copy it again")
        }
        guard length <= UInt64(end - position) else {
            throw ONNXError(
                "is cut short or damaged: at byte \(position) it claims \(length) bytes more, and \(end - position) are there; "
                    + "export or copy it again")
        }
        start = position
        position += Int(length)
        return start..<position
    }

    private mutating func varint(_ position: inout Int, _ end: Int) throws(ONNXError) -> UInt64 {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 70, by: 7) {
            guard position < end else { break }
            let byte = try byte(at: position)
            position += 1
            if shift < 64 { value |= UInt64(byte & 0x7F) << shift }
            if byte & 0x80 == 0 { return value }
        }
        throw ONNXError("is no ONNX model, or is damaged at byte \(position): export or copy it again")
    }

    private mutating func byte(at position: Int) throws(ONNXError) -> UInt8 {
        if position < windowStart || position >= windowStart + window.count {
            window = try source.read(position..<min(source.count, position + Self.windowSize))
            windowStart = position
        }
        return window[position - windowStart]
    }

    private mutating func copy(_ range: Range<Int>) throws(ONNXError) -> [UInt8] {
        copied += range.count
        guard copied <= Self.maximumCopy else {
            throw ONNXError("has more than \(Self.maximumCopy >> 20) MiB beside its weights, which no network needs")
        }
        if range.lowerBound >= windowStart, range.upperBound <= windowStart + window.count {
            return Array(window[range.lowerBound - windowStart..<range.upperBound - windowStart])
        }
        return try source.read(range)
    }

    private static func append(_ value: UInt64, to bytes: inout [UInt8]) {
        var value = value
        while value >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: value) | 0x80)
            value >>= 7
        }
        bytes.append(UInt8(value))
    }
}
