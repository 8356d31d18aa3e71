/// How a picture has to be turned to stand upright: the values of EXIF's tag 0x0112 (CIPA DC-008, 4.6.5.1.6).
enum Orientation: Int {
    case upright = 1
    case mirrored = 2
    case upsideDown = 3
    case mirroredUpsideDown = 4
    /// Rows and columns changed places.
    case transposed = 5
    case clockwise = 6
    case transversed = 7
    case counterclockwise = 8

    /// Whether the file's rows are columns.
    var isSideways: Bool { rawValue >= 5 }
    /// Whether the file's first row is the last one, or the last column.
    var isFromBottom: Bool { [.upsideDown, .mirroredUpsideDown, .clockwise, .transversed].contains(self) }
    /// Whether the file's first column is the last one, or the last row.
    var isFromRight: Bool { [.mirrored, .upsideDown, .transversed, .counterclockwise].contains(self) }

    /// What a file says; upright where it says nothing, or nonsense.
    init(of bytes: UnsafeRawBufferPointer, _ format: ImageFormat) {
        let found: Int? =
            switch format {
            case .jpeg: Self.inJPEG(bytes)
            case .png: Self.inPNG(bytes)
            case .webp: Self.inWebP(bytes)
            case .gif, .bmp: nil
            }
        self = found.flatMap(Orientation.init) ?? .upright
    }

    /// In the first APP1 that is EXIF, before the first scan (ISO/IEC 10918-1, B.1.1).
    private static func inJPEG(_ bytes: UnsafeRawBufferPointer) -> Int? {
        var position = 2
        while position + 4 <= bytes.count {
            guard bytes[position] == 0xFF else {
                position += 1
                continue
            }
            let mark = bytes[position + 1]
            switch mark {
            case 0xFF: position += 1
            case 0xDA, 0xD9: return nil
            case 0x00, 0x01, 0xD0...0xD8: position += 2
            default:
                let length = Int(bytes[position + 2]) << 8 | Int(bytes[position + 3])
                let end = min(bytes.count, position + 2 + length)
                guard length >= 2, position + 4 <= end else { return nil }
                let segment = UnsafeRawBufferPointer(rebasing: bytes[position + 4..<end])
                if mark == 0xE1, segment.starts(with: [0x45, 0x78, 0x69, 0x66, 0, 0]) {
                    return inTIFF(UnsafeRawBufferPointer(rebasing: segment[6...]))
                }
                position = end
            }
        }
        return nil
    }

    /// In the chunk eXIf, which may also stand behind the pixels (PNG, third edition, 11.3.4.5).
    private static func inPNG(_ bytes: UnsafeRawBufferPointer) -> Int? {
        var position = 8
        while position + 12 <= bytes.count {
            let length = (0..<4).reduce(0) { $0 << 8 | Int(bytes[position + $1]) }
            guard length <= bytes.count - position - 12 else { return nil }
            if bytes[(position + 4)...].starts(with: [0x65, 0x58, 0x49, 0x66]) {
                return inTIFF(UnsafeRawBufferPointer(rebasing: bytes[position + 8..<position + 8 + length]))
            }
            position += 12 + length
        }
        return nil
    }

    /// In the chunk EXIF (WebP Container Specification), which some programs begin as JPEG does.
    private static func inWebP(_ bytes: UnsafeRawBufferPointer) -> Int? {
        var position = 12
        while position + 8 <= bytes.count {
            let length = (0..<4).reduce(0) { $0 | Int(bytes[position + 4 + $1]) << (8 * $1) }
            guard length <= bytes.count - position - 8 else { return nil }
            let chunk = UnsafeRawBufferPointer(rebasing: bytes[position + 8..<position + 8 + length])
            if bytes[position...].starts(with: [0x45, 0x58, 0x49, 0x46]) {
                let hasMark = chunk.starts(with: [0x45, 0x78, 0x69, 0x66, 0, 0])
                return inTIFF(hasMark ? UnsafeRawBufferPointer(rebasing: chunk[6...]) : chunk)
            }
            position += 8 + length + length % 2
        }
        return nil
    }

    /// In the first directory of a TIFF (TIFF 6.0, section 2).
    private static func inTIFF(_ bytes: UnsafeRawBufferPointer) -> Int? {
        guard bytes.count >= 8, bytes[0] == bytes[1], bytes[0] == 0x49 || bytes[0] == 0x4D else { return nil }
        let isLittle = bytes[0] == 0x49
        func number(_ position: Int, _ count: Int) -> Int? {
            guard position >= 0, position <= bytes.count - count else { return nil }
            return (0..<count).reduce(0) { $0 << 8 | Int(bytes[position + (isLittle ? count - 1 - $1 : $1)]) }
        }
        guard number(2, 2) == 42, let directory = number(4, 4), let count = number(directory, 2) else { return nil }
        for entry in 0..<count {
            let place = directory + 2 + 12 * entry
            guard let tag = number(place, 2) else { return nil }
            // A short number, which stands first of four bytes.
            if tag == 0x0112 { return number(place + 2, 2) == 3 ? number(place + 8, 2) : nil }
        }
        return nil
    }

    /// Turns an image of the file's rows.
    func applied(to image: Image) -> Image {
        guard self != .upright else { return image }
        let (height, width, channels) = (image.height, image.width, image.channels)
        var result = Image(
            height: isSideways ? width : height, width: isSideways ? height : width, channels: channels,
            pixels: [UInt8](repeating: 0, count: image.pixels.count))
        for row in 0..<height {
            let across = isFromBottom ? height - 1 - row : row
            for column in 0..<width {
                let along = isFromRight ? width - 1 - column : column
                let target = isSideways ? along * height + across : across * width + along
                for channel in 0..<channels {
                    result.pixels[target * channels + channel] =
                        image.pixels[(row * width + column) * channels + channel]
                }
            }
        }
        return result
    }
}
