/// How a picture of any size becomes one of a given size.
public struct ImageFit: Sendable, Hashable {
    public enum Mode: Sendable, Hashable {
        /// Both sides are scaled to what is wanted, each by itself.
        case stretch
        /// The shorter side is scaled to `shorter` pixels, and the middle is cut out (torchvision's Resize and CenterCrop).
        case crop(shorter: Int)
        /// All of it is scaled by one factor, and what is left is filled with a grey.
        case letterbox(grey: UInt8)
    }

    public var height: Int
    public var width: Int
    public var mode: Mode

    /// - Parameters:
    ///   - height: of the result, pixels.
    ///   - width: of the result, pixels.
    public init(height: Int, width: Int, mode: Mode = .stretch) {
        precondition(height > 0 && width > 0, "an image has a height and a width")
        self.height = height
        self.width = width
        self.mode = mode
    }

    /// Where a side's pixels come from.
    struct Side: Hashable {
        /// The side is scaled to so many pixels,
        var scaled: Int
        /// of which these are computed.
        var window: Range<Int>
    }

    /// What becomes of an image, as it is looked at.
    func sides(height: Int, width: Int) -> (vertical: Side, horizontal: Side) {
        switch mode {
        case .stretch:
            return (
                .init(scaled: self.height, window: 0..<self.height), .init(scaled: self.width, window: 0..<self.width)
            )
        case .crop(let shorter):
            // Whole numbers as torchvision has them.
            let scaledHeight = height <= width ? shorter : shorter * height / width
            let scaledWidth = height <= width ? shorter * width / height : shorter
            return (Self.middle(of: scaledHeight, self.height), Self.middle(of: scaledWidth, self.width))
        case .letterbox:
            let factor = min(Double(self.height) / Double(height), Double(self.width) / Double(width))
            func side(_ whole: Int, _ wanted: Int) -> Side {
                let scaled = max(1, min(wanted, Int((Double(whole) * factor).rounded())))
                return Side(scaled: scaled, window: 0..<scaled)
            }
            return (side(height, self.height), side(width, self.width))
        }
    }

    private static func middle(of scaled: Int, _ wanted: Int) -> Side {
        // Halves go to the even number, as Python rounds.
        let start = Int((Double(scaled - wanted) / 2).rounded(.toNearestOrEven))
        return Side(scaled: scaled, window: max(0, start)..<min(scaled, max(0, start) + wanted))
    }
}
