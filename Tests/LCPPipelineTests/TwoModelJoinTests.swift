import Platform
import Testing

@testable import LCPPipeline

/// One model takes another's place.
@Suite struct TwoModelJoinTests {
    @Test("A frame is answered in the model that has all of its branches first, and the other's shares are no news")
    func firstComplete() {
        var bench = JoinerBench(branches: [2, 2])
        _ = bench.receive(0, model: 0)
        _ = bench.receive(0, model: 1)
        #expect(bench.receive(1, model: 1) == [.answered(1, branches: 0b11, model: 1)])
        #expect(bench.receive(1, model: 0) == [])
        #expect(bench.deadline(after: 100) == [])
    }

    @Test("At the deadline the model with the larger part of a frame answers it")
    func largerPart() {
        var bench = JoinerBench(branches: [2, 4])
        _ = bench.receive(0, model: 0)
        for branch in 0..<3 { _ = bench.receive(branch, model: 1) }
        #expect(bench.deadline(after: 100) == [.answered(1, branches: 0b111, model: 1)])
        #expect(bench.receive(1, model: 0) == [])
    }

    @Test("Parts are compared, not numbers of branches", arguments: [[0, 1], [1, 0]])
    func largerPartOfFewerBranches(order: [Int]) {
        var bench = JoinerBench(branches: [2, 4])
        // One of two is more than one of four, whichever opened first.
        for model in order { _ = bench.receive(0, model: model) }
        #expect(bench.deadline(after: 100) == [.answered(1, branches: 0b1, model: 0)])
    }

    @Test("While two models are joined, a frame waits for all branches whoever serves them")
    func awaitsAll() {
        var bench = JoinerBench(branches: [2, 2])
        #expect(bench.receive(0, model: 0, served: 0b01) == [.armed(milliseconds: 100)])
    }

    @Test("An early answer is given in the model with the larger part, and the frame is closed in the other")
    func eviction() {
        var bench = JoinerBench(branches: [2, 3], maximumOpen: 1)
        _ = bench.receive(0, frame: 1, model: 0)
        for branch in 0..<2 { _ = bench.receive(branch, frame: 1, model: 1) }
        // In model 0 the frame has one of two branches, in model 1 two of three: it stays there.
        #expect(bench.receive(0, frame: 2, model: 0) == [])
        #expect(bench.receive(2, frame: 1, model: 1) == [.answered(1, branches: 0b111, model: 1)])
    }

    @Test("A held frame of one model is released by an answer in the other")
    func heldAcrossModels() {
        var bench = JoinerBench(branches: [2, 2])
        _ = bench.receive(0, frame: 1, model: 0)
        for branch in 0..<2 { #expect(bench.receive(branch, frame: 2, model: 1) == []) }
        #expect(
            bench.receive(1, frame: 1, model: 0) == [
                .answered(1, branches: 0b11, model: 0), .answered(2, branches: 0b11, model: 1),
            ])
    }

