import LCPWire
import Testing

@testable import LCPPipeline

/// What goes from one aggregator to another with the sensors.
@Suite struct SharedSensorsTests {
    @Test("Sensors fall into buckets as the documentation says, by XXH64 modulo 32")
    func buckets() {
        // From an implementation of XXH64 in Python.
        #expect(SensorBuckets.bucket(of: "cam") == 3 && SensorBuckets.bucket(of: "door") == 19)
        let owners = SensorBuckets.owners(["a1", "a0"])
        #expect(owners == SensorBuckets.owners(["a0", "a1"]))
        #expect(owners.prefix(8).map { $0 ?? "" } == ["a1", "a0", "a0", "a1", "a1", "a1", "a1", "a0"])
        #expect(SensorBuckets.owners([]).allSatisfy { $0 == nil })
    }

    @Test(
        "Nobody owns more than his share of the buckets, and who comes takes few from others but his own",
        arguments: 1...12)
    func evenness(count: Int) {
        let names = (0..<count).map { "agg-\($0)" }
        let before = SensorBuckets.owners(names)
        let most = (SensorBuckets.count + count - 1) / count
        #expect(names.allSatisfy { name in before.count { $0 == name } <= most })
        let after = SensorBuckets.owners(names + ["new"])
        let moved = zip(before, after).count { $0 != $1 }
        #expect(moved <= 2 * after.count { $0 == "new" } + 2)
    }

