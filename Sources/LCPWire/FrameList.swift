import FoundationEssentials

/// Some frames of a sensor since its start: JSON on `…/unanswered/SENSOR`, where it asks which of them were answered, because the
/// predictions may have been lost on their way to it, and on `…/answered/SENSOR`, where an aggregator says which.
public struct FrameList: Sendable, Hashable, Codable {
    /// Numbers as decimal strings, because they may exceed JavaScript's integers.
    public var session: String
    public var frames: [String]

    /// The most frames of one message.
    public static let maximumFrames = 256

    public init(session: UInt64, frames: some Sequence<UInt64>) {
        self.session = String(session)
        self.frames = frames.prefix(Self.maximumFrames).map { String($0) }
    }

    /// Reads a list; nil where the JSON is none, or has what there cannot be.
    public init?(_ json: [UInt8]) {
        guard json.count <= 16_384, let list = try? JSONDecoder().decode(FrameList.self, from: Data(json)),
            UInt64(list.session) != nil, list.frames.count <= Self.maximumFrames,
            list.frames.allSatisfy({ UInt64($0) != nil })
        else { return nil }
        self = list
    }

    package var numbers: [UInt64] { frames.compactMap { UInt64($0) } }

    package var json: [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        return (try? encoder.encode(self)).map { Array($0) } ?? []
    }
}
