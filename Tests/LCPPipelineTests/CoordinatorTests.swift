import LCPWire
import Testing

@testable import LCPPipeline

@Suite struct CoordinatorTests {
    static let start = ContinuousClock.now

    /// Workers that do what they are told, at once.
    private struct Bench {
        var coordinator = Coordinator()
        var workers: [String: RoleStatus] = [:]
        var now = CoordinatorTests.start
        var models = ["m"]
        var costs: [Double] = []
        /// Seconds for a frame, for each multiplication.
        var paces: [String: Double] = [:]

        static func worker(_ id: String, takesTasks: Bool = true) -> RoleStatus {
            var status = RoleStatus(state: .ready, role: .worker, id: id, birth: "b-\(id)")
            (status.takesTasks, status.pinned, status.branches) = (takesTasks ? true : nil, false, 2)
            (status.modelHash, status.models, status.claims) = ("m", ["m"], [])
            return status
        }

        mutating func update(dealsInputs: Bool = false) -> [String: WorkerTask?] {
            var aggregator = RoleStatus(state: .ready, role: .aggregator, id: "agg", birth: "a")
            aggregator.models = models
            return coordinator.update(
                workers: workers.values.sorted { $0.id < $1.id }, aggregators: [aggregator], dealsInputs: dealsInputs,
                costs: costs, now: now,
                time: { [workers, paces, costs] id in
                    guard let pace = paces[id], let branch = workers[id]?.serves?.first else { return 0.01 }
                    return pace * costs[branch]
                })
        }

        /// Has everybody do what was said, until nothing is said any more.
        mutating func settle() {
            for _ in 0..<10 {
                let tasks = update()
                if tasks.isEmpty { return }
                for case (let id, let task?) in tasks { obey(task, id) }
                now += .milliseconds(20)
            }
            Issue.record("it never comes to an end")
        }

        mutating func obey(_ task: WorkerTask, _ id: String) {
            guard let part = task.parts.first(where: { $0.branches == 2 }) else { return }
            (workers[id]!.claims, workers[id]!.serves, workers[id]!.lanes) = (part.runs, part.runs, part.lanes)
        }
    }

    private static func bench(_ count: Int) -> Bench {
        var bench = Bench()
        for number in 0..<count { bench.workers["w\(number)"] = Bench.worker("w\(number)") }
        bench.settle()
        return bench
    }

    @Test("The slow device gets the narrow branch, and both are served meanwhile")
    func exchange() throws {
        var bench = Self.bench(2)
        let wide = try #require(bench.workers.values.first { $0.serves == [0] }?.id)
        let other = try #require(bench.workers.values.first { $0.serves == [1] }?.id)
        // Branch 0 costs three times as much, and whoever has it is four times slower.
        (bench.costs, bench.paces) = ([3, 1], [wide: 0.04, other: 0.01])
        let first = bench.update()
        for id in [wide, other] {
            #expect(first[id]??.parts.first?.runs == [0, 1], "each keeps its own until the other has it")
        }
        for _ in 0..<6 {
            for (id, task) in bench.coordinator.tasks { bench.obey(task, id) }
            let served = Set(bench.workers.values.flatMap { $0.serves ?? [] })
            #expect(served == [0, 1])
            bench.now += .milliseconds(600)
            _ = bench.update()
        }
        #expect(bench.workers[wide]?.serves == [1] && bench.workers[other]?.serves == [0])
        // And that is the end of it.
        for _ in 0..<5 {
            bench.now += .seconds(61)
            #expect(bench.update().isEmpty)
        }
    }

    @Test("An exchange that nobody carries out is given up")
    func lazyExchange() throws {
        var bench = Self.bench(2)
        let slow = try #require(bench.workers.values.first { $0.serves == [0] }?.id)
        let fast = try #require(bench.workers.values.first { $0.serves == [1] }?.id)
        (bench.costs, bench.paces) = ([3, 1], [slow: 0.04, fast: 0.01])
        #expect(!bench.update().isEmpty)
        bench.now += BranchExchange.patience
        _ = bench.update()
        #expect(bench.coordinator.tasks[slow]?.parts[0].runs == [0])
        #expect(bench.coordinator.tasks[fast]?.parts[0].runs == [1])
    }

    @Test("Branches that are alike, devices that are alike, and short branches are left as they are")
    func noExchange() {
        typealias Worker = BranchExchange.Worker
        func best(_ times: [Double], _ costs: [Double]) -> BranchExchange? {
            let workers = times.enumerated().map { Worker(id: "w\($0)", branch: $0, time: $1) }
            return BranchExchange.best(workers, costs: costs, now: Self.start)
        }
        #expect(best([0.04, 0.01], [1, 1]) == nil)
        #expect(best([0.03, 0.01], [3, 1]) == nil)
        #expect(best([0.0004, 0.0001], [1.5, 1]) == nil)
        #expect(best([0.01, 0.04], [3, 1]) == nil)
        #expect(best([0.04, 0.01], [0, 0]) == nil && best([], []) == nil)
        #expect(best([0.04, 0.01], [2, 1])?.moves == ["w0": 1, "w1": 0])
    }

