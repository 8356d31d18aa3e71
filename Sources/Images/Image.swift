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

    /// Luma by Rec. 601: 0.299 R + 0.587 G + 0.114 B.
    public func grey() -> Image {
        guard channels == 3 else { return self }
        var result = [UInt8](repeating: 0, count: height * width)
        for index in result.indices {
            result[index] = Self.luma(pixels[3 * index], pixels[3 * index + 1], pixels[3 * index + 2])
        }
        return Image(height: height, width: width, channels: 1, pixels: result)
    }

    @inline(__always)
    static func luma(_ red: UInt8, _ green: UInt8, _ blue: UInt8) -> UInt8 {
        let sum: UInt32 = 19595 * UInt32(red) + 38470 * UInt32(green) + 7471 * UInt32(blue)
        return UInt8((sum + 32768) >> 16)
    }

    /// The image at another size, bilinear; shrinking, the triangle widens so that every pixel counts (as in Pillow).
    public func resized(height newHeight: Int, width newWidth: Int) -> Image {
        guard newHeight != height || newWidth != width else { return self }
        var resampler = Resampler(
            vertical: .init(size: height, extent: Double(height), scaled: newHeight, window: 0..<newHeight),
            horizontal: .init(size: width, extent: Double(width), scaled: newWidth, window: 0..<newWidth),
            channels: channels)
        let rowBytes = width * channels
        pixels.withUnsafeBufferPointer { pixels in
            for row in 0..<height {
                let start = row * rowBytes
                resampler.add(UnsafeBufferPointer(rebasing: pixels[start..<start + rowBytes]))
            }
        }
        return resampler.image()
    }
}

extension Image {
    /// The image in the middle of one as large as `fit` wants it.
    func padded(for fit: ImageFit) -> Image {
        guard height < fit.height || width < fit.width else { return self }
        var grey: UInt8 = 0
        if case .letterbox(let given) = fit.mode { grey = given }
        var result = Image(
            height: fit.height, width: fit.width, channels: channels,
            pixels: [UInt8](repeating: grey, count: fit.height * fit.width * channels))
        let (top, left) = ((fit.height - height) / 2, (fit.width - width) / 2)
        for row in 0..<height {
            let target = ((top + row) * fit.width + left) * channels
            let source = row * width * channels
            result.pixels[target..<target + width * channels] = pixels[source..<source + width * channels]
        }
        return result
    }
}
