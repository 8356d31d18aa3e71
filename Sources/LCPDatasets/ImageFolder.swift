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
            names = try FileIO.list(path).filter { name in
                !name.hasPrefix(".") && ImageFormat.endings.contains(where: name.lowercased().hasSuffix)
            }
        } catch {
            throw DatasetError("\(error)")
        }
        guard !names.isEmpty else { throw DatasetError("there is no \(ImageFormat.endingWords) file in \(path)") }
        files = names.map { "\(path)/\($0)" }
    }

    /// Reads one image, to see whether that is possible.
    ///
    /// - Returns: its size, upright.
    /// - Throws: ``DatasetError`` with the file and the reason.
    static func check(_ file: String) throws(DatasetError) -> (height: Int, width: Int) {
        _ = try read(file, size: ImageSize(height: 8, width: 8, channels: 3))
        do {
            let bytes = try FileIO.read(file, limit: ImageLimits().maximumBytes)
            return try bytes.withUnsafeBytes { try Image.dimensions(of: $0) }
        } catch {
            throw DatasetError("cannot read \(file): \(error)")
        }
    }

    /// Reads one image at the given size.
    ///
    /// - Throws: ``DatasetError`` with the file and the reason.
    public static func read(
        _ file: String, size: ImageSize, limits: ImageLimits = ImageLimits()
    ) throws(DatasetError) -> [UInt8] {
        let bytes: [UInt8]
        do { bytes = try FileIO.read(file, limit: limits.maximumBytes) } catch { throw DatasetError("\(error)") }
        do {
            return try bytes.withUnsafeBytes {
                try Image.decode($0, to: size, limits: limits).image.pixels
            }
        } catch {
            throw DatasetError("cannot read \(file): \(error)")
        }
    }
}
