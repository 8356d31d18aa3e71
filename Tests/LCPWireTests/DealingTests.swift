import HostileInputs
import Testing

@testable import LCPWire

@Suite struct DealingTests {
    @Test(
        "Of so many frames so many are computed, evenly spread, and their turns have no gap",
        arguments: [
            (1, nil), (6, nil), (128, 73), (128, 1), (7, 7), (7, 9), (5, 2),
        ] as [(UInt64, UInt64?)])
    func rules(every: UInt64, count: UInt64?) {
        let rule = FlowPlan.Rule(every: every, count: count)
        var admitted: UInt64 = 0
        var gap = 0
        var wrong: [UInt64] = []
        for frame in 0..<1000 as Range<UInt64> {
            gap = rule.admits(frame) ? 0 : gap + 1
            if Double(gap) > 1 / rule.share || rule.admits(frame) && rule.admitted(before: frame) != admitted {
                wrong.append(frame)
            }
            if rule.admits(frame) { admitted += 1 }
        }
        #expect(wrong.isEmpty)
        #expect(abs(Double(admitted) - 1000 * rule.share) <= Double(every))
    }

    @Test("Numbers of any size have a turn")
    func hugeNumbers() {
        for count in [nil, 0, 1, .max] as [UInt64?] {
            for every in [0, 1, 3, .max] as [UInt64] {
                var plan = FlowPlan(lanes: [4, 2])
                let rule = FlowPlan.Rule(every: every, count: count)
                plan.sensors["cam"] = .init(rule: rule, before: rule, session: .max, from: .max)
                for frame in [0, 1, .max] as [UInt64] {
                    _ = rule.admits(frame)
                    #expect([2, 4].contains(plan.lane(of: frame, session: .max, sensor: "cam")))
                }
            }
        }
    }

    @Test("Tasks and requests that no aggregator makes are refused")
    func refused() {
        #expect(Seeds.tasks.map { WorkerTask($0) != nil } == [true, true, false, false])
        #expect(Seeds.repeatRequests.map { RepeatRequest($0) != nil } == [true, false, false])
        #expect(Seeds.flowPlans.suffix(3).map { FlowPlan($0) != nil } == [true, false, false])
    }

    @Test("A task says which lanes each of its branches has")
    func lanes() throws {
        let part = WorkerTask.Part(branches: 4, runs: [1, 3], lanes: [[0, 2]])
        #expect(part.lanes(of: 1) == [0, 2] && part.lanes(of: 3) == [] && part.lanes(of: 2) == [])
    }
}
