import LCPWire
import Platform
import Testing

@testable import LCPPipeline

@Suite struct LaneTests {
    static func form(_ owners: [[String]], _ before: LaneTable = LaneTable(), slow: Set<String> = []) -> LaneTable {
        var table = before
        table.form(owners: owners) { slow.contains($0) ? 0.04 : 0.01 }
        return table
    }

    @Test("There are as many lanes as the most workers of a branch, and one of every branch in each", arguments: 0..<50)
    func everyBranch(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let owners = (0..<1 + random.index(8)).map { branch in
            (0..<1 + random.index(6)).map { "\(branch)-\($0)" }
        }
        let table = Self.form(owners)
        #expect(table.members.count == owners.map(\.count).max())
        for (branch, owners) in owners.enumerated() {
            let column = table.members.map { $0[branch] }
            #expect(Set(column) == Set(owners.map(Optional.some)), "nobody is idle")
            let loads = owners.map { owner in column.count { $0 == owner } }
            #expect((loads.max() ?? 0) - (loads.min() ?? 0) <= 1)
            for owner in owners {
                let lanes = table.lanes(of: owner)[branch] ?? []
                #expect(lanes == column.indices.filter { column[$0] == owner })
            }
        }
    }

    @Test("Workers keep their lanes when others come and go", arguments: 0..<50)
    func keepsLanes(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var owners = (0..<4).map { branch in (0..<3).map { "\(branch)-\($0)" } }
        let before = Self.form(owners)
        let branch = random.index(4)
        owners[branch][random.index(3)] = "new"
        let after = Self.form(owners, before)
        let changes = zip(before.members, after.members).flatMap { zip($0, $1).filter { $0 != $1 } }
        #expect(changes.count == 1 && changes.first?.1 == "new")
    }

    @Test("A branch with nobody has no place in the lanes of the others")
    func missingBranch() {
        let table = Self.form([["a", "b"], []])
        #expect(table.members == [["a", nil], ["b", nil]])
        #expect(Self.form([[], []]).members.isEmpty && Self.form([]).members.isEmpty)
    }

    @Test("Slow workers come together, where that lets the others do more")
    func slowTogether() {
        let mixed = Self.form([["a", "b"], ["c", "d"]])
        #expect(mixed.members == [["a", "c"], ["b", "d"]])
        let slow: Set = ["a", "d"]
        let sorted = Self.form([["a", "b"], ["c", "d"]], mixed, slow: slow)
        #expect(Set(sorted.members) == [["b", "c"], ["a", "d"]])
        let rates = sorted.rates { slow.contains($0) ? 0.04 : 0.01 }
        #expect(abs(rates.reduce(0, +) - 125) < 1e-9)
    }

    @Test("A worker in two lanes gives the second what the first leaves")
    func sharedWorker() {
        let table = Self.form([["fast", "slow"], ["only"]])
        let rates = table.rates { ["fast": 0.01, "slow": 0.04, "only": 1 / 110.0][$0]! }
        #expect(rates.map { $0.rounded() } == [100, 10])
    }

    // MARK: Turns

    @Test("Where all are alike they take turns")
    func alike() {
        let shares = LaneTurn.shares(rates: [10, 10, 10], times: [0.1, 0.1, 0.1], demand: 1)
        #expect(LaneTurn.turn(shares) == [0, 1, 2])
        #expect(LaneTurn.turn([1]) == [0])
    }

    @Test("A slow lane gets frames only where the fast ones cannot do them all")
    func slowLane() {
        func shares(_ demand: Double) -> [Double] {
            LaneTurn.shares(rates: [100, 25], times: [0.01, 0.04], demand: demand)
        }
        #expect(shares(0) == [1, 0] && shares(50) == [1, 0])
        #expect(shares(80)[0] > 0.86 && shares(80)[1] > 0.12)
        #expect(shares(200) == [0.8, 0.2])
    }

    @Test("A turn gives each lane its share, evenly spread, and ends", arguments: 0..<100)
    func turns(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let raw = (0..<1 + random.index(20)).map { _ in Double(1 + random.index(30)) }
        let shares = raw.map { $0 / raw.reduce(0, +) }
        let turn = LaneTurn.turn(shares)
        #expect((1...FlowPlan.maximumTurn).contains(turn.count))
        for (lane, share) in shares.enumerated() {
            let got = Double(turn.count { $0 == lane }) / Double(turn.count)
            #expect(abs(got - share) < 0.04, "lane \(lane): \(got) in place of \(share)")
        }
    }

    @Test("Rates that are nothing at all leave nobody out")
    func noRates() {
        #expect(LaneTurn.turn(LaneTurn.shares(rates: [0, 0], times: [0, 0], demand: 5)) == [0, 1])
    }

    // MARK: Speeds

    @Test("What was said at the start counts until enough was seen, and who is late is believed less")
    func speeds() {
        var speeds = WorkerSpeeds()
        var status = RoleStatus(state: .ready, role: .worker, id: "w", birth: "b")
        status.computeTime = 10
        func time() -> Double { ((speeds.time("w", status) - WorkerSpeeds.overhead) * 1e6).rounded() }
        #expect(time() == 10_000)
        for _ in 0..<8 { speeds.came("w", compute: 20_000) }
        #expect(time() == 20_000)
        let now = ContinuousClock.now
        for _ in 0..<5 { speeds.wasLate("w", now: now) }
        let late = time()
        #expect(late > 24_000 && late < 26_000, "what is late at the same time counts once")
        for _ in 0..<100 { speeds.look() }
        #expect(time() == 20_000)
        speeds.keep([])
        #expect(time() == 10_000)
        status.computeTime = .infinity
        #expect(speeds.time("w", status) == WorkerSpeeds.overhead)
    }
}
