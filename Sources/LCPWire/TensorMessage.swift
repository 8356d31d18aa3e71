import CZlib
public import Tensors

/// Reads and writes tensor messages without allocating.
public enum TensorMessage {
    static let magic: UInt32 = 0x5450_434C  // "LCPT" in memory order
    static let checksumFlag: UInt16 = 1

    /// Whether `payload` starts with the magic, and so has to be a tensor message.
    @inlinable
    public static func isTensorMessage(_ payload: UnsafeRawBufferPointer) -> Bool {
        payload.count >= 4 && UInt32(littleEndian: payload.loadUnaligned(as: UInt32.self)) == 0x5450_434C
    }

    /// Whether a message that may still be damaged holds a picture.
    public static func isPicture(_ payload: UnsafeRawBufferPointer) -> Bool {
        isTensorMessage(payload) && payload.count >= TensorMessageHeader.sizes[1] && payload[4] == 2
            && payload[116] != 0
    }

    /// The session and the frame of a message that may still be damaged; nil where it is none.
    public static func identity(_ payload: UnsafeRawBufferPointer) -> (session: UInt64, frame: UInt64)? {
        guard isTensorMessage(payload), payload.count >= TensorMessageHeader.minimumSize else { return nil }
        return (
            UInt64(littleEndian: payload.loadUnaligned(fromByteOffset: 24, as: UInt64.self)),
            UInt64(littleEndian: payload.loadUnaligned(fromByteOffset: 32, as: UInt64.self))
        )
    }

    /// The branches that a message which may still be damaged wants, bit by bit; nil where it wants all.
    package static func wantedBranches(_ payload: UnsafeRawBufferPointer) -> UInt64? {
        guard isTensorMessage(payload), payload.count >= TensorMessageHeader.sizes[1], payload[4] == 2,
            payload[5] == TensorMessageHeader.Kind.input.rawValue
        else { return nil }
        let wanted = UInt64(littleEndian: payload.loadUnaligned(fromByteOffset: 128, as: UInt64.self))
        return wanted == 0 ? nil : wanted
    }

    /// Reads and checks a message. Its data is `payload[header.size...]`: the elements, or the picture that holds them.
    ///
    /// - Parameters:
    ///   - payload: the whole payload of an MQTT message; nothing is assumed of it.
    ///   - maximumDataSize: the most bytes of data that the caller takes.
    /// - Throws: ``TensorMessageError``; each case is one kind of damage, to be counted.
    public static func decode(
        _ payload: UnsafeRawBufferPointer, maximumDataSize: Int = 1 << 28
    ) throws(TensorMessageError) -> TensorMessageHeader {
        guard payload.count >= TensorMessageHeader.minimumSize else { throw .tooShort }
        func load<T: FixedWidthInteger>(_ offset: Int, as type: T.Type) -> T {
            T(littleEndian: payload.loadUnaligned(fromByteOffset: offset, as: type))
        }
        guard load(0, as: UInt32.self) == magic else { throw .badMagic }
        let version = payload[4]
        guard (1...TensorMessageHeader.newestVersion).contains(version) else { throw .unknownVersion }
        let size = TensorMessageHeader.sizes[Int(version) - 1]
        guard load(8, as: UInt16.self) == UInt16(size) else { throw .badHeaderLength }
        guard payload.count >= size else { throw .tooShort }
        guard load(12, as: UInt32.self) == headerChecksum(payload, size: size) else { throw .headerChecksum }
        guard let kind = TensorMessageHeader.Kind(rawValue: payload[5]) else { throw .unknownKind }
        guard let dtype = DType(rawValue: payload[6]) else { throw .unknownType }
        let rank = Int(payload[7])
        guard rank <= Shape.maximumRank else { throw .badRank }
        let flags = load(10, as: UInt16.self)
        guard flags & ~checksumFlag == 0 else { throw .unknownFlags }
        let version2 = version == 1 ? nil : try decodeExtension(payload)
        let reserved =
            version == 1
            ? load(116, as: UInt64.self) | UInt64(load(124, as: UInt32.self))
            : UInt64(load(116, as: UInt32.self) >> 8) | UInt64(load(156, as: UInt32.self))
        guard reserved == 0 else { throw .reservedNotZero }

        var dimensions = SIMD8<UInt32>()
        for index in 0..<Shape.maximumRank {
            let dimension = load(80 + 4 * index, as: UInt32.self)
            guard (dimension != 0) == (index < rank) else { throw .badDimension }
            dimensions[index] = dimension
        }
        let header = TensorMessageHeader(
            kind: kind, dtype: dtype, shape: Shape(rank: rank, storage: dimensions),
            session: load(24, as: UInt64.self), frame: load(32, as: UInt64.self),
            captureTime: load(40, as: Int64.self), branch: load(48, as: UInt16.self),
            branchCount: load(50, as: UInt16.self), queueTime: load(56, as: UInt32.self),
            computeTime: load(60, as: UInt32.self), model: ModelHash(reading: payload, at: 64),
            label: load(112, as: Int32.self), version2: version2)
        let dataSize = load(16, as: UInt64.self)
        guard dataSize <= UInt64(max(0, maximumDataSize)) else { throw .tooLarge }
        guard let rawSize = header.rawDataSize else { throw .sizeOverflow }
        guard header.encoding == .raw ? rawSize == Int(dataSize) : dataSize > 0 else { throw .shapeMismatch }
        guard payload.count == size + Int(dataSize) else { throw .lengthMismatch }
        if flags & checksumFlag != 0 {
            let data = UnsafeRawBufferPointer(rebasing: payload[size...])
            guard load(52, as: UInt32.self) == checksum(data) else { throw .dataChecksum }
        } else if load(52, as: UInt32.self) != 0 {
            throw .reservedNotZero
        }
        guard
            kind == .input
                ? header.branch == 0 && header.branchCount == 0 : header.branch < header.branchCount
        else { throw .badBranch }
        guard header.encoding == .raw || kind == .input && header.isPicture else { throw .badEncoding }
        let scale = version2?.scale ?? 0
        let isScaled = version2 != nil && kind != .input && dtype == .int8
        guard isScaled ? scale > 0 && scale.isFinite : scale == 0 else { throw .badScale }
        return header
    }

