/// Images of one size, and their true classes where they are known.
public struct LabeledImages: Sendable {
    public var height: Int
    public var width: Int
    public var channels: Int
    /// All pixels, image after image, HWC.
    public var pixels: [UInt8]
    /// As many as images, or empty.
    public var labels: [UInt8]

    public init(height: Int, width: Int, channels: Int, pixels: [UInt8] = [], labels: [UInt8] = []) {
        self.height = height
        self.width = width
        self.channels = channels
        self.pixels = pixels
        self.labels = labels
    }

    /// Bytes of one image.
    public var imageSize: Int { height * width * channels }

    /// The number of images.
    public var count: Int { pixels.count / imageSize }

    /// The pixels of one image.
    public subscript(index: Int) -> ArraySlice<UInt8> { pixels[index * imageSize..<(index + 1) * imageSize] }

    /// Both sets, one after the other; they must have the same size.
    public static func + (left: Self, right: Self) -> Self {
        precondition(left.imageSize == right.imageSize, "images of different sizes cannot be joined")
        var result = left
        result.pixels += right.pixels
        result.labels += right.labels
        return result
    }

    /// The first images only.
    public func prefix(_ count: Int) -> Self {
        var result = self
        result.pixels = Array(pixels.prefix(count * imageSize))
        result.labels = Array(labels.prefix(count))
        return result
    }
}

/// Why data could not be read: one sentence with the file and the reason.
public struct DatasetError: Error, Hashable, CustomStringConvertible {
    public let description: String
    package init(_ description: String) { self.description = description }
}
