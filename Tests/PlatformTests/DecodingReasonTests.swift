import Foundation
import Testing

@Suite struct DecodingReasonTests {
    private struct Part: Decodable {
        var count: UInt8
        var share: Double
        var isWhole: Bool
        var kind: Kind

        enum Kind: String, Decodable { case large, small }
    }
    private struct Whole: Decodable {
        var name: String
        var parts: [Part]
        var sizes: [String: Int]
    }

    @Test(arguments: [
        (#"{"name": 1}"#, #""name" is not text"#),
        (#"{}"#, "the file lacks name"),
        (#"["#, "the file is no JSON, or a number in it does not fit"),
        (#"[]"#, "the file is not an object"),
        (#"{"name": "a", "parts": {}}"#, #""parts" is not a list"#),
        (#"{"name": "a", "parts": [], "sizes": {"b": "c"}}"#, #""sizes.b" is not a whole number"#),
        (#"{"name": "a", "parts": [{}]}"#, #""parts[0]" lacks count"#),
        (#"{"name": "a", "parts": [{"count": null}]}"#, #""parts[0].count" is not a whole number"#),
        (#"{"name": "a", "parts": [{"count": 1, "share": "x"}]}"#, #""parts[0].share" is not a number"#),
        (
            #"{"name": "a", "parts": [{"count": 1, "share": 1, "isWhole": 1}]}"#,
            #""parts[0].isWhole" is not true or false"#
        ),
        (
            #"{"name": "a", "parts": [{"count": 1, "share": 1, "isWhole": true, "kind": "b"}]}"#,
            #""parts[0].kind" has a value without meaning"#
        ),
        (#"{"name": "a", "parts": [{"count": 300}]}"#, "the file is no JSON, or a number in it does not fit"),
    ])
    func theFirstMistakeIsNamedWithItsPlace(json: String, reason: String) throws {
        let error = #expect(throws: (any Error).self) { try JSONDecoder().decode(Whole.self, from: Data(json.utf8)) }
        #expect(error?.reason == reason)
    }

    @Test func otherErrorsHaveWordsOfTheirOwn() {
        struct Own: Error, CustomStringConvertible { let description = "a sentence" }
        #expect(Own().reason == "a sentence")
    }
}
