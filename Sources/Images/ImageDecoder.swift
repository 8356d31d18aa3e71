import CJPEG
import CPNG
import Glibc

/// The image formats that are read, told apart by their first bytes.
public enum ImageFormat: String, Sendable, Hashable {
    case jpeg
    case png

    /// The format of `bytes`, or nil where the signature is neither's.
    public init?(signatureOf bytes: UnsafeRawBufferPointer) {
        if bytes.count >= 3, bytes[0] == 0xFF, bytes[1] == 0xD8, bytes[2] == 0xFF {
            self = .jpeg
        } else if bytes.count >= 8, bytes.prefix(8).elementsEqual([0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]) {
            self = .png
        } else {
            return nil
        }
    }
}

/// What is read of strangers' images.
public struct ImageLimits: Sendable, Hashable {
    /// The most pixels that the header may announce: an image of a few bytes can claim 30,000 × 30,000 of them.
    public var maximumPixels: Int
    /// The most bytes of the compressed image.
    public var maximumBytes: Int

    public init(maximumPixels: Int = 24_000_000, maximumBytes: Int = 32 << 20) {
        self.maximumPixels = maximumPixels
        self.maximumBytes = maximumBytes
    }
}

/// How large a decoded image has to be.
public enum WantedImageSize: Sendable, Hashable {
    /// As large as the file says.
    case any
    /// At least so many pixels high and wide, because it is made smaller afterwards; a larger JPEG is decoded at a fraction of its
    /// size.
    case atLeast(height: Int, width: Int)
    /// A file that says anything else is refused before it is decoded.
    case exactly(height: Int, width: Int)
}

/// Why an image was not read: one sentence.
public struct ImageError: Error, Hashable, CustomStringConvertible {
    public let description: String
    /// Whether the image has not the size that was asked for.
    public let isOtherSize: Bool

    init(_ description: String, isOtherSize: Bool = false) {
        self.description = description
        self.isOtherSize = isOtherSize
    }
}

/// Pixels, row by row, channels innermost (HWC).
public struct Image: Sendable, Hashable {
    public var height: Int
    public var width: Int
    /// 1 is grey, 3 is red, green, blue.
    public var channels: Int
    /// height × width × channels bytes.
    public var pixels: [UInt8]

    public init(height: Int, width: Int, channels: Int, pixels: [UInt8]) {
        precondition(pixels.count == height * width * channels, "an image has height × width × channels bytes")
        self.height = height
        self.width = width
        self.channels = channels
        self.pixels = pixels
    }

    /// Decodes a JPEG or PNG.
    ///
    /// - Parameters:
    ///   - channels: 1 for grey by Rec. 601, 3 for colour.
    ///   - size: what the result is needed for.
    /// - Throws: ``ImageError`` for anything but a whole image within the limits.
    public init(
        decoding bytes: UnsafeRawBufferPointer, channels: Int, size: WantedImageSize = .any,
        limits: ImageLimits = ImageLimits()
    ) throws(ImageError) {
        precondition(channels == 1 || channels == 3, "an image has 1 or 3 channels")
        guard bytes.count <= limits.maximumBytes else {
            throw ImageError("the image has \(bytes.count) bytes, more than the \(limits.maximumBytes) that are read")
        }
        switch ImageFormat(signatureOf: bytes) {
        case .jpeg: self = try Self.jpeg(bytes, channels, size, limits)
        case .png: self = try Self.png(bytes, channels, size, limits)
        case nil: throw ImageError("the bytes are neither a JPEG nor a PNG")
        }
    }

    private static func check(
        width: Int, height: Int, _ size: WantedImageSize, _ limits: ImageLimits
    ) throws(ImageError) {
        guard width > 0, height > 0 else {
            throw ImageError("the image is damaged or cut short: it says that it has \(width) × \(height) pixels")
        }
        guard width <= limits.maximumPixels / height else {
            throw ImageError(
                "the image has \(width) × \(height) pixels, more than the \(limits.maximumPixels) that are read")
        }
        if case .exactly(let wantedHeight, let wantedWidth) = size {
            guard (height, width) == (wantedHeight, wantedWidth) else {
                throw ImageError(
                    "the image has \(width) × \(height) pixels where \(wantedWidth) × \(wantedHeight) are said",
                    isOtherSize: true)
            }
        }
    }

