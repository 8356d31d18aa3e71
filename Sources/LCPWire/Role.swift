/// What a process does in a pipeline.
public enum Role: String, Sendable, Hashable, Codable, CaseIterable {
    case sensor
    case worker
    case aggregator
}
