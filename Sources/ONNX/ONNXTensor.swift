import Platform

/// A tensor of a model: its dimensions, and its elements, which stay in their file until they are asked for.
public struct ONNXTensor {
    /// Empty for a constant of a node.
    public let name: String
    /// Outermost first; none for a scalar.
    public let dimensions: [Int]
    public let type: ONNXTensorProto.DataType
    /// The number of elements.
    public let count: Int
    private let source: ByteSource
    private let offset: Int

    /// - Parameter offset: where the elements begin in `source`, `count` of `type`, little-endian and row-major.
    init(name: String, dimensions: [Int], type: ONNXTensorProto.DataType, count: Int, source: ByteSource, offset: Int) {
        self.name = name
        self.dimensions = dimensions
        self.type = type
        self.count = count
        self.source = source
        self.offset = offset
    }

    /// Whether the elements are floating-point numbers.
    public var isFloatingPoint: Bool { [.float, .double, .float16, .bfloat16].contains(type) }

    /// Elements from index `start` on as FP32, as many as `target` holds; the caller has seen that there are so many.
    ///
    /// - Throws: ``ONNXError`` where the file cannot be read, or the elements are no numbers.
    public func read(from start: Int, into target: UnsafeMutableBufferPointer<Float>) throws(ONNXError) {
        precondition(start >= 0 && start + target.count <= count)
        let place = offset + start * type.size
        switch type {
        // Little-endian, like every processor that Swift runs on.
        case .float: try source.read(at: place, into: UnsafeMutableRawBufferPointer(target))
        case .float16: try convert(place, target) { (bits: UInt16) in Float(Float16(bitPattern: bits)) }
        case .bfloat16: try convert(place, target) { (bits: UInt16) in Float(bitPattern: UInt32(bits) << 16) }
        case .double: try convert(place, target) { (bits: UInt64) in Float(Double(bitPattern: bits)) }
        case .int32: try convert(place, target) { (bits: UInt32) in Float(Int32(bitPattern: bits)) }
        case .int64: try convert(place, target) { (bits: UInt64) in Float(Int64(bitPattern: bits)) }
        case .uint8: try convert(place, target) { (bits: UInt8) in Float(bits) }
        default: throw ONNXError("the tensor \(name.quoted) is of the type \(type), where numbers are needed")
        }
    }

    private func convert<Bits: FixedWidthInteger>(
        _ place: Int, _ target: UnsafeMutableBufferPointer<Float>, _ value: (Bits) -> Float
    ) throws(ONNXError) {
        let bytes = try source.read(place..<place + target.count * MemoryLayout<Bits>.size)
        bytes.withUnsafeBytes { bytes in
            for index in target.indices {
                let bits = bytes.loadUnaligned(fromByteOffset: index * MemoryLayout<Bits>.size, as: Bits.self)
                target[index] = value(Bits(littleEndian: bits))
            }
        }
    }

    /// All elements as FP32.
    ///
    /// - Throws: ``ONNXError``, also where there are more than `limit`.
    public func floats(limit: Int = 1 << 20) throws(ONNXError) -> [Float] {
        guard count <= limit else {
            throw ONNXError("the tensor \(name.quoted) has \(count) elements where at most \(limit) make sense")
        }
        var values = [Float](repeating: 0, count: count)
        do { try values.withUnsafeMutableBufferPointer { try read(from: 0, into: $0) } } catch let error as ONNXError {
            throw error
        } catch {
            throw ONNXError("\(error)")
        }
        return values
    }

    /// The elements of a short tensor of whole numbers, for example of a shape; a truth is 1 or 0.
    ///
    /// - Throws: ``ONNXError``, also for other types and more elements than `limit`.
    public func integers(limit: Int = 64) throws(ONNXError) -> [Int] {
        guard [.int64, .int32, .bool].contains(type), count <= limit else {
            throw ONNXError("the tensor \(name.quoted) is not a list of at most \(limit) whole numbers")
        }
        let bytes = try source.read(offset..<offset + count * type.size)
        return bytes.withUnsafeBytes { bytes in
            (0..<count).map { index in
                switch type {
                case .bool: bytes[index] == 0 ? 0 : 1
                case .int32: Int(Int32(littleEndian: bytes.loadUnaligned(fromByteOffset: index * 4, as: Int32.self)))
                default: Int(Int64(littleEndian: bytes.loadUnaligned(fromByteOffset: index * 8, as: Int64.self)))
                }
            }
        }
    }
}

extension ONNXTensorProto.DataType {
    /// Bytes of one element; 0 for types without numbers of a fixed size.
    var size: Int {
        switch self {
        case .uint8, .int8, .bool: 1
        case .uint16, .int16, .float16, .bfloat16: 2
        case .int32, .uint32, .float: 4
        case .int64, .uint64, .double, .complex64: 8
        case .complex128: 16
        case .undefined, .string, .UNRECOGNIZED: 0
        }
    }
}
