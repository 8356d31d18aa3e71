import LCPWire
import Testing

@testable import LCPPipeline

/// A control that sees what a test says of shares: branches that compute ten frames a second each, and let every frame wait half as
/// long as it computes, where nothing else is said.
private struct ControlBench {
    var control: FlowControl
    var replicas: [Int]
    var now = Self.start
    static let start = ContinuousClock.now

    init(branches: Int = 1, replicas: [Int]? = nil) {
        control = FlowControl(branchCount: branches, policy: .latest, queueLimit: 64)
        self.replicas = replicas ?? Array(repeating: 1, count: branches)
    }

    mutating func wait(_ milliseconds: Int) { now += .milliseconds(milliseconds) }

    mutating func share(
        _ frame: UInt64, of sensor: String = "cam", session: UInt64 = 7, branch: Int = 0, queue: UInt32 = 50_000,
        compute: UInt32 = 100_000
    ) {
        control.came(
            sensor, session: session, frame: frame, branch: branch, queue: queue, compute: compute, now: now)
    }

    mutating func look() -> FlowPlan? { control.evaluate(replicas: replicas, now: now) }

    /// So many looks at once.
    mutating func look(_ count: Int) -> [FlowPlan?] { (0..<count).map { _ in look() } }

    /// A sensor sends frames, of which those are computed that the plan admits, and is looked at after each.
    mutating func send(
        _ frames: Range<UInt64>, session: UInt64 = 7, every milliseconds: Int, queue: UInt32 = 50_000
    ) -> [(plan: FlowPlan, time: Duration)] {
        frames.compactMap { frame in
            if FlowFilter(control.plan).admits("cam", session: session, frame: frame) {
                share(frame, session: session, queue: queue)
            }
            let plan = look()
            let time = now - Self.start
            wait(milliseconds)
            return plan.map { ($0, time) }
        }
    }
}

@Suite struct FlowControlTests {
    // MARK: Rates

    @Test("Sensors that send faster than can be left out leave nothing for others, and stop nothing")
    func allJump() throws {
        var bench = ControlBench()
        for frame in [0, 1 << 40] as [UInt64] {
            for sensor in 0..<20 { bench.share(frame, of: "s\(sensor)") }
            bench.wait(100)
        }
        // Ten frames a second can be computed, and of each sensor one comes.
        let seen = bench.look()
        let plan = try #require(seen)
        #expect(plan.sensors.count == 20 && plan.sensors.values.allSatisfy { $0.rule.every == 1_000_000 })
    }

    @Test("Two frames that come close together are no overload")
    func burst() {
        var bench = ControlBench()
        bench.share(0)
        bench.wait(1)
        bench.share(1)
        #expect(bench.look(12) == Array(repeating: nil, count: 12))
    }

    @Test("A frame that comes early does not change the rate before the next one is there")
    func early() {
        var bench = ControlBench()
        for (frame, pause) in [(0, 100), (1, 60), (2, 140), (3, 0)] as [(UInt64, Int)] {
            bench.share(frame, compute: 90_000)
            #expect(bench.look() == nil, "frame \(frame)")
            bench.wait(pause)
        }
    }

    @Test("Frames whose shares come in another order are counted once")
    func outOfOrder() {
        var bench = ControlBench()
        for frame in [0, 2, 1, 2, 3, 1] as [UInt64] {
            bench.share(frame)
            #expect(bench.look() == nil)
            bench.wait(220)
        }
    }

    @Test("Inputs without a number are counted once, whichever branches send shares of them, and in whatever order")
    func sharesOfBareInputs() {
        var bench = ControlBench(branches: 2)
        for (frame, branch) in [(1, 0), (2, 0), (1, 1), (3, 1), (2, 1), (3, 0)] as [(UInt64, Int)] {
            bench.share(frame, session: 0, branch: branch)
            bench.wait(80)
        }
        #expect(bench.look() == nil, "two in a quarter of a second, after the first")
        for frame in 4...33 as ClosedRange<UInt64> { bench.share(frame, session: 0) }
        #expect(bench.look() != nil, "thirty in a quarter of a second")
    }

