import CImageCodecs

/// A PNG's rows.
final class PNGRows: PixelRows {
    private let decoder: OpaquePointer
    let height: Int
    let width: Int
    let channels: Int
    /// Bytes that are kept where it is interlaced.
    let keptBytes: Int

    /// Reads a header.
    ///
    /// - Parameter bytes: they have to stay where they are.
    init(_ bytes: UnsafeRawBufferPointer) throws(ImageError) {
        let header: lcp_image_header
        (decoder, header) = try Reason.opened(.png, bytes, lcp_png_open)
        (height, width, channels) = (Int(header.height), Int(header.width), Int(header.channels))
        keptBytes = header.kept
    }

    deinit { lcp_png_close(decoder) }

    func read(_ row: UnsafeMutableBufferPointer<UInt8>) throws(ImageError) {
        guard lcp_png_read(decoder, row.baseAddress) else {
            throw ImageError("the PNG is damaged: \(String(cString: lcp_png_reason(decoder)))")
        }
    }
}
