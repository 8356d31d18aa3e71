import FoundationEssentials

/// A prediction as a subscriber reads it: the JSON on `…/prediction/SENSOR`.
public struct Prediction: Sendable, Hashable, Codable {
    /// One class of many.
    public struct Candidate: Sendable, Hashable, Codable {
        public var `class`: Int
        public var label: String
        public var probability: Double
    }

    public var sensor: String
    /// The frame's number as a decimal string, because it may exceed JavaScript's integers.
    public var frame: String
    /// The most probable class.
    public var `class`: Int
    public var label: String
    /// In the order of the classes, where there are at most 100.
    public var probabilities: [Double]?
    /// The ten most probable, where there are more than 100 classes.
    public var top: [Candidate]?
    /// The branches that answered in time.
    public var branches: [Int]
    public var missing: [Int]
    /// Whether the parity branch stands in for one that is missing.
    public var parity: Bool?
    /// Of the slowest branch.
    public var computeMilliseconds: Double
    /// From the first branch's features to the prediction, on the aggregator's clock; nil from aggregators that do not tell.
    public var joinMilliseconds: Double?
    /// From capture to prediction; nil where the capture time is unknown or implausible.
    public var latencyMilliseconds: Double?
    /// The true class, where it is known.
    public var truth: Int?
    /// The model's name; nil from aggregators that do not tell.
    public var model: String?
    /// Whether the model is one that came with lcp, because none was pushed to the pipeline.
    public var fallback: Bool?
    /// When it was made, on the aggregator's clock (RFC 3339, UTC); nil from aggregators that do not tell.
    public var time: String?

    enum CodingKeys: String, CodingKey {
        case sensor, frame, label, probabilities, top, branches, missing, parity, truth, model, time, fallback
        case `class` = "class"
        case computeMilliseconds = "compute_ms"
        case joinMilliseconds = "join_ms"
        case latencyMilliseconds = "latency_ms"
    }

    /// Reads a prediction; nil for anything else.
    public init?(_ json: [UInt8]) {
        guard json.count <= 1 << 20, let value = try? JSONDecoder().decode(Prediction.self, from: Data(json)) else {
            return nil
        }
        self = value
    }

    /// The probability of the predicted class, where it is given.
    public var confidence: Double? {
        if let probabilities, probabilities.indices.contains(`class`) { return probabilities[`class`] }
        return top?.first?.probability
    }
}
