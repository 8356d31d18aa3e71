import CHalfPrecision
public import Tensors

/// How a branch's numbers are written: fewer bytes for a little accuracy.
public enum FeatureEncoding: String, Sendable, Hashable, CaseIterable {
    /// As they were computed.
    case fp32
    /// IEEE 754 binary16: half the bytes, three decimal digits.
    case fp16
    /// Integers from −127 to 127 and a scale: a quarter of the bytes.
    case int8

    public var dtype: DType {
        switch self {
        case .fp32: .fp32
        case .fp16: .fp16
        case .int8: .int8
        }
    }

    /// The encoding of an element type; nil where numbers of branches do not come in it.
    public init?(_ dtype: DType) {
        guard let encoding = Self.allCases.first(where: { $0.dtype == dtype }) else { return nil }
        self = encoding
    }

    /// Writes numbers as the data of a message.
    ///
    /// - Parameters:
    ///   - values: finite; what FP16 has no number for becomes its largest one.
    ///   - data: room for exactly these numbers.
    /// - Returns: the scale for the header, 0 where there is none; nil where a number is infinite or none.
    public func encode(_ values: UnsafeBufferPointer<Float>, into data: UnsafeMutableRawBufferPointer) -> Float? {
        precondition(data.count == values.count * dtype.size, "the buffer must hold exactly the numbers")
        // Where one is not finite, neither is the sum of the magnitudes; a sum that overflows is looked at again.
        guard lcp_sum_of_magnitudes(values.baseAddress, values.count).isFinite || values.allSatisfy(\.isFinite) else {
            return nil
        }
        switch self {
        case .fp32:
            data.copyMemory(from: UnsafeRawBufferPointer(values))
            return 0
        case .fp16:
            lcp_to_half(values.baseAddress, values.count, data.baseAddress)
            return 0
        case .int8:
            var largest: Float = 0
            for value in values { largest = max(largest, value.magnitude) }
            // So that 127 times the scale is a number, too.
            let scale = min(max(largest / 127, .leastNormalMagnitude), .greatestFiniteMagnitude / 128)
            for index in values.indices {
                let integer = Int8(max(-127, min(127, (values[index] / scale).rounded(.toNearestOrEven))))
                data.storeBytes(of: integer, toByteOffset: index, as: Int8.self)
            }
            return scale
        }
    }

    /// Reads numbers that ``encode(_:into:)`` wrote; they may be infinite or none.
    ///
    /// - Parameters:
    ///   - data: exactly the bytes of `values`, at any address.
    ///   - scale: of the header.
    public func decode(
        _ data: UnsafeRawBufferPointer, scale: Float, into values: UnsafeMutableBufferPointer<Float>
    ) {
        precondition(data.count == values.count * dtype.size, "the buffer must hold exactly the numbers")
        switch self {
        case .fp32: UnsafeMutableRawBufferPointer(values).copyMemory(from: data)
        case .fp16: lcp_from_half(data.baseAddress, values.count, values.baseAddress)
        case .int8:
            for index in values.indices {
                values[index] = scale * Float(data.loadUnaligned(fromByteOffset: index, as: Int8.self))
            }
        }
    }
}
