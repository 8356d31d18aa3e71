extension PipelineFile {
    /// The text of a file that sets something.
    ///
    /// - Parameters:
    ///   - settings: as they stand on a command line.
    ///   - head: a comment at the top.
    /// - Throws: ``SettingsError`` where a value is none, or one needs another.
    public static func text(_ settings: [Setting: String], head: String) throws(SettingsError) -> String {
        _ = try Settings(options: settings)
        var lines = ["# \(head)"]
        var section: String?
        for setting in Setting.allCases {
            guard let value = settings[setting] else { continue }
            if setting.section != section, let name = setting.section { lines.append("\(name):") }
            section = setting.section
            lines.append("\(section == nil ? "" : "  ")\(setting.key): \(written(value, setting))")
        }
        return lines.joined(separator: "\n") + "\n"
    }

    /// A value so that YAML reads the same.
    private static func written(_ value: String, _ setting: Setting) -> String {
        switch setting.kind {
        case .whole, .number, .truth: return value
        default: break
        }
        // What begins with a letter or a slash, has no other sign of YAML's in it and is not one of its words needs no quotes.
        let isPlain =
            value.utf8.allSatisfy { byte in
                UInt8(ascii: "a")...UInt8(ascii: "z") ~= byte | 0x20 || UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte
                    || "-_./:".utf8.contains(byte)
            } && (value.first?.isLetter == true || value.first == "/") && value.last != ":"
            && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"].contains(value.lowercased())
        if isPlain { return value }
        let escaped = value.map { $0 == "\"" || $0 == "\\" ? "\\\($0)" : "\($0)" }.joined()
        return "\"\(escaped)\""
    }
}
