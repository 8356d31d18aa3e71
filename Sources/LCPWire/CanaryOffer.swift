import FoundationEssentials

/// A model that is tried beside the pipeline's on a share of the frames: JSON on `…/model/canary`, kept.
package struct CanaryOffer: Sendable, Hashable, Codable {
    /// Of the frames, more than 0 and at most 1.
    package var share: Double
    package var offer: ModelOffer

    package init(share: Double, offer: ModelOffer) { (self.share, self.offer) = (share, offer) }

    /// Reads an offer; everything that it says is checked.
    ///
    /// - Throws: ``PipelineError``, one sentence with the reason.
    package init(_ json: [UInt8]) throws(PipelineError) {
        guard json.count <= ModelOffer.maximumBytes + 64,
            let canary = try? JSONDecoder().decode(CanaryOffer.self, from: Data(json)),
            canary.share > 0, canary.share <= 1
        else { throw PipelineError(.invalidMessage, "the canary's manifest is not the JSON of one") }
        self.init(share: canary.share, offer: try ModelOffer(canary.offer.json))
    }

    package var json: [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return (try? encoder.encode(self)).map { Array($0) } ?? []
    }

    /// Whether a frame is one of the share: everybody who asks gets the same answer.
    ///
    /// - Parameters:
    ///   - session: the sensor's, 0 for a bare input.
    ///   - frame: its number, or the hash of a bare input's bytes.
    package func takes(session: UInt64, frame: UInt64) -> Bool {
        // SplitMix64's finaliser (Steele et al. 2014): frames in a row become as good as random.
        var bits = session &+ (frame &+ 1) &* 0x9E37_79B9_7F4A_7C15
        bits = (bits ^ bits >> 30) &* 0xBF58_476D_1CE4_E5B9
        bits = (bits ^ bits >> 27) &* 0x94D0_49BB_1331_11EB
        bits ^= bits >> 31
        return Double(bits >> 11) < share * 0x1p53
    }
}
