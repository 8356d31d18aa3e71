extension Error {
    /// What is wrong in a file of JSON, and where, for whoever wrote it: "runs[2].branches" is not a whole number. Errors that are
    /// not of decoding have words of their own.
    package var reason: String { (self as? DecodingError)?.sentence ?? "\(self)" }
}

extension DecodingError {
    fileprivate var sentence: String {
        switch self {
        case .keyNotFound(let key, let context): "\(Self.place(context)) lacks \(key.stringValue.printable)"
        case .typeMismatch(let type, let context), .valueNotFound(let type, let context):
            "\(Self.place(context)) is not \(Self.noun(type))"
        // Foundation says the same of both.
        case .dataCorrupted(let context) where context.codingPath.isEmpty:
            "the file is no JSON, or a number in it does not fit"
        case .dataCorrupted(let context): "\(Self.place(context)) has a value without meaning"
        @unknown default: "a value is wrong"
        }
    }

    private static func place(_ context: Context) -> String {
        var text = ""
        for key in context.codingPath {
            text += key.intValue.map { "[\($0)]" } ?? (text.isEmpty ? key.stringValue : ".\(key.stringValue)")
        }
        return text.isEmpty ? "the file" : text.quoted
    }

    private static func noun(_ type: any Any.Type) -> String {
        switch type {
        case is Bool.Type: "true or false"
        case is String.Type: "text"
        case is any BinaryInteger.Type: "a whole number"
        case is any BinaryFloatingPoint.Type: "a number"
        case _ where type == [Any].self: "a list"
        case _ where type == [String: Any].self: "an object"
        default: "what belongs there"
        }
    }
}
