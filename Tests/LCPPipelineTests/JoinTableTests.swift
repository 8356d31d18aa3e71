import Platform
import Testing

@testable import LCPPipeline

@Suite struct JoinTableTests {
    static let start = ContinuousClock.now

    /// A table with a plain way in and out.
    struct Bench {
        var table: JoinTable
        var now = JoinTableTests.start
        var evicted: [JoinTable.Frame] = []

        init(branches: Int = 3, maximumOpen: Int = 4, maximumClosed: Int = 8) {
            table = JoinTable(
                branchCount: branches, width: 2, deadline: .milliseconds(100), maximumOpen: maximumOpen,
                maximumClosed: maximumClosed)
        }

        mutating func add(
            _ branch: Int, frame: UInt64 = 1, session: UInt64 = 5, sensor: String = "cam", value: Float = 1
        ) -> JoinTable.Outcome {
            var gone: [JoinTable.Frame] = []
            let outcome = table.add(
                .init(sensor: sensor, session: session, frame: frame), branch: branch, captureTime: 0, label: -1,
                computeTime: UInt32(branch) + 1, now: now
            ) { table, slot in
                var logits: [Float] = [0, 0]
                gone.append(logits.withUnsafeMutableBufferPointer { table.take(slot, addingTo: $0) })
            } write: { share in
                share[0] = value
                share[1] = -value
            }
            evicted += gone
            return outcome
        }

        mutating func take(_ slot: Int) -> (JoinTable.Frame, [Float]) {
            var logits: [Float] = [10, 20]
            let frame = logits.withUnsafeMutableBufferPointer { table.take(slot, addingTo: $0) }
            return (frame, logits)
        }
    }

    @Test func aFrameIsCompleteWithItsLastBranch() {
        var bench = Bench()
        #expect(bench.add(2, value: 4) == .waiting)
        #expect(bench.add(0, value: 1) == .waiting)
        guard case .complete(let slot) = bench.add(1, value: 2) else {
            Issue.record("the frame is not complete")
            return
        }
        let (frame, logits) = bench.take(slot)
        #expect(logits == [17, 13])
        #expect(frame.branches == 0b111 && frame.computeTime == 3)
        #expect(bench.table.openCount == 0 && bench.table.nextDeadline == nil)
    }

