/// How predictions follow each other.
public enum PredictionOrder: String, Sendable, Hashable, CaseIterable {
    /// Those of one sensor in the order of its frames.
    case sensor
    /// Each as soon as it is there.
    case none
}
