/// The names of an object's values as they stand in a file, to find those that mean nothing.
package struct KeyNames: Decodable {
    package struct Key: CodingKey {
        package let stringValue: String
        package var intValue: Int? { nil }
        package init(stringValue: String) { self.stringValue = stringValue }
        package init?(intValue: Int) { nil }
    }

    package let all: [String]

    package init(from decoder: any Decoder) throws {
        all = try decoder.container(keyedBy: Key.self).allKeys.map(\.stringValue).sorted()
    }

    /// The first name that is not among the known ones; nil where all are.
    package func stranger(to known: [String]) -> String? { all.first { !known.contains($0) } }
}
