import CZlib
public import Tensors

/// The header of a tensor message, kind `LCPT`, version 1: what a tensor on the wire is, and which frame it belongs to.
///
/// 128 bytes, little-endian; `Documentation/tensor-message.md` specifies every field. Identity (session, frame, branch, model)
/// stands here and not in MQTT properties, because MQTT 3.1.1 clients and bridges lose those.
public struct TensorMessageHeader: Sendable, Hashable {
    /// What the tensor is.
    public enum Kind: UInt8, Sendable, Hashable, CaseIterable {
        /// A sensor's frame.
        case input = 0
        /// The pre-final activations of a branch.
        case features = 1
        /// A branch's share of the logits, without the bias.
        case partialLogits = 2
    }

    /// Bytes of a version 1 header.
    public static let size = 128
    /// The only version there is.
    public static let version: UInt8 = 1

    public var kind: Kind
    public var dtype: DType
    public var shape: Shape
    /// Random at the sensor's start; 0 for a bare input.
    public var session: UInt64
    /// The frame's number, from 0 in a session; for a bare input the XXH64 of its bytes.
    public var frame: UInt64
    /// When the frame was captured: nanoseconds since 1970 UTC, 0 where unknown.
    public var captureTime: Int64
    /// The branch that made this tensor, from 0; 0 in inputs.
    public var branch: UInt16
    /// The branches of the model; 0 in inputs.
    public var branchCount: UInt16
    /// Time that the input waited in the worker, microseconds.
    public var queueTime: UInt32
    /// Time that the network ran, microseconds.
    public var computeTime: UInt32
    /// The model that made this tensor; zero in inputs.
    public var model: ModelHash
    /// The true class where it is known, −1 otherwise.
    public var label: Int32

    public init(
        kind: Kind, dtype: DType, shape: Shape, session: UInt64, frame: UInt64, captureTime: Int64 = 0,
        branch: UInt16 = 0, branchCount: UInt16 = 0, queueTime: UInt32 = 0, computeTime: UInt32 = 0,
        model: ModelHash = ModelHash(), label: Int32 = -1
    ) {
        self.kind = kind
        self.dtype = dtype
        self.shape = shape
        self.session = session
        self.frame = frame
        self.captureTime = captureTime
        self.branch = branch
        self.branchCount = branchCount
        self.queueTime = queueTime
        self.computeTime = computeTime
        self.model = model
        self.label = label
    }
}

/// Reads and writes tensor messages without allocating.
public enum TensorMessage {
    static let magic: UInt32 = 0x5450_434C  // "LCPT" in memory order
    static let checksumFlag: UInt16 = 1

    /// Whether `payload` starts with the magic, and so has to be a tensor message.
    @inlinable
    public static func isTensorMessage(_ payload: UnsafeRawBufferPointer) -> Bool {
        payload.count >= 4 && UInt32(littleEndian: payload.loadUnaligned(as: UInt32.self)) == 0x5450_434C
    }

    /// The session and the frame of a message that may still be damaged; nil where it is none.
    public static func identity(_ payload: UnsafeRawBufferPointer) -> (session: UInt64, frame: UInt64)? {
        guard isTensorMessage(payload), payload.count >= TensorMessageHeader.size else { return nil }
        return (
            UInt64(littleEndian: payload.loadUnaligned(fromByteOffset: 24, as: UInt64.self)),
            UInt64(littleEndian: payload.loadUnaligned(fromByteOffset: 32, as: UInt64.self))
        )
    }

    /// Bytes of a message with `dataSize` bytes of elements.
    public static func size(dataSize: Int) -> Int { TensorMessageHeader.size + dataSize }

