import LCPWire
import Testing

@testable import LCPPipeline

@Suite struct PipelineOverviewTests {
    static func status(_ id: String, _ serves: [Int], state: RoleStatus.State = .ready, birth: String = "1")
        -> RoleStatus
    {
        var status = RoleStatus(state: state, role: .worker, id: id, birth: birth)
        (status.branches, status.serves) = (3, serves)
        return status
    }

    static func counters(_ frames: UInt64, _ uptime: Double) -> [UInt8] {
        RoleStatistics(uptime: uptime, frames: frames, dropped: [:]).json
    }

    @Test func whoIsThereAndWhatIsMissing() {
        var overview = PipelineOverview()
        #expect(overview.missingBranches == nil && overview.members.isEmpty)
        overview.add(Self.status("b", [2]))
        overview.add(Self.status("a", [0]))
        overview.add(Self.status("c", [], state: .lost))
        #expect(overview.members.map(\.status.id) == ["a", "b", "c"])
        #expect(overview.missingBranches == [1])
        overview.add(Self.status("c", [1], birth: "2"))
        #expect(overview.missingBranches == [])
    }

    @Test("A pipeline is well where one model is run and every branch of it is served")
    func health() {
        var overview = PipelineOverview()
        func add(_ status: RoleStatus, _ model: String?) {
            var status = status
            status.modelHash = model
            overview.add(status)
        }
        add(Self.status("a", [0, 1, 2]), "m")
        #expect(overview.health == (.silent, "no aggregator is ready"))
        add(RoleStatus(state: .ready, role: .aggregator, id: "agg", birth: "1"), "m")
        #expect(overview.health.0 == .well)
        add(Self.status("b", [1]), "n")
        #expect(
            overview.health == (.incomplete, "2 models are run at once, m by worker a, aggregator agg; n by worker b"))
        add(Self.status("b", [], state: .lost), nil)
        add(Self.status("a", [0], birth: "2"), "m")
        #expect(overview.health == (.incomplete, "nobody serves branches 1, 2"))
        add(Self.status("a", [], state: .disconnected, birth: "2"), nil)
        #expect(overview.health == (.silent, "no worker is ready"))
    }

    @Test("An aggregator with another model is named, and its branches are not missed")
    func otherModel() {
        var overview = PipelineOverview()
        func add(_ status: RoleStatus, _ model: String, branches: Int) {
            var status = status
            (status.modelHash, status.model, status.branches) = (String(model.reversed()), model, branches)
            overview.add(status)
        }
        add(Self.status("a", [0, 1]), "small", branches: 2)
        add(RoleStatus(state: .ready, role: .aggregator, id: "agg", birth: "1"), "small", branches: 2)
        #expect(overview.health.0 == .well)
        add(RoleStatus(state: .ready, role: .aggregator, id: "odd\u{1B}", birth: "1"), "large", branches: 4)
        #expect(overview.missingBranches == [])
        #expect(
            overview.health == (
                .incomplete,
                "2 models are run at once, small by worker a, aggregator agg; large by aggregator odd\u{FFFD}"
            ))
    }

    @Test("Who refuses all that comes is named, and nothing is answered where all do")
    func refusals() {
        var overview = PipelineOverview()
        overview.add(RoleStatus(state: .ready, role: .aggregator, id: "agg", birth: "1"))
        func add(_ id: String, _ reason: String?) {
            var status = Self.status(id, [0, 1, 2])
            status.refuses = reason
            overview.add(status)
        }
        add("a", "wrong_shape")
        let word = "worker a refuses every frame (wrong_shape): the log of worker a says why"
        #expect(overview.health == (.silent, word))
        add("b", nil)
        #expect(overview.health == (.incomplete, word))
        add("b", "wrong_shape")
        #expect(
            overview.health == (
                .silent, "2 of 2 workers refuse every frame (wrong_shape): the log of worker a says why"
            ))
        add("a", nil)
        add("b", nil)
        #expect(overview.health.0 == .well)
    }

    @Test("All is refused where only drops were counted since the last time, and they were not just late")
    func refusalReasons() {
        var refusals = Refusals()
        let counters: [(frames: UInt64, drops: [String: UInt64], reason: String?)] = [
            (0, [:], nil), (0, ["wrong_shape": 2], nil), (0, ["wrong_shape": 5], "wrong_shape"),
            (0, ["wrong_shape": 5], nil), (1, ["wrong_shape": 50], nil), (1, ["wrong_shape": 50, "late": 9], nil),
            (1, ["wrong_shape": 52, "late": 9, "wrong_size": 10], "wrong_size"),
        ]
        for (frames, drops, reason) in counters {
            let found = refusals.reason(frames: frames, drops: drops)
            #expect(found == reason, "\(drops)")
        }
    }

    /// A status that was removed, or written over, is that of one who is gone, unless it is said again.
    @Test func whoseStatusIsGoneIsForgotten() {
        var presence = Presence()
        let now = ContinuousClock.now
        let (known, others) = (presence.update(Self.status("a", [0])), presence.update(Self.status("b", [0])))
        #expect(known && others)
        let topics = ["stranger", "a", "b"].map { "lcp/demo/status/worker/\($0)" }
        let doubted = topics.map { presence.doubt($0, now: now) }
        #expect(doubted == [false, true, true])
        // A flood of them is one doubt, and asks for one timer.
        let again = presence.doubt(topics[1], now: now + Presence.grace / 2)
        #expect(!again)
        let isNew = presence.update(Self.status("b", [0]))
        let isEarly = presence.expire(now: now + Presence.grace / 2)
        #expect(!isNew && !isEarly && presence.all(.worker).count == 2)
        let hasChanged = presence.expire(now: now + Presence.grace)
        #expect(hasChanged && presence.all(.worker).map(\.id) == ["b"])
    }

    @Test func ratesComeFromTwoCounters() {
        var overview = PipelineOverview()
        overview.add(Self.status("a", [0]))
        overview.add(statistics: Self.counters(100, 10), role: "worker", id: "a")
        #expect(overview.members[0].framesPerSecond == nil)
        overview.add(statistics: Self.counters(350, 15), role: "worker", id: "a")
        #expect(overview.members[0].framesPerSecond == 50)
        // One who began anew is not compared with itself before.
        overview.add(Self.status("a", [0], birth: "2"))
        overview.add(statistics: Self.counters(7, 5), role: "worker", id: "a")
        #expect(overview.members[0].framesPerSecond == nil)
        overview.add(statistics: Self.counters(1, 5), role: "worker", id: "stranger")
        #expect(overview.members.count == 1)
    }

    @Test func dropsAreCountedByReason() {
        let dropped: [String: UInt64] = ["late": 9, "bad_topic": 2, "wrong_size": 5, "bad_branch": 2, "retained": 0]
        let lost = RoleStatistics(uptime: 1, frames: 0, dropped: dropped).lost
        #expect(lost.total == 9)
        #expect(lost.reasons.map(\.reason) == ["wrong_size", "bad_branch", "bad_topic"])
    }

    /// Counters come from anyone.
    @Test func numbersThatNobodyCountedDoNoHarm() {
        #expect(RoleStatistics(uptime: 1, frames: 0, dropped: ["a": .max, "b": .max]).lost.total == .max)
        var overview = PipelineOverview()
        overview.add(Self.status("a", [0]))
        overview.add(statistics: Self.counters(0, 0), role: "worker", id: "a")
        overview.add(statistics: Self.counters(.max, .leastNonzeroMagnitude), role: "worker", id: "a")
        #expect(overview.members[0].framesPerSecond == nil)
        overview.add(statistics: Self.counters(.max, 1e308), role: "worker", id: "a")
        overview.add(statistics: Self.counters(.max, -1e308), role: "worker", id: "a")
        #expect(overview.members[0].framesPerSecond?.isFinite == true)
    }
}
