/// Which worker runs which branches: a pure function of who is there, so that all workers that see the same come to the same
/// answer without asking anybody.
///
/// Where there are as many workers as branches or more, every worker runs one branch and every branch has as many workers as
/// the others, give or take one. Where there are fewer, every branch has one worker and every worker as many branches as the
/// others, give or take one. What a worker already has it keeps, as far as that allows.
struct BranchAssignment {
    /// A worker as the others see it.
    struct Worker: Hashable, Comparable {
        var id: String
        /// What it runs or is about to run.
        var branches: Set<Int>
        /// Whether its branches were given on its command line: it neither takes others nor gives these up.
        var isPinned: Bool
        /// Whether its subscriptions stand.
        var isReady: Bool

        /// Those that work already come before those that are about to; otherwise the names decide.
        static func < (left: Self, right: Self) -> Bool {
            left.isReady != right.isReady ? left.isReady : left.id < right.id
        }
    }

    /// The branches of each worker, by name.
    private(set) var branches: [String: Set<Int>] = [:]
    private let branchCount: Int
    /// In the order in which they keep what they have.
    private let workers: [Worker]

    init(_ all: [Worker], branchCount: Int) {
        self.branchCount = branchCount
        workers = all.sorted()
        for worker in workers { branches[worker.id] = worker.branches.filter { (0..<branchCount).contains($0) } }
        if workers.count >= branchCount { spread() } else { divide() }
    }

    private var movable: [Worker] { workers.filter { !$0.isPinned } }

    private func owners(of branch: Int) -> [Worker] { workers.filter { branches[$0.id]!.contains(branch) } }

    private func load(_ worker: Worker) -> Int { branches[worker.id]!.count }

    /// One branch for every worker, every branch about as often.
    private mutating func spread() {
        // A worker with several keeps the one that fewest others have.
        for worker in movable where load(worker) > 1 {
            let kept = branches[worker.id]!.min { (owners(of: $0).count, $0) < (owners(of: $1).count, $1) }!
            branches[worker.id] = [kept]
        }
        // One without a branch takes the least covered.
        for worker in movable where load(worker) == 0 { branches[worker.id] = [leastCovered] }
        // As long as a branch has two more than another, its last worker moves there.
        while true {
            let to = leastCovered
            let sources = (0..<branchCount).compactMap { branch -> (count: Int, branch: Int, worker: Worker)? in
                let owners = owners(of: branch)
                guard let last = owners.last(where: { !$0.isPinned }) else { return nil }
                return (owners.count, branch, last)
            }
            guard let from = sources.max(by: { ($0.count, $1.branch) < ($1.count, $0.branch) }),
                from.count >= owners(of: to).count + 2
            else { return }
            branches[from.worker.id] = [to]
        }
    }

    private var leastCovered: Int {
        (0..<branchCount).min { (owners(of: $0).count, $0) < (owners(of: $1).count, $1) }!
    }

    /// One worker for every branch, every worker about as many.
    private mutating func divide() {
        for branch in 0..<branchCount {
            let owners = owners(of: branch)
            guard owners.count > 1 else { continue }
            // The one with the least to do keeps it; one that was told to have it always does.
            let loads = Dictionary(uniqueKeysWithValues: owners.map { ($0.id, load($0)) })
            let keeper = owners.first { $0.isPinned } ?? owners.min { (loads[$0.id]!, $0) < (loads[$1.id]!, $1) }!
            for owner in owners where owner.id != keeper.id && !owner.isPinned { branches[owner.id]!.remove(branch) }
        }
        guard !movable.isEmpty else { return }
        for branch in 0..<branchCount where owners(of: branch).isEmpty {
            branches[leastLoaded.id]!.insert(branch)
        }
        while true {
            let to = leastLoaded
            // Of those with the most to do the last one gives.
            guard let from = movable.max(by: { (load($0), $0) < (load($1), $1) }), load(from) >= load(to) + 2 else {
                return
            }
            let moved = branches[from.id]!.max()!
            branches[from.id]!.remove(moved)
            branches[to.id]!.insert(moved)
        }
    }

    private var leastLoaded: Worker { movable.min { (load($0), $0) < (load($1), $1) }! }
}
