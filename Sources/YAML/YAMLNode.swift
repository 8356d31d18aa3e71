/// A place in a text, counted from 1; columns are characters.
public struct YAMLMark: Sendable, Hashable, CustomStringConvertible {
    public var line: Int
    public var column: Int

    public init(line: Int, column: Int) {
        self.line = line
        self.column = column
    }

    /// `LINE:COLUMN`.
    public var description: String { "\(line):\(column)" }
}

/// A value in a YAML text, and where it begins.
public struct YAMLNode: Sendable, Hashable {
    /// What a value is.
    public enum Content: Sendable, Hashable {
        /// A single value as it is written; plain where it has no quotes and is no block.
        case scalar(String, isPlain: Bool)
        case sequence([YAMLNode])
        /// The entries in the order of the text; no key comes twice.
        case mapping([Entry])
    }

    /// A key with its value.
    public struct Entry: Sendable, Hashable {
        public var key: String
        public var mark: YAMLMark
        public var value: YAMLNode
    }

    public var content: Content
    public var mark: YAMLMark

    /// Whether nothing is written, or `null` or `~`.
    public var isNull: Bool {
        guard case .scalar(let text, isPlain: true) = content else { return false }
        return ["", "~", "null", "Null", "NULL"].contains(text)
    }
}

/// A text that cannot be read: where, and why in part of a sentence.
public struct YAMLError: Error, Hashable, CustomStringConvertible {
    public let mark: YAMLMark
    public let reason: String

    public init(_ mark: YAMLMark, _ reason: String) {
        self.mark = mark
        self.reason = reason
    }

    /// `LINE:COLUMN: REASON`.
    public var description: String { "\(mark): \(reason)" }
}
