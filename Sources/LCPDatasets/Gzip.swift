import CZlib

/// Decompression of a whole gzip file in memory.
package enum Gzip {
    /// - Parameter limit: the most bytes that come out; a few bytes can hold a thousand times as many.
    /// - Throws: ``DatasetError`` for anything but one whole gzip stream within the limit.
    package static func decompress(_ bytes: [UInt8], limit: Int, name: String) throws(DatasetError) -> [UInt8] {
        var stream = z_stream()
        // 16 asks for gzip's header and its checksum.
        let started = inflateInit2_(&stream, 16 + MAX_WBITS, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
        guard started == Z_OK else { throw DatasetError("cannot decompress \(name): zlib does not start") }
        defer { inflateEnd(&stream) }
        var result: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 1 << 18)
        var position = 0
        while true {
            let available = min(bytes.count - position, 1 << 30)
            let (status, consumed, produced) = bytes.withUnsafeBufferPointer { input in
                chunk.withUnsafeMutableBufferPointer { output in
                    stream.next_in = input.baseAddress.map { UnsafeMutablePointer(mutating: $0 + position) }
                    stream.avail_in = UInt32(available)
                    stream.next_out = output.baseAddress
                    stream.avail_out = UInt32(output.count)
                    let status = inflate(&stream, Z_NO_FLUSH)
                    return (status, available - Int(stream.avail_in), output.count - Int(stream.avail_out))
                }
            }
            position += consumed
            guard result.count + produced <= limit else {
                throw DatasetError("\(name) unpacks to more than the \(limit) bytes allowed")
            }
            result += chunk[..<produced]
            switch status {
            case Z_STREAM_END:
                guard position == bytes.count else {
                    throw DatasetError("\(name) has \(bytes.count - position) bytes behind its end: it is damaged")
                }
                return result
            case Z_OK where consumed > 0 || produced > 0: continue
            case Z_OK, Z_BUF_ERROR: throw DatasetError("\(name) ends too early: it is truncated")
            case Z_MEM_ERROR: throw DatasetError("there is not enough memory to decompress \(name)")
            default: throw DatasetError("\(name) is no gzip file, or damaged")
            }
        }
    }
}
