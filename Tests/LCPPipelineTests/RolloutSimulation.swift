import LCPWire
import Platform
import Tensors
import Testing

@testable import LCPPipeline

/// Several workers and an aggregator on one broker, with time of their own: every message, fetch, start and stop takes as long as
/// chance says, and messages of one sender to one receiver keep their order.
final class RolloutSimulation {
    /// A branch whose inputs are received, as it is: not as the worker's machine believes.
    struct Runner {
        var versions: Set<String>
        var lanes: Set<Int> = []
        var isStopping = false
    }

    final class Worker {
        let id: String
        let birth: String
        var machine: ModelRollout
        var presence = Presence()
        var runners: [BranchID: Runner] = [:]
        var starting: Set<BranchID> = []
        var fetch = 0
        var alarm: ContinuousClock.Instant?
        var isAlive = true
        var status: RoleStatus

        init(_ id: String, birth: String) {
            self.id = id
            self.birth = birth
            machine = ModelRollout(id: id, pinned: nil, inputs: "inputs")
            status = RoleStatus(state: .starting, role: .worker, id: id, birth: birth)
            status.pinned = false
        }
    }

    private var random: SeededGenerator
    private(set) var now = ContinuousClock.now
    private var queue: [(time: ContinuousClock.Instant, number: Int, body: () -> Void)] = []
    private var count = 0
    private(set) var workers: [Worker] = []
    /// What the broker has kept.
    private var retained: [String: RoleStatus] = [:]
    private(set) var offer: ModelOffer?
    private var offers: [ModelOffer] = []
    /// When the last message from the broker to somebody arrives.
    private var lines: [String: ContinuousClock.Instant] = [:]
    private var joined: [String] = []
    /// The models that cannot be had (`fetch`), or not be run (`start`), by their hashes.
    var broken: [String: String] = [:]
    /// Branches that were started.
    private(set) var starts = 0
    /// Milliseconds of a message from here to there.
    var latency = 1...20
    /// Whether every branch is watched.
    var isWatched = false
    private(set) var problems: [String] = []

    /// Whether an aggregator says what is to be run; otherwise the workers find that out among themselves.
    let isCoordinated: Bool
    private var coordinator = Coordinator()
    private var presence = Presence()
    private var coordinationTime: ContinuousClock.Instant?
    /// The lanes that sensors deal to.
    private(set) var lanes: [Int] = []
    /// Tasks that were given.
    private(set) var taskCount = 0

    init(seed: UInt64, isCoordinated: Bool = false) {
        random = SeededGenerator(seed: seed)
        self.isCoordinated = isCoordinated
    }

    func chance(_ range: ClosedRange<Int>) -> Int { range.lowerBound + random.index(range.count) }

    func after(_ milliseconds: Int, _ body: @escaping () -> Void) { at(now + .milliseconds(milliseconds), body) }

    private func at(_ time: ContinuousClock.Instant, _ body: @escaping () -> Void) {
        count += 1
        queue.append((max(now, time), count, body))
    }

    /// Lets everything happen that is to happen, at most for so long.
    func run(_ limit: Duration = .seconds(1000)) {
        let end = now + limit
        while let index = queue.indices.min(by: {
            (queue[$0].time, queue[$0].number) < (queue[$1].time, queue[$1].number)
        }),
            queue[index].time <= end
        {
            let next = queue.remove(at: index)
            now = next.time
            next.body()
            for worker in workers where worker.isAlive { check(worker) }
            if isWatched, !isCovered { problem("no model is computed in all of its branches") }
            if isWatched, let lane = lanes.first(where: { !isCovered(lane: $0) }) {
                problem("no model is computed in all of its branches in lane \(lane)")
            }
        }
        now = max(now, min(end, now + limit))
    }

    private func problem(_ sentence: String) { if problems.count < 5 { problems.append("\(sentence): \(self)") } }

    // MARK: The broker

    private func send(_ status: RoleStatus) {
        line(to: "broker from \(status.id)") { [self] in
            retained["\(status.role)/\(status.id)"] = status
            if isCoordinated, status.role == .worker { return deliverToAggregator(status) }
            for worker in workers where worker.id != status.id { deliver(status, to: worker) }
        }
    }

    private func deliverToAggregator(_ status: RoleStatus) {
        line(to: "agg") { [self] in
            if presence.update(status) { scheduleCoordination(after: Supervisor.settling) }
        }
    }

    private func scheduleCoordination(after delay: Duration) {
        let time = now + delay
        guard coordinationTime.map({ time < $0 }) ?? true else { return }
        coordinationTime = time
        at(time) { [self] in
            guard coordinationTime == time else { return }
            coordinationTime = nil
            coordinate()
        }
    }

