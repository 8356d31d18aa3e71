/// What a setting is set to.
public enum SettingValue: Sendable, Hashable, CustomStringConvertible, Encodable {
    case text(String)
    case whole(Int)
    case number(Double)
    case truth(Bool)

    /// As it is written in a file.
    public var description: String {
        switch self {
        case .text(let text): text
        case .whole(let whole): "\(whole)"
        case .number(let number): Int(exactly: number).map { "\($0)" } ?? "\(number)"
        case .truth(let truth): "\(truth)"
        }
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .text(let text): try container.encode(text)
        case .whole(let whole): try container.encode(whole)
        case .number(let number): try container.encode(number)
        case .truth(let truth): try container.encode(truth)
        }
    }
}

/// Where a setting comes from; a later case wins over an earlier one.
public enum SettingOrigin: Sendable, Hashable, CustomStringConvertible {
    case builtIn
    case file(path: String, line: Int, column: Int)
    case environment(variable: String)
    case option(String)

    /// `default`, `FILE:LINE:COLUMN`, the variable or the option.
    public var description: String {
        switch self {
        case .builtIn: "default"
        case .file(let path, let line, let column): "\(path):\(line):\(column)"
        case .environment(let variable): variable
        case .option(let option): option
        }
    }

    /// The origin as the subject of a sentence: a place in a file needs the key behind it.
    package func subject(_ setting: Setting) -> String {
        switch self {
        case .builtIn: setting.rawValue
        case .file: "\(self): \(setting.rawValue)"
        case .environment, .option: description
        }
    }
}
