import Foundation
import Testing

@testable import LCPWire

@Suite struct EventTests {
    private static let event = LabelEvent(
        sensor: "door", label: "cat \"Mia\" 🐈", class: 3, confidence: 0.9123456789, since: 1_770_091_506_789_000_000,
        time: 1_770_091_507_000_000_000, before: "none", frame: .max, model: "cats")

    @Test("An event says what holds, since when, how sure that is and what held before")
    func event() throws {
        let json = String(decoding: Self.event.json, as: UTF8.self)
        #expect(
            json
                == #"{"before":"none","class":3,"confidence":0.912346,"frame":"18446744073709551615","label":"cat \"Mia\" 🐈","#
                + #""model":"cats","sensor":"door","since":"2026-02-03T04:05:06.789Z","time":"2026-02-03T04:05:07.000Z"}"#
        )
        #expect(LabelEvent(Array(json.utf8)) == Self.event)
        #expect(LabelEvent(Array("{}".utf8)) == nil && LabelEvent([]) == nil)
    }

    @Test(
        "A snapshot is asked for of the newest frame or of one by its number, and anything else is no request",
        arguments: [
            ("", .some(nil)), ("{}", .some(nil)), (#"{"frame":"18446744073709551615"}"#, .some(UInt64.max)),
            (#"{"frame":"-1"}"#, nil), (#"{"frame":7}"#, nil), ("7", nil), ("[]", nil), ("\u{0}", nil),
            (#"{"frame":"\#(String(repeating: "0", count: 300))"}"#, nil),
        ] as [(String, UInt64??)])
    func request(_ text: String, _ expected: UInt64??) {
        let request = SnapshotRequest(Array(text.utf8))
        #expect(request.map(\.number) == expected)
        if let request { #expect(SnapshotRequest(request.json) == request) }
    }

    @Test("A time is written as the calendar has it, also on leap days and beyond the century")
    func timestamps() {
        let formatter = ISO8601DateFormatter()
        for seconds in stride(from: Int64(0), to: 5_000_000_000, by: 7_654_321) {
            let text = Timestamp.text(seconds * 1_000_000_000 + 45_000_000)
            let date = Date(timeIntervalSince1970: Double(seconds))
            #expect(text == formatter.string(from: date).dropLast() + ".045Z")
        }
        #expect(Timestamp.text(-1) == "1970-01-01T00:00:00.000Z")
    }
}
