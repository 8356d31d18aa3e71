/// Reads tar archives in memory. Nothing is written anywhere: an archive names its files, and never where they go.
package enum Tar {
    /// A regular file in an archive.
    package struct Entry: Hashable {
        /// Its path in the archive.
        package var path: String
        /// Where its bytes lie.
        package var range: Range<Int>

        /// The last part of its path.
        var name: String { path.split(separator: "/").last.map(String.init) ?? "" }
    }

    private static let blockSize = 512
    private static let maximumEntries = 100_000

    /// The regular files of an archive, in its order.
    ///
    /// - Throws: ``DatasetError`` for a damaged or truncated archive.
    package static func files(in bytes: [UInt8], name: String) throws(DatasetError) -> [Entry] {
        var result: [Entry] = []
        var position = 0
        for _ in 0..<maximumEntries {
            guard bytes.count - position >= blockSize else {
                throw DatasetError(
                    "\(name) is no tar archive, or truncated: it ends without the block that marks the end")
            }
            let header = bytes[position..<position + blockSize]
            if header.allSatisfy({ $0 == 0 }) { return result }
            position += blockSize
            guard number(header, 148..<156) == checksum(header), let size = number(header, 124..<136) else {
                throw DatasetError("\(name) is no tar archive, or damaged, at byte \(position - blockSize)")
            }
            guard size <= bytes.count - position else {
                throw DatasetError("\(name) is truncated: it announces \(size) bytes at \(position) and ends before")
            }
            // "0", and zero in archives of the first format, are regular files; all else is folders, links and notes.
            let kind = header[header.startIndex + 156]
            if kind == UInt8(ascii: "0") || kind == 0 {
                let (prefix, path) = (text(header, 345..<500), text(header, 0..<100))
                let isUstar = text(header, 257..<262) == "ustar"
                result.append(
                    Entry(
                        path: isUstar && !prefix.isEmpty ? "\(prefix)/\(path)" : path, range: position..<position + size
                    ))
            }
            // What is left of the last block is padding, which may be missing at the very end.
            position = min(bytes.count, position + (size + blockSize - 1) / blockSize * blockSize)
        }
        throw DatasetError("\(name) has more than the \(maximumEntries) entries that are read")
    }

    private static func text(_ header: ArraySlice<UInt8>, _ field: Range<Int>) -> String {
        let bytes = header[header.startIndex + field.lowerBound..<header.startIndex + field.upperBound]
        return String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }

    /// An octal number between spaces and zero bytes; nil for anything else.
    private static func number(_ header: ArraySlice<UInt8>, _ field: Range<Int>) -> Int? {
        let bytes = header[header.startIndex + field.lowerBound..<header.startIndex + field.upperBound]
        let isPadding = { (byte: UInt8) in byte == 0 || byte == UInt8(ascii: " ") }
        let digits = bytes.drop(while: isPadding).prefix { !isPadding($0) }
        guard !digits.isEmpty, digits.endIndex == bytes.endIndex || bytes[digits.endIndex...].allSatisfy(isPadding)
        else { return nil }
        return Int(String(decoding: digits, as: UTF8.self), radix: 8).flatMap { $0 >= 0 ? $0 : nil }
    }

    /// The sum of the header's bytes, its own field taken for spaces.
    private static func checksum(_ header: ArraySlice<UInt8>) -> Int {
        let own = header.startIndex + 148..<header.startIndex + 156
        return header.indices.reduce(0) { $0 + (own.contains($1) ? 32 : Int(header[$1])) }
    }
}