    /// Reads and checks a message. Its elements are `payload[TensorMessageHeader.size...]`.
    ///
    /// - Parameters:
    ///   - payload: the whole payload of an MQTT message; nothing is assumed of it.
    ///   - maximumDataSize: the most bytes of elements that the caller takes.
    /// - Throws: ``TensorMessageError``; each case is one kind of damage, to be counted.
    public static func decode(
        _ payload: UnsafeRawBufferPointer, maximumDataSize: Int = 1 << 28
    ) throws(TensorMessageError) -> TensorMessageHeader {
        guard payload.count >= TensorMessageHeader.size else { throw .tooShort }
        func load<T: FixedWidthInteger>(_ offset: Int, as type: T.Type) -> T {
            T(littleEndian: payload.loadUnaligned(fromByteOffset: offset, as: type))
        }
        guard load(0, as: UInt32.self) == magic else { throw .badMagic }
        guard payload[4] == TensorMessageHeader.version else { throw .unknownVersion }
        guard load(8, as: UInt16.self) == UInt16(TensorMessageHeader.size) else { throw .badHeaderLength }
        guard load(12, as: UInt32.self) == headerChecksum(payload) else { throw .headerChecksum }
        guard let kind = TensorMessageHeader.Kind(rawValue: payload[5]) else { throw .unknownKind }
        guard let dtype = DType(rawValue: payload[6]) else { throw .unknownType }
        let rank = Int(payload[7])
        guard rank <= Shape.maximumRank else { throw .badRank }
        let flags = load(10, as: UInt16.self)
        guard flags & ~checksumFlag == 0 else { throw .unknownFlags }
        guard load(116, as: UInt64.self) == 0, load(124, as: UInt32.self) == 0 else { throw .reservedNotZero }

        var dimensions = SIMD8<UInt32>()
        for index in 0..<Shape.maximumRank {
            let dimension = load(80 + 4 * index, as: UInt32.self)
            guard (dimension != 0) == (index < rank) else { throw .badDimension }
            dimensions[index] = dimension
        }
        let shape = Shape(rank: rank, storage: dimensions)
        let dataSize = load(16, as: UInt64.self)
        guard dataSize <= UInt64(max(0, maximumDataSize)) else { throw .tooLarge }
        guard let count = shape.elementCount, count <= Int.max / dtype.size else { throw .sizeOverflow }
        guard count * dtype.size == Int(dataSize) else { throw .shapeMismatch }
        guard payload.count == TensorMessageHeader.size + Int(dataSize) else { throw .lengthMismatch }
        if flags & checksumFlag != 0 {
            let data = UnsafeRawBufferPointer(rebasing: payload[TensorMessageHeader.size...])
            guard load(52, as: UInt32.self) == checksum(data) else { throw .dataChecksum }
        } else if load(52, as: UInt32.self) != 0 {
            throw .reservedNotZero
        }
        let branch = load(48, as: UInt16.self)
        let branchCount = load(50, as: UInt16.self)
        guard kind == .input ? branch == 0 && branchCount == 0 : branch < branchCount else { throw .badBranch }

        return TensorMessageHeader(
            kind: kind, dtype: dtype, shape: shape, session: load(24, as: UInt64.self),
            frame: load(32, as: UInt64.self),
            captureTime: load(40, as: Int64.self), branch: branch, branchCount: branchCount,
            queueTime: load(56, as: UInt32.self), computeTime: load(60, as: UInt32.self),
            model: ModelHash(reading: payload, at: 64), label: load(112, as: Int32.self))
    }

