import Platform
import Testing

@Suite struct PrintableTextTests {
    @Test(arguments: ["\u{0}", "\n", "\u{1B}", "\u{7F}", "\u{9B}", "\u{2028}", "\u{202E}", "\u{2066}"])
    func whatDrivesATerminalIsReplaced(text: String) {
        #expect("a\(text)b".printable == "a\u{FFFD}b")
        #expect("a\(text)b".quoted == "\"a\u{FFFD}b\"")
    }

    @Test func namesOfPeopleStay() {
        #expect("Küche 7 猫".printable == "Küche 7 猫")
        #expect(String(repeating: "a", count: 64).quoted.utf8.count == 66)
        #expect(String(repeating: "a", count: 65).quoted == "\"" + String(repeating: "a", count: 64) + "…\"")
        #expect(("e" + String(repeating: "\u{301}", count: 100_000)).quoted.utf8.count < 300)
    }
}