    private static func jpeg(
        _ bytes: UnsafeRawBufferPointer, _ channels: Int, _ size: WantedImageSize, _ limits: ImageLimits
    ) throws(ImageError) -> Image {
        guard let decoder = tjInitDecompress() else { throw ImageError("the JPEG decoder cannot be started") }
        defer { tjDestroy(decoder) }
        func failure() -> ImageError { ImageError("the JPEG is damaged: \(String(cString: tjGetErrorStr2(decoder)))") }
        let source = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self)
        var (width, height, subsampling, colorspace) = (Int32(0), Int32(0), Int32(0), Int32(0))
        guard
            tjDecompressHeader3(decoder, source, UInt(bytes.count), &width, &height, &subsampling, &colorspace) == 0
        else { throw failure() }
        guard colorspace != Int32(TJCS_CMYK.rawValue), colorspace != Int32(TJCS_YCCK.rawValue) else {
            throw ImageError("the JPEG has the colours of a printer (CMYK): convert it to RGB")
        }
        try check(width: Int(width), height: Int(height), size, limits)
        // Every scan of a progressive image passes over all of it, though it may have but a few bytes.
        let scans = scanCount(bytes)
        guard scans <= maximumPasses * limits.maximumPixels / (Int(width) * Int(height)) else {
            throw ImageError("the JPEG has \(scans) scans of \(width) × \(height) pixels, which is no camera's")
        }

