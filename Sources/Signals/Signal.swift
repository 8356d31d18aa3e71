/// What the numbers of a model's input are, where it takes no pictures: the fields of records, one after the other in time, or
/// frames of sound.
///
/// An input of fields has the shape 1 × samples × fields, and one sample for a model that takes single records. An input of sound
/// has the shape bands × frames × 1. The numbers are those of the source; the model's mean and standard deviation, one for each
/// channel, are applied where it runs.
public struct Signal: Sendable, Hashable, Codable {
    /// The name of each field, in the order of the channels; empty for sound.
    public var fields: [String]
    /// How sound becomes numbers; nil for fields.
    public var logMel: LogMel?
    /// The samples, or frames of sound, from the beginning of one window to that of the next; nil for half of a window.
    public var hop: Int?

    public init(fields: [String], hop: Int? = nil) { (self.fields, self.hop) = (fields, hop) }

    public init(logMel: LogMel, hop: Int? = nil) { (fields, self.logMel, self.hop) = ([], logMel, hop) }

    enum CodingKeys: String, CodingKey {
        case fields, hop
        case logMel = "log_mel"
    }

    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        fields = try values.decodeIfPresent([String].self, forKey: .fields) ?? []
        logMel = try values.decodeIfPresent(LogMel.self, forKey: .logMel)
        hop = try values.decodeIfPresent(Int.self, forKey: .hop)
    }

    public func encode(to encoder: any Encoder) throws {
        var values = encoder.container(keyedBy: CodingKeys.self)
        if logMel == nil { try values.encode(fields, forKey: .fields) }
        try values.encodeIfPresent(logMel, forKey: .logMel)
        try values.encodeIfPresent(hop, forKey: .hop)
    }

    /// The most samples from one window to the next.
    public static let longestHop = 1_000_000

    /// Why an input of a shape cannot be this signal; nil where it can.
    public func misfit(height: Int, width: Int, channels: Int) -> String? {
        if let hop, !(1...Self.longestHop).contains(hop) { return "its hop is 1 to 1,000,000, not \(hop)" }
        guard let logMel else {
            if fields.isEmpty { return "its signal has neither fields nor sound" }
            if Set(fields).count < fields.count { return "two fields of its signal have one name" }
            return (height, channels) == (1, fields.count)
                ? nil
                : "it has \(fields.count) field\(fields.count == 1 ? "" : "s"), and an input of \(height)×\(width)×\(channels) "
                    + (height == 1 ? "needs \(channels)" : "is a picture")
        }
        if let fault = logMel.fault { return fault }
        return (height, channels) == (logMel.bands, 1)
            ? nil : "its \(logMel.bands) bands of sound are no input of \(height)×\(width)×\(channels)"
    }

    /// From one window of a length to the next.
    public func hop(for width: Int) -> Int { hop ?? max(1, width / 2) }
}

/// Why numbers could not be read: the name of its counter, and one sentence.
public struct SignalError: Error, Hashable, CustomStringConvertible {
    public var reason: String
    public var description: String

    public init(_ reason: String, _ description: String) { (self.reason, self.description) = (reason, description) }
}
