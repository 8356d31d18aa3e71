/// A setting that cannot be used: one sentence that says where it stands, what is wrong and what to do.
public struct SettingsError: Error, Hashable, CustomStringConvertible {
    public let description: String
    package init(_ description: String) { self.description = description }
}
