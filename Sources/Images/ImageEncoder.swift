import CImageCodecs
import CPNG
import Glibc

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
        var (count, reason) = (0, Reason())
        guard
            let bytes = lcp_jpeg_encode(
                pixels, UInt32(height), UInt32(width), UInt32(channels), Int32(max(1, min(100, quality))), &count,
                &reason.text)
        else { throw ImageError("an image of \(width) × \(height) cannot become a JPEG: \(reason)") }
        defer { free(bytes) }
        return Array(UnsafeBufferPointer(start: bytes, count: count))
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
