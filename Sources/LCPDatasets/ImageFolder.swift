public import Images
import Platform

/// A folder of pictures, in the order of their names.
public struct ImageFolder: Sendable {
    /// The paths of the files.
    public let files: [String]

    /// Lists a folder; folders in it are not entered, and hidden files, which Macs leave beside others, are no pictures.
    ///
    /// - Throws: ``DatasetError`` where it cannot be read or has no image.
    public init(path: String) throws(DatasetError) {
        let names: [String]
        do {
            names = try FileIO.list(path).filter { !$0.hasPrefix(".") && Self.isPicture($0, in: path) }
        } catch {
            throw DatasetError("\(error)")
        }
        guard !names.isEmpty else { throw DatasetError("there is no \(ImageFormat.endingWords) file in \(path)") }
        files = names.map { "\(path)/\($0)" }
    }

    /// Whether a file is a picture, by its name, or else by its first bytes; also one of a format that is not read: that is told of
    /// it when it is read.
    private static func isPicture(_ name: String, in folder: String) -> Bool {
        let small = name.lowercased()
        if (ImageFormat.endings + ImageFormat.otherEndings).contains(where: small.hasSuffix) { return true }
        guard let bytes = try? FileIO.head("\(folder)/\(name)", count: 32) else { return false }
        return bytes.withUnsafeBytes { ImageFormat(signatureOf: $0) != nil || ImageFormat.otherName(of: $0) != nil }
    }

    /// Reads one image, to see whether that is possible.
    ///
    /// - Returns: its size, upright, and what is odd about it.
    /// - Throws: ``DatasetError`` with the file and the reason.
    static func check(_ file: String) throws(DatasetError) -> (
        size: (height: Int, width: Int), notes: ImageNotes
    ) {
        try with(file, ImageLimits()) { bytes throws(ImageError) in
            let notes = try Image.decode(bytes, to: ImageSize(height: 8, width: 8, channels: 3)).notes
            return (try Image.dimensions(of: bytes), notes)
        }
    }

    private static func with<Value>(
        _ file: String, _ limits: ImageLimits, _ body: (UnsafeRawBufferPointer) throws(ImageError) -> Value
    ) throws(DatasetError) -> Value {
        let bytes: [UInt8]
        do { bytes = try FileIO.read(file, limit: limits.maximumBytes) } catch { throw DatasetError("\(error)") }
        do throws(ImageError) {
            return try bytes.withUnsafeBufferPointer { bytes throws(ImageError) in
                try body(UnsafeRawBufferPointer(bytes))
            }
        } catch {
            throw DatasetError("cannot read \(file): \(error)")
        }
    }

    /// Reads one image at the given size.
    ///
    /// - Throws: ``DatasetError`` with the file and the reason.
    public static func read(
        _ file: String, size: ImageSize, limits: ImageLimits = ImageLimits()
    ) throws(DatasetError) -> (pixels: [UInt8], notes: ImageNotes) {
        try with(file, limits) { bytes throws(ImageError) in
            let (image, notes) = try Image.decode(bytes, to: size, limits: limits)
            return (image.pixels, notes)
        }
    }
}