    @Test("A held frame of one model is not released while one before it is open in the other")
    func heldBehindBoth() {
        var bench = JoinerBench(branches: [2, 2])
        for (frame, model) in [(1, 0), (2, 0), (3, 1)] as [(UInt64, Int)] {
            _ = bench.receive(0, frame: frame, model: model)
        }
        #expect(bench.receive(1, frame: 3, model: 1) == [])
        #expect(bench.receive(1, frame: 1, model: 0) == [.answered(1, branches: 0b11, model: 0)])
        #expect(
            bench.receive(1, frame: 2, model: 0) == [
                .answered(2, branches: 0b11, model: 0), .answered(3, branches: 0b11, model: 1),
            ])
    }

    @Test("Frames that were answered before a model was added are late in it")
    func inheritance() {
        var bench = JoinerBench(branches: [1])
        #expect(bench.receive(0, frame: 1, model: 0) == [.answered(1, branches: 1)])
        _ = bench.add(branches: 1)
        #expect(bench.receive(0, frame: 1, model: 1) == [])
    }

    @Test("A model is retired when no share of it was received for ten seconds and the preferred one is used")
    func retirement() {
        var bench = JoinerBench(branches: [1, 1])
        _ = bench.receive(0, frame: 1, model: 0)
        bench.now += .seconds(11)
        #expect(bench.retireUnused() == [], "nobody has used the new model yet")
        _ = bench.receive(0, frame: 2, model: 1)
        #expect(bench.retireUnused() == [.retired(0)])
        #expect(bench.joiner.models == [JoinerBench.hash(1)])
        #expect(bench.retireUnused() == [])
    }

    @Test("All models that were replaced are retired, and the preferred one stays though nothing comes any more")
    func retiresAllBefore() {
        var bench = JoinerBench(branches: [1, 1, 1])
        _ = bench.receive(0, model: 2)
        bench.now += .seconds(11)
        #expect(bench.retireUnused() == [.retired(1), .retired(0)])
        #expect(bench.joiner.models == [JoinerBench.hash(2)])
    }

    @Test("A model that is added a second time is joined once, and keeps what is open in it")
    func addedTwice() {
        var bench = JoinerBench(branches: [2])
        _ = bench.receive(0)
        _ = bench.joiner.add(JoinerBench.hash(0), branches: .init(count: 2), classes: 2, now: bench.now)
        #expect(bench.joiner.models == [JoinerBench.hash(0)])
        #expect(bench.receive(1) == [.answered(1, branches: 0b11)])
    }

    @Test("A model that is used is not retired")
    func useKeeps() {
        var bench = JoinerBench(branches: [1, 1])
        bench.now += .seconds(11)
        _ = bench.receive(0, frame: 1, model: 0)
        _ = bench.receive(0, frame: 2, model: 1)
        #expect(bench.retireUnused() == [])
    }

    @Test("What is open in a model that is retired is answered")
    func retirementAnswers() {
        var bench = JoinerBench(branches: [2, 2], deadline: 60_000)
        _ = bench.receive(0, frame: 1, model: 0)
        bench.now += .seconds(11)
        _ = bench.receive(0, frame: 2, model: 1)
        #expect(bench.retireUnused() == [.answered(1, branches: 0b01, model: 0), .retired(0)])
    }

    @Test("Of more than four models the one goes that was not used for longest, never the preferred one")
    func tooMany() {
        var bench = JoinerBench(branches: [1, 1, 1, 1])
        bench.now += .seconds(1)
        for model in [0, 2, 3] { _ = bench.receive(0, frame: UInt64(model), session: 9, model: model) }
        #expect(bench.add(branches: 1) == [.retired(1)])
        #expect(bench.joiner.models.last == JoinerBench.hash(4))
        #expect(bench.joiner.models.count == 4)
        // Nobody has used the preferred one yet.
        bench.now += .seconds(1)
        _ = bench.receive(0, frame: 9, session: 9, model: 4)
        #expect(bench.add(branches: 1) == [.retired(0)])
    }

    @Test("A model that is pushed again is the preferred one")
    func preference() {
        var bench = JoinerBench(branches: [1, 1])
        bench.joiner.prefer(JoinerBench.hash(0))
        #expect(bench.joiner.models == [1, 0].map(JoinerBench.hash))
        bench.joiner.prefer(JoinerBench.hash(77))
        #expect(bench.joiner.models == [1, 0].map(JoinerBench.hash), "unknown until it is added")
    }

    @Test("A share of a model that is not joined does nothing")
    func unknownModel() {
        var bench = JoinerBench(branches: [1])
        #expect(bench.receive(0, model: 5) == [])
    }

    @Test("Whatever comes in whatever order, every numbered frame is answered once, of one model", arguments: 0..<20)
    func randomTraffic(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let order: PredictionOrder = seed % 2 == 0 ? .sensor : .none
        var bench = JoinerBench(branches: [3, 4], order: order, maximumOpen: 16)
        var answers: [UInt64: [(model: Int, branches: UInt64)]] = [:]
        /// What was received: model and branches by frame.
        var received: [UInt64: [Int: UInt64]] = [:]
        var times: [UInt64: ContinuousClock.Instant] = [:]
        func note(_ outcomes: [JoinerBench.Outcome]) {
            for case .answered(let frame, _, let branches, let model, _) in outcomes {
                answers[frame, default: []].append((model, branches))
                // The timer is called every step. A frame that expires in one model may wait for its deadline in the other.
                #expect(bench.now - (times[frame] ?? bench.now) <= .milliseconds(200))
            }
        }
        for step in 0..<1500 {
            bench.now += .milliseconds(1)
            let frame = UInt64(step / 8 + random.index(12))
            let model = random.index(2)
            let branch = random.index(model == 0 ? 3 : 4)
            times[frame] = times[frame] ?? bench.now
            if answers[frame] == nil { received[frame, default: [:]][model, default: 0] |= 1 << UInt64(branch) }
            note(bench.receive(branch, frame: frame, model: model))
            note(bench.deadline(after: 0))
        }
        note(bench.finish())
        #expect(Set(answers.keys) == Set(received.keys))
        for (frame, found) in answers {
            #expect(found.count == 1, "frame \(frame)")
            let (model, branches) = found[0]
            #expect(branches != 0 && branches & ~(received[frame]?[model] ?? 0) == 0, "a share of the other model")
        }
    }

    @Test("In the order of the sensor, no answer overtakes a frame that is open", arguments: 0..<10)
    func randomOrder(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var bench = JoinerBench(branches: [2], maximumOpen: 1000, deadline: 60_000)
        var shares = (0..<200 as Range<UInt64>).flatMap { frame in [0, 1].map { (frame: frame, branch: $0) } }
        // Every frame opens in order; the second shares come in any.
        var answered: [UInt64] = []
        for frame in 0..<200 as Range<UInt64> { _ = bench.receive(0, frame: frame) }
        shares.removeAll { $0.branch == 0 }
        while !shares.isEmpty {
            let share = shares.remove(at: random.index(shares.count))
            for case .answered(let frame, _, _, _, _) in bench.receive(share.branch, frame: share.frame) {
                answered.append(frame)
            }
        }
        #expect(answered == Array(0..<200))
    }

    @Test("What is remembered of answered frames is bounded, and what is too old to be known is late")
    func memory() {
        var answered = AnsweredFrames(capacity: 8)
        func key(_ frame: UInt64, session: UInt64 = 5) -> FrameKey {
            FrameKey(sensor: "cam", session: session, frame: frame)
        }
        for frame in 0..<20 as Range<UInt64> { answered.insert(key(frame)) }
        for frame in [0, 11, 12, 19] as [UInt64] { #expect(answered.contains(key(frame))) }
        #expect(!answered.contains(key(20)))
        #expect(!answered.contains(key(3, session: 6)))
        answered.insert(key(3, session: 0))
        #expect(!answered.contains(key(3, session: 0)), "a bare input is a new frame each time")
    }
}
