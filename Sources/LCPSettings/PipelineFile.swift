import Platform
import YAML

/// A pipeline as a YAML file, such as those of `Configs/pipelines`. Every key may be left out.
///
/// Paths in it are relative to the file's folder.
public struct PipelineFile: Sendable {
    /// A value with its place.
    public struct Entry: Sendable, Hashable {
        public var value: SettingValue
        public var origin: SettingOrigin
    }

    /// As it was named.
    public let path: String
    /// What the file sets.
    public private(set) var entries: [Setting: Entry] = [:]

    /// Reads a file.
    ///
    /// - Throws: ``SettingsError``, one sentence with the file, the line and the column.
    public init(path: String) throws(SettingsError) {
        let bytes: [UInt8]
        let readable = FileIO.readable(path, credential: "pipeline")
        do { bytes = try FileIO.read(readable, limit: YAMLReader.maximumSize) } catch {
            throw SettingsError(FileIO.exists(path) ? "\(error)" : "\(error): lcp init writes a pipeline's file")
        }
        try self.init(bytes, path: path, exists: FileIO.exists)
    }

    /// Reads a file's bytes.
    ///
    /// - Parameter exists: whether there is a file at a path.
    init(_ bytes: [UInt8], path: String, exists: (String) -> Bool) throws(SettingsError) {
        self.path = path
        let root: YAMLNode?
        do { root = try YAMLReader.read(bytes) } catch {
            throw SettingsError("\(path):\(error)")
        }
        guard let root, !root.isNull else { return }
        guard case .mapping(let entries) = root.content else {
            throw mistake(root.mark, "a pipeline file has lines KEY: VALUE, for example pipeline: kitchen")
        }
        for entry in entries {
            if Self.sections.contains(entry.key) {
                try read(section: entry, exists)
            } else {
                try read(entry, section: nil, exists)
            }
        }
    }

    private mutating func read(section entry: YAMLNode.Entry, _ exists: (String) -> Bool) throws(SettingsError) {
        // A section whose lines are all commented out.
        if entry.value.isNull { return }
        guard case .mapping(let entries) = entry.value.content else {
            throw mistake(
                entry.value.mark,
                "\(entry.key) is a section: put its keys below it, indented: \(Self.keys(of: entry.key))")
        }
        for inner in entries { try read(inner, section: entry.key, exists) }
    }

    private mutating func read(_ entry: YAMLNode.Entry, section: String?, _ exists: (String) -> Bool)
        throws(SettingsError)
    {
        guard let setting = Setting(rawValue: section.map { "\($0).\(entry.key)" } ?? entry.key),
            setting.section == section
        else {
            let place = section.map { " below \($0)" } ?? ""
            let key = (entry.key.count <= 60 ? entry.key : "\(entry.key.prefix(60))…").printable
            throw mistake(entry.mark, "there is no key \(key)\(place); the known are \(Self.keys(of: section))")
        }
        let kind = setting.kind
        guard case .scalar(let text, let isPlain) = entry.value.content else {
            let what = if case .sequence = entry.value.content { "a list" } else { "a section" }
            throw mistake(entry.value.mark, "\(setting.rawValue) is \(kind.expectation), not \(what)")
        }
        guard !entry.value.isNull else {
            throw mistake(
                entry.value.mark,
                "\(setting.rawValue) has no value: it is \(kind.expectation); leave the line out for the default")
        }
        do {
            let value = try kind.value(text, isQuoted: !isPlain)
            let folder = path.lastIndex(of: "/").map { $0 == path.startIndex ? "" : String(path[..<$0]) } ?? "."
            let seen: SettingValue =
                if case .text(let text) = value { .text(kind.relative(text, to: folder, exists: exists)) } else {
                    value
                }
            entries[setting] = Entry(
                value: seen,
                origin: .file(path: path, line: entry.value.mark.line, column: entry.value.mark.column))
        } catch {
            throw mistake(entry.value.mark, setting.rawValue + error.rest)
        }
    }

    private func mistake(_ mark: YAMLMark, _ sentence: String) -> SettingsError {
        SettingsError("\(path):\(mark): \(sentence)")
    }

    private static let sections = Set(Setting.allCases.compactMap(\.section))

    /// The keys that a section, or the top, may have.
    private static func keys(of section: String?) -> String {
        let keys = Setting.allCases.filter { $0.section == section }.map(\.key)
        return (section == nil ? keys + sections : keys).sorted().joined(separator: ", ")
    }
}