    @Test("Every worker gets one task, and none a second where nothing changes")
    func tasks() {
        var bench = Self.bench(4)
        #expect(bench.coordinator.usableLanes == [0, 1])
        #expect(bench.workers.values.allSatisfy { $0.serves?.count == 1 && $0.lanes?.count == 1 })
        #expect(bench.update().isEmpty)
        bench.now += .seconds(60)
        #expect(bench.update().isEmpty && bench.coordinator.nextDue(after: bench.now) == nil)
    }

    @Test("One that joins changes the tasks of few")
    func joining() {
        var bench = Self.bench(60)
        bench.workers["x"] = Bench.worker("x")
        let changed = bench.update()
        #expect(changed.count <= 3 && changed["x"] != nil, "\(changed)")
    }

    @Test("A lane is dealt to when everybody in it receives it, and not before")
    func unconfirmed() {
        var bench = Self.bench(4)
        let last = bench.workers.values.first { $0.lanes == [[1]] }!.id
        bench.workers[last]!.lanes = [[]]
        _ = bench.update()
        #expect(bench.coordinator.usableLanes == [0])
    }

    @Test("Beside a worker that takes no tasks nothing is dealt")
    func oldWorkers() {
        var bench = Self.bench(4)
        bench.workers["old"] = Bench.worker("old", takesTasks: false)
        (bench.workers["old"]!.claims, bench.workers["old"]!.serves) = ([0], [0])
        let tasks = bench.update(dealsInputs: true)
        #expect(bench.coordinator.usableLanes == [] && tasks["old"] == nil)
        #expect(bench.coordinator.tasks.values.allSatisfy { $0.isDealt == nil })
        bench.workers["old"] = nil
        _ = bench.update(dealsInputs: true)
        #expect(bench.coordinator.usableLanes == [0, 1])
        #expect(bench.coordinator.tasks.values.allSatisfy { $0.isDealt == true })
    }

    @Test("A branch is taken from a worker when another serves it, and its lanes some time after")
    func takingOver() throws {
        var bench = Self.bench(1)
        #expect(bench.workers["w0"]!.serves == [0, 1])
        bench.workers["w1"] = Bench.worker("w1")
        let first = bench.update()
        #expect(first["w1"]??.parts.first?.runs == [1])
        #expect(bench.coordinator.tasks["w0"]?.parts.first?.runs == [0, 1], "nobody else serves it yet")
        (bench.workers["w1"]!.claims, bench.workers["w1"]!.serves, bench.workers["w1"]!.lanes) = ([1], [1], [[0]])
        _ = bench.update()
        #expect(bench.coordinator.tasks["w0"]?.parts.first?.runs == [0])
    }

    @Test("Who leaves has nothing any more, and others have it at once")
    func leaving() {
        var bench = Self.bench(4)
        let task = bench.coordinator.tasks["w0"]
        bench.workers["w0"]!.isLeaving = true
        let changed = bench.update()
        #expect(task != nil && changed["w0"] == .some(nil))
        #expect(bench.coordinator.tables[2]?.members.joined().contains("w0") == false)
    }

    @Test("After a reconnect all are told again, and the tasks of those who went meanwhile are taken back")
    func reconnect() {
        var bench = Self.bench(4)
        #expect(bench.update().isEmpty)
        bench.coordinator.sayAgain()
        bench.workers["w3"] = nil
        let told = bench.update()
        #expect(told.count == 4 && told["w3"] == .some(nil))
        #expect(told["w0"]??.birth == "b-w0")
        #expect(bench.update().isEmpty)
    }

    @Test("A worker that began anew is told anew, and one that is gone is forgotten")
    func births() {
        var bench = Self.bench(2)
        bench.workers["w0"]!.birth = "other"
        (bench.workers["w0"]!.claims, bench.workers["w0"]!.serves, bench.workers["w0"]!.lanes) = ([], [], [])
        #expect(bench.update()["w0"]??.birth == "other")
        bench.workers["w1"] = nil
        #expect(bench.update()["w1"] == .some(nil))
    }

    @Test("A model may be given up when all workers and the aggregator run the next, and not before")
    func readyModels() {
        var bench = Self.bench(4)
        for id in bench.workers.keys { bench.workers[id]!.models = ["m", "n"] }
        _ = bench.update()
        #expect(bench.coordinator.tasks["w0"]?.ready == ["m"], "the aggregator does not join it yet")
        bench.models = ["m", "n"]
        _ = bench.update()
        #expect(bench.coordinator.tasks["w0"]?.ready == ["m", "n"])
        bench.workers["w3"]!.models = ["m"]
        _ = bench.update()
        #expect(bench.coordinator.tasks["w0"]?.ready == ["m"])
    }
}