    private static func decodeExtension(
        _ payload: UnsafeRawBufferPointer
    ) throws(TensorMessageError) -> TensorMessageHeader.Extension {
        func load<T: FixedWidthInteger>(_ offset: Int, as type: T.Type) -> T {
            T(littleEndian: payload.loadUnaligned(fromByteOffset: offset, as: type))
        }
        guard let encoding = TensorMessageHeader.Encoding(rawValue: payload[116]) else { throw .unknownEncoding }
        return TensorMessageHeader.Extension(
            encoding: encoding, scale: Float(bitPattern: load(120, as: UInt32.self)),
            wantedBranches: load(128, as: UInt64.self), receiveTime: load(136, as: Int64.self),
            sendTime: load(144, as: Int64.self), decodeTime: load(124, as: UInt32.self),
            encodeTime: load(152, as: UInt32.self))
    }

    /// Writes the header of a message whose data already stands in `message` behind it.
    ///
    /// - Parameters:
    ///   - message: the whole message, the header's bytes and at least one of data; where the data is not encoded, exactly the
    ///     bytes of the header's shape and type.
    ///   - checksum: whether the CRC-32 of the data is added. It costs 43 µs for 150 KB, so it is off by default.
    public static func encodeHeader(
        _ header: TensorMessageHeader, into message: UnsafeMutableRawBufferPointer, checksum withChecksum: Bool = false
    ) {
        func store<T: FixedWidthInteger>(_ value: T, at offset: Int) {
            message.storeBytes(of: value.littleEndian, toByteOffset: offset, as: T.self)
        }
        let dataSize = message.count - header.size
        precondition(
            header.encoding == .raw ? header.rawDataSize == dataSize : dataSize > 0,
            "the buffer must hold exactly the header and the shape's elements")
        store(magic, at: 0)
        message[4] = header.version
        message[5] = header.kind.rawValue
        message[6] = header.dtype.rawValue
        message[7] = UInt8(header.shape.rank)
        store(UInt16(header.size), at: 8)
        store(withChecksum ? checksumFlag : 0, at: 10)
        store(UInt64(dataSize), at: 16)
        store(header.session, at: 24)
        store(header.frame, at: 32)
        store(header.captureTime, at: 40)
        store(header.branch, at: 48)
        store(header.branchCount, at: 50)
        let data = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(message)[header.size...])
        store(withChecksum ? checksum(data) : 0, at: 52)
        store(header.queueTime, at: 56)
        store(header.computeTime, at: 60)
        store(header.model.low, at: 64)
        store(header.model.high, at: 72)
        for index in 0..<Shape.maximumRank { store(header.shape.storage[index], at: 80 + 4 * index) }
        store(header.label, at: 112)
        if let version2 = header.version2 {
            store(UInt32(version2.encoding.rawValue), at: 116)
            store(version2.scale.bitPattern, at: 120)
            store(version2.decodeTime, at: 124)
            store(version2.wantedBranches, at: 128)
            store(version2.receiveTime, at: 136)
            store(version2.sendTime, at: 144)
            store(version2.encodeTime, at: 152)
            store(UInt32(0), at: 156)
        } else {
            store(UInt64(0), at: 116)
            store(UInt32(0), at: 124)
        }
        store(headerChecksum(UnsafeRawBufferPointer(message), size: header.size), at: 12)
    }

    /// A whole message: a header and its data, which are the shape's elements or the picture that holds them.
    public static func encode(
        _ header: TensorMessageHeader, data: some Collection<UInt8>, checksum: Bool = false
    ) -> [UInt8] {
        let size = header.size + data.count
        return [UInt8](unsafeUninitializedCapacity: size) { target, count in
            let message = UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(target)[..<size])
            message[header.size...].copyBytes(from: data)
            encodeHeader(header, into: message, checksum: checksum)
            count = size
        }
    }

    /// A whole message: header and the elements of `tensor`, whose type and shape override the header's.
    public static func encode(_ header: TensorMessageHeader, _ tensor: Tensor, checksum: Bool = false) -> [UInt8] {
        var header = header
        header.dtype = tensor.dtype
        header.shape = tensor.shape
        return encode(header, data: tensor.bytes, checksum: checksum)
    }

    /// CRC-32 of the header with the checksum's own field as zero.
    static func headerChecksum(_ message: UnsafeRawBufferPointer, size: Int) -> UInt32 {
        withUnsafeTemporaryAllocation(byteCount: size, alignment: 8) { copy in
            copy.copyMemory(from: UnsafeRawBufferPointer(rebasing: message[..<size]))
            copy.storeBytes(of: 0, toByteOffset: 12, as: UInt32.self)
            return checksum(UnsafeRawBufferPointer(copy))
        }
    }

    static func checksum(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        UInt32(crc32_z(0, bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), bytes.count))
    }
}

extension Duration {
    /// Whole microseconds, at most what a message's header holds.
    package var headerMicroseconds: UInt32 { UInt32(clamping: Int64(max(0, milliseconds * 1e3).rounded())) }
}
