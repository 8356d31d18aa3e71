import Testing

@testable import LCPPipeline

/// How many entries a private table of a value has: that one is bounded shows nowhere else.
func entryCount(_ name: String, of value: Any) throws -> Int {
    let table = try #require(Mirror(reflecting: value).descendant(name) as? any Collection)
    return table.count
}

extension FrameKey {
    fileprivate static func numbered(_ frame: UInt64, sensor: String = "cam") -> FrameKey {
        FrameKey(sensor: sensor, session: 5, frame: frame)
    }

    fileprivate static func bare(_ frame: UInt64) -> FrameKey { FrameKey(sensor: "cam", session: 0, frame: frame) }
}

/// Which frames were answered.
@Suite struct AnsweredFramesTests {
    @Test("Only so many frames are known one by one: all before the highest that is not any more count as answered")
    func ring() {
        var answered = AnsweredFrames(capacity: 4)
        for frame in [2, 4, 6, 8, 10, 12] as [UInt64] { answered.insert(.numbered(frame)) }
        #expect([1, 2, 3, 4].allSatisfy { answered.contains(.numbered($0)) })
        #expect([5, 7, 9, 11].allSatisfy { !answered.contains(.numbered($0)) })
        #expect([6, 8, 10, 12].allSatisfy { answered.contains(.numbered($0)) })
    }

    @Test("A frame that was answered before an earlier one stays answered")
    func outOfOrder() {
        var answered = AnsweredFrames(capacity: 2)
        for frame in [9, 3, 20, 21] as [UInt64] { answered.insert(.numbered(frame)) }
        #expect(answered.contains(.numbered(9)) && !answered.contains(.numbered(10)))
    }

    @Test("A frame that is answered in several models takes the place of one")
    func twice() {
        var answered = AnsweredFrames(capacity: 4)
        answered.insert(.numbered(10))
        for _ in 0..<8 { answered.insert(.numbered(11)) }
        #expect(!answered.contains(.numbered(9)))
    }

    @Test("Inputs without a number take no place")
    func bareInputs() {
        var answered = AnsweredFrames(capacity: 4)
        answered.insert(.numbered(10))
        for frame in 0..<8 as Range<UInt64> { answered.insert(.bare(frame)) }
        #expect(!answered.contains(.numbered(9)) && answered.contains(.numbered(10)))
    }

    @Test("Of endless sensors the first are forgotten")
    func endlessNames() {
        var answered = AnsweredFrames(capacity: 2)
        for index in 0..<5 { answered.insert(.numbered(1, sensor: "sensor-\(index)")) }
        #expect(!answered.contains(.numbered(1, sensor: "sensor-0")))
        #expect(answered.contains(.numbered(1, sensor: "sensor-2")))
    }

    @Test("As many sensors as have room are not forgotten, however many frames they send")
    func namesThatFit() {
        var answered = AnsweredFrames(capacity: 2)
        for frame in 1...3 as ClosedRange<UInt64> {
            for sensor in ["a", "b"] {
                answered.insert(.numbered(frame, sensor: sensor))
                guard frame > 1 else { continue }
                #expect(["a", "b"].allSatisfy { answered.contains(.numbered(1, sensor: $0)) }, "\(frame) of \(sensor)")
            }
        }
    }
}

extension ExpectedLateShares {
    fileprivate mutating func expect(_ key: FrameKey, lacking branches: UInt64 = 1, most: Int = 256) {
        expect(branches, of: key, until: JoinerBench.start + .seconds(1), most: most)
    }

    fileprivate mutating func isLate(_ key: FrameKey, _ branches: UInt64 = 1) -> Bool {
        fulfill(branches, of: key, now: JoinerBench.start)
    }
}

/// Shares that answers lacked.
@Suite struct ExpectedLateSharesTests {
    @Test("Of endless inputs the first are forgotten")
    func endless() {
        var late = ExpectedLateShares(capacity: 2)
        for frame in 0..<3 as Range<UInt64> { late.expect(.bare(frame)) }
        let found = (0..<3).map { late.isLate(.bare($0)) }
        #expect(found == [false, false, true])
    }

    @Test("As many inputs as have room are not forgotten, however often they come")
    func fits() {
        var late = ExpectedLateShares(capacity: 2)
        for frame in [0, 1, 1, 1] as [UInt64] { late.expect(.bare(frame)) }
        #expect(late.isLate(.bare(0)) == true)
    }

    @Test("Numbered frames take no place")
    func numbered() {
        var late = ExpectedLateShares(capacity: 2)
        late.expect(.bare(0))
        for frame in 0..<3 as Range<UInt64> { late.expect(.numbered(frame)) }
        let found = [late.isLate(.numbered(2)), late.isLate(.bare(0))]
        #expect(found == [false, true])
    }

    @Test("An answer that lacked nothing takes no place")
    func complete() {
        var late = ExpectedLateShares(capacity: 2)
        late.expect(.bare(0), lacking: 0b10, most: 1)
        late.expect(.bare(0), lacking: 0, most: 1)
        #expect(late.isLate(.bare(0), 0b10) == true)
    }

    @Test("What has come takes no place any more")
    func fulfilled() {
        var late = ExpectedLateShares(capacity: 2)
        // Of several answers of the same bytes.
        late.expect(.bare(0), lacking: 0b01, most: 2)
        late.expect(.bare(0), lacking: 0b10, most: 2)
        #expect(late.isLate(.bare(0), 0b10) == true)
        late.expect(.bare(0), lacking: 0b10, most: 2)
        #expect(late.isLate(.bare(0), 0b01) == true)
        // Of several inputs.
        #expect(late.isLate(.bare(0), 0b10) == true)
        for frame in 1...2 as ClosedRange<UInt64> { late.expect(.bare(frame)) }
        #expect(late.isLate(.bare(1)) == true)
    }
}

/// What is open.
@Suite struct JoinTableTests {
    private static func table(maximumOpen: Int = 4) -> JoinTable {
        JoinTable(branches: .init(count: 2), width: 1, deadline: .seconds(60), maximumOpen: maximumOpen)
    }

    private static func frame(_ number: UInt64, sensor: String = "cam") -> JoinTable.Frame {
        .init(key: .numbered(number, sensor: sensor), captureTime: 0, label: -1, opened: JoinerBench.start)
    }

    @Test("Answered frames do not pile up behind one that waits long, which stays the oldest")
    func pile() throws {
        var table = Self.table()
        let first = table.open(Self.frame(0))
        for number in 1...100 as ClosedRange<UInt64> { _ = table.take(table.open(Self.frame(number))) }
        #expect(try entryCount("queue", of: table) <= 16)
        #expect(table.oldest() == first)
    }

    @Test("Sensors that have nothing open are forgotten")
    func endlessNames() throws {
        var table = Self.table()
        for number in 0..<100 { _ = table.take(table.open(Self.frame(1, sensor: "sensor-\(number)"))) }
        #expect(try entryCount("streams", of: table) == 0 && entryCount("open", of: table) == 0)
        #expect(table.openCount == 0)
    }

    @Test(
        "A sensor's earliest open frame is known in whatever order its frames opened",
        arguments: [[3, 1, 2], [2, 3, 1]])
    func earliest(numbers: [UInt64]) {
        var table = Self.table()
        let slots = Dictionary(uniqueKeysWithValues: numbers.map { ($0, table.open(Self.frame($0))) })
        for first in 1...3 as ClosedRange<UInt64> {
            #expect((1...3).filter { table.isFirst(.numbered($0)) } == Array(1...first))
            _ = table.take(slots[first]!)
        }
    }
}
