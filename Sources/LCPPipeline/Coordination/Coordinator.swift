import LCPWire

/// What an aggregator has the workers of its pipeline do: a pure state machine. Who is there goes in, tasks come out.
///
/// Branches are dealt out as the workers among themselves would (``BranchAssignment``), so that those of the version before,
/// which listen to each other, come to the same answer. A branch is taken from a worker only when another serves it, and a lane
/// only some time after another has it, so that nothing on its way is lost.
struct Coordinator {
    typealias Instant = ContinuousClock.Instant

    /// A worker's part of a network with so many branches.
    private struct Part {
        var claims: Set<Int>
        var serves: [Int]
        /// Its lanes, as it says, for each branch that it serves.
        var lanes: [Int: [Int]]
    }

    /// A worker's lane.
    private struct Place: Hashable {
        var worker: String
        var count: Int
        var branch: Int
        var lane: Int
    }

    /// The tasks as they were given last, by the workers' names.
    private(set) var tasks: [String: WorkerTask] = [:]
    private var isSaidAgain = false
    /// The lanes by the number of branches of the networks.
    private(set) var tables: [Int: LaneTable] = [:]
    /// Places that were given to others, and until when they are kept.
    private var leaving: [Place: Instant] = [:]
    /// Until when all workers are expected to take a network with so many branches.
    private var expectations: [Int: Instant] = [:]
    /// What is being exchanged, and when the next exchange may be.
    private var exchange: BranchExchange?
    private var nextExchange: Instant?
    /// Lanes whose frames are computed in full, by all that is known.
    private(set) var usableLanes: [Int] = []

    /// So long a lane is kept beside who takes it over.
    static let overlap = Duration.milliseconds(500)
    /// So long all workers are expected to take a model with another number of branches, and have their part of these.
    static let expectation = ModelRollout.expectation

    /// When ``update(workers:aggregators:dealsInputs:now:time:)`` is to be called again, whatever happens.
    func nextDue(after now: Instant) -> Instant? {
        (Array(leaving.values) + Array(expectations.values) + [exchange?.until].compactMap(\.self)).filter { $0 > now }
            .min()
    }

    /// Thinks everything over.
    ///
    /// - Parameters:
    ///   - dealsInputs: whether somebody deals also what sensors do not.
    ///   - byBucket: whether features go to the topics of the sensors' buckets.
    ///   - costs: of each branch of the network that frames are joined in, in any unit.
    ///   - time: how long a worker takes for a frame, seconds.
    /// - Returns: the tasks that changed, and nil for workers that are gone.
    mutating func update(
        workers: [RoleStatus], aggregators: [RoleStatus], dealsInputs: Bool = false, byBucket: Bool = false,
        costs: [Double] = [], now: Instant, time: (String) -> Double
    ) -> [String: WorkerTask?] {
        // Who leaves computes what is dealt to it until others have its lanes.
        let workers = workers.filter { $0.isLeaving != true }
        leaving = leaving.filter { $0.value > now }
        let counts = Set(workers.flatMap { [$0.branches, $0.next?.branches] }.compactMap(\.self))
            .filter { (1...64).contains($0) }.sorted()
        expect(counts, workers, now)
        var runs: [Int: [String: Set<Int>]] = [:]
        for count in counts {
            let parts = parts(workers, count)
            if counts.count == 1, costs.count == count { planExchange(workers, parts, costs, now, time) }
            let dealt = deal(workers, parts, count, now)
            runs[count] = dealt
            formLanes(workers, dealt, count, now, time)
        }
        tables = tables.filter { counts.contains($0.key) }
        let ready = readyModels(workers, aggregators)
        usableLanes = usable(workers, counts, ready)
        let alone = Set(workers.compactMap(\.modelHash)).sorted()
        let isDealt = dealsInputs && workers.allSatisfy { $0.takesTasks == true }
        var fresh: [String: WorkerTask] = [:]
        for worker in workers where worker.takesTasks == true {
            let parts = counts.compactMap { count -> WorkerTask.Part? in
                guard let own = runs[count]?[worker.id]?.sorted() else { return nil }
                let lanes = lanes(of: worker.id, count)
                return .init(branches: count, runs: own, lanes: own.map { lanes[$0]?.sorted() ?? [] })
            }
            fresh[worker.id] = WorkerTask(
                birth: worker.birth, parts: parts, ready: ready, alone: alone, isDealt: isDealt ? true : nil,
                byBucket: byBucket ? true : nil)
        }
        var changed: [String: WorkerTask?] = [:]
        for (id, task) in fresh where isSaidAgain || tasks[id] != task { changed[id] = task }
        for id in tasks.keys where fresh[id] == nil { changed[id] = .some(nil) }
        (tasks, isSaidAgain) = (fresh, false)
        return changed
    }

