/// The shape of one image or feature map: height, width and channels, without a batch.
public struct FeatureMapShape: Sendable, Hashable, Codable, CustomStringConvertible {
    public var height: Int
    public var width: Int
    public var channels: Int

    public init(height: Int, width: Int, channels: Int) {
        self.height = height
        self.width = width
        self.channels = channels
    }

    /// A vector of features: 1 × 1 × count.
    public init(features count: Int) { self.init(height: 1, width: 1, channels: count) }

    /// Reads `HxWxC`, for example `32x32x3`; nil for anything else.
    public init?(_ text: String) {
        let numbers = text.split(whereSeparator: { $0 == "x" || $0 == "×" }).map { Int($0) }
        guard numbers.count == 3, let height = numbers[0], let width = numbers[1], let channels = numbers[2] else {
            return nil
        }
        self.init(height: height, width: width, channels: channels)
    }

    /// height × width × channels.
    public var elementCount: Int { height * width * channels }

    public var description: String { "\(height)×\(width)×\(channels)" }
}
