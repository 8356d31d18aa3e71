/// Which worker runs which branches: a pure function of who is there, so that all who see the same come to the same answer
/// without asking anybody.
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

    private let branchCount: Int
    /// In the order in which they keep what they have.
    private let workers: [Worker]
    /// Whose branches may change, by their places in ``workers``.
    private let movable: [Int]
    /// The branches of each of ``workers``, bit by bit.
    private var masks: [UInt64]
    /// How many workers each branch has.
    private var counts: [Int]

    init(_ all: [Worker], branchCount: Int) {
        self.branchCount = branchCount
        workers = all.sorted()
        movable = workers.indices.filter { [workers] in !workers[$0].isPinned }
        masks = workers.map { worker in
            worker.branches.reduce(0) { (0..<branchCount).contains($1) ? $0 | 1 << UInt64($1) : $0 }
        }
        counts = (0..<branchCount).map { [masks] branch in masks.count { $0 & 1 << UInt64(branch) != 0 } }
        if workers.count >= branchCount { spread() } else { divide() }
    }

    /// The branches of each worker, by name.
    var branches: [String: Set<Int>] {
        Dictionary(zip(workers.map(\.id), masks.map(numbers)), uniquingKeysWith: { $1 })
    }

    private func numbers(_ mask: UInt64) -> Set<Int> { Set((0..<branchCount).filter { mask & 1 << UInt64($0) != 0 }) }

    private func has(_ worker: Int, _ branch: Int) -> Bool { masks[worker] & 1 << UInt64(branch) != 0 }

    private func load(_ worker: Int) -> Int { masks[worker].nonzeroBitCount }

    private mutating func give(_ branch: Int, to worker: Int) {
        masks[worker] |= 1 << UInt64(branch)
        counts[branch] += 1
    }

    private mutating func take(_ branch: Int, from worker: Int) {
        masks[worker] &= ~(1 << UInt64(branch))
        counts[branch] -= 1
    }

    /// One branch for every worker, every branch about as often.
    private mutating func spread() {
        // A worker with several keeps the one that fewest others have.
        for worker in movable where load(worker) > 1 {
            let own = (0..<branchCount).filter { has(worker, $0) }
            let kept = own.min { (counts[$0], $0) < (counts[$1], $1) }
            for branch in own where branch != kept { take(branch, from: worker) }
        }
        // One without a branch takes the least covered.
        for worker in movable where load(worker) == 0 { give(leastCovered, to: worker) }
        // As long as a branch has two more than another, its last worker moves there.
        while true {
            let to = leastCovered
            let sources = (0..<branchCount).compactMap { branch -> (branch: Int, worker: Int)? in
                guard counts[branch] >= counts[to] + 2, let last = movable.last(where: { has($0, branch) }) else {
                    return nil
                }
                return (branch, last)
            }
            guard let from = sources.max(by: { (counts[$0.branch], $1.branch) < (counts[$1.branch], $0.branch) })
            else { return }
            take(from.branch, from: from.worker)
            give(to, to: from.worker)
        }
    }

    private var leastCovered: Int { counts.indices.min { (counts[$0], $0) < (counts[$1], $1) }! }

    /// One worker for every branch, every worker about as many.
    private mutating func divide() {
        for branch in 0..<branchCount where counts[branch] > 1 {
            let owners = workers.indices.filter { has($0, branch) }
            // The one with the least to do keeps it; one that was told to have it always does.
            let keeper = owners.first { workers[$0].isPinned } ?? owners.min { (load($0), $0) < (load($1), $1) }!
            for owner in owners where owner != keeper && !workers[owner].isPinned { take(branch, from: owner) }
        }
        guard !movable.isEmpty else { return }
        for branch in 0..<branchCount where counts[branch] == 0 { give(branch, to: leastLoaded) }
        while true {
            let to = leastLoaded
            // Of those with the most to do the last one gives.
            guard let from = movable.max(by: { (load($0), $0) < (load($1), $1) }), load(from) >= load(to) + 2,
                let moved = (0..<branchCount).last(where: { has(from, $0) })
            else { return }
            take(moved, from: from)
            give(moved, to: to)
        }
    }

    private var leastLoaded: Int { movable.min { (load($0), $0) < (load($1), $1) }! }
}
