import Glibc
public import MQTT

/// Everything that a role is told, from all the places where it can be: what is built in, over it a pipeline file, over that
/// the environment, over that the options.
public struct Settings: Sendable {
    /// A setting's value and where it comes from.
    public struct Entry: Sendable, Hashable {
        public var setting: Setting
        /// Nil where nothing sets it and it has no default.
        public var value: SettingValue?
        public var origin: SettingOrigin
    }

    /// The file that was read.
    public let file: String?
    private var values: [Setting: Entry] = [:]

    /// Lays the settings over each other.
    ///
    /// - Parameters:
    ///   - environment: variables by their names; an empty one counts as none, and what is no setting is left alone.
    ///   - options: what stands on the command line, by setting.
    /// - Throws: ``SettingsError``, one sentence that says where the mistake is.
    public init(
        file: PipelineFile? = nil, environment: [String: String] = [:], options: [Setting: String] = [:]
    ) throws(SettingsError) {
        self.file = file?.path
        for setting in Setting.allCases {
            var entry = Entry(setting: setting, value: setting.defaultValue, origin: .builtIn)
            if let inFile = file?.entries[setting] { (entry.value, entry.origin) = (inFile.value, inFile.origin) }
            if let variable = setting.environmentVariable, let text = environment[variable], !text.isEmpty {
                entry = try Self.entry(setting, text, .environment(variable: variable))
            }
            if let text = options[setting] {
                entry = try Self.entry(setting, text, .option(setting.option ?? setting.rawValue))
            }
            values[setting] = entry
        }
        try checkTogether()
    }

    /// Reads the file that `--config` or the environment names, and lays everything over each other.
    ///
    /// - Parameter path: what stands behind `--config`.
    /// - Throws: ``SettingsError``.
    public static func load(
        file path: String? = nil, environment: [String: String] = Self.environment, options: [Setting: String] = [:]
    ) throws(SettingsError) -> Settings {
        var file: PipelineFile?
        if let path {
            file = try PipelineFile(path: path)
        } else if let path = environment[Setting.fileVariable], !path.isEmpty {
            do { file = try PipelineFile(path: path) } catch {
                throw SettingsError("\(Setting.fileVariable): \(error)")
            }
        }
        return try Settings(file: file, environment: environment, options: options)
    }

    /// This process's variables that set something.
    public static var environment: [String: String] {
        var result: [String: String] = [:]
        for name in Setting.environmentVariables {
            if let value = getenv(name) { result[name] = String(cString: value) }
        }
        return result
    }

    /// A setting with its origin.
    public subscript(_ setting: Setting) -> Entry {
        values[setting] ?? Entry(setting: setting, value: setting.defaultValue, origin: .builtIn)
    }

    /// All settings, in the order of a file.
    public var entries: [Entry] { Setting.allCases.map { self[$0] } }

    private static func entry(_ setting: Setting, _ text: String, _ origin: SettingOrigin) throws(SettingsError)
        -> Entry
    {
        do { return Entry(setting: setting, value: try setting.kind.value(text), origin: origin) } catch {
            throw SettingsError(origin.subject(setting) + error.rest)
        }
    }

    /// What only makes sense with another.
    private func checkTogether() throws(SettingsError) {
        for (setting, other) in [
            (Setting.passwordFile, Setting.user), (.certificate, .certificateKey), (.certificateKey, .certificate),
        ] where text(setting) != nil && text(other) == nil {
            let options = [other.option, other.environmentVariable].compactMap(\.self).joined(separator: ", ")
            throw SettingsError(
                "\(self[setting].origin.subject(setting)) needs \(options) or \(other.rawValue) in the pipeline file")
        }
    }

    // MARK: By type

    /// A setting that is text.
    public func text(_ setting: Setting) -> String? {
        if case .text(let text) = self[setting].value { text } else { nil }
    }

    /// A setting that is a whole number.
    public func whole(_ setting: Setting) -> Int? {
        if case .whole(let whole) = self[setting].value { whole } else { nil }
    }

    /// A setting that is a number with or without a fraction.
    public func number(_ setting: Setting) -> Double? {
        if case .number(let number) = self[setting].value { number } else { nil }
    }

    /// How sure a prediction has to be, by sensor; nil where nothing is said.
    public var thresholds: PerSensor<Double>? { text(.threshold).flatMap(SettingKind.thresholds) }
    /// How many predictions have to agree, by sensor; nil where nothing is said.
    public var majorities: PerSensor<Majority>? { text(.stable).flatMap(SettingKind.majorities) }

    /// A setting that is true or false; false where nothing is said.
    public func truth(_ setting: Setting) -> Bool { self[setting].value == .truth(true) }

    public var pipeline: String { text(.pipeline) ?? "" }
    public var prefix: String { text(.prefix) ?? "" }
    /// A bundle's name or its folder.
    public var model: String { text(.model) ?? "" }
    public var qos: QoS { whole(.qos).flatMap { QoS(rawValue: Int32(clamping: $0)) } ?? .atMostOnce }
    /// How long the aggregator waits for the other branches.
    public var deadline: Duration { .microseconds(Int64((number(.deadline) ?? 0) * 1000)) }
    /// The most frames that wait where all are answered.
    public var queueLimit: Int { whole(.queue) ?? 1 }
}
