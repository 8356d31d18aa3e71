import CHalfPrecision

extension Tensor {
    /// The elements of a tensor in single or half precision (IEEE 754 binary16).
    ///
    /// - Throws: ``TensorError/wrongType(expected:found:)`` for any other element type.
    public func singles() throws(TensorError) -> [Float] {
        guard dtype == .fp16 else { return try floats() }
        let count = bytes.count / 2
        return [Float](unsafeUninitializedCapacity: count) { values, filled in
            bytes.withUnsafeBytes { lcp_from_half($0.baseAddress, count, values.baseAddress) }
            filled = count
        }
    }
}

extension SafetensorsFile.Entry {
    /// An FP16 tensor of numbers that come in single precision: rounded to the nearest, and no further from 0 than 65504.
    ///
    /// - Parameter write: gives all elements to its argument, in pieces, in their order.
    package init(
        name: String, shape: Shape,
        halves write: @escaping (_ piece: (UnsafeBufferPointer<Float>) throws -> Void) throws -> Void
    ) {
        self.init(name: name, dtype: .fp16, shape: shape) { piece in
            try write { values in
                try withUnsafeTemporaryAllocation(byteCount: 2 * values.count, alignment: 2) { halves in
                    lcp_to_half(values.baseAddress, values.count, halves.baseAddress)
                    try piece(UnsafeRawBufferPointer(halves))
                }
            }
        }
    }
}
