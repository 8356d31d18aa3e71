/// A Windows bitmap's rows: 1, 2, 4 or 8 bits with a palette, 16, 24 or 32 bits, uncompressed or with masks.
///
/// Source: Microsoft, *Bitmap Storage* (BITMAPCOREHEADER, BITMAPINFOHEADER, BITMAPV4HEADER, BITMAPV5HEADER).
struct BMPRows: PixelRows {
    /// Where a colour's bits are.
    private struct Mask {
        var shift = 0
        var most: UInt32 = 0

        init?(_ bits: UInt32) {
            guard bits != 0 else { return nil }
            shift = bits.trailingZeroBitCount
            most = bits >> UInt32(shift)
            // Bits side by side.
            guard most & (most + 1) == 0 || most == .max else { return nil }
        }

        func value(_ pixel: UInt32) -> UInt8 {
            let value = (pixel >> UInt32(shift)) & most
            return UInt8((UInt64(value) * 255 + UInt64(most) / 2) / UInt64(most))
        }
    }

    let height: Int
    let width: Int
    let channels: Int
    private let bytes: UnsafeRawBufferPointer
    private let bits: Int
    private let palette: Int
    private let paletteCount: Int
    private let paletteEntry: Int
    private let masks: [Mask]
    private let pixels: Int
    private let rowBytes: Int
    private let isFromTop: Bool
    private var row = 0

    /// - Parameter bytes: they have to stay where they are.
    init(_ bytes: UnsafeRawBufferPointer) throws(ImageError) {
        func damaged(_ why: String) -> ImageError { ImageError("the BMP is damaged: \(why)") }
        func number(_ position: Int, _ count: Int) -> Int {
            guard position + count <= bytes.count else { return 0 }
            return (0..<count).reduce(0) { $0 | Int(bytes[position + $1]) << (8 * $1) }
        }
        guard bytes.count >= 26 else { throw damaged("it ends early") }
        self.bytes = bytes
        let headerSize = number(14, 4)
        let isCore = headerSize == 12
        guard isCore || headerSize >= 40 && headerSize <= 124 else { throw damaged("its header is unknown") }
        width = isCore ? number(18, 2) : Int(Int32(truncatingIfNeeded: number(18, 4)))
        let said = isCore ? number(20, 2) : Int(Int32(truncatingIfNeeded: number(22, 4)))
        (isFromTop, height) = (said < 0, abs(said))
        bits = number(isCore ? 24 : 28, 2)
        let compression = isCore ? 0 : number(30, 4)
        guard width > 0, height > 0 else { throw damaged("it says that it has \(width) × \(said) pixels") }
        guard [1, 2, 4, 8, 16, 24, 32].contains(bits) else { throw damaged("pixels of \(bits) bits") }
        guard compression == 0 || [3, 6].contains(compression) && (bits == 16 || bits == 32) else {
            throw ImageError("the BMP is compressed (kind \(compression)), which is not read: save it as PNG")
        }
        pixels = number(10, 4)
        rowBytes = (width * bits + 31) / 32 * 4
        guard pixels >= 14 + headerSize, pixels <= bytes.count, rowBytes <= (bytes.count - pixels) / height else {
            throw damaged("\(bytes.count) bytes cannot hold \(width) × \(height) pixels")
        }
        paletteEntry = isCore ? 3 : 4
        palette = 14 + headerSize
        let room = (pixels - palette) / paletteEntry
        let wanted = isCore ? 0 : number(46, 4)
        paletteCount = bits <= 8 ? min(room, wanted > 0 ? wanted : 1 << bits) : 0
        guard bits > 8 || paletteCount > 0 else { throw damaged("it has no palette") }

        var words: [UInt32] = bits == 16 ? [0x7C00, 0x3E0, 0x1F] : [0xFF0000, 0xFF00, 0xFF]
        if compression != 0 {
            // Behind the header, or in a longer one at the same place.
            let count = compression == 6 || headerSize >= 56 ? 4 : 3
            words = (0..<count).map { UInt32(number(54 + 4 * $0, 4)) }
        }
        let hasOpacity = words.count == 4 && words[3] != 0
        masks = words.prefix(hasOpacity ? 4 : 3).compactMap(Mask.init)
        guard bits <= 8 || masks.count == (hasOpacity ? 4 : 3) else { throw damaged("its masks are unknown") }
        channels = bits > 8 && hasOpacity ? 4 : 3
    }

    mutating func read(_ row: UnsafeMutableBufferPointer<UInt8>) throws(ImageError) {
        let start = pixels + (isFromTop ? self.row : height - 1 - self.row) * rowBytes
        self.row += 1
        for pixel in 0..<width {
            if bits <= 8 {
                let bit = pixel * bits
                let index = Int(bytes[start + bit / 8] >> UInt8(8 - bits - bit % 8)) & (1 << bits - 1)
                guard index < paletteCount else {
                    throw ImageError("the BMP is damaged: colour \(index) of \(paletteCount)")
                }
                for channel in 0..<3 { row[3 * pixel + channel] = bytes[palette + index * paletteEntry + 2 - channel] }
            } else {
                let place = start + pixel * bits / 8
                let word = (0..<bits / 8).reduce(UInt32(0)) { $0 | UInt32(bytes[place + $1]) << UInt32(8 * $1) }
                for channel in 0..<channels { row[channels * pixel + channel] = masks[channel].value(word) }
            }
        }
    }
}
