/// A dense tensor: element type, shape and the elements as bytes, row-major and little-endian.
public struct Tensor: Sendable, Hashable {
    /// The element type.
    public let dtype: DType
    /// The dimensions, outermost first.
    public let shape: Shape
    /// `shape.elementCount * dtype.size` bytes, row-major, little-endian.
    public let bytes: [UInt8]

    /// A tensor of the given bytes.
    ///
    /// - Throws: ``TensorError/sizeMismatch(expected:found:)`` where the bytes are not exactly the shape's.
    public init(dtype: DType, shape: Shape, bytes: [UInt8]) throws(TensorError) {
        guard let count = shape.elementCount, count <= Int.max / dtype.size else { throw .tooLarge }
        guard count * dtype.size == bytes.count else {
            throw .sizeMismatch(expected: count * dtype.size, found: bytes.count)
        }
        self.dtype = dtype
        self.shape = shape
        self.bytes = bytes
    }

    /// An FP32 tensor of the given elements.
    ///
    /// - Throws: ``TensorError/sizeMismatch(expected:found:)`` where their number is not the shape's.
    public init(_ elements: [Float], shape: Shape) throws(TensorError) {
        try self.init(dtype: .fp32, shape: shape, bytes: elements.withUnsafeBytes { Array($0) })
    }

    /// The elements of an FP32 tensor.
    ///
    /// - Throws: ``TensorError/wrongType(expected:found:)`` for any other element type.
    public func floats() throws(TensorError) -> [Float] {
        guard dtype == .fp32 else { throw .wrongType(expected: .fp32, found: dtype) }
        return bytes.withUnsafeBytes { source in
            [Float](unsafeUninitializedCapacity: source.count / 4) { target, count in
                UnsafeMutableRawBufferPointer(target).copyMemory(from: source)
                count = source.count / 4
            }
        }
    }
}

/// What can be wrong with the parts of a tensor.
public enum TensorError: Error, Hashable, CustomStringConvertible {
    case sizeMismatch(expected: Int, found: Int)
    case wrongType(expected: DType, found: DType)
    case tooLarge

    public var description: String {
        switch self {
        case .sizeMismatch(let expected, let found):
            "a tensor of this shape has \(expected) bytes, but \(found) are given"
        case .wrongType(let expected, let found): "the tensor holds \(found.name) where \(expected.name) is needed"
        case .tooLarge: "the tensor's dimensions multiply to more than an address space"
        }
    }
}
