import CImageCodecs

/// A JPEG's rows.
final class JPEGRows: PixelRows {
    private let decoder: OpaquePointer
    private(set) var height: Int
    private(set) var width: Int
    private(set) var channels: Int
    private(set) var extent: (height: Double, width: Double)
    private let header: lcp_image_header
    /// A row of inks, where the file has them.
    private var inks: [UInt8] = []

    /// Reads a header.
    ///
    /// - Parameter bytes: they have to stay where they are.
    init(_ bytes: UnsafeRawBufferPointer) throws(ImageError) {
        (decoder, header) = try Reason.opened(.jpeg, bytes, lcp_jpeg_open)
        (height, width, channels) = (Int(header.height), Int(header.width), 3)
        extent = (Double(height), Double(width))
    }

    deinit { lcp_jpeg_close(decoder) }

    /// Bytes that are kept until the last scan.
    var keptBytes: Int { header.kept }
    var kind: String { header.is_interlaced ? "progressive JPEG" : "JPEG of several scans" }

    /// Begins with the pixels.
    ///
    /// - Parameters:
    ///   - channels: 1 or 3.
    ///   - needed: the fewest pixels that are needed, because it is made smaller afterwards; nil for all.
    func start(channels: Int, needed: (height: Int, width: Int)?) throws(ImageError) {
        // The inverse DCT yields any multiple of an eighth; it is fast for these.
        var eighths = 8
        if let needed {
            while eighths > 1, (width * eighths / 2 + 7) / 8 >= needed.width,
                (height * eighths / 2 + 7) / 8 >= needed.height
            {
                eighths /= 2
            }
        }
        let hasInks = header.channels == 4
        extent = (Double(height * eighths) / 8, Double(width * eighths) / 8)
        var (newWidth, newHeight) = (UInt32(0), UInt32(0))
        guard lcp_jpeg_start(decoder, hasInks ? 4 : UInt32(channels), UInt32(eighths), &newWidth, &newHeight) else {
            throw failure()
        }
        (height, width) = (Int(newHeight), Int(newWidth))
        self.channels = hasInks ? 3 : channels
        if hasInks { inks = Array(repeating: 0, count: 4 * width) }
    }

    func read(_ row: UnsafeMutableBufferPointer<UInt8>) throws(ImageError) {
        guard header.channels == 4 else {
            guard lcp_jpeg_read(decoder, row.baseAddress) else { throw failure() }
            return
        }
        guard lcp_jpeg_read(decoder, &inks) else { throw failure() }
        let mask: UInt8 = lcp_jpeg_is_inverted(decoder) ? 0 : 255
        for pixel in 0..<width {
            // How much light the black ink, and each colour's, lets through.
            let black = UInt32(inks[4 * pixel + 3] ^ mask)
            for ink in 0..<3 {
                row[3 * pixel + ink] = UInt8((UInt32(inks[4 * pixel + ink] ^ mask) * black + 127) / 255)
            }
        }
    }

    var oddity: String? { lcp_jpeg_warning(decoder).map { String(cString: $0) } }

    private func failure() -> ImageError {
        ImageError("the JPEG is damaged: \(String(cString: lcp_jpeg_reason(decoder)))")
    }
}

/// Room for a decoder's reason.
struct Reason: CustomStringConvertible {
    var text = [CChar](repeating: 0, count: Int(LCP_IMAGE_REASON))

    /// Opens a decoder.
    ///
    /// - Parameter open: `lcp_jpeg_open` and its like.
    /// - Throws: ``ImageError`` with the reason.
    static func opened(
        _ format: ImageFormat, _ bytes: UnsafeRawBufferPointer,
        _ open: (
            UnsafePointer<UInt8>?, Int, UnsafeMutablePointer<lcp_image_header>?, UnsafeMutablePointer<CChar>?
        ) -> OpaquePointer?
    ) throws(ImageError) -> (decoder: OpaquePointer, header: lcp_image_header) {
        var (header, reason) = (lcp_image_header(), Reason())
        let start = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self)
        guard let decoder = open(start, bytes.count, &header, &reason.text) else {
            // Of what is whole the reason says all.
            let said = "\(reason)"
            throw ImageError(
                said.hasPrefix("it ")
                    ? "the \(format.name) is not read: \(said)" : "the \(format.name) is damaged: \(said)")
        }
        return (decoder, header)
    }

    var description: String { String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self) }
}
