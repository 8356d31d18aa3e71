/// The size of an image.
public struct ImageSize: Sendable, Hashable, CustomStringConvertible {
    public var height: Int
    public var width: Int
    /// 1 is grey, 3 is red, green, blue.
    public var channels: Int
    /// How a picture gets this size.
    public var mode: ImageFit.Mode
    /// The grey that shows where it is transparent.
    public var background: UInt8

    public init(
        height: Int, width: Int, channels: Int, mode: ImageFit.Mode = .stretch, background: UInt8 = 255
    ) {
        self.height = height
        self.width = width
        self.channels = channels
        self.mode = mode
        self.background = background
    }

    /// Whether images have as many pixels, however they got them.
    public func hasDimensions(of other: ImageSize) -> Bool {
        (height, width, channels) == (other.height, other.width, other.channels)
    }

    /// Bytes of one image.
    public var byteCount: Int { height * width * channels }

    public var description: String { "\(height)×\(width)×\(channels)" }

    /// How a picture becomes this.
    var fit: ImageFit { ImageFit(height: height, width: width, mode: mode) }
}

extension Image {
    /// Decodes a picture as ``decode(_:channels:size:background:limits:)`` does, to a size.
    public static func decode(
        _ bytes: UnsafeRawBufferPointer, to size: ImageSize, limits: ImageLimits = ImageLimits()
    ) throws(ImageError) -> (image: Image, notes: ImageNotes) {
        try decode(
            bytes, channels: size.channels, size: .fitted(size.fit), background: size.background, limits: limits)
    }
}
