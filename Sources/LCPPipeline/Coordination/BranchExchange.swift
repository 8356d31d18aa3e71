/// Two workers that exchange their branches, because the slower one has the wider: pure.
struct BranchExchange: Equatable {
    /// A worker with one branch, and how long it takes for a frame of that, seconds.
    struct Worker {
        var id: String
        var branch: Int
        var time: Double
    }

    /// The branch that each of the two is to have.
    var moves: [String: Int]
    /// When it has failed: somebody has not taken his branch.
    var until: ContinuousClock.Instant

    /// Below so many seconds for a frame nobody gains anything.
    static let shortest = 1e-3
    /// The slower of the two has to take so much longer before than the slower one after it.
    static let worthwhileGain = 1.2
    /// So long an exchange may take: a branch has to be fetched and prepared.
    static let patience = Duration.seconds(30)
    /// So long after one there is no other: times have to be measured anew.
    static let pause = Duration.seconds(60)

    /// The exchange that shortens the longest time most; nil where none is worth it.
    ///
    /// - Parameter costs: of each branch, in any unit.
    static func best(_ workers: [Worker], costs: [Double], now: ContinuousClock.Instant) -> BranchExchange? {
        // Of the workers of a branch the slowest would give it up, and the fastest would get it.
        let byBranch = Dictionary(grouping: workers.filter { costs.indices.contains($0.branch) }, by: \.branch)
        let order = byBranch.mapValues { $0.sorted { ($0.time, $0.id) < ($1.time, $1.id) } }
        var best: (gain: Double, slow: Worker, fast: Worker)?
        for slow in order.values.compactMap(\.last) where slow.time >= shortest {
            for fast in order.values.compactMap(\.first) {
                let ratio = costs[fast.branch] / costs[slow.branch]
                let after = max(slow.time * ratio, fast.time / ratio)
                guard ratio < 1, ratio > 0, slow.time >= worthwhileGain * after else { continue }
                let gain = slow.time - after
                let isBetter = best.map { (gain, $0.slow.id, $0.fast.id) > ($0.gain, slow.id, fast.id) } ?? true
                if isBetter { best = (gain, slow, fast) }
            }
        }
        return best.map {
            .init(moves: [$0.slow.id: $0.fast.branch, $0.fast.id: $0.slow.branch], until: now + patience)
        }
    }
}
