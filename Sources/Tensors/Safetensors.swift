import FoundationEssentials
import Platform

/// A safetensors file in memory: named tensors, as PyTorch and Hugging Face read and write them.
///
/// The format: a little-endian u64 with the length of a JSON header, the header (name → dtype, shape, data_offsets), the data.
/// Tensors must lie without gaps or overlaps, as the reference implementation demands.
public struct Safetensors: Sendable, Hashable {
    /// The tensors by name.
    public var tensors: [String: Tensor]
    /// The header's `__metadata__`.
    public var metadata: [String: String]

    /// The longest header that is read, bytes.
    public static let maximumHeaderSize = 16 << 20

    public init(tensors: [String: Tensor] = [:], metadata: [String: String] = [:]) {
        self.tensors = tensors
        self.metadata = metadata
    }

    /// Reads a file's bytes.
    ///
    /// - Throws: ``SafetensorsError`` for anything that is not exactly a safetensors file.
    public init(decoding bytes: [UInt8]) throws(SafetensorsError) {
        guard bytes.count >= 8 else {
            throw .init("it has \(bytes.count) bytes, fewer than the 8 of a header's length")
        }
        let length = bytes.withUnsafeBytes { UInt64(littleEndian: $0.loadUnaligned(as: UInt64.self)) }
        guard length <= UInt64(Self.maximumHeaderSize), Int(length) <= bytes.count - 8 else {
            throw .init("its header claims \(length) bytes, the file has \(bytes.count)")
        }
        let headerEnd = 8 + Int(length)
        guard length > 0, bytes[8] == UInt8(ascii: "{") else { throw .init("its header is not a JSON object") }
        let header: Header
        do {
            header = try JSONDecoder().decode(Header.self, from: Data(bytes[8..<headerEnd]))
        } catch {
            throw .init("its header is not the JSON of a safetensors file")
        }
        metadata = header.metadata
        tensors = [:]
        var position = 0
        for (name, entry) in header.entries.sorted(by: { $0.value.data_offsets < $1.value.data_offsets }) {
            guard let dtype = DType(safetensorsName: entry.dtype) else {
                throw .init("tensor \(name.quoted) has the unknown type \(entry.dtype.quoted)")
            }
            guard let shape = Shape(entry.shape) else {
                throw .init("tensor \(name.quoted) has an impossible shape")
            }
            guard entry.data_offsets.count == 2, entry.data_offsets[0] == position, entry.data_offsets[1] >= position,
                entry.data_offsets[1] <= bytes.count - headerEnd
            else { throw .init("tensor \(name.quoted) lies outside the file, or leaves a gap, or overlaps") }
            let data = Array(bytes[headerEnd + position..<headerEnd + entry.data_offsets[1]])
            do {
                tensors[name] = try Tensor(dtype: dtype, shape: shape, bytes: data)
            } catch {
                throw .init("tensor \(name.quoted): \(error)")
            }
            position = entry.data_offsets[1]
        }
        guard position == bytes.count - headerEnd else {
            throw .init("\(bytes.count - headerEnd - position) bytes follow the last tensor")
        }
    }

    /// The file's bytes: tensors in the order of their names, the header padded with spaces to a multiple of 8.
    public func encoded() -> [UInt8] {
        let ordered = tensors.sorted { $0.key < $1.key }
        var bytes = Self.header(ordered.map { ($0.key, $0.value.dtype, $0.value.shape) }, metadata: metadata)
        bytes.reserveCapacity(bytes.count + ordered.reduce(0) { $0 + $1.value.bytes.count })
        for (_, tensor) in ordered { bytes += tensor.bytes }
        return bytes
    }

    /// The length of the header and the header of a file whose tensors lie in this order.
    static func header(_ tensors: [(name: String, dtype: DType, shape: Shape)], metadata: [String: String]) -> [UInt8] {
        var header = "{"
        if !metadata.isEmpty {
            let pairs = metadata.sorted { $0.key < $1.key }.map { "\(jsonString($0.key)):\(jsonString($0.value))" }
            header += "\"__metadata__\":{" + pairs.joined(separator: ",") + "}"
        }
        var offset = 0
        for (name, dtype, shape) in tensors {
            if header.utf8.count > 1 { header += "," }
            let dimensions = shape.dimensions.map(String.init).joined(separator: ",")
            let end = offset + (shape.elementCount ?? 0) * dtype.size
            header += "\(jsonString(name)):{\"dtype\":\"\(dtype.safetensorsName)\",\"shape\":[\(dimensions)],"
            header += "\"data_offsets\":[\(offset),\(end)]}"
            offset = end
        }
        header += "}"
        while header.utf8.count % 8 != 0 { header += " " }
        return withUnsafeBytes(of: UInt64(header.utf8.count).littleEndian) { Array($0) } + Array(header.utf8)
    }

    private static func jsonString(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case let control where control.value < 0x20:
                let digits = String(control.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }

    private struct Header: Decodable {
        struct Entry: Decodable {
            let dtype: String
            let shape: [Int]
            let data_offsets: [Int]
        }
        struct Key: CodingKey {
            let stringValue: String
            var intValue: Int? { nil }
            init(stringValue: String) { self.stringValue = stringValue }
            init?(intValue: Int) { nil }
        }
        var entries: [String: Entry] = [:]
        var metadata: [String: String] = [:]

        init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: Key.self)
            for key in container.allKeys {
                if key.stringValue == "__metadata__" {
                    metadata = try container.decode([String: String].self, forKey: key)
                } else {
                    entries[key.stringValue] = try container.decode(Entry.self, forKey: key)
                }
            }
        }
    }
}

/// Why bytes are not a safetensors file, as the rest of a sentence that begins with the file's name.
public struct SafetensorsError: Error, Hashable, CustomStringConvertible {
    public let description: String
    init(_ description: String) { self.description = description }
}

extension [Int] {
    fileprivate static func < (left: [Int], right: [Int]) -> Bool { left.lexicographicallyPrecedes(right) }
}
