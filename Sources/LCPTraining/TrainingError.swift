/// Why training cannot begin or go on: one sentence.
public struct TrainingError: Error, Hashable, CustomStringConvertible {
    public let description: String
    public init(_ description: String) { self.description = description }
}