    @Test("Inputs that come again after others are counted again")
    func sameInputsAgain() {
        var bench = ControlBench()
        func plans(every milliseconds: Int) -> Int {
            (0..<40 as Range<UInt64>).count { frame in
                bench.wait(milliseconds)
                bench.share(frame, session: 0)
                return bench.look() != nil
            }
        }
        #expect(plans(every: 200) == 0)
        #expect(plans(every: 25) > 0)
    }

    @Test("A sensor that jumps to any number is one that sends fast, and stops nothing")
    func jumps() throws {
        var bench = ControlBench()
        for sensor in ["cam", "far"] { bench.share(0, of: sensor, queue: 300_000, compute: 1_000_000) }
        bench.wait(100)
        for (frame, sensor) in [(.max, "cam"), (.max / 2, "far")] as [(UInt64, String)] {
            bench.share(frame, of: sensor, queue: 300_000, compute: 1_000_000)
        }
        let every: UInt64 = 1_000_000
        let seen = bench.look()
        let plan = try #require(seen)
        #expect(plan.sensors.mapValues(\.rule.every) == ["cam": every, "far": every])
        #expect(plan.sensors["cam"]?.from == "0", "there is no number after it")
        // Of all that might follow only so many are looked at.
        let phase = try #require(plan.sensors["far"]?.rule.phase)
        #expect((phase + every - UInt64.max / 2 % every) % every < 4096)
    }

    // MARK: Whose frames

    @Test("A sensor that begins anew goes on under its rule")
    func restart() {
        var bench = ControlBench()
        #expect(bench.send(1000..<1100, every: 20).map(\.plan.sensors["cam"]?.rule.every) == [6])
        #expect(bench.send(0..<150, session: 8, every: 20).isEmpty)
    }

    @Test("A plan for more sensors than it may name is one that workers take")
    func endlessSensors() throws {
        var bench = ControlBench()
        for frame in 0...1 as ClosedRange<UInt64> {
            for sensor in 0..<300 { bench.share(frame, of: "s\(sensor)") }
            bench.wait(100)
        }
        let seen = bench.look()
        let plan = try #require(seen)
        #expect(plan.sensors.count == FlowPlan.maximumSensors && FlowPlan(plan.json) == plan)
    }

    @Test("Among as many sensors as there may be, one that begins anew is still known")
    func restartAmongMany() {
        var bench = ControlBench()
        for frame in 0...1 as ClosedRange<UInt64> {
            for sensor in 0..<FlowPlan.maximumSensors { bench.share(frame, of: "s\(sensor)") }
            bench.wait(100)
        }
        for frame in 0...1 as ClosedRange<UInt64> {
            bench.share(frame, of: "s0", session: 9)
            bench.wait(100)
        }
        #expect(bench.look()?.sensors["s0"]?.session == "9")
    }

    @Test("Of inputs without a number the plan names no session, no frame and no place among others")
    func bareInputs() {
        var bench = ControlBench()
        for frame in [77, 5, 99, 13] as [UInt64] {
            bench.share(frame, of: "shell", session: 0)
            bench.wait(20)
        }
        let plan = bench.look()
        #expect(plan?.sensors == ["shell": .init(rule: .init(every: 6), before: .init(), session: 0, from: 0)])
    }

    @Test("Only sensors are named whose frames are left out")
    func named() {
        var bench = ControlBench()
        for frame in 0...20 as ClosedRange<UInt64> {
            bench.share(frame, of: "flood")
            if frame % 20 == 0 { bench.share(frame / 20, of: "door") }
            bench.wait(20)
        }
        #expect(bench.look()?.sensors.keys.sorted() == ["flood"])
    }

    @Test("A sensor that sends hardly more than its part is answered in full")
    func hardlyMore() {
        var bench = ControlBench()
        for sensor in ["flood", "door"] { bench.share(0, of: sensor) }
        bench.wait(221)
        bench.share(11, of: "flood")
        bench.share(1, of: "door")
        #expect(bench.look()?.sensors.keys.sorted() == ["flood"])
    }

