import Testing

@testable import LCPPipeline

/// One model.
@Suite struct FrameJoinerTests {
    @Test("A frame is answered with its last branch")
    func completion() {
        var bench = JoinerBench()
        bench.tellsSums = true
        #expect(bench.receive(2, value: 4) == [.armed(milliseconds: 100)])
        #expect(bench.receive(0, value: 1) == [])
        #expect(bench.receive(1, value: 2) == [.answered(1, branches: 0b111, sum: 7)])
        #expect(bench.deadline(after: 100) == [])
    }

    @Test("An answer tells the slowest branch's time, the capture time and the label of the first share")
    func answerDetails() throws {
        var joiner = FrameJoiner(order: .sensor, deadline: .milliseconds(100), now: JoinerBench.start)
        let model = JoinerBench.hash(0)
        _ = joiner.add(model, branches: .init(count: 2), classes: 1, now: JoinerBench.start)
        let key = FrameKey(sensor: "cam", session: 5, frame: 1)
        var actions: [FrameJoiner.Action] = []
        for (branch, time) in [(0, UInt32(9)), (1, 4)] {
            actions += joiner.receive(
                .init(key: key, model: model, branch: branch, captureTime: 77, label: 3, computeTime: time),
                now: JoinerBench.start + .milliseconds(branch)
            ) { $0[0] = 2 }
        }
        guard case .answer(let answer)? = actions.last else { return #expect(Bool(false), "not answered") }
        #expect(answer.sum == [4] && answer.model == model)
        #expect(
            answer.frame
                == JoinTable.Frame(
                    key: key, captureTime: 77, label: 3, opened: JoinerBench.start, computeTime: 9, branches: 0b11))
    }

