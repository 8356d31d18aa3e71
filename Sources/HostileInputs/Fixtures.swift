import Platform

/// The folder with the files that tests share: good messages and images to begin with.
public struct Fixtures: Sendable {
    let path: String

    public init(path: String) { self.path = path }

    /// The contents of a folder's files, in the order of their names.
    public func files(_ folder: String, _ suffix: String = "") -> [[UInt8]] {
        let folder = "\(path)/\(folder)"
        let names = ((try? FileIO.list(folder)) ?? []).filter { $0.hasSuffix(suffix) }
        return names.sorted().compactMap { try? FileIO.read("\(folder)/\($0)") }
    }
}
