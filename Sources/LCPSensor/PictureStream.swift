import Images

/// Puts JPEGs together that follow each other (MJPEG), in pieces as they come: pure. What stands between two is left out.
struct PictureStream {
    /// More than a picture may have: what goes on for so long is none.
    static let longestPicture = 64 << 20

    private var bytes: [UInt8] = []
    /// Where the segment begins that has not come whole: behind the picture's first two bytes.
    private var position = 0
    /// Whether the bytes at `position` are compressed rows.
    private var isInRows = false

    init() {}

    /// Whether a picture has begun.
    var isInside: Bool { !bytes.isEmpty }

    mutating func add(_ more: some Sequence<UInt8>) { bytes += more }

    /// The next picture that is whole.
    ///
    /// - Returns: nil where more bytes are needed.
    mutating func next() -> [UInt8]? {
        guard findBeginning() else { return nil }
        while position + 1 < bytes.count {
            if isInRows {
                // In rows FF is followed by 0, or by a restart (T.81, B.1.1.2); anything else is the next segment.
                guard let mark = bytes[position...].firstIndex(of: 0xFF) else {
                    position = bytes.count
                    break
                }
                position = mark
                guard mark + 1 < bytes.count else { break }
                if bytes[mark + 1] == 0 || (0xD0...0xD7).contains(bytes[mark + 1]) {
                    position = mark + 2
                    continue
                }
                isInRows = false
            }
            guard bytes[position] == 0xFF else {
                // Bytes before a marker, as some cameras write them.
                position += 1
                continue
            }
            switch bytes[position + 1] {
            case 0xFF: position += 1
            case 0x00, 0x01, 0xD0...0xD8: position += 2
            case 0xD9: return take(position + 2)
            default:
                guard position + 3 < bytes.count else { return overflow() }
                let length = Int(bytes[position + 2]) << 8 | Int(bytes[position + 3])
                guard position + 2 + length <= bytes.count else { return overflow() }
                isInRows = bytes[position + 1] == 0xDA
                position += 2 + max(2, length)
            }
        }
        return overflow()
    }

    /// Leaves out what comes before a picture.
    private mutating func findBeginning() -> Bool {
        guard position == 0 else { return true }
        var start = bytes.startIndex
        while let mark = bytes[start...].firstIndex(of: 0xFF) {
            guard mark + 1 < bytes.count else {
                bytes.removeFirst(mark)
                return false
            }
            if bytes[mark + 1] == 0xD8 {
                bytes.removeFirst(mark)
                position = 2
                return true
            }
            start = mark + 1
        }
        bytes = []
        return false
    }

    private mutating func take(_ end: Int) -> [UInt8] {
        let picture = Array(bytes[..<end])
        bytes.removeFirst(end)
        (position, isInRows) = (0, false)
        return picture
    }

    private mutating func overflow() -> [UInt8]? {
        if bytes.count > Self.longestPicture { self = PictureStream() }
        return nil
    }
}