    @Test func theOrderOfArrivalDoesNotChangeABit() {
        let values: [Float] = [0.1, 1e7, -1e7]
        var results: Set<[Float]> = []
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            var bench = Bench()
            for branch in order {
                if case .complete(let slot) = bench.add(branch, value: values[branch]) {
                    results.insert(bench.take(slot).1)
                }
            }
        }
        #expect(results.count == 1)
    }

    @Test func atTheDeadlineTheMissingCountAsZero() throws {
        var bench = Bench()
        _ = bench.add(1, value: 3)
        #expect(bench.table.nextDeadline == Self.start + .milliseconds(100))
        #expect(bench.table.expired(now: Self.start + .milliseconds(99)) == nil)
        let expired = bench.table.expired(now: Self.start + .milliseconds(100))
        let slot = try #require(expired)
        let (frame, logits) = bench.take(slot)
        #expect(frame.branches == 0b010 && logits == [13, 17])
        // What comes now is late, and stays so.
        #expect(bench.add(0) == .late)
        #expect(bench.add(0) == .late)
    }

    @Test func aBranchThatAnswersTwiceIsADuplicate() {
        var bench = Bench()
        _ = bench.add(0, value: 1)
        #expect(bench.add(0, value: 100) == .duplicate)
        _ = bench.add(1, value: 1)
        guard case .complete(let slot) = bench.add(2, value: 1) else {
            Issue.record("not complete")
            return
        }
        #expect(bench.take(slot).1 == [13, 17])
        #expect(bench.add(0) == .late)
    }

    @Test func sensorsSessionsAndFramesAreKeptApart() {
        var bench = Bench(maximumOpen: 100)
        for (sensor, session, frame) in [("a", 1, 1), ("b", 1, 1), ("a", 2, 1), ("a", 1, 2), ("a", 1, UInt64.max)]
            as [(String, UInt64, UInt64)]
        {
            #expect(bench.add(0, frame: frame, session: session, sensor: sensor) == .waiting)
        }
        #expect(bench.table.openCount == 5)
    }

    @Test func aRestartedSensorIsNotLate() {
        var bench = Bench(branches: 1)
        guard case .complete(let slot) = bench.add(0, frame: 0, session: 1) else {
            Issue.record("not complete")
            return
        }
        _ = bench.take(slot)
        #expect(bench.add(0, frame: 0, session: 1) == .late)
        guard case .complete = bench.add(0, frame: 0, session: 2) else {
            Issue.record("a new session is a new sensor")
            return
        }
    }

    /// A bare input has no number: the same bytes again are a new frame, and every arrival is answered.
    @Test func bareInputsFillTheOldestOpenEntry() {
        var bench = Bench(branches: 2)
        #expect(bench.add(0, frame: 7, session: 0, value: 1) == .waiting)
        #expect(bench.add(0, frame: 7, session: 0, value: 2) == .waiting)
        #expect(bench.table.openCount == 2)
        guard case .complete(let first) = bench.add(1, frame: 7, session: 0, value: 0) else {
            Issue.record("first")
            return
        }
        #expect(bench.take(first).1 == [11, 19])
        guard case .complete(let second) = bench.add(1, frame: 7, session: 0, value: 0) else {
            Issue.record("second")
            return
        }
        #expect(bench.take(second).1 == [12, 18])
        #expect(bench.add(1, frame: 7, session: 0) == .waiting)
    }

    @Test func endlessSensorNamesEvictTheOldest() {
        var bench = Bench(maximumOpen: 4)
        for index in 0..<1000 { #expect(bench.add(0, frame: 1, sensor: "sensor-\(index)") == .waiting) }
        #expect(bench.table.openCount == 4)
        #expect(bench.evicted.count == 996)
        #expect(bench.evicted.first?.key.sensor == "sensor-0")
    }

    @Test func whatIsRememberedIsBounded() {
        var bench = Bench(branches: 1, maximumClosed: 8)
        for frame in 0..<20 as Range<UInt64> {
            if case .complete(let slot) = bench.add(0, frame: frame) { _ = bench.take(slot) }
        }
        #expect(bench.add(0, frame: 19) == .late)
        #expect(bench.add(0, frame: 12) == .late)
        // Too long ago to be known one by one: everything up to there is late.
        #expect(bench.add(0, frame: 11) == .late)
        #expect(bench.add(0, frame: 0) == .late)
        #expect(bench.add(0, frame: 20) == .complete(slot: 0))
    }

    @Test func aBranchThatIsNotAwaitedHoldsNothingUp() {
        var bench = Bench()
        bench.table.awaited = 0b101
        #expect(bench.add(0) == .waiting)
        guard case .complete(let slot) = bench.add(2) else {
            Issue.record("the frame is not complete")
            return
        }
        #expect(bench.take(slot).0.branches == 0b101)
        #expect(bench.add(1) == .late)
    }

    /// Whatever comes in whatever order: every key is answered once, and all bounds hold.
    @Test func randomTrafficKeepsTheRules() {
        var random = SeededGenerator(seed: 11)
        for _ in 0..<30 {
            var bench = Bench(branches: 3, maximumOpen: 16, maximumClosed: 4096)
            var answers: [UInt64: Int] = [:]
            var sent: Set<UInt64> = []
            func note(_ frame: JoinTable.Frame) { answers[frame.key.frame, default: 0] += 1 }
            for step in 0..<2000 {
                bench.now = Self.start + .milliseconds(step)
                let frame = UInt64(step / 8 + random.index(12))
                sent.insert(frame)
                let before = bench.evicted.count
                if case .complete(let slot) = bench.add(random.index(3), frame: frame) { note(bench.take(slot).0) }
                bench.evicted[before...].forEach(note)
                while let slot = bench.table.expired(now: bench.now) { note(bench.take(slot).0) }
                #expect(bench.table.openCount <= 16)
            }
            while let slot = bench.table.anyOpen() { note(bench.take(slot).0) }
            #expect(Set(answers.keys) == sent)
            #expect(answers.values.allSatisfy { $0 == 1 })
        }
    }

    /// Frames 1 to 3 of a sensor: the second and third are complete first, and are answered after the first.
    @Test func completeFramesWaitForThoseBeforeThem() {
        var bench = Bench(branches: 2)
        #expect(bench.add(0, frame: 1) == .waiting && bench.add(0, frame: 2) == .waiting)
        #expect(bench.add(0, frame: 3) == .waiting && bench.add(0, frame: 9, sensor: "other") == .waiting)
        guard case .complete(let third) = bench.add(1, frame: 3), case .complete(let second) = bench.add(1, frame: 2),
            case .complete(let other) = bench.add(1, frame: 9, sensor: "other")
        else { return #expect(Bool(false)) }
        let keys = [third, second, other].map { bench.table.frame(in: $0).key }
        #expect(keys.map { bench.table.isFirst($0) } == [false, false, true])
        bench.table.hold(third)
        bench.table.hold(second)
        guard case .complete(let first) = bench.add(1, frame: 1) else { return #expect(Bool(false)) }
        #expect(bench.table.isFirst(bench.table.frame(in: first).key))
        let key = bench.take(first).0.key
        var order: [UInt64] = []
        while let next = bench.table.nextHeld(after: key) { order.append(bench.take(next).0.key.frame) }
        #expect(order == [2, 3])
        // What was held is not held again when its place is used anew.
        #expect(bench.add(0, frame: 4) == .waiting)
        #expect(bench.table.nextHeld(after: key) == nil)
    }

    @Test func aFrameThatWasAnsweredElsewhereIsForgottenAndLate() {
        var bench = Bench()
        #expect(bench.add(0, frame: 1) == .waiting)
        let key = JoinTable.Key(sensor: "cam", session: 5, frame: 1)
        #expect(bench.table.branchesPresent(of: key) == 1)
        bench.table.discard(key, now: bench.now)
        #expect(bench.table.openCount == 0 && bench.table.branchesPresent(of: key) == nil)
        #expect(bench.add(1, frame: 1) == .late)
        // Also one that never waited here.
        bench.table.discard(.init(sensor: "cam", session: 5, frame: 2), now: bench.now)
        #expect(bench.add(0, frame: 2) == .late)
    }

    /// A bare input has no number. Its last shares, later than the deadline, are no other arrival of the same bytes; one more
    /// arrival is.
    @Test func theLateSharesOfABareInputAreNoOtherOne() {
        var bench = Bench(branches: 4)
        func expire() -> Int? {
            bench.now += .milliseconds(101)
            return bench.table.expired(now: bench.now)
        }
        func isLate(_ slot: Int) -> Bool { bench.table.dismissLate(slot, now: bench.now) }
        for branch in [0, 1] { #expect(bench.add(branch, session: 0) == .waiting) }
        guard let slot = expire(), !isLate(slot) else { return #expect(Bool(false)) }
        #expect(bench.take(slot).0.branches == 0b11)
        for branch in [2, 3] {
            #expect(bench.add(branch, session: 0) == .waiting)
            guard let late = expire() else { return #expect(Bool(false)) }
            let isDismissed = isLate(late)
            #expect(isDismissed)
            #expect(bench.table.openCount == 0)
        }
        // All are there; the same again is another arrival.
        #expect(bench.add(2, session: 0) == .waiting)
        guard let again = expire(), !isLate(again) else { return #expect(Bool(false)) }
        _ = bench.take(again)
        // So is one that has a share of what the last had, though others of that are still to come.
        for branch in [0, 2] { #expect(bench.add(branch, session: 0) == .waiting) }
        guard let other = expire(), !isLate(other) else { return #expect(Bool(false)) }
        #expect(bench.take(other).0.branches == 0b101)
    }

    /// What was answered in another model is dismissed when it comes in this one; not long after, it is another arrival.
    @Test func aBareInputThatWasAnsweredElsewhereIsDismissedOnce() {
        var bench = Bench(branches: 2)
        let key = JoinTable.Key(sensor: "cam", session: 0, frame: 1)
        for isLate in [true, false] {
            bench.table.discard(key, now: bench.now)
            if !isLate { bench.now += .seconds(2) }
            #expect(bench.add(0, session: 0) == .waiting)
            guard case .complete(let slot) = bench.add(1, session: 0) else { return #expect(Bool(false)) }
            let isDismissed = bench.table.dismissLate(slot, now: bench.now)
            #expect(isDismissed == isLate)
            if !isLate { _ = bench.take(slot) }
        }
        #expect(bench.table.openCount == 0)
    }

    /// The same bytes again and again, answered in another model while nobody runs this one: it does not swallow as many later.
    @Test func aModelThatNobodyRunsOwesLittle() {
        var bench = Bench(branches: 1)
        let key = JoinTable.Key(sensor: "cam", session: 0, frame: 1)
        for _ in 0..<10 { bench.table.discard(key, now: bench.now) }
        var dismissed = 0
        for _ in 0..<10 {
            guard case .complete(let slot) = bench.add(0, session: 0) else { return #expect(Bool(false)) }
            if bench.table.dismissLate(slot, now: bench.now) { dismissed += 1 } else { _ = bench.take(slot) }
        }
        #expect(dismissed == 1)
    }
}
