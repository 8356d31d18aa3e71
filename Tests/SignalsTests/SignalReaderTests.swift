import Signals
import Testing

@Suite("The reader of signals")
struct SignalReaderTests {
    private static func windows(
        _ text: String, _ format: SignalReader.Format = .csv, _ signal: Signal = Signal(fields: []), width: Int = 1,
        hop: Int? = nil, _ options: RecordOptions = .init()
    ) throws -> (windows: [SignalReader.Window], reader: SignalReader) {
        var reader = try SignalReader(format, signal: signal, width: width, hop: hop, options: options)
        var windows: [SignalReader.Window] = []
        // One byte after the other.
        for byte in text.utf8 {
            reader.add([byte])
            while let window = try reader.next(isEnd: false) { windows.append(window) }
        }
        while let window = try reader.next(isEnd: true) { windows.append(window) }
        return (windows, reader)
    }

    private static func options(_ change: (inout RecordOptions) -> Void) -> RecordOptions {
        var options = RecordOptions()
        change(&options)
        return options
    }

    @Test("All columns but the class, the time and the group are fields, in their order")
    func columns() throws {
        let options = Self.options { ($0.time, $0.group) = ("t", "g") }
        let (windows, reader) = try Self.windows("t,b,a,g,Label\n0,1,2,x,yes\n1,3,4,x,no\n", options)
        #expect(reader.fields == ["b", "a"])
        #expect(windows.map(\.values) == [[1, 2], [3, 4]] && windows.map(\.label) == ["yes", "no"])
        #expect(windows.map(\.place) == [2, 3])
    }

    private static func windows(
        _ text: String, _ options: RecordOptions
    ) throws -> (windows: [SignalReader.Window], reader: SignalReader) {
        try windows(text, .csv, Signal(fields: []), options)
    }

