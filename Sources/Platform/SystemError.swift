/// Something that the operating system would not give, such as a thread: one sentence with its reason.
public struct SystemError: Error, Hashable, CustomStringConvertible {
    public let description: String
    init(_ description: String) { self.description = description }
}
