/// How a picture of any size becomes an input; without one, both sides are scaled, each by itself.
public enum PictureResize: Sendable, Hashable, Codable, CustomStringConvertible {
    /// The shorter side is scaled to `shorter` pixels, and the middle is cut out, as most networks for photographs are trained
    /// (torchvision's Resize and CenterCrop).
    case crop(shorter: Int)
    /// All of it is scaled by one factor, and what is left is filled with a grey, 0 to 255, as detectors are trained.
    case letterbox(grey: UInt8)

    public var description: String {
        switch self {
        case .crop(let shorter): "the shorter side becomes \(shorter) pixels, and the middle is cut out"
        case .letterbox(let grey): "all of the picture is scaled, and the rest is filled with grey \(grey)"
        }
    }

    private enum CodingKeys: String, CodingKey { case mode, shorter, grey }

    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        switch try values.decode(String.self, forKey: .mode) {
        case "crop": self = .crop(shorter: try values.decode(Int.self, forKey: .shorter))
        case "letterbox": self = .letterbox(grey: try values.decode(UInt8.self, forKey: .grey))
        case let other:
            throw DecodingError.dataCorruptedError(
                forKey: .mode, in: values, debugDescription: "no way to resize pictures is called \(other)")
        }
    }

    public func encode(to encoder: any Encoder) throws {
        var values = encoder.container(keyedBy: CodingKeys.self)
        switch self {
        case .crop(let shorter):
            try values.encode("crop", forKey: .mode)
            try values.encode(shorter, forKey: .shorter)
        case .letterbox(let grey):
            try values.encode("letterbox", forKey: .mode)
            try values.encode(grey, forKey: .grey)
        }
    }
}
