import FoundationEssentials

/// What a sensor shows has changed: JSON on `…/event/SENSOR`, and its label alone, kept, on `…/state/SENSOR`.
public struct LabelEvent: Sendable, Hashable, Codable {
    /// What is said where no label is sure enough.
    public static let none = "none"

    public var sensor: String
    /// The label, or ``none``.
    public var label: String
    /// The label's class; nil for ``none``.
    public var `class`: Int?
    /// Of the prediction that made the label hold.
    public var confidence: Double
    /// When the first of the predictions was made that made it hold (RFC 3339, UTC).
    public var since: String
    /// When that was known (RFC 3339, UTC).
    public var time: String
    /// The label before; nil where none is known.
    public var before: String?
    /// The frame that made it hold, as a decimal string.
    public var frame: String
    /// The model's name.
    public var model: String

    /// - Parameters:
    ///   - since: nanoseconds since 1970 UTC.
    ///   - time: the same.
    package init(
        sensor: String, label: String, class: Int?, confidence: Double, since: Int64, time: Int64, before: String?,
        frame: UInt64, model: String
    ) {
        (self.sensor, self.label, self.class) = (sensor, label, `class`)
        self.confidence = (confidence * 1e6).rounded() / 1e6
        (self.since, self.time) = (Timestamp.text(since), Timestamp.text(time))
        (self.before, self.frame, self.model) = (before, String(frame), model)
    }

    /// Reads an event; nil for anything else.
    public init?(_ json: [UInt8]) {
        guard json.count <= 1 << 18, let event = try? JSONDecoder().decode(LabelEvent.self, from: Data(json)) else {
            return nil
        }
        self = event
    }

    package var json: [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return (try? encoder.encode(self)).map { Array($0) } ?? []
    }
}

/// Who wants a picture of what a sensor sees asks on `…/snapshot/SENSOR/get`: with nothing for its newest frame, or with JSON for
/// one that was. The answer, a JPEG, is kept on `…/snapshot/SENSOR`.
public struct SnapshotRequest: Sendable, Hashable, Codable {
    /// As a decimal string; nil for the newest.
    public var frame: String?

    public init(frame: UInt64? = nil) { self.frame = frame.map { String($0) } }

    /// Reads a request; nil where it is none.
    public init?(_ payload: [UInt8]) {
        guard payload.count <= 256 else { return nil }
        guard !payload.isEmpty else {
            self.init()
            return
        }
        guard let request = try? JSONDecoder().decode(SnapshotRequest.self, from: Data(payload)),
            request.frame == nil || request.number != nil
        else { return nil }
        self = request
    }

    /// The frame's number; nil for the newest.
    package var number: UInt64? { frame.flatMap { UInt64($0) } }

    package var json: [UInt8] { frame.map { Array(#"{"frame":"\#($0)"}"#.utf8) } ?? [] }
}