    /// Begins anew: meanwhile another aggregator has told the workers what to do.
    mutating func forget() { tasks = [:] }

    /// Says all tasks again, as after a reconnect: also that some are gone, whom the broker may have kept.
    mutating func sayAgain() { isSaidAgain = true }

    // MARK: Branches

    /// What the workers have of networks with so many branches: nothing of those that have nothing to do with them.
    private func parts(_ workers: [RoleStatus], _ count: Int) -> [String: Part] {
        func lanes(_ serves: [Int], _ lanes: [[Int]]?) -> [Int: [Int]] {
            Dictionary(zip(serves, lanes ?? []), uniquingKeysWith: { $1 })
        }
        var result: [String: Part] = [:]
        for worker in workers {
            var part: Part
            if worker.branches == count {
                let serves = worker.servedBranches
                part = Part(
                    claims: Set(worker.claims ?? worker.branch.map { [$0] } ?? []), serves: serves,
                    lanes: lanes(serves, worker.lanes))
            } else if let next = worker.next, next.branches == count {
                part = Part(claims: Set(next.claims), serves: next.serves, lanes: lanes(next.serves, next.lanes))
            } else {
                continue
            }
            part.claims.formUnion(told(worker, count))
            result[worker.id] = part
        }
        return result
    }

    /// What a worker was told to run: it is about to, and will say so.
    private func told(_ worker: RoleStatus, _ count: Int) -> [Int] {
        guard let task = tasks[worker.id], task.birth == worker.birth else { return [] }
        return task.parts.first { $0.branches == count }?.runs ?? []
    }

    /// A network that some are about to run is run by all soon: then each of many starts a branch that it keeps.
    private mutating func expect(_ counts: [Int], _ workers: [RoleStatus], _ now: Instant) {
        for count in counts where workers.contains(where: { $0.next?.branches == count }) {
            if expectations[count] == nil { expectations[count] = now + Self.expectation }
        }
        for count in expectations.keys where !workers.contains(where: { $0.next?.branches == count }) {
            expectations[count] = nil
        }
    }

    /// Has two workers exchange their branches where that makes the slowest faster.
    private mutating func planExchange(
        _ workers: [RoleStatus], _ parts: [String: Part], _ costs: [Double], _ now: Instant, _ time: (String) -> Double
    ) {
        if let current = exchange {
            let isDone = current.moves.allSatisfy { parts[$0.key]?.claims == [$0.value] }
            guard isDone || now >= current.until || current.moves.contains(where: { parts[$0.key] == nil }) else {
                return
            }
            exchange = nil
            nextExchange = now + BranchExchange.pause
        }
        guard nextExchange.map({ now >= $0 }) ?? true else { return }
        let known = workers.compactMap { worker -> BranchExchange.Worker? in
            // Those that are bound to a branch, or are about to change it, have no part in it.
            guard worker.pinned == false, worker.takesTasks == true, worker.state == .ready,
                let part = parts[worker.id],
                part.claims.count == 1, part.serves == Array(part.claims)
            else { return nil }
            return .init(id: worker.id, branch: part.serves[0], time: time(worker.id))
        }
        exchange = BranchExchange.best(known, costs: costs, now: now)
    }

    /// The branches that each worker is to run, with those that it cannot give up yet.
    private func deal(
        _ workers: [RoleStatus], _ parts: [String: Part], _ count: Int, _ now: Instant
    ) -> [String: Set<Int>] {
        let expectsAll = expectations[count].map { now < $0 } ?? false
        let all = workers.compactMap { worker -> BranchAssignment.Worker? in
            guard let part = parts[worker.id] else {
                guard expectsAll, worker.pinned == false, worker.isModelGiven != true else { return nil }
                return .init(
                    id: worker.id, branches: Set(told(worker, count)), isPinned: false, isReady: worker.state == .ready)
            }
            let branches = exchange?.moves[worker.id].map { [$0] } ?? part.claims
            return .init(
                id: worker.id, branches: branches, isPinned: worker.pinned ?? true, isReady: worker.state == .ready)
        }
        var dealt = BranchAssignment(all, branchCount: count).branches
        let wanted = dealt
        for (id, part) in parts {
            for branch in part.claims.subtracting(wanted[id] ?? []) where (0..<count).contains(branch) {
                let isServed = parts.contains {
                    $0.key != id && $0.value.serves.contains(branch) && wanted[$0.key]?.contains(branch) == true
                }
                if !isServed { dealt[id, default: []].insert(branch) }
            }
        }
        return dealt
    }

