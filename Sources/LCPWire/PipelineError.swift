/// What stops a role: one sentence that says what, where and what to do.
public struct PipelineError: Error, Hashable, CustomStringConvertible {
    public let description: String
    public init(_ description: String) { self.description = description }
}
