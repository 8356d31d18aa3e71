import FoundationEssentials

/// What a role asks all others for where the broker has not kept it: JSON on `…/model/wanted`. A cluster's nodes may each keep
/// their own messages only, so that what was pushed to one is not found on another.
package struct ModelRequest: Sendable, Hashable, Codable {
    /// The SHA-256 of a file of the model, in hexadecimal; nil for the manifest.
    package var file: String?
    /// Whether this is no question, but somebody's word that he answers it, so that nobody else does.
    package var isGiven: Bool?

    enum CodingKeys: String, CodingKey {
        case file
        case isGiven = "given"
    }

    package init(file: String? = nil, isGiven: Bool? = nil) { (self.file, self.isGiven) = (file, isGiven) }

    /// Reads a request; nil where the JSON is none.
    package init?(_ json: [UInt8]) {
        guard json.count <= 256, let request = try? JSONDecoder().decode(Self.self, from: Data(json)),
            request.file.map({ $0.utf8.count == 64 }) ?? true
        else { return nil }
        self = request
    }

    package var json: [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        return (try? encoder.encode(self)).map { Array($0) } ?? []
    }
}