    // MARK: Lanes

    private mutating func formLanes(
        _ workers: [RoleStatus], _ dealt: [String: Set<Int>], _ count: Int, _ now: Instant, _ time: (String) -> Double
    ) {
        let takers = workers.filter { $0.takesTasks == true }.map(\.id).sorted()
        let owners = (0..<count).map { branch in takers.filter { dealt[$0]?.contains(branch) == true } }
        let before = tables[count] ?? LaneTable()
        var table = before
        table.form(owners: owners, time: time)
        for (lane, members) in before.members.enumerated() {
            for (branch, member) in members.enumerated() {
                guard let member, !table.members.indices.contains(lane) || table.members[lane][branch] != member
                else { continue }
                leaving[Place(worker: member, count: count, branch: branch, lane: lane)] = now + Self.overlap
            }
        }
        tables[count] = table
    }

    /// A worker's lanes by branches, with those that it is about to leave.
    private func lanes(of worker: String, _ count: Int) -> [Int: Set<Int>] {
        var lanes = tables[count]?.lanes(of: worker).mapValues { Set($0) } ?? [:]
        for place in leaving.keys where place.worker == worker && place.count == count {
            lanes[place.branch, default: []].insert(place.lane)
        }
        return lanes
    }

    /// Whether everybody of a lane receives its frames.
    private func isConfirmed(_ lane: Int, _ members: [String?], _ parts: [String: Part], needsAll: Bool) -> Bool {
        members.enumerated().allSatisfy { branch, member in
            guard let member else { return !needsAll }
            return parts[member]?.lanes[branch]?.contains(lane) == true
        }
    }

    /// The lanes of a network that everybody in them receives.
    private func confirmed(_ workers: [RoleStatus], _ count: Int, needsAll: Bool) -> Set<Int> {
        guard let table = tables[count] else { return [] }
        let parts = parts(workers, count)
        return Set(
            table.members.indices.filter { isConfirmed($0, table.members[$0], parts, needsAll: needsAll) })
    }

    /// While two networks are run, a frame has to be computed in both; where none is whole, in what there is.
    private func usable(_ workers: [RoleStatus], _ counts: [Int], _ ready: [String]) -> [Int] {
        guard !workers.isEmpty, workers.allSatisfy({ $0.takesTasks == true || $0.claims?.isEmpty == true }) else {
            return []
        }
        let relevant = counts.filter { count in
            workers.contains { worker in
                worker.branches == count && !worker.servedBranches.isEmpty
                    || worker.next.map { $0.branches == count && ready.contains($0.model) } ?? false
            }
        }
        let whole = relevant.map { confirmed(workers, $0, needsAll: true) }.filter { !$0.isEmpty }
        let sets = whole.isEmpty ? relevant.map { confirmed(workers, $0, needsAll: false) } : whole
        guard let first = sets.first else { return [] }
        return sets.dropFirst().reduce(first) { $0.intersection($1) }.sorted()
    }

    // MARK: Models

    /// The models that everybody runs beside the one before.
    private func readyModels(_ workers: [RoleStatus], _ aggregators: [RoleStatus]) -> [String] {
        let models = Set(workers.flatMap { ($0.models ?? []) + [$0.next?.model].compactMap(\.self) })
        return models.filter { model in
            aggregators.allSatisfy { $0.runs(model) }
                && (isComputedByAll(model, workers) || isServedByAll(model, workers))
        }.sorted()
    }

    /// A model with as many branches as the one before.
    private func isComputedByAll(_ model: String, _ workers: [RoleStatus]) -> Bool {
        workers.allSatisfy { $0.claims?.isEmpty != false || $0.runs(model) }
    }

    /// A model with other branches, all of which are served.
    private func isServedByAll(_ model: String, _ workers: [RoleStatus]) -> Bool {
        var served: Set<Int> = []
        var count: Int?
        for worker in workers {
            if let next = worker.next, next.model == model {
                served.formUnion(next.serves)
                count = next.branches
            } else if worker.modelHash == model {
                served.formUnion(worker.servedBranches)
                count = count ?? worker.branches
            } else {
                return false
            }
        }
        guard let count, served.count >= count else { return false }
        let takesLanes = workers.allSatisfy { $0.takesTasks == true }
        return !takesLanes || !confirmed(workers, count, needsAll: true).isEmpty
    }
}