        // The inverse DCT yields any multiple of an eighth; less than what is needed would blur.
        if case .atLeast(let neededHeight, let neededWidth) = size {
            var eighths: Int32 = 8
            while eighths > 1, Int((width * (eighths - 1) + 7) / 8) >= neededWidth,
                Int((height * (eighths - 1) + 7) / 8) >= neededHeight
            {
                eighths -= 1
            }
            width = (width * eighths + 7) / 8
            height = (height * eighths + 7) / 8
        }
        var pixels = [UInt8](repeating: 0, count: Int(width) * Int(height) * channels)
        let format = channels == 1 ? Int32(TJPF_GRAY.rawValue) : Int32(TJPF_RGB.rawValue)
        // A progressive image may have more scans than any camera makes, each as dear as an image.
        let flags = Int32(TJFLAG_LIMITSCANS) | Int32(TJFLAG_STOPONWARNING)
        let result = tjDecompress2(decoder, source, UInt(bytes.count), &pixels, width, 0, height, format, flags)
        guard result == 0 else { throw failure() }
        return Image(height: Int(height), width: Int(width), channels: channels, pixels: pixels)
    }

    /// Passes over the largest image that is read; encoders make about ten.
    private static let maximumPasses = 16

    /// The marks that begin a scan. No scan's data can hold one; a thumbnail's are counted, too.
    private static func scanCount(_ bytes: UnsafeRawBufferPointer) -> Int {
        var (position, count) = (0, 0)
        while position + 1 < bytes.count,
            let mark = memchr(bytes.baseAddress! + position, 0xFF, bytes.count - 1 - position)
        {
            position = UnsafeRawPointer(mark) - bytes.baseAddress! + 1
            if bytes[position] == 0xDA { count += 1 }
        }
        return count
    }

    private static func png(
        _ bytes: UnsafeRawBufferPointer, _ channels: Int, _ size: WantedImageSize, _ limits: ImageLimits
    ) throws(ImageError) -> Image {
        var image = png_image()
        image.version = UInt32(PNG_IMAGE_VERSION)
        defer { png_image_free(&image) }
        func failure(_ image: png_image) -> ImageError {
            let text = withUnsafeBytes(of: image.message) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
            return ImageError("the PNG is damaged: \(text)")
        }
        guard png_image_begin_read_from_memory(&image, bytes.baseAddress, bytes.count) != 0 else {
            throw failure(image)
        }
        let (width, height) = (Int(image.width), Int(image.height))
        try check(width: width, height: height, size, limits)
        guard pngRowBytes(bytes, width) <= maximumExpansion * bytes.count / height else {
            throw ImageError("the PNG is damaged: \(bytes.count) bytes cannot hold \(width) × \(height) pixels")
        }
        image.format = UInt32(PNG_FORMAT_FLAG_COLOR)
        var black = png_color(red: 0, green: 0, blue: 0)
        // Not filled before: of an image that ends early, only what there is costs memory and time.
        var isWhole = false
        let count = width * height * 3
        let pixels = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            isWhole = png_image_finish_read(&image, &black, buffer.baseAddress, 0, nil) != 0
            filled = isWhole ? count : 0
        }
        guard isWhole else { throw failure(image) }
        let colour = Image(height: height, width: width, channels: 3, pixels: pixels)
        return channels == 3 ? colour : colour.grey()
    }

    /// What deflate can make of a byte at most (RFC 1951: 258 bytes in two bits).
    private static let maximumExpansion = 1032

    /// Bytes of an unpacked row, by the depth and the colour type of the header (PNG, third edition, 11.2.1).
    private static func pngRowBytes(_ bytes: UnsafeRawBufferPointer, _ width: Int) -> Int {
        guard bytes.count > 25 else { return 0 }
        let samples = [0: 1, 2: 3, 3: 1, 4: 2, 6: 4][bytes[25]] ?? 1
        return (width * samples * Int(bytes[24]) + 7) / 8
    }

    /// Luma by Rec. 601: 0.299 R + 0.587 G + 0.114 B.
    public func grey() -> Image {
        guard channels == 3 else { return self }
        var result = [UInt8](repeating: 0, count: height * width)
        for index in result.indices {
            let red = UInt32(pixels[3 * index]), green = UInt32(pixels[3 * index + 1]),
                blue = UInt32(pixels[3 * index + 2])
            result[index] = UInt8((19595 * red + 38470 * green + 7471 * blue + 32768) >> 16)
        }
        return Image(height: height, width: width, channels: 1, pixels: result)
    }

    /// The image at another size, bilinear; shrinking, the triangle widens so that every pixel counts (as in Pillow).
    public func resized(height newHeight: Int, width newWidth: Int) -> Image {
        guard newHeight != height || newWidth != width else { return self }
        // First what leaves less: across, a stripe a million pixels high and one wide would become many times as large.
        let isAcrossFirst = height * newWidth <= newHeight * width
        let values: [Float]
        if isAcrossFirst {
            let rows = Self.resampled(pixels, blocks: height, from: width, to: newWidth, step: channels, Float.init)
            values = Self.resampled(rows, blocks: 1, from: height, to: newHeight, step: newWidth * channels, \.self)
        } else {
            let rows = Self.resampled(
                pixels, blocks: 1, from: height, to: newHeight, step: width * channels, Float.init)
            values = Self.resampled(rows, blocks: newHeight, from: width, to: newWidth, step: channels, \.self)
        }
        return Image(
            height: newHeight, width: newWidth, channels: channels,
            pixels: values.map { UInt8(max(0, min(255, $0.rounded()))) })
    }

    /// Resamples one dimension: of [blocks, old, step] values become [blocks, new, step].
    private static func resampled<Value>(
        _ values: [Value], blocks: Int, from old: Int, to new: Int, step: Int, _ float: (Value) -> Float
    ) -> [Float] {
        let weights = weights(from: old, to: new)
        var result = [Float](repeating: 0, count: blocks * new * step)
        for block in 0..<blocks {
            for (index, (start, weights)) in weights.enumerated() {
                let target = (block * new + index) * step
                for (offset, weight) in weights.enumerated() {
                    let source = (block * old + start + offset) * step
                    for place in 0..<step { result[target + place] += weight * float(values[source + place]) }
                }
            }
        }
        return result
    }

    private static func weights(from old: Int, to new: Int) -> [(start: Int, weights: [Float])] {
        let scale = Float(old) / Float(new)
        let support = max(scale, 1)
        return (0..<new).map { index in
            let center = (Float(index) + 0.5) * scale
            let start = max(0, Int(center - support + 0.5))
            let end = max(start + 1, min(old, Int(center + support + 0.5)))
            var weights = (start..<end).map { max(0, 1 - abs((Float($0) - center + 0.5) / support)) }
            let sum = weights.reduce(0, +)
            if sum > 0 { for index in weights.indices { weights[index] /= sum } } else { weights[0] = 1 }
            return (start, weights)
        }
    }
}