    @Test("The order in which shares are received does not change a bit of the sum")
    func orderOfShares() {
        let values: [Float] = [0.1, 1e7, -1e7]
        var results: Set<Float> = []
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            var bench = JoinerBench()
            bench.tellsSums = true
            for branch in order {
                if case .answered(_, _, _, _, let sum?)? = bench.receive(branch, value: values[branch]).last {
                    results.insert(sum)
                }
            }
        }
        #expect(results.count == 1)
    }

    @Test("At the deadline a frame is answered with the branches received, and what follows is late")
    func expiry() {
        var bench = JoinerBench()
        bench.tellsSums = true
        #expect(bench.receive(1, value: 3) == [.armed(milliseconds: 100)])
        #expect(bench.deadline(after: 99) == [.armed(milliseconds: 100)])
        #expect(bench.deadline(after: 1) == [.answered(1, branches: 0b010, sum: 3)])
        #expect(bench.receive(0) == [.dropped(.late)])
        #expect(bench.receive(0) == [.dropped(.late)])
    }

    @Test("One timer is outstanding, and it is armed anew for what is open when it fires")
    func arming() {
        var bench = JoinerBench()
        #expect(bench.receive(0, frame: 1) == [.armed(milliseconds: 100)])
        bench.now += .milliseconds(30)
        #expect(bench.receive(0, frame: 2) == [])
        #expect(
            bench.deadline(after: 70) == [.answered(1, branches: 1), .armed(milliseconds: 130)])
        #expect(bench.deadline(after: 30) == [.answered(2, branches: 1)])
        #expect(bench.receive(0, frame: 3) == [.armed(milliseconds: 230)])
    }

    @Test("A branch that answers a frame twice is a duplicate, and the first share counts")
    func duplicate() {
        var bench = JoinerBench()
        bench.tellsSums = true
        _ = bench.receive(0, value: 1)
        #expect(bench.receive(0, value: 100) == [.dropped(.duplicate)])
        _ = bench.receive(1, value: 1)
        #expect(bench.receive(2, value: 1) == [.answered(1, branches: 0b111, sum: 3)])
        #expect(bench.receive(0) == [.dropped(.late)])
    }

    @Test("Sensors, sessions and frames are kept apart")
    func identity() {
        var bench = JoinerBench(maximumOpen: 100)
        for (sensor, session, frame) in [("a", 1, 1), ("b", 1, 1), ("a", 2, 1), ("a", 1, 2), ("a", 1, UInt64.max)]
            as [(String, UInt64, UInt64)]
        {
            _ = bench.receive(0, frame: frame, session: session, sensor: sensor)
        }
        #expect(bench.finish().count == 5)
    }

    @Test("A restarted sensor is not late")
    func restart() {
        var bench = JoinerBench(branches: [1])
        #expect(bench.receive(0, frame: 0, session: 1) == [.answered(0, branches: 1)])
        #expect(bench.receive(0, frame: 0, session: 1) == [.dropped(.late)])
        #expect(bench.receive(0, frame: 0, session: 2) == [.answered(0, branches: 1)])
    }

    @Test("A branch that no worker serves holds nothing up, and its share is late")
    func unservedBranch() {
        var bench = JoinerBench()
        #expect(bench.receive(0, served: 0b101) == [.armed(milliseconds: 100)])
        #expect(bench.receive(2, served: 0b101) == [.answered(1, branches: 0b101)])
        #expect(bench.receive(1, served: 0b101) == [.dropped(.late)])
    }

    @Test("Where too many frames are open, the oldest is answered early")
    func eviction() {
        var bench = JoinerBench(maximumOpen: 4)
        for index in 0..<4 { _ = bench.receive(0, sensor: "sensor-\(index)") }
        #expect(
            bench.receive(0, sensor: "new") == [
                .answered(1, of: "sensor-0", branches: 1), .dropped(.overflow(limit: 4)),
            ])
        #expect(bench.receive(1, sensor: "sensor-0") == [.dropped(.late)])
    }

    @Test("What waited for a frame that is answered early is answered with it")
    func evictionReleases() {
        var bench = JoinerBench(branches: [2], maximumOpen: 2)
        _ = bench.receive(0, frame: 1)
        _ = bench.receive(0, frame: 2)
        #expect(bench.receive(1, frame: 2) == [], "held: the first frame is open")
        #expect(
            bench.receive(0, frame: 3) == [
                .answered(1, branches: 0b01), .dropped(.overflow(limit: 2)), .answered(2, branches: 0b11),
            ])
    }

    @Test("Endless sensor names leave no more frames open than allowed")
    func endlessNames() {
        var bench = JoinerBench(maximumOpen: 4)
        var answered = 0
        for index in 0..<1000 { answered += bench.receive(0, sensor: "sensor-\(index)").count { $0.isAnswer } }
        #expect(answered == 996)
        #expect(bench.finish().count == 4)
    }

    @Test("Complete frames of a sensor are held until those before them are answered")
    func order() {
        var bench = JoinerBench(branches: [2])
        for frame in [1, 2, 3] as [UInt64] { _ = bench.receive(0, frame: frame) }
        _ = bench.receive(0, frame: 9, sensor: "other")
        #expect(bench.receive(1, frame: 3) == [])
        #expect(bench.receive(1, frame: 2) == [])
        #expect(bench.receive(1, frame: 9, sensor: "other") == [.answered(9, of: "other", branches: 0b11)])
        #expect(
            bench.receive(1, frame: 1) == [1, 2, 3].map { .answered($0, branches: 0b11) })
        // What was held is not held again when its place is used anew.
        #expect(bench.receive(0, frame: 4) == [])
        #expect(bench.receive(0, frame: 0) == [])
        #expect(bench.receive(1, frame: 0) == [.answered(0, branches: 0b11)])
    }

    @Test("A held frame is answered at its own deadline at the latest, after those before it")
    func heldExpires() {
        var bench = JoinerBench(branches: [2])
        _ = bench.receive(0, frame: 1)
        bench.now += .milliseconds(10)
        for branch in [0, 1] { _ = bench.receive(branch, frame: 2) }
        #expect(
            bench.deadline(after: 90) == [.answered(1, branches: 0b01), .answered(2, branches: 0b11)])
    }

    @Test("Without an order, a frame is answered as soon as it is complete")
    func noOrder() {
        var bench = JoinerBench(branches: [2], order: .none)
        _ = bench.receive(0, frame: 1)
        _ = bench.receive(0, frame: 2)
        #expect(bench.receive(1, frame: 2) == [.answered(2, branches: 0b11)])
    }

    @Test("At the end everything that is open is answered")
    func end() {
        var bench = JoinerBench()
        _ = bench.receive(0, frame: 1)
        _ = bench.receive(1, frame: 2)
        #expect(bench.finish() == [.answered(1, branches: 0b001), .answered(2, branches: 0b010)])
    }
}