    @Test("A model finds its fields by their names or by the mapping, whatever their order")
    func fieldsOfAModel() throws {
        let signal = Signal(fields: ["a", "b"])
        #expect(try Self.windows("B,x,a\n1,2,3\n", .csv, signal).windows.map(\.values) == [[3, 1]])
        let map = try FieldMap("a=x")
        #expect(
            try Self.windows("b,x,a\n1,2,3\n", .csv, signal, Self.options { $0.fields = map }).windows.map(\.values)
                == [[2, 1]])
        #expect(throws: SignalError.self) { try Self.windows("b,x\n1,2\n", .csv, signal) }
        #expect(
            try Self.windows("1,2\n3,4\n", .csv, Signal(fields: ["2", "1"])).windows.map(\.values) == [
                [2, 1], [4, 3],
            ])
    }

    @Test("No window goes over another class, another group, a gap or a missing value")
    func breaks() throws {
        let text = """
            t,g,v,label
            0,a,0,x
            1,a,1,x
            2,a,2,y
            3,a,3,y
            4,b,4,y
            5,b,,y
            6,b,6,y
            7,b,7,y
            9.9,b,8,y
            10.9,b,9,y
            """
        let options = Self.options { ($0.time, $0.group, $0.gap) = ("t", "g", 2) }
        let (windows, reader) = try Self.windows(text, .csv, Signal(fields: []), width: 2, hop: 1, options)
        #expect(windows.map(\.values) == [[0, 1], [2, 3], [6, 7], [8, 9]])
        #expect(reader.dropped == ["missing_value": 1, "gap": 1])
        #expect(reader.complaints.count == 2 && reader.complaints[0] == "record 7 has no value for \"v\"")
    }

    @Test("Words where a number should be are counted, and told once")
    func words() throws {
        let (windows, reader) = try Self.windows("v\n1\nmuch\nmore\n2\n")
        #expect(windows.map(\.values) == [[1], [2]] && reader.dropped == ["text_value": 2])
        #expect(reader.complaints == ["record 3: \"v\" is \"much\", and no number"])
    }

    @Test("JSON is an object, a list of numbers, a number, or a list of objects, and numbers may be text")
    func json() throws {
        let two = Signal(fields: ["a", "b"])
        let text = """
            {"a":1,"b":"2.5"}
            [3,true]

            [{"a":4,"b":5},{"b":7,"a":6}]
            [[8,9],[10,11,12]]
            {"a":8}
            {"a":8,"b":"on"}
            {"a":8,"b":{}}
            nothing
            """
        let (windows, reader) = try Self.windows(text, .json, two)
        #expect(windows.map(\.values) == [[1, 2.5], [3, 1], [4, 5], [6, 7], [8, 9]])
        #expect(reader.complaints[0].contains("a list of 3 values, and there are 2 fields"))
        #expect(reader.dropped == ["missing_value": 2, "text_value": 2, "bad_json": 1])
        #expect(try Self.windows("21.5\n", .json, Signal(fields: ["t"])).windows.map(\.values) == [[21.5]])
    }

    @Test("A message may have several lines")
    func messages() throws {
        var reader = try SignalReader(.json, signal: Signal(fields: ["a"]), width: 2)
        reader.add(message: Array("{\n\"a\":\n1}".utf8))
        reader.add(message: Array("x".utf8))
        reader.add(message: Array("{\"a\":2}".utf8))
        reader.add(message: Array("{\"a\":3}".utf8))
        let first = try reader.next(isEnd: false)
        #expect(first?.values == [2, 3])
        reader.add(message: Array("{\"a\":4}".utf8))
        reader.breakWindow()
        reader.add(message: Array("{\"a\":5}".utf8))
        let second = try reader.next(isEnd: false)
        #expect(second?.values == [3, 4])
        let third = try reader.next(isEnd: false)
        #expect(third == nil)
    }

    @Test("Records are no sound, and sound is no record")
    func kinds() {
        #expect(throws: SignalError.self) { try SignalReader(.csv, signal: Signal(logMel: LogMel()), width: 4) }
        #expect(throws: SignalError.self) { try SignalReader(.sound(.wav), signal: Signal(fields: ["a"]), width: 4) }
    }

    @Test("Windows of sound lie band below band, and have the number of their first frame")
    func sound() throws {
        var settings = LogMel()
        (settings.sampleRate, settings.fft, settings.window, settings.hop, settings.bands) = (8000, 64, 64, 64, 3)
        (settings.lowest, settings.highest) = (0, 4000)
        let samples = (0..<64 * 6).map { Int16($0 * 37 % 2000) }
        var reader = try SignalReader(.sound(.pcm), signal: Signal(logMel: settings), width: 2, hop: 2)
        reader.add(samples.flatMap { [UInt8(truncatingIfNeeded: $0), UInt8(truncatingIfNeeded: $0 >> 8)] })
        var stream = LogMelStream(settings)
        stream.add(samples.map { Float($0) / 32_768 })
        for place in [0, 2, 4] {
            let frames = (stream.next(), stream.next())
            let (first, second) = (try #require(frames.0), try #require(frames.1))
            let next = try reader.next(isEnd: true)
            let window = try #require(next)
            #expect(window.values == (0..<3).flatMap { [first[$0], second[$0]] } && window.place == place)
        }
        let last = try reader.next(isEnd: true)
        #expect(last == nil)
    }

    @Test("A signal fits inputs of its own shape alone")
    func misfits() {
        #expect(Signal(fields: ["a", "b"]).misfit(height: 1, width: 7, channels: 2) == nil)
        #expect(Signal(fields: ["a", "b"]).misfit(height: 1, width: 7, channels: 3) != nil)
        #expect(Signal(fields: ["a", "a"]).misfit(height: 1, width: 7, channels: 2) != nil)
        #expect(Signal(fields: []).misfit(height: 1, width: 7, channels: 0) != nil)
        #expect(Signal(fields: ["a"], hop: 0).misfit(height: 1, width: 7, channels: 1) != nil)
        #expect(Signal(logMel: LogMel()).misfit(height: 40, width: 7, channels: 1) == nil)
        #expect(Signal(logMel: LogMel()).misfit(height: 41, width: 7, channels: 1) != nil)
        var settings = LogMel()
        settings.fft = 500
        #expect(Signal(logMel: settings).misfit(height: 40, width: 7, channels: 1) != nil)
    }
}
