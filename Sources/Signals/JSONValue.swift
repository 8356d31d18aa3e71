import FoundationEssentials
import Platform

/// A value of JSON, as somebody on the network wrote it.
public enum JSONValue: Sendable, Hashable, Decodable {
    case number(Double)
    case text(String)
    case flag(Bool)
    case list([JSONValue])
    case object([String: JSONValue])
    case null

    public static let longest = 1 << 20

    /// - Throws: ``SignalError``.
    public init(_ bytes: some Collection<UInt8>) throws(SignalError) {
        guard bytes.count <= Self.longest else {
            throw SignalError("bad_json", "a message has \(bytes.count) bytes, and 1,048,576 are read at most")
        }
        do { self = try JSONDecoder().decode(JSONValue.self, from: Data(bytes)) } catch {
            let beginning = String(decoding: bytes.prefix(40), as: UTF8.self)
            throw SignalError("bad_json", "\(beginning.quoted) is no JSON")
        }
    }

    public init(from decoder: any Decoder) throws {
        if let keyed = try? decoder.container(keyedBy: Key.self) {
            var object: [String: JSONValue] = [:]
            for key in keyed.allKeys { object[key.stringValue] = try keyed.decode(JSONValue.self, forKey: key) }
            self = .object(object)
            return
        }
        if var list = try? decoder.unkeyedContainer() {
            var values: [JSONValue] = []
            while !list.isAtEnd { values.append(try list.decode(JSONValue.self)) }
            self = .list(values)
            return
        }
        let value = try decoder.singleValueContainer()
        if value.decodeNil() {
            self = .null
        } else if let flag = try? value.decode(Bool.self) {
            self = .flag(flag)
        } else if let number = try? value.decode(Double.self) {
            self = .number(number)
        } else {
            self = .text(try value.decode(String.self))
        }
    }

    private struct Key: CodingKey {
        var stringValue: String
        var intValue: Int? { nil }
        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }

    /// The value at a path: `temperature`, `accel.x`, `values[2]`; the empty path is the value itself. A key that has dots in it
    /// is found, too.
    public subscript(path: some StringProtocol) -> JSONValue? {
        guard !path.isEmpty else { return self }
        if path.hasPrefix("[") {
            guard case .list(let list) = self, let end = path.firstIndex(of: "]"),
                let index = Int(path[path.index(after: path.startIndex)..<end]), list.indices.contains(index)
            else { return nil }
            let rest = path[path.index(after: end)...]
            return list[index][rest.hasPrefix(".") ? rest.dropFirst() : rest]
        }
        guard case .object(let object) = self else { return nil }
        if let value = object[String(path)] { return value }
        for place in path.indices where path[place] == "." || path[place] == "[" {
            guard let value = object[String(path[..<place])] else { continue }
            let rest = path[place...]
            if let found = value[rest.hasPrefix(".") ? rest.dropFirst() : rest] { return found }
        }
        return nil
    }

    /// For people: what it is.
    var kind: String {
        switch self {
        case .number: "a number"
        case .text(let text): "the text \(String(text.prefix(40)).quoted)"
        case .flag: "true or false"
        case .list: "a list"
        case .object: "an object"
        case .null: "null"
        }
    }
}