/// Inputs without a number.
@Suite struct BareInputJoinTests {
    @Test("Every arrival of the same bytes is answered, the oldest first")
    func arrivals() {
        var bench = JoinerBench(branches: [2])
        bench.tellsSums = true
        _ = bench.receive(0, frame: 7, session: 0, value: 1)
        _ = bench.receive(0, frame: 7, session: 0, value: 2)
        #expect(bench.receive(1, frame: 7, session: 0, value: 0) == [.answered(7, branches: 0b11, sum: 1)])
        #expect(bench.receive(1, frame: 7, session: 0, value: 0) == [.answered(7, branches: 0b11, sum: 2)])
        #expect(bench.receive(1, frame: 7, session: 0) == [])
    }

    @Test("Late shares are no other arrival; one arrival more is")
    func lateShares() {
        var bench = JoinerBench(branches: [4])
        for branch in [0, 1] { _ = bench.receive(branch, session: 0) }
        #expect(bench.deadline(after: 101) == [.answered(1, branches: 0b11)])
        let key = FrameKey(sensor: "cam", session: 0, frame: 1)
        for branch in [2, 3] {
            #expect(bench.receive(branch, session: 0).count == 1, "it waits")
            #expect(bench.deadline(after: 101) == [.dropped(.expiredLate(key))])
        }
        // All were received; the same again is another arrival.
        _ = bench.receive(2, session: 0)
        #expect(bench.deadline(after: 101) == [.answered(1, branches: 0b100)])
        // So is one that has a share of what the last had, though others of that are still to come.
        for branch in [0, 2] { _ = bench.receive(branch, session: 0) }
        #expect(bench.deadline(after: 101) == [.answered(1, branches: 0b101)])
    }

    @Test("What was answered in another model is dismissed here; not long after, it is another arrival")
    func supersededElsewhere() {
        for pause in [0, 2000] {
            var bench = JoinerBench(branches: [1, 1])
            #expect(bench.receive(0, session: 0, model: 1) == [.answered(1, branches: 1, model: 1)])
            bench.now += .milliseconds(pause)
            #expect(
                bench.receive(0, session: 0, model: 0)
                    == (pause == 0 ? [.dropped(.late)] : [.answered(1, branches: 1, model: 0)]))
        }
    }

    @Test("Of a frame that is answered in another model, only the shares that it lacked are late")
    func supersededInPart() {
        var bench = JoinerBench(branches: [2, 2])
        _ = bench.receive(0, session: 0, model: 0)
        for branch in [0, 1] { _ = bench.receive(branch, session: 0, model: 1) }
        _ = bench.receive(1, session: 0, model: 0)
        let key = FrameKey(sensor: "cam", session: 0, frame: 1)
        #expect(bench.deadline(after: 100) == [.dropped(.expiredLate(key))])
        _ = bench.receive(0, session: 0, model: 0)
        #expect(bench.deadline(after: 100) == [.answered(1, branches: 0b01, model: 0)])
    }

    @Test("A model that workers run is expected to send its shares of all arrivals")
    func usedModel() {
        var bench = JoinerBench(branches: [1, 1])
        _ = bench.receive(0, frame: 2, session: 0, model: 0)
        for _ in 0..<3 { _ = bench.receive(0, session: 0, model: 1) }
        for _ in 0..<3 { #expect(bench.receive(0, session: 0, model: 0) == [.dropped(.late)]) }
    }

    @Test("A model that no worker runs any more swallows one later arrival at most", arguments: [false, true])
    func unusedModel(wasUsed: Bool) {
        var bench = JoinerBench(branches: [1, 1])
        if wasUsed { _ = bench.receive(0, frame: 2, session: 0, model: 0) }
        bench.now += .milliseconds(250)
        for _ in 0..<10 { _ = bench.receive(0, session: 0, model: 1) }
        var dropped = 0
        for _ in 0..<10 where bench.receive(0, session: 0, model: 0) == [.dropped(.late)] { dropped += 1 }
        #expect(dropped == 1)
    }
}

extension JoinerBench.Outcome {
    var isAnswer: Bool { if case .answered = self { true } else { false } }
}