    // MARK: Branches without workers

    @Test("A branch that nobody serves is neither the slowest nor one whose frames wait")
    func unserved() {
        var bench = ControlBench(branches: 2, replicas: [1, 0])
        bench.share(0, queue: 0)
        bench.share(0, branch: 1, queue: 4_000_000, compute: 4_000_000)
        bench.wait(200)
        bench.share(1, queue: 0)
        #expect(bench.look(12) == Array(repeating: nil, count: 12), "five a second are not too many")
        for frame in 2..<20 as Range<UInt64> {
            bench.wait(80)
            bench.share(frame, queue: 0)
            #expect(bench.look() == nil, "the other branch's shares are not lost")
        }
        bench.wait(100)
        bench.share(24, queue: 0)
        #expect(bench.look()?.sensors["cam"] != nil, "the served one's are")
    }

    // MARK: When a plan changes

    @Test("Where nothing is seen to wait, ten looks in a row have to find frames lost, also for the next plan")
    func patience() {
        var bench = ControlBench()
        func none(_ count: Int) -> [FlowPlan?] { Array(repeating: nil, count: count) }
        bench.share(0, queue: 0)
        #expect(bench.look() == nil)
        bench.wait(80)
        bench.share(3, queue: 0)
        #expect(bench.look(5) == none(5))
        // Slower for a while.
        for frame in 4...7 as ClosedRange<UInt64> {
            bench.wait(300)
            bench.share(frame, queue: 0)
            #expect(bench.look() == nil)
        }
        bench.wait(100)
        bench.share(11, queue: 0)
        #expect(bench.look(9) == none(9))
        #expect(bench.look()?.sensors["cam"]?.rule.every == 3)
        // Faster still.
        bench.wait(250)
        bench.share(111, queue: 0)
        #expect(bench.look(9) == none(9))
        #expect(bench.look()?.sensors["cam"]?.before.every == 3)
    }

    @Test("Whoever sends a frame when the last one is answered is no overload, also where a branch becomes faster")
    func closedLoop() {
        var bench = ControlBench(branches: 2)
        for frame in 0..<40 as Range<UInt64> {
            // The first branch is the faster one, so that a frame is known before the other sends its share.
            let time: UInt32 = frame < 15 ? 200 : 100
            bench.wait(10)
            bench.share(frame, branch: 0, queue: 0, compute: 10_000)
            #expect(bench.look(4) == [nil, nil, nil, nil], "frame \(frame)")
            bench.wait(Int(time) - 10)
            bench.share(frame, branch: 1, queue: 0, compute: time * 1000)
            #expect(bench.look(4) == [nil, nil, nil, nil], "frame \(frame)")
        }
    }

    @Test("Frames that the plan leaves out are not lost")
    func leftOut() {
        var bench = ControlBench()
        #expect(bench.send(0..<10, every: 50).map(\.plan.sensors["cam"]?.rule.every) == [3])
        // All are computed that the plan admits, of what is later more than ten a second.
        #expect(bench.send(10..<60, every: 50, queue: 0).isEmpty)
        #expect(bench.send(60..<200, every: 28, queue: 0).isEmpty)
    }

    @Test("A frame in twenty-five that is lost is no overload")
    func fewLost() {
        var bench = ControlBench()
        for frame in 0..<200 as Range<UInt64> {
            // Eleven are sent a second, where ten can be computed.
            if frame % 25 != 24 { bench.share(frame, queue: 0) }
            #expect(bench.look() == nil, "frame \(frame)")
            bench.wait(90)
        }
    }

    @Test("A second plan waits until the first one holds")
    func holds() {
        var bench = ControlBench()
        bench.share(0)
        bench.wait(80)
        bench.share(1)
        #expect(bench.look()?.sensors["cam"]?.rule.every == 2)
        bench.wait(150)
        bench.share(101)
        #expect(bench.look() == nil)
        bench.wait(50)
        #expect((bench.look()?.sensors["cam"]?.rule.every ?? 0) > 2)
    }