    @Test("What one has answered nobody answers again, also where frames in between are still missing")
    func answered() {
        var (first, second) = (JoinerBench(), JoinerBench())
        for frame in [3, 4, 6] as [UInt64] {
            for branch in 0..<3 { _ = first.receive(branch, frame: frame) }
        }
        let streams = first.joiner.answered { $0 == "cam" }
        #expect(streams.count == 1 && streams[0].ranges == [3...4, 6...6] && streams[0].floor == nil)
        for stream in streams {
            second.joiner.learn(
                .init(sensor: "cam", session: 5), floor: stream.floor.flatMap { UInt64($0) }, stream.ranges)
        }
        for frame in [3, 4, 6] as [UInt64] { #expect(second.receive(0, frame: frame) == [.dropped(.late)]) }
        #expect(second.receive(0, frame: 5) == [.armed(milliseconds: 100)])
        #expect(first.joiner.answered { $0 != "cam" }.isEmpty)
    }

    @Test("Of a long stream only the latest frames are named, and all before count as answered")
    func floor() throws {
        var answered = AnsweredFrames(capacity: 4)
        for frame in 1...10 as ClosedRange<UInt64> {
            answered.insert(FrameKey(sensor: "cam", session: 5, frame: frame))
        }
        let (stream, known) = try #require(answered.streams { _ in true }.first)
        #expect(stream.sensor == "cam" && known.floor == 6 && known.frames.sorted() == [7, 8, 9, 10])
        var other = AnsweredFrames(capacity: 4)
        other.learn(stream, floor: 6)
        #expect(other.contains(FrameKey(sensor: "cam", session: 5, frame: 2)))
        #expect(!other.contains(FrameKey(sensor: "cam", session: 5, frame: 7)))
    }

    @Test("A frame that is given up unanswered may come again")
    func forgotten() {
        var bench = JoinerBench()
        _ = bench.receive(0)
        #expect(bench.joiner.isOpen(FrameKey(sensor: "cam", session: 5, frame: 1)))
        #expect(bench.joiner.hasOpen { $0 == "cam" } && !bench.joiner.hasOpen { $0 == "door" })
        bench.joiner.discardOpen()
        #expect(!bench.joiner.hasOpen { _ in true })
        for branch in 0..<2 { _ = bench.receive(branch) }
        #expect(bench.receive(2) == [.answered(1, branches: 0b111)])
        bench.joiner.forget(FrameKey(sensor: "cam", session: 5, frame: 1))
        for branch in 0..<2 { _ = bench.receive(branch) }
        #expect(bench.receive(2) == [.answered(1, branches: 0b111)])
    }

    @Test("What is kept is bounded, and given out by buckets")
    func kept() {
        let shared = SharedSensors(AggregatorGroup(id: "a", birth: "b", now: .now))
        let payload = [UInt8](repeating: 1, count: 1 << 20)
        for index in 0..<100 { payload.withUnsafeBytes { shared.keep("t\(index)", $0, index % 2) } }
        #expect(shared.kept.count == 64 && shared.kept.first?.topic == "t36")
        shared.learnBare("door", [7...7])
        #expect(shared.take([1]).count == 32 && shared.kept.allSatisfy { $0.bucket == 0 })
        // What is taken is compared with what others have answered after that.
        #expect(shared.wasAnsweredElsewhere(FrameKey(sensor: "door", session: 0, frame: 7)))
        shared.forgetAnsweredElsewhere()
        #expect(!shared.wasAnsweredElsewhere(FrameKey(sensor: "door", session: 0, frame: 7)))
    }

    @Test("Notes of answers are ranges, and are told once")
    func notes() {
        let shared = SharedSensors(AggregatorGroup(id: "a", birth: "b", now: .now))
        shared.answered(FrameKey(sensor: "cam", session: 5, frame: 0), missing: 1)
        #expect(shared.takeNotes().streams.isEmpty, "who is alone tells nobody")
        let members = ["a", "c"].map { AggregatorBeat.Member(id: $0, birth: "b", term: 0) }
        let view = AggregatorBeat.View(number: 1, by: "c", members: members)
        _ = shared.group.heard(
            .init(member: members[1], number: 1, models: [], view: view, phase: .adopted), now: .now)
        for frame in [1, 2, 3, 7] as [UInt64] {
            shared.answered(FrameKey(sensor: "cam", session: 5, frame: frame), missing: frame == 7 ? 0b10 : 0)
        }
        shared.answered(FrameKey(sensor: "door", session: 0, frame: 99), missing: 0)
        let (streams, missed) = shared.takeNotes()
        #expect(Set(streams.map(\.ranges)) == [[1...3, 7...7], [99...99]] && missed == 0b10)
        #expect(shared.takeNotes().streams.isEmpty)
        let bare = shared.bareStreams(Set(0..<SensorBuckets.count))
        #expect(bare.map(\.sensor) == ["door"] && bare[0].ranges == [99...99])
        shared.learnBare("door", [99...99])
        #expect(shared.wasAnsweredElsewhere(FrameKey(sensor: "door", session: 0, frame: 99)))
    }

    @Test("An aggregator that is told what came to another sheds as if it had come to itself")
    func load() throws {
        var (own, told) = (FlowControl.bench, FlowControl.bench)
        let start = ContinuousClock.now
        let shared = SharedSensors(AggregatorGroup(id: "a", birth: "b", now: start))
        var plans: [FlowPlan?] = []
        for frame in 0..<200 as Range<UInt64> {
            let now = start + .milliseconds(Int64(frame) * 4)
            for branch in 0..<2 as Range<UInt16> {
                own.came(
                    "cam", session: 5, frame: frame, branch: Int(branch), queue: 50_000, compute: 20_000, now: now)
                let header = TensorMessageHeader(
                    kind: .features, dtype: .fp32, shape: [1], session: 5, frame: frame, branch: branch,
                    branchCount: 2, queueTime: 50_000, computeTime: 20_000)
                shared.came("cam", header, now: now)
            }
            guard frame % 62 == 61 else { continue }
            let load = try #require(shared.takeLoad(now))
            #expect(load.branches.map(\.shares) == [62, 62] && load.sensors.map(\.frame) == ["\(frame)"])
            told.heard(load, now: now)
            plans = [
                own.evaluate(replicas: [1, 1], now: now) ?? plans.first ?? nil,
                told.evaluate(replicas: [1, 1], now: now) ?? plans.last ?? nil,
            ]
        }
        let rules = plans.map { $0?.sensors["cam"]?.rule.every ?? 0 }
        #expect(rules[0] > 2 && abs(Int(rules[0]) - Int(rules[1])) <= 1, "\(rules)")
        #expect(shared.takeLoad(start) != nil && shared.takeLoad(start) == nil)
    }
}

extension FlowControl {
    fileprivate static var bench: FlowControl { FlowControl(branchCount: 2, policy: .latest, queueLimit: 64) }
}