    private func coordinate() {
        var aggregator = RoleStatus(state: .ready, role: .aggregator, id: "agg", birth: "b")
        aggregator.models = joined
        let changed = coordinator.update(
            workers: presence.all(.worker), aggregators: [aggregator], now: now, time: { _ in 0.01 })
        for (id, task) in changed {
            guard let task else { continue }
            taskCount += 1
            line(to: id) { [self] in
                guard let worker = workers.first(where: { $0.id == id }), worker.birth == task.birth else { return }
                handle(.task(task), worker)
            }
        }
        let usable = coordinator.usableLanes
        line(to: "sensor") { [self] in lanes = usable }
        if let due = coordinator.nextDue(after: now) { scheduleCoordination(after: due - now) }
    }

    /// Behind what is on its way to that worker.
    private func line(to id: String, _ body: @escaping () -> Void) {
        let time = max(now + .milliseconds(chance(latency)), lines[id] ?? now)
        lines[id] = time
        at(time, body)
    }

    private func deliver(_ status: RoleStatus, to worker: Worker) {
        line(to: worker.id) { [self] in
            if worker.isAlive, worker.presence.update(status) { handle(.presence(worker.presence), worker) }
        }
    }

    /// Pushes a model; one that was pushed before has the branches that it had.
    func push(_ name: String, _ branches: Int) {
        let new = offers.first { $0.name == name } ?? RolloutStand.offer(name, branches)
        offer = new
        offers.append(new)
        for worker in workers { line(to: worker.id) { [self] in handle(.offered(new), worker) } }
        // The aggregator joins up to four.
        after(chance(10...200)) { [self] in
            guard broken[new.model] != "fetch" else { return }
            joined = (joined.filter { $0 != new.model } + [new.model]).suffix(4)
            var status = RoleStatus(state: .ready, role: .aggregator, id: "agg", birth: "b")
            status.models = joined
            send(status)
            if isCoordinated { scheduleCoordination(after: Supervisor.settling) }
        }
    }

    func add(_ id: String) {
        let worker = Worker(id, birth: "\(count)")
        workers.append(worker)
        if isCoordinated {
            worker.status.takesTasks = true
            handle(.coordinated(true), worker)
        }
        for status in retained.values.sorted(by: { $0.id < $1.id })
        where status.id != id && (!isCoordinated || status.role == .aggregator) {
            deliver(status, to: worker)
        }
        send(worker.status)
        after(50) { [self] in if let offer { handle(.found(offer), worker) } }
    }

    /// A worker's process ends, and the broker tells the others.
    func kill(_ worker: Worker) {
        worker.isAlive = false
        worker.runners = [:]
        let lost = RoleStatus(state: .lost, role: .worker, id: worker.id, birth: worker.birth)
        after(chance(100...2000)) { [self] in
            workers.removeAll { $0 === worker }
            send(lost)
        }
    }

    // MARK: A worker

    private func handle(_ event: ModelRollout.Event, _ worker: Worker) {
        guard worker.isAlive else { return }
        for action in worker.machine.handle(event, now: now) { perform(action, worker) }
        let due = worker.machine.nextDue
        guard due != worker.alarm else { return }
        worker.alarm = due
        guard let due else { return }
        at(due) { [self] in
            guard worker.alarm == due else { return }
            worker.alarm = nil
            handle(.time, worker)
        }
    }

    private func perform(_ action: ModelRollout.Action, _ worker: Worker) {
        switch action {
        case .fetch(let offer, _):
            worker.fetch += 1
            let number = worker.fetch
            after(chance(5...400)) { [self] in
                guard worker.fetch == number else { return }
                let version = ModelVersion(
                    name: offer.name, hash: offer.model, branchCount: offer.branchCount, offer: offer)
                let isBroken = broken[offer.model] == "fetch"
                handle(isBroken ? .fetchFailed(offer, failure) : .fetched(offer, version), worker)
            }
        case .abandonFetch: worker.fetch += 1
        case .receive(let id, let lanes):
            after(chance(1...50)) { [self] in
                worker.runners[id]?.lanes = Set(lanes)
                handle(.receives(id, lanes: lanes), worker)
            }
        case .start(let id, let versions, let lanes):
            starts += 1
            if worker.runners[id] != nil || !worker.starting.insert(id).inserted { problem("\(id) is started twice") }
            after(chance(5...300)) { [self] in start(id, versions, lanes, worker) }
        case .add(let version, let id):
            after(chance(1...100)) { [self] in
                guard worker.runners[id] != nil else { return }
                if broken[version.hash] == "start" { return handle(.addFailed(version.hash, failure), worker) }
                worker.runners[id]?.versions.insert(version.hash)
                handle(.added(version.hash, to: id), worker)
            }
        case .keep(let versions, let id):
            worker.runners[id]?.versions.formIntersection(versions)
            if worker.runners[id]?.versions.isEmpty != false { problem("\(id) has no version any more") }
        case .stop(let id):
            if worker.runners[id]?.isStopping != false { problem("\(id) is stopped, and does not run") }
            worker.runners[id]?.isStopping = true
            after(chance(5...500)) { [self] in
                worker.runners[id] = nil
                handle(.stopped(id), worker)
            }
        case .publish(let announcement):
            announcement.apply(to: &worker.status)
            send(worker.status)
        case .log: break
        case .fail(let failure): problem("\(worker.id) failed: \(failure)")
        }
    }

