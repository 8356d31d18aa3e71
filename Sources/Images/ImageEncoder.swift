import CJPEG
import CPNG

extension Image {
    /// The image as a PNG file: every pixel stays as it is.
    ///
    /// - Throws: ``ImageError`` where there is no memory for it.
    public func png() throws(ImageError) -> [UInt8] {
        var image = png_image()
        image.version = UInt32(PNG_IMAGE_VERSION)
        image.width = UInt32(width)
        image.height = UInt32(height)
        image.format = channels == 1 ? 0 : UInt32(PNG_FORMAT_FLAG_COLOR)
        // Filters and the strongest compression take several times as long, for a few per cent.
        image.flags = UInt32(PNG_IMAGE_FLAG_FAST)
        defer { png_image_free(&image) }
        // What cannot be compressed is stored, with a filter's byte for each row.
        var size = pixels.count + pixels.count / 100 + 16 * height + 4096
        let bytes = [UInt8](unsafeUninitializedCapacity: size) { buffer, filled in
            let isWritten = png_image_write_to_memory(&image, buffer.baseAddress, &size, 0, pixels, 0, nil) != 0
            filled = isWritten ? size : 0
        }
        guard !bytes.isEmpty else { throw ImageError("the image of \(width) × \(height) cannot become a PNG") }
        return bytes
    }

    /// The image as a JPEG file, colours at half the resolution (4:2:0).
    ///
    /// - Parameter quality: 1 to 100.
    /// - Throws: ``ImageError`` where there is no memory for it.
    public func jpeg(quality: Int) throws(ImageError) -> [UInt8] {
        guard let encoder = tjInitCompress() else { throw ImageError("the JPEG encoder cannot be started") }
        defer { tjDestroy(encoder) }
        let subsampling = Int32(channels == 1 ? TJSAMP_GRAY.rawValue : TJSAMP_420.rawValue)
        let format = Int32(channels == 1 ? TJPF_GRAY.rawValue : TJPF_RGB.rawValue)
        let capacity = Int(tjBufSize(Int32(width), Int32(height), subsampling))
        guard capacity > 0, capacity < 1 << 40 else {
            throw ImageError("an image of \(width) × \(height) cannot become a JPEG")
        }
        var reason = ""
        let bytes = [UInt8](unsafeUninitializedCapacity: capacity) { buffer, filled in
            var (target, size) = (buffer.baseAddress, UInt(capacity))
            let result = tjCompress2(
                encoder, pixels, Int32(width), 0, Int32(height), format, &target, &size, subsampling,
                Int32(max(1, min(100, quality))), Int32(TJFLAG_NOREALLOC))
            filled = result == 0 ? Int(size) : 0
            if result != 0 { reason = String(cString: tjGetErrorStr2(encoder)) }
        }
        guard !bytes.isEmpty else { throw ImageError("the image cannot become a JPEG: \(reason)") }
        return bytes
    }

    /// The image as whoever gets it as a JPEG sees it.
    ///
    /// - Parameter quality: 1 to 100.
    /// - Throws: ``ImageError`` where there is no memory for it.
    public func throughJPEG(quality: Int) throws(ImageError) -> Image {
        let bytes = try jpeg(quality: quality)
        return try bytes.withUnsafeBufferPointer { bytes throws(ImageError) in
            try Image(
                decoding: UnsafeRawBufferPointer(bytes), channels: channels,
                size: .exactly(height: height, width: width))
        }
    }
}
