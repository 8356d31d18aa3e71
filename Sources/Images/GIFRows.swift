/// The rows of a GIF's first frame; what that leaves out of the picture is transparent.
///
/// Source: *Graphics Interchange Format*, version 89a.
struct GIFRows: PixelRows {
    let height: Int
    let width: Int
    let channels = 4
    private let frame: (left: Int, top: Int, width: Int, height: Int)
    private let isInterlaced: Bool
    private let palette: [(UInt8, UInt8, UInt8)]
    private let transparent: Int
    /// The blocks of codes, without their lengths.
    private let codes: [UInt8]
    private let codeSize: Int
    /// The frame's colours, [height, width] in the order of the file.
    private var colours: [UInt8] = []
    private var row = 0

    /// Reads a header.
    ///
    /// - Parameter bytes: a whole file.
    init(_ bytes: UnsafeRawBufferPointer) throws(ImageError) {
        func damaged(_ why: String) -> ImageError { ImageError("the GIF is damaged: \(why)") }
        var position = 6
        func next(_ count: Int) throws(ImageError) -> Int {
            guard position + count <= bytes.count else { throw damaged("it ends early") }
            defer { position += count }
            return (0..<count).reduce(0) { $0 | Int(bytes[position + $1]) << (8 * $1) }
        }
        func colours(_ flags: Int) throws(ImageError) -> [(UInt8, UInt8, UInt8)] {
            guard flags & 0x80 != 0 else { return [] }
            let count = 2 << (flags & 7)
            guard position + 3 * count <= bytes.count else { throw damaged("it ends early") }
            defer { position += 3 * count }
            return (0..<count).map {
                (bytes[position + 3 * $0], bytes[position + 3 * $0 + 1], bytes[position + 3 * $0 + 2])
            }
        }
        /// Blocks up to the empty one; a file may end without it.
        func blocks() throws(ImageError) -> [UInt8] {
            var result: [UInt8] = []
            while position < bytes.count, bytes[position] > 0 {
                let end = min(bytes.count, position + 1 + Int(bytes[position]))
                result += bytes[position + 1..<end]
                position = end
            }
            position += 1
            return result
        }

        (width, height) = (try next(2), try next(2))
        let flags = try next(1)
        position += 2
        let shared = try colours(flags)
        var transparent = -1
        while true {
            switch try next(1) {
            case 0x21:
                let label = try next(1)
                let block = try blocks()
                if label == 0xF9, block.count >= 4 { transparent = block[0] & 1 == 1 ? Int(block[3]) : -1 }
                continue
            case 0x2C: break
            default: throw damaged("it has no frame")
            }
            break
        }
        frame = (try next(2), try next(2), try next(2), try next(2))
        let frameFlags = try next(1)
        let own = try colours(frameFlags)
        palette = own.isEmpty ? shared : own
        isInterlaced = frameFlags & 0x40 != 0
        self.transparent = transparent
        codeSize = try next(1)
        guard (1...8).contains(codeSize), !palette.isEmpty else { throw damaged("it has no colours") }
        guard frame.width > 0, frame.height > 0, frame.left + frame.width <= width, frame.top + frame.height <= height
        else { throw damaged("its first frame is larger than the picture") }
        codes = try blocks()
    }

    /// Bytes that are kept.
    var keptBytes: Int { frame.width * frame.height + codes.count }

    mutating func read(_ target: UnsafeMutableBufferPointer<UInt8>) throws(ImageError) {
        if row == 0 { colours = try Self.decoded(codes, codeSize, count: frame.width * frame.height) }
        target.update(repeating: 0)
        let line = row - frame.top
        row += 1
        guard line >= 0, line < frame.height else { return }
        let start = (isInterlaced ? Self.place(of: line, height: frame.height) : line) * frame.width
        for pixel in 0..<frame.width {
            let index = Int(colours[start + pixel])
            guard index != transparent else { continue }
            guard index < palette.count else {
                throw ImageError("the GIF is damaged: colour \(index) of \(palette.count)")
            }
            let place = 4 * (frame.left + pixel)
            (target[place], target[place + 1], target[place + 2]) = palette[index]
            target[place + 3] = 255
        }
    }

    /// Where a line stands in an interlaced file: every eighth first, then those between.
    private static func place(of line: Int, height: Int) -> Int {
        func lines(from start: Int, _ step: Int) -> Int { height > start ? (height - start + step - 1) / step : 0 }
        switch line % 8 {
        case 0: return line / 8
        case 4: return lines(from: 0, 8) + line / 8
        case 2, 6: return lines(from: 0, 8) + lines(from: 4, 8) + line / 4
        default: return lines(from: 0, 8) + lines(from: 4, 8) + lines(from: 2, 4) + line / 2
        }
    }

    /// Codes of variable length (appendix F).
    private static func decoded(_ codes: [UInt8], _ codeSize: Int, count: Int) throws(ImageError) -> [UInt8] {
        let (clear, end) = (1 << codeSize, 1 << codeSize + 1)
        // What a code stands for: that of another, and one colour more.
        var (prefixes, colours, lengths) = (
            [Int](repeating: -1, count: 4096), [UInt8](repeating: 0, count: 4096), [Int](repeating: 1, count: 4096)
        )
        for code in 0..<clear { colours[code] = UInt8(code) }
        var result = [UInt8](repeating: 0, count: count)
        var (filled, next, size, previous) = (0, end + 1, codeSize + 1, -1)
        var (bits, bitCount, position) = (0, 0, 0)
        while filled < count {
            while bitCount < size {
                guard position < codes.count else { throw ImageError("the GIF is damaged: rows are missing") }
                bits |= Int(codes[position]) << bitCount
                bitCount += 8
                position += 1
            }
            let code = bits & (1 << size - 1)
            bits >>= size
            bitCount -= size
            if code == clear {
                (next, size, previous) = (end + 1, codeSize + 1, -1)
                continue
            }
            guard code != end else { throw ImageError("the GIF is damaged: rows are missing") }
            guard code < next || code == next && previous >= 0 && next < 4096, previous >= 0 || code < clear else {
                throw ImageError("the GIF is damaged: a code stands for nothing")
            }
            if previous >= 0, next < 4096 {
                var first = code < next ? code : previous
                while prefixes[first] >= 0 { first = prefixes[first] }
                (prefixes[next], colours[next], lengths[next]) = (previous, colours[first], lengths[previous] + 1)
                next += 1
                if next == 1 << size, size < 12 { size += 1 }
            }
            // From the last colour to the first; what does not fit is left out.
            let length = lengths[code]
            var (place, part) = (filled + length - 1, code)
            while part >= 0 {
                if place < count { result[place] = colours[part] }
                place -= 1
                part = prefixes[part]
            }
            filled += length
            previous = code
        }
        return result
    }
}
