/// What stops a fault from being made: one sentence that says what, where and what to do.
public struct ChaosError: Error, Hashable, CustomStringConvertible {
    public let description: String

    init(_ description: String) { self.description = description }
}
