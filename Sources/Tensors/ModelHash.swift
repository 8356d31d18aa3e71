/// The first 16 bytes of the SHA-256 of a bundle's `model.json`: names a model in messages.
public struct ModelHash: Sendable, Hashable, CustomStringConvertible {
    /// Bytes 0 to 7 and 8 to 15, little-endian.
    package let low: UInt64
    package let high: UInt64

    /// The zero hash that inputs carry.
    public init() {
        low = 0
        high = 0
    }

    /// The hash made of the first 16 bytes of `bytes`, or nil where there are fewer.
    public init?(_ bytes: some Collection<UInt8>) {
        guard bytes.count >= 16 else { return nil }
        let array = Array(bytes.prefix(16))
        self = array.withUnsafeBytes { Self(reading: $0, at: 0) }
    }

    /// Reads what ``description`` writes; nil for anything else.
    package init?(hexadecimal text: String) {
        guard text.utf8.count == 32, text.utf8.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "f") ~= $0 }),
            let low = UInt64(text.prefix(16), radix: 16), let high = UInt64(text.suffix(16), radix: 16)
        else { return nil }
        (self.low, self.high) = (low.byteSwapped, high.byteSwapped)
    }

    package init(reading bytes: UnsafeRawBufferPointer, at offset: Int) {
        low = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
        high = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset + 8, as: UInt64.self))
    }

    /// 32 hexadecimal digits.
    public var description: String { Self.hex(low.byteSwapped) + Self.hex(high.byteSwapped) }

    private static func hex(_ value: UInt64) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}
