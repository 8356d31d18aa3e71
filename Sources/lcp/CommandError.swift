/// What a command was told and cannot do: one sentence that says what, where and what to do.
struct CommandError: Error, Hashable, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}
