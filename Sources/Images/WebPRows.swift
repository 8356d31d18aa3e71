import CImageCodecs

/// A WebP's rows.
final class WebPRows: PixelRows {
    private let decoder: OpaquePointer
    private(set) var height: Int
    private(set) var width: Int
    let channels: Int
    /// Whether it is lossless, and unpacked whole.
    private let unpackedBytes: Int

    /// Reads a header.
    ///
    /// - Parameter bytes: they have to stay where they are.
    init(_ bytes: UnsafeRawBufferPointer) throws(ImageError) {
        let header: lcp_image_header
        (decoder, header) = try Reason.opened(.webp, bytes, lcp_webp_open)
        (height, width, channels) = (Int(header.height), Int(header.width), Int(header.channels))
        unpackedBytes = header.kept
    }

    deinit { lcp_webp_close(decoder) }

    /// Bytes that decoding takes at the size that rows have.
    var keptBytes: Int { unpackedBytes + height * width * channels }
    var kind: String { unpackedBytes > 0 ? "lossless WebP" : "WebP" }

    /// Makes rows smaller while they are decoded, to at least so many pixels.
    func reduce(to needed: (height: Int, width: Int)) {
        let factor = max(Double(needed.height) / Double(height), Double(needed.width) / Double(width))
        guard factor < 1 else { return }
        (height, width) = (
            max(1, Int((Double(height) * factor).rounded(.up))), max(1, Int((Double(width) * factor).rounded(.up)))
        )
    }

    /// Decodes it.
    func start() throws(ImageError) {
        guard lcp_webp_start(decoder, UInt32(width), UInt32(height)) else {
            throw ImageError("the WebP is damaged: rows are missing")
        }
    }

    func read(_ row: UnsafeMutableBufferPointer<UInt8>) throws(ImageError) { lcp_webp_read(decoder, row.baseAddress) }
}
