import LCPWire
import Tensors
import Testing

@testable import LCPSensor

@Suite struct FrameDealerTests {
    static func dealer(lanes: [Int]?) throws -> FrameDealer {
        var dealer = FrameDealer(sensor: "cam", session: 2048, topics: try Topics(pipeline: "p"))
        dealer.announcedLanes = [0, 1, 2]
        dealer.plan = FlowPlan(lanes: lanes)
        return dealer
    }

    static func message(_ number: UInt64, bytes: Int = 4) throws -> [UInt8] {
        let shape = try #require(Shape([bytes]))
        let header = TensorMessageHeader(kind: .input, dtype: .uint8, shape: shape, session: 2048, frame: number)
        return TensorMessage.encode(header, data: [UInt8](repeating: UInt8(truncatingIfNeeded: number), count: bytes))
    }

    @Test("Frames go to the lanes in turn, and where there are none to all")
    func turns() throws {
        var dealer = try Self.dealer(lanes: [0, 1, 0, 2])
        #expect((0..<5).map { dealer.topic(of: $0) } == [0, 1, 0, 2, 0].map { "lcp/p/lane/\($0)/cam" })
        #expect(dealer.topic(of: 0, attempt: 1) == "lcp/p/lane/1/cam")
        dealer.plan = FlowPlan()
        #expect(dealer.topic(of: 0) == "lcp/p/input/cam")
    }

    @Test("A plan with a lane that no worker has is not followed")
    func strangersPlan() throws {
        var dealer = try Self.dealer(lanes: [0, 3])
        #expect(dealer.topic(of: 0) == "lcp/p/input/cam")
        dealer.announcedLanes = [0, 3]
        #expect(dealer.topic(of: 0) == "lcp/p/lane/0/cam")
        dealer.announcedLanes = []
        #expect(dealer.topic(of: 0) == "lcp/p/input/cam")
    }

    @Test("Frames that are left out under overload take no turn")
    func overload() throws {
        var dealer = try Self.dealer(lanes: [0, 1])
        let rule = FlowPlan.Rule(every: 2)
        dealer.plan.sensors["cam"] = .init(rule: rule, before: .init(), session: 2048, from: 10)
        #expect([0, 1, 2, 3].map { dealer.topic(of: $0).contains("/1/") } == [false, true, false, true])
        #expect([10, 12, 14, 16].map { dealer.topic(of: $0).contains("/1/") } == [true, false, true, false])
    }

    @Test("A frame that is asked for comes again for the branches that are late, and twice at most")
    func again() throws {
        var dealer = try Self.dealer(lanes: [0, 1])
        for number in 0..<3 as Range<UInt64> { dealer.sent(number, try Self.message(number)) }
        let request = RepeatRequest(session: 2048, frame: 1, branches: [0, 3], lane: 1)
        let sent = dealer.repeat(request)
        let (topic, message) = try #require(sent)
        #expect(topic == "lcp/p/lane/1/cam")
        let header = try message.withUnsafeBytes { try TensorMessage.decode($0) }
        #expect(header.frame == 1 && header.session == 2048 && header.version2?.wantedBranches == 0b1001)
        #expect(message.suffix(4) == [1, 1, 1, 1])
        #expect(message.withUnsafeBytes { TensorMessage.wantedBranches($0) } == 0b1001)
        let plain = try Self.message(1)
        #expect(plain.withUnsafeBytes { TensorMessage.wantedBranches($0) } == nil)
        let wrong = RepeatRequest(session: 1, frame: 2, branches: [0], lane: 1)
        let unknown = RepeatRequest(session: 2048, frame: 9, branches: [0], lane: 1)
        let found = [request, request, wrong, unknown].map { dealer.repeat($0) != nil }
        #expect(found == [true, false, false, false])
        dealer.plan = FlowPlan()
        let afterwards = dealer.repeat(RepeatRequest(session: 2048, frame: 2, branches: [0], lane: 0))
        #expect(afterwards != nil, "while lanes change there may be none")
    }

    @Test("Of endless frames the newest are kept, and of huge ones at least one")
    func bounded() throws {
        var dealer = try Self.dealer(lanes: [0])
        for number in 0..<2000 as Range<UInt64> { dealer.sent(number, try Self.message(number)) }
        func has(_ frame: UInt64) -> Bool {
            dealer.repeat(RepeatRequest(session: 2048, frame: frame, branches: [0], lane: 0)) != nil
        }
        let first = [1999, 1999 - 255, 1000].map(has)
        #expect(first == [true, true, false])
        for number in 2000..<2004 as Range<UInt64> {
            dealer.sent(number, try Self.message(number, bytes: 3 * FrameDealer.maximumBytes / 2))
        }
        let second = [2003, 1999].map(has)
        #expect(second == [true, false])
    }
}
