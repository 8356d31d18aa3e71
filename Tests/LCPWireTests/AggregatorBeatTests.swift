import Testing

@testable import LCPWire

@Suite struct AggregatorBeatTests {
    private static let member = #"{"id":"a","birth":"c25f","term":1}"#

    private static func beat(_ json: String) -> AggregatorBeat? {
        AggregatorBeat(Array(#"{"member":\#(member),"number":8,"models":["m"]\#(json)}"#.utf8))
    }

    private static func stream(_ json: String) -> String {
        #","streams":[{"sensor":"cam","session":"7",\#(json)}]"#
    }

    @Test("What is written is read again")
    func roundTrip() throws {
        var beat = AggregatorBeat(
            member: .init(id: "a", birth: "b", term: 3), number: 9, models: ["m"],
            view: .init(
                number: 4, by: "a",
                members: [.init(id: "a", birth: "b", term: 3), .init(id: "c", birth: "d", term: 0, leaving: true)]),
            phase: .settled,
            streams: [
                .init(
                    sensor: "cam", session: .max, floor: 3, answered: [5...9, 11...11], held: "cat",
                    seen: [.init(label: nil, time: 1), .init(label: "cat", time: 2)])
            ])
        beat.load = .init(
            sensors: [.init(sensor: "cam", session: 7, frame: .max, count: 3, age: 9)],
            branches: [.init(shares: 3, queue: 1, compute: 2)])
        beat.late = [.init(sensor: "cam", session: 7, frame: 12, missing: 2)]
        #expect(AggregatorBeat(beat.json) == beat)
        #expect(beat.streams?[0].ranges == [5...9, 11...11])
    }

    @Test(
        "What no aggregator says is not read",
        arguments: [
            #","view":{"number":3,"by":"a","members":[\#(member)]}"#, #","phase":"settled""#,
            #","phase":"settled","view":{"number":-1,"by":"a","members":[\#(member)]}"#,
            #","phase":"settled","view":{"number":3,"by":"a","members":[\#(member),\#(member)]}"#,
            #","phase":"settled","view":{"number":3,"by":"a","members":[{"id":"a/b","birth":"c","term":1}]}"#,
            #","phase":"settled","view":{"number":3,"by":"a","members":[{"id":"a","birth":"c","term":-1}]}"#,
            stream(#""answered":["1"]"#), stream(#""answered":["2","1"]"#), stream(#""answered":["x","1"]"#),
            stream(#""answered":[],"floor":"-1""#), stream(#""answered":["0","18446744073709551615"]"#),
            stream(#""answered":["0","9000","10000","19000"]"#),
            #","streams":[{"sensor":"a/b","session":"7","answered":[]}]"#,
            #","streams":[{"sensor":"cam","session":"x","answered":[]}]"#,
            #","load":{"sensors":[],"branches":[{"shares":-1,"queue_us":1,"compute_us":1}]}"#,
            #","load":{"sensors":[{"sensor":"cam","session":"7","frame":"1","count":-1,"age_us":1}],"branches":[]}"#,
            ##","load":{"sensors":[{"sensor":"#","session":"7","frame":"1","count":1,"age_us":1}],"branches":[]}"##,
        ])
    func unsound(json: String) { #expect(Self.beat(json) == nil) }

    @Test("The same without what is wrong is read")
    func sound() {
        for json in [
            "", #","phase":"settled","view":{"number":3,"by":"a","members":[\#(Self.member)]}"#,
            Self.stream(#""answered":["1","1"]"#),
            #","load":{"sensors":[],"branches":[{"shares":1,"queue_us":1,"compute_us":1}]}"#,
        ] { #expect(Self.beat(json) != nil, "\(json)") }
    }
}
