import Platform

/// Which values of a record are the inputs: a name and a path for each.
public struct FieldMap: Sendable, Hashable {
    public struct Field: Sendable, Hashable {
        /// The input's, as the model calls it.
        public var name: String
        /// Of the value in a record: a column's name, or a path in JSON, see ``JSONValue/subscript(_:)``.
        public var path: String
    }

    public var fields: [Field]

    public static let form = "NAME[=PATH],…"

    /// Every name is its path.
    public init(names: [String]) { fields = names.map { Field(name: $0, path: $0) } }

    /// Reads `ax=accel.x,ay=accel.y,temperature`.
    ///
    /// - Throws: ``SignalError``.
    public init(_ text: String) throws(SignalError) {
        fields = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let sides = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            guard !sides[0].isEmpty, !fields.contains(where: { $0.name == sides[0] }) else {
                throw SignalError(
                    "bad_fields", "\(text.quoted) does not name fields: write \(Self.form), each name once")
            }
            fields.append(Field(name: sides[0], path: sides.last ?? sides[0]))
        }
    }

    public var names: [String] { fields.map(\.name) }

    /// The paths of a model's fields, in its order: those that are not in the map have their names as paths.
    ///
    /// - Throws: ``SignalError`` where the map has a field that the model lacks.
    func paths(of names: [String]) throws(SignalError) -> [String] {
        if let strange = fields.first(where: { !names.contains($0.name) }) {
            throw SignalError(
                "bad_fields",
                "the model has no field \(strange.name.quoted): it has \(names.map(\.printable).joined(separator: ", "))"
            )
        }
        return names.map { name in fields.first { $0.name == name }?.path ?? name }
    }
}

/// What is read of records besides their fields.
public struct RecordOptions: Sendable, Hashable {
    /// Where the fields are; nil for their own names, or for all columns that are nothing else.
    public var fields: FieldMap?
    /// The path of the true class.
    public var label: String?
    /// The path of the time, in seconds or as ISO 8601; nil where records have none.
    public var time: String?
    /// The path of what records belong to: where it changes, a new window begins.
    public var group: String?
    /// The longest time between two records of a window, in the unit of the time; nil for three times the usual one.
    public var gap: Double?

    public init() {}
}

/// One record's numbers.
struct Sample: Hashable {
    var values: [Float]
    var label: String?
    var time: Double?
    var group: String?
    /// The line that it stands in, or its number among the messages, from 1.
    var line: Int
}

/// Where a model's fields are in records of one kind.
struct FieldPaths: Sendable {
    var names: [String]
    var values: [String]
    var options: RecordOptions

    /// - Throws: ``SignalError`` where the options have a field that is not among the names.
    init(names: [String], _ options: RecordOptions) throws(SignalError) {
        self.names = names
        self.options = options
        values = try options.fields?.paths(of: names) ?? names
    }

    /// A record of JSON: an object, a list with a number for each field, or a number where there is one field.
    ///
    /// - Throws: ``SignalError``.
    func sample(_ record: JSONValue, line: Int) throws(SignalError) -> Sample {
        if options.fields == nil, case .list(let list) = record, list.count != values.count {
            throw SignalError(
                "missing_value",
                "record \(line) is a list of \(list.count) value\(list.count == 1 ? "" : "s"), and there are \(values.count) fields"
            )
        }
        var numbers: [Float] = []
        numbers.reserveCapacity(values.count)
        for (index, path) in values.enumerated() {
            var found = record[path]
            if found == nil, options.fields == nil {
                if case .list(let list) = record, list.count == values.count { found = list[index] }
                if case .number = record, values.count == 1 { found = record }
            }
            numbers.append(try Self.number(found, of: names[index], line: line))
        }
        var sample = Sample(values: numbers, line: line)
        sample.label = options.label.flatMap { Self.word(record[$0]) }
        sample.group = options.group.flatMap { Self.word(record[$0]) }
        if let path = options.time {
            switch record[path] {
            case .number(let time)?: sample.time = time
            case .text(let text)?: sample.time = Timestamp.seconds(text)
            default: break
            }
            guard sample.time != nil else { throw Self.noTime(path, line) }
        }
        return sample
    }

    static func noTime(_ path: String, _ line: Int) -> SignalError {
        SignalError("bad_time", "record \(line) has no time in \(path.quoted): seconds or ISO 8601 are read")
    }

    private static func number(
        _ value: JSONValue?, of name: String, line: Int
    ) throws(SignalError) -> Float {
        switch value {
        case .number(let number)?:
            let single = Float(number)
            guard single.isFinite else { throw SignalError("too_large", "record \(line): \(name.quoted) is too large") }
            return single
        case .flag(let flag)?: return flag ? 1 : 0
        case .text(let text)?: return try FieldPaths.number(text, of: name, line: line)
        case nil, .null?:
            throw SignalError("missing_value", "record \(line) has no value for \(name.quoted)")
        case .list?, .object?:
            throw SignalError("text_value", "record \(line): \(name.quoted) is \(value?.kind ?? ""), and no number")
        }
    }

    /// A number that is written out.
    static func number(_ text: String, of name: String, line: Int) throws(SignalError) -> Float {
        if let number = Float(text), number.isFinite { return number }
        guard !missing.contains(text.lowercased()) else {
            throw SignalError("missing_value", "record \(line) has no value for \(name.quoted)")
        }
        throw SignalError("text_value", "record \(line): \(name.quoted) is \(text.quoted), and no number")
    }

    /// What programs write for a value that is not there; Home Assistant the last two.
    private static let missing: Set<String> = [
        "", "na", "n/a", "nan", "null", "none", "?", "inf", "-inf", "unknown", "unavailable",
    ]

    private static func word(_ value: JSONValue?) -> String? {
        switch value {
        case .text(let text)?: text
        case .number(let number)?: number == number.rounded() && abs(number) < 1e15 ? "\(Int(number))" : "\(number)"
        case .flag(let flag)?: "\(flag)"
        default: nil
        }
    }
}
