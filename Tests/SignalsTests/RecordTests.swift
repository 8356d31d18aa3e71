import Signals
import Testing

@testable import Signals

@Suite("Records")
struct RecordTests {
    /// All rows of a text that comes in pieces of a size.
    private static func rows(_ text: String, piece: Int = .max) throws -> [[String]] {
        var parser = DelimitedText()
        var rows: [[String]] = []
        let bytes = Array(text.utf8)
        for start in stride(from: 0, to: bytes.count, by: min(piece, max(1, bytes.count))) {
            parser.add(bytes[start..<min(bytes.count, start + min(piece, bytes.count))])
            while let row = try parser.next(isEnd: false) { rows.append(row.cells) }
        }
        while let row = try parser.next(isEnd: true) { rows.append(row.cells) }
        return rows
    }

    @Test(
        "A text with separators is read as RFC 4180 says, whatever pieces it comes in",
        arguments: [
            ("a,b\n1,2\n", [["a", "b"], ["1", "2"]]), ("a;b\r\n1;2", [["a", "b"], ["1", "2"]]),
            ("a\tb\n\n1\t2\n", [["a", "b"], ["1", "2"]]), ("\u{FEFF}a,b\n1,2", [["a", "b"], ["1", "2"]]),
            ("a,\"b,\nc\"\n\"1\"\"2\", x ", [["a", "b,\nc"], ["1\"2", "x"]]), ("a\n1\n", [["a"], ["1"]]),
            ("", []), (" \n", []), ("a;\"b,b,b\"\n", [["a", "b,b,b"]]), ("a,,\n", [["a", "", ""]]),
            ("\" a\" ,b\n", [[" a", "b"]]),
        ] as [(String, [[String]])])
    func separators(text: String, expected: [[String]]) throws {
        #expect(try Self.rows(text) == expected)
        for piece in 1...3 { #expect(try Self.rows(text, piece: piece) == expected) }
    }

    @Test("A row that ends inside quotes, or that never ends, is refused with its line")
    func endless() throws {
        #expect(throws: SignalError("bad_row", "line 2 ends inside quotes")) { try Self.rows("a\n\"b\n") }
        #expect(throws: SignalError.self) { try Self.rows(String(repeating: "x", count: DelimitedText.longestRow + 1)) }
        #expect(throws: SignalError.self) { try Self.rows(String(repeating: ",", count: DelimitedText.mostCells)) }
    }

    @Test("Values of JSON are found by keys, keys with dots, and places in lists")
    func paths() throws {
        let json = try JSONValue(Array(#"{"a":{"b":[1,{"c":2.5}],"d.e":3},"f.g":"4","h":[[5]],"n":null}"#.utf8))
        #expect(json["a.b[0]"] == .number(1) && json["a.b[1].c"] == .number(2.5) && json["a.d.e"] == .number(3))
        #expect(json["f.g"] == .text("4") && json["h[0][0]"] == .number(5) && json["n"] == .null && json[""] == json)
        for path in ["x", "a.x", "a.b[2]", "a.b[-1]", "a.b[x]", "a.b[", "[0]", "a..b", ".", "h[0][0].x"] {
            #expect(json[path] == nil)
        }
    }

    @Test(
        "What is no JSON, is too deep or too long is refused in a line",
        arguments: ["", "{", "{\"a\":1e999}", "nan", "[1 2]"])
    func noJSON(text: String) {
        #expect(throws: SignalError.self) { try JSONValue(Array(text.utf8)) }
    }

    @Test("JSON of any depth ends in a refusal, and not in a crash")
    func deep() {
        for depth in [100_000, 500_000] {
            #expect(throws: SignalError.self) { try JSONValue(Array(repeating: UInt8(ascii: "["), count: depth)) }
            let text = String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
            #expect(throws: SignalError.self) { try JSONValue(Array(text.utf8)) }
        }
        #expect(throws: SignalError.self) { try JSONValue([UInt8](repeating: 0x20, count: JSONValue.longest + 1)) }
    }

    @Test("A mapping names each field once")
    func maps() throws {
        let map = try FieldMap("x=a.b,y,z=c=d")
        #expect(map.names == ["x", "y", "z"] && map.fields.map(\.path) == ["a.b", "y", "c=d"])
        #expect(try map.paths(of: ["y", "w", "x", "z"]) == ["y", "w", "a.b", "c=d"])
        #expect(throws: SignalError.self) { try map.paths(of: ["x", "y"]) }
        for text in ["", "a,", "a,a", "=b"] { #expect(throws: SignalError.self) { try FieldMap(text) } }
    }

    @Test(
        "Times are seconds, or ISO 8601 with and without an offset",
        arguments: [
            ("12.5", 12.5), ("1970-01-01T00:00:00Z", 0), ("2000-03-01 00:00", 951_868_800),
            ("2026-12-01T02:40:44.250Z", 1_796_092_844.25), ("2026-12-01T02:40:44+01:30", 1_796_087_444),
            ("1969-12-31T23:59:59", -1), ("2024-02-29T12:00:00-0500", 1_709_226_000),
        ] as [(String, Double)])
    func times(text: String, seconds: Double) { #expect(Timestamp.seconds(text) == seconds) }

    @Test(
        "Anything else is no time",
        arguments: [
            "", "nan", "yesterday", "2026-13-01T00:00", "2026-12-01T25:00", "2026-12-01T02:40:44X",
            "2026-12-01T02:40:44+1",
        ])
    func noTimes(text: String) { #expect(Timestamp.seconds(text) == nil) }

    @Test("A gap is three times the usual step, or longer than was said, or time that goes back")
    func gaps() {
        var usual = GapDetector(longest: nil)
        let steady = (0..<20).map { usual.isGap(Double($0)) }
        #expect(!steady.contains(true))
        var early = GapDetector(longest: nil)
        let few = [0, 1, 9, 10, 11, 12, 19, 20].map { early.isGap($0) }
        #expect(few == [false, false, false, false, false, false, true, false])
        let gaps = [21.9, 25, 24, 25].map { usual.isGap($0) }
        #expect(gaps == [false, true, true, false])
        var told = GapDetector(longest: 0.5)
        let found = [7, 7.5, 8.1].map { told.isGap($0) }
        #expect(found == [false, false, true])
    }

    @Test(
        "Windows overlap, touch or leave samples out, as the hop says",
        arguments: [
            (3, 1, [[0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 5], [4, 5, 6], [5, 6, 7]]),
            (3, 2, [[0, 1, 2], [2, 3, 4], [4, 5, 6]]),
            (3, 3, [[0, 1, 2], [3, 4, 5]]), (2, 4, [[0, 1], [4, 5]]), (1, 3, [[0], [3], [6]]),
        ] as [(Int, Int, [[Float]])])
    func windows(width: Int, hop: Int, expected: [[Float]]) {
        var maker = WindowMaker(width: width, hop: hop)
        let windows = (0..<8).compactMap { maker.add([Float($0)])?.map { $0[0] } }
        #expect(windows == expected)
        maker.reset()
        #expect(maker.isEmpty)
    }
}
