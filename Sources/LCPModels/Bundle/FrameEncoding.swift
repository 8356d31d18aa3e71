/// How the pixels of a frame are written into a message.
public enum FrameEncoding: Sendable, Hashable, CustomStringConvertible {
    /// One byte after the other.
    case raw
    /// A PNG file: every pixel stays as it is.
    case png
    /// A JPEG file, colours at half the resolution; the quality is 1 to 100.
    case jpeg(quality: Int)

    /// What can be written, for help texts.
    public static let forms = "raw, png, jpeg or jpeg:QUALITY"
    /// Where none is written.
    public static let standardQuality = 80

    /// Reads an encoding as it is written on the command line, see ``forms``; nil for anything else.
    public init?(_ text: String) {
        switch text {
        case "raw": self = .raw
        case "png": self = .png
        case "jpeg": self = .jpeg(quality: Self.standardQuality)
        default:
            let digits = text.dropFirst("jpeg:".count)
            guard text.hasPrefix("jpeg:"), digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
                let quality = Int(digits), (1...100).contains(quality)
            else { return nil }
            self = .jpeg(quality: quality)
        }
    }

    public var description: String {
        switch self {
        case .raw: "raw"
        case .png: "png"
        case .jpeg(let quality): "jpeg:\(quality)"
        }
    }

    /// Whether frames of a shape can be written so: a picture is grey or coloured.
    public func fits(_ shape: FeatureMapShape) -> Bool { self == .raw || shape.channels == 1 || shape.channels == 3 }
}