    @Test("A plan stays as it is while the load does")
    func steady() {
        var bench = ControlBench()
        #expect(bench.send(0..<1000, every: 17).count == 1)
        // Of inputs without a number those are counted that are left out, too.
        var bare = ControlBench()
        #expect(bare.send(0..<300, session: 0, every: 20).count == 1)
        // Also where it cannot be enough.
        var helpless = ControlBench()
        for _ in 0..<5 { helpless.share(0, of: "slow", queue: 3_000_000, compute: 3_000_000) }
        helpless.share(0, queue: 0, compute: 0)
        helpless.wait(100)
        helpless.share(.max / 2, queue: 0, compute: 0)
        let plans = [250, 500, 1000].map { pause in
            helpless.wait(pause)
            return helpless.look()?.sensors["cam"]?.rule.phase
        }
        #expect(plans[0] != nil && plans[1] != nil && plans[0] != plans[1] && plans[2] == nil)
    }

    @Test("When the load is less, more frames are computed, two seconds after the last change at the earliest")
    func eases() {
        var bench = ControlBench()
        let first = bench.send(0..<200, every: 10)
        #expect(first.last?.plan.sensors["cam"]?.rule.every == 12)
        #expect(bench.send(200..<700, every: 20).last?.plan.sensors["cam"]?.rule.every == 6)

        var other = ControlBench()
        let plan = other.send(0..<12, every: 80)
        #expect(plan.map(\.plan.sensors["cam"]?.rule.every) == [2])
        let changes = other.send(12..<60, every: 200)
        // What held before is named until it is long past.
        #expect(changes.map(\.plan.sensors["cam"]?.rule.every) == [1, nil])
        #expect(changes.first?.plan.sensors["cam"]?.before.every == 2)
        let times = (plan + changes).map(\.time)
        #expect(zip(times, times.dropFirst()).allSatisfy { $1 - $0 >= .seconds(2) }, "\(times)")
    }

    @Test("When nothing comes any more, the plan is taken back once, and there is nothing to look at")
    func silence() {
        var bench = ControlBench()
        #expect(bench.send(0..<20, every: 20).count == 1 && !bench.control.isIdle)
        bench.wait(3000)
        #expect(bench.look() == FlowPlan() && bench.control.isIdle)
        bench.wait(3000)
        #expect(bench.look() == nil)
        // However long a frame is said to take.
        for _ in 0..<15 { bench.share(0, compute: 100_000_000) }
        bench.wait(60_000)
        #expect(bench.look() == nil && !bench.control.isIdle)
        bench.wait(1)
        #expect(bench.look() == nil && bench.control.isIdle)
        // Also where nobody computes any more.
        bench.share(0)
        bench.replicas = [0]
        bench.wait(1000)
        #expect(bench.look() == nil && !bench.control.isIdle)
        bench.wait(1001)
        #expect(bench.look() == nil && bench.control.isIdle)
    }
}

@Suite struct FlowGateTests {
    @Test("For inputs without a number a rule holds at once")
    func bareInputs() {
        let filter = FlowFilter(
            FlowPlan(sensors: ["a": .init(rule: .init(every: 2), before: .init(), session: 0, from: .max)]))
        #expect(filter.admits("a", session: 0, frame: 2) && !filter.admits("a", session: 0, frame: 3))
    }

    @Test("A plan leaves inputs out until it is taken back, and what is no plan leaves none out")
    func gate() {
        let gate = FlowGate()
        func admits(_ topic: String) -> Bool { [1, 2, 3].withUnsafeBytes { gate.admits(topic, $0) } }
        let (cam, other) = ("lcp/kitchen/input/cam", "lcp/kitchen/input/other")
        // No number has that remainder.
        let none = FlowPlan(sensors: [
            "cam": .init(rule: .init(every: 2, phase: 2), before: .init(), session: 0, from: 0)
        ])
        #expect(admits(cam))
        for json in [[], Array("{".utf8)] {
            gate.update(none.json)
            #expect(!admits(cam) && admits(other))
            gate.update(json)
            #expect(admits(cam))
        }
    }
}
