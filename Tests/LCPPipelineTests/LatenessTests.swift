import LCPWire
import Tensors
import Testing

@testable import LCPPipeline

/// Branches that are late, and who is asked in their place.
@Suite struct LatenessTests {
    private static func bench(_ branches: [Int] = [2], asks: Bool = true) -> JoinerBench {
        var bench = JoinerBench(branches: branches, order: .none, maximumOpen: 64)
        bench.joiner.asks = asks
        return bench
    }

    private static func asked(_ outcomes: [JoinerBench.Outcome]) -> [JoinerBench.Outcome] {
        outcomes.filter { if case .asked = $0 { true } else { false } }
    }

    @Test("After three tenths of the deadline a branch that is missing is asked for, once")
    func late() {
        var bench = Self.bench()
        #expect(bench.receive(1).contains(.armedLateness(milliseconds: 30)))
        #expect(Self.asked(bench.lateness(after: 29)) == [])
        #expect(Self.asked(bench.lateness(after: 1)) == [.asked(1, missing: 0b01)])
        #expect(Self.asked(bench.lateness(after: 30)) == [])
    }

    @Test("Frames that are whole, bare, or of somebody who does not ask are not asked for")
    func notLate() {
        var bench = Self.bench()
        for branch in 0..<2 { _ = bench.receive(branch) }
        _ = bench.receive(0, frame: 9, session: 0)
        #expect(Self.asked(bench.lateness(after: 50)) == [])
        var silent = Self.bench(asks: false)
        #expect(!silent.receive(1).contains(.armedLateness(milliseconds: 30)))
        #expect(Self.asked(silent.lateness(after: 50)) == [])
    }

    @Test("Where frames take long to be whole, a branch is late later")
    func usual() {
        var bench = Self.bench()
        _ = bench.receive(0)
        bench.now += .milliseconds(30)
        _ = bench.receive(1)
        _ = bench.receive(0, frame: 2)
        #expect(Self.asked(bench.lateness(after: 44)) == [])
        #expect(Self.asked(bench.lateness(after: 1)) == [.asked(2, missing: 0b10)])
    }

    @Test("What was asked for does not make others late later")
    func afterAsking() {
        var bench = Self.bench()
        _ = bench.receive(0)
        #expect(Self.asked(bench.lateness(after: 40)) == [.asked(1, missing: 0b10)])
        _ = bench.receive(1)
        _ = bench.receive(0, frame: 2)
        #expect(Self.asked(bench.lateness(after: 30)) == [.asked(2, missing: 0b10)])
    }

    @Test("While two models are joined nobody is asked")
    func twoModels() {
        var bench = Self.bench([2, 4])
        _ = bench.receive(0, model: 1)
        #expect(Self.asked(bench.lateness(after: 50)) == [])
    }

    @Test("One frame in twenty may be asked for, and a hundred at once")
    func budget() {
        var budget = RepeatBudget()
        let first = (0..<150).count { _ in budget.take() }
        for _ in 0..<100 { budget.came() }
        let second = (0..<150).count { _ in budget.take() }
        for _ in 0..<100_000 { budget.came() }
        let third = (0..<150).count { _ in budget.take() }
        #expect(first == 100 && (4...5).contains(second) && third == 100)
    }

    @Test("What nobody numbered is dealt in turn, and what has a number as the plan says")
    func inputs() throws {
        let topics = try Topics(pipeline: "p")
        var dealer = InputDealer()
        func topic(_ payload: [UInt8]) -> String {
            payload.withUnsafeBytes { bytes in
                dealer.topic(for: bytes, of: "gate", topics, turn: [0, 1, 1]) { sensor, session, frame in
                    sensor == "gate" && session == 7 && frame == 5 ? 9 : nil
                }
            }
        }
        let bare = (0..<6).map { topic([$0]) }
        #expect(bare.count { $0 == "lcp/p/lane/0/gate" } == 2 && bare.count { $0 == "lcp/p/lane/1/gate" } == 4)
        let shape = try #require(Shape([1]))
        let header = TensorMessageHeader(kind: .input, dtype: .uint8, shape: shape, session: 7, frame: 5)
        #expect(topic(TensorMessage.encode(header, data: [1])) == "lcp/p/lane/9/gate")
    }
}