    /// Writes the header of a message whose elements already stand in `message` behind it.
    ///
    /// - Parameters:
    ///   - message: the whole message, exactly `size(dataSize:)` bytes of the header's shape and type.
    ///   - checksum: whether the CRC-32 of the elements is added. It costs 43 µs for 150 KB, so it is off by default.
    public static func encodeHeader(
        _ header: TensorMessageHeader, into message: UnsafeMutableRawBufferPointer, checksum withChecksum: Bool = false
    ) {
        func store<T: FixedWidthInteger>(_ value: T, at offset: Int) {
            message.storeBytes(of: value.littleEndian, toByteOffset: offset, as: T.self)
        }
        let dataSize = message.count - TensorMessageHeader.size
        precondition(
            header.shape.elementCount.map { $0 * header.dtype.size } == dataSize,
            "the buffer must hold exactly the header and the shape's elements")
        store(magic, at: 0)
        message[4] = TensorMessageHeader.version
        message[5] = header.kind.rawValue
        message[6] = header.dtype.rawValue
        message[7] = UInt8(header.shape.rank)
        store(UInt16(TensorMessageHeader.size), at: 8)
        store(withChecksum ? checksumFlag : 0, at: 10)
        store(UInt64(dataSize), at: 16)
        store(header.session, at: 24)
        store(header.frame, at: 32)
        store(header.captureTime, at: 40)
        store(header.branch, at: 48)
        store(header.branchCount, at: 50)
        let data = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(message)[TensorMessageHeader.size...])
        store(withChecksum ? checksum(data) : 0, at: 52)
        store(header.queueTime, at: 56)
        store(header.computeTime, at: 60)
        store(header.model.low, at: 64)
        store(header.model.high, at: 72)
        for index in 0..<Shape.maximumRank { store(header.shape.storage[index], at: 80 + 4 * index) }
        store(header.label, at: 112)
        store(UInt64(0), at: 116)
        store(UInt32(0), at: 124)
        store(headerChecksum(UnsafeRawBufferPointer(message)), at: 12)
    }

    /// A whole message: header and the elements of `tensor`, whose type and shape override the header's.
    public static func encode(_ header: TensorMessageHeader, _ tensor: Tensor, checksum: Bool = false) -> [UInt8] {
        var header = header
        header.dtype = tensor.dtype
        header.shape = tensor.shape
        let size = size(dataSize: tensor.bytes.count)
        return [UInt8](unsafeUninitializedCapacity: size) { target, count in
            let message = UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(target)[..<size])
            message[TensorMessageHeader.size...].copyBytes(from: tensor.bytes)
            encodeHeader(header, into: message, checksum: checksum)
            count = size
        }
    }

    /// CRC-32 of the header with the checksum's own field as zero.
    static func headerChecksum(_ message: UnsafeRawBufferPointer) -> UInt32 {
        withUnsafeTemporaryAllocation(byteCount: TensorMessageHeader.size, alignment: 8) { copy in
            copy.copyMemory(from: UnsafeRawBufferPointer(rebasing: message[..<TensorMessageHeader.size]))
            copy.storeBytes(of: 0, toByteOffset: 12, as: UInt32.self)
            return checksum(UnsafeRawBufferPointer(copy))
        }
    }

    static func checksum(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        UInt32(crc32_z(0, bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), bytes.count))
    }
}

/// What can be wrong with a tensor message. The raw values are the names of the counters.
public enum TensorMessageError: String, Error, Hashable, CaseIterable, CustomStringConvertible {
    case tooShort = "too_short"
    case badMagic = "bad_magic"
    case unknownVersion = "unknown_version"
    case badHeaderLength = "bad_header_length"
    case headerChecksum = "header_checksum"
    case unknownKind = "unknown_kind"
    case unknownType = "unknown_type"
    case badRank = "bad_rank"
    case unknownFlags = "unknown_flags"
    case reservedNotZero = "reserved_not_zero"
    case badDimension = "bad_dimension"
    case tooLarge = "too_large"
    case sizeOverflow = "size_overflow"
    case shapeMismatch = "shape_mismatch"
    case lengthMismatch = "length_mismatch"
    case dataChecksum = "data_checksum"
    case badBranch = "bad_branch"

    public var description: String {
        switch self {
        case .tooShort: "a tensor message has at least \(TensorMessageHeader.size) bytes"
        case .badMagic: "the message does not start with LCPT"
        case .unknownVersion: "the tensor message is of a version that this program does not know"
        case .badHeaderLength: "the header length is not \(TensorMessageHeader.size)"
        case .headerChecksum: "the header's checksum does not match: the message was damaged"
        case .unknownKind: "the kind is none of input, features, partial logits"
        case .unknownType: "the element type has no meaning in version 1"
        case .badRank: "a tensor has at most \(Shape.maximumRank) dimensions"
        case .unknownFlags: "flags are set that have no meaning in version 1"
        case .reservedNotZero: "reserved bytes are not zero"
        case .badDimension: "a dimension is zero, or an unused one is not"
        case .tooLarge: "the message holds more data than is taken here"
        case .sizeOverflow: "the dimensions multiply to more than an address space"
        case .shapeMismatch: "the data bytes are not those of the shape"
        case .lengthMismatch: "the message is longer or shorter than its header says"
        case .dataChecksum: "the data's checksum does not match: the message was damaged"
        case .badBranch: "the branch index is not below the branch count"
        }
    }
}

extension Duration {
    /// Whole microseconds, at most what a message's header holds.
    package var headerMicroseconds: UInt32 { UInt32(clamping: Int64(max(0, milliseconds * 1e3).rounded())) }
}
