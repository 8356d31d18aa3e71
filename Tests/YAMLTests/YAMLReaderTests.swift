import Testing

@testable import YAML

@Suite struct YAMLReaderTests {
    static func read(_ text: String) throws(YAMLError) -> YAMLNode? { try YAMLReader.read(Array(text.utf8)) }

    @Test func aTextBecomesATreeWithPlaces() throws {
        let root = try #require(
            try Self.read(
                """
                # a comment
                a: 1
                b:
                  ü: "x\\ty"
                  list: [1, {z: 'two'}]
                c: |
                  two
                  lines
                """))
        guard case .mapping(let entries) = root.content else {
            Issue.record("it is no mapping")
            return
        }
        #expect(entries.map(\.key) == ["a", "b", "c"])
        #expect(entries[0].value == YAMLNode(content: .scalar("1", isPlain: true), mark: .init(line: 2, column: 4)))
        #expect(entries[2].value.content == .scalar("two\nlines", isPlain: false))
        guard case .mapping(let inner) = entries[1].value.content, case .sequence(let list) = inner[1].value.content
        else {
            Issue.record("b is no mapping with a list")
            return
        }
        #expect(inner[0].mark == .init(line: 4, column: 3) && inner[0].key == "ü")
        // Columns are characters, not bytes.
        #expect(
            inner[0].value == YAMLNode(content: .scalar("x\ty", isPlain: false), mark: .init(line: 4, column: 6)))
        #expect(list.count == 2 && list[0].mark == .init(line: 5, column: 10))
    }

    @Test(arguments: ["", "# nothing\n", "\n\n", "\u{FEFF}"])
    func nothingIsNothing(text: String) throws { #expect(try Self.read(text) == nil) }

    @Test(arguments: ["~", "null", "", "NULL"])
    func nullIsNull(word: String) throws {
        let root = try #require(try Self.read("a: \(word)"))
        guard case .mapping(let entries) = root.content else { return }
        #expect(entries[0].value.isNull)
    }

    @Test(arguments: [
        ("a: &x 1", 1, 4, "anchor"), ("a: &x [1]", 1, 4, "anchor"), ("&x a: 1", 1, 1, "anchor"),
        ("a: *x", 1, 4, "alias"), ("*x : 1", 1, 1, "alias"), ("a: !!int 1", 1, 4, "tag"), ("a: !x {}", 1, 4, "tag"),
        ("a: 1\nb: 2\na: 3", 3, 1, "\"a\" is there a second time, first in line 1"),
        ("x:\n  a: 1\n  a: 2", 3, 3, "second time"), ("{a: 1, a: 2}", 1, 8, "second time"),
        ("? [a]\n: 1", 1, 3, "a key is a single word"), ("a: 1\n---\nb: 2", 2, 1, "second document"),
        ("a:\n\tb: 1", 2, 1, "tab"), ("a:\n  \tb: 1", 2, 3, "tab"), ("\ta: 1", 1, 1, "tab"),
        ("a: [1", 2, 1, "did not find expected"), ("a: \"x", 1, 6, "unexpected end of stream"),
        ("a: b: c", 1, 5, "mapping values are not allowed"), ("a\nb: 1", 2, 2, "mapping values are not allowed"),
        ("a: 1\n\u{1}", 2, 1, "control characters are not allowed"), ("a: @x", 1, 4, "cannot start any token"),
    ])
    func everyMistakeHasAPlace(text: String, line: Int, column: Int, words: String) throws {
        let error = try #require(throws: YAMLError.self) { _ = try Self.read(text) }
        #expect(error.reason.contains(words), "\(text.debugDescription): \(error)")
        #expect(error.mark.line == line, "\(text.debugDescription): \(error)")
        #expect(abs(error.mark.column - column) <= 1, "\(text.debugDescription): \(error)")
        #expect(error.description.hasPrefix("\(error.mark.line):\(error.mark.column): "))
    }

    @Test func bytesThatAreNoUTF8HaveAPlace() throws {
        let error = try #require(throws: YAMLError.self) {
            _ = try YAMLReader.read(Array("a: 1\nü: ".utf8) + [0xFF, 0x0A])
        }
        #expect(error.mark == YAMLMark(line: 2, column: 4) && error.reason.contains("UTF-8"), "\(error)")
        // UTF-16 is not taken for something else.
        #expect(throws: YAMLError.self) { _ = try YAMLReader.read([0xFE, 0xFF, 0, 0x61, 0, 0x3A, 0, 0x20, 0, 0x31]) }
    }

    @Test func sizeDepthAndCountAreBounded() throws {
        let large = Array(("# " + String(repeating: "x", count: YAMLReader.maximumSize)).utf8)
        #expect(throws: YAMLError.self) { _ = try YAMLReader.read(large) }
        #expect(try YAMLReader.read(Array(large.prefix(YAMLReader.maximumSize))) == nil)
        for opening in ["[", "{a: ", "- ", "? ", "[{a: "] {
            let deep = String(repeating: opening, count: 65_536 / opening.utf8.count)
            #expect(throws: YAMLError.self) { _ = try Self.read(deep) }
        }
        let fits = String(repeating: "[", count: 16) + String(repeating: "]", count: 16)
        #expect(try Self.read(fits) != nil)
        let error = try #require(throws: YAMLError.self) { _ = try Self.read("[" + fits + "]") }
        #expect(error.reason.contains("16 deep"))
        let many = "[" + String(repeating: "1,", count: YAMLReader.maximumCount) + "]"
        #expect(try #require(throws: YAMLError.self) { _ = try Self.read(many) }.reason.contains("8192"))
        let laughs = "a: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]"
        #expect(throws: YAMLError.self) { _ = try Self.read(laughs) }
    }
}