    private func start(_ id: BranchID, _ versions: [ModelVersion], _ lanes: [Int], _ worker: Worker) {
        guard worker.isAlive else { return }
        if broken[versions[0].hash] == "start" {
            worker.starting.remove(id)
            return handle(.startFailed(id, failure), worker)
        }
        for version in versions.dropFirst() where broken[version.hash] == "start" {
            handle(.addFailed(version.hash, failure), worker)
        }
        let models = Set(versions.map(\.hash).filter { broken[$0] != "start" })
        worker.starting.remove(id)
        worker.runners[id] = Runner(versions: models, lanes: Set(lanes))
        handle(.started(id, versions: models, computeTime: 1), worker)
    }

    private var failure: ModelRollout.Failure { .init(PipelineError(.modelMismatch, "broken")) }

    // MARK: What has to be true

    /// What a worker says of itself is so: it serves no branch that it does not run, in every model that it names.
    private func check(_ worker: Worker) {
        let status = worker.status
        func runs(_ branch: Int, _ count: Int, _ models: [String]) -> Bool {
            let runner = worker.runners[BranchID(branch: branch, count: count)]
            return runner?.versions.isSuperset(of: models) == true
        }
        for branch in status.serves ?? [] where !runs(branch, status.branches ?? 0, status.models ?? []) {
            problem("\(worker.id) does not serve branch \(branch)")
        }
        for branch in status.next?.serves ?? [] {
            guard let next = status.next, !runs(branch, next.branches, [next.model]) else { continue }
            problem("\(worker.id) does not serve branch \(branch) of the next model")
        }
    }

    /// Whether there is a model that a frame is answered in completely, whichever worker of a branch gets it.
    var isCovered: Bool {
        offers.contains { offer in
            (0..<offer.branchCount).allSatisfy { branch in
                let id = BranchID(branch: branch, count: offer.branchCount)
                let runners = workers.compactMap { $0.runners[id] }
                return runners.contains { !$0.isStopping } && runners.allSatisfy { $0.versions.contains(offer.model) }
            }
        }
    }

    /// Whether there is a model that a frame which is dealt to a lane is answered in completely.
    func isCovered(lane: Int) -> Bool {
        offers.contains { offer in
            (0..<offer.branchCount).allSatisfy { branch in
                workers.contains { worker in
                    guard let runner = worker.runners[BranchID(branch: branch, count: offer.branchCount)] else {
                        return false
                    }
                    return runner.lanes.contains(lane) && runner.versions.contains(offer.model) && !runner.isStopping
                }
            }
        }
    }

    /// Whether all run this model and nothing else, every branch of it.
    func isSettled(on offer: ModelOffer) -> Bool {
        var served: Set<Int> = []
        for worker in workers {
            guard case .running(let share) = worker.machine.state, share.model.hash == offer.model,
                worker.starting.isEmpty, worker.status.next == nil, worker.status.models == [offer.model],
                worker.status.serves == share.serves, share.claimed == Set(share.serves)
            else { return false }
            let expected = Set(share.serves.map { share.id($0) })
            guard Set(worker.runners.keys) == expected,
                worker.runners.values.allSatisfy({ $0.versions == [offer.model] && !$0.isStopping })
            else { return false }
            served.formUnion(share.serves)
        }
        return served.count == offer.branchCount
    }
}

extension RolloutSimulation: CustomStringConvertible {
    var description: String {
        workers.map { worker in
            "\(worker.id) \(worker.machine.state) runs \(worker.runners)"
        }.joined(separator: "\n")
    }
}
