import LCPWire

/// The lanes of a network that is split in so many branches: each is one worker of every branch. A pure table.
///
/// There are as many lanes as the most workers of a branch. A worker of a branch with fewer has several. Workers keep their lanes
/// while others come and go, unless lanes of workers that are alike would do much more: two slow workers in one lane slow down
/// one, in two lanes both.
struct LaneTable: Equatable {
    /// By lanes and branches the worker; nil where the branch has none.
    private(set) var members: [[String?]] = []

    /// Forms the lanes anew.
    ///
    /// - Parameters:
    ///   - owners: the workers of each branch.
    ///   - time: how long a worker takes for a frame, seconds.
    mutating func form(owners: [[String]], time: (String) -> Double) {
        let count = min(owners.map(\.count).max() ?? 0, WorkerTask.maximumLanes)
        let kept = columns(owners, count) { branch, owners in
            (0..<count).map { lane in
                guard members.indices.contains(lane), members[lane].indices.contains(branch),
                    let before = members[lane][branch], owners.contains(before)
                else { return nil }
                return before
            }
        }
        let sorted = columns(
            owners.map { $0.sorted { (time($0), $0) < (time($1), $1) } }, count
        ) { _, _ in Array(repeating: nil, count: count) }
        let gain = Self.rates(sorted, time).reduce(0, +) / Self.rates(kept, time).reduce(0, +)
        members = gain > Self.worthwhileGain ? sorted : kept
    }

    /// What has to be gained for workers to change lanes.
    private static let worthwhileGain = 1.1

    /// Fills what `begin` leaves empty, branch by branch, with those that have the fewest lanes.
    private func columns(
        _ owners: [[String]], _ count: Int, _ begin: (_ branch: Int, _ owners: [String]) -> [String?]
    ) -> [[String?]] {
        var result = Array(repeating: [String?](repeating: nil, count: owners.count), count: count)
        for (branch, owners) in owners.enumerated() where !owners.isEmpty {
            var loads = Dictionary(owners.map { ($0, 0) }, uniquingKeysWith: { $1 })
            let most = (count + owners.count - 1) / owners.count
            var column = begin(branch, owners)
            for lane in column.indices {
                guard let worker = column[lane] else { continue }
                if loads[worker]! < most { loads[worker]! += 1 } else { column[lane] = nil }
            }
            for lane in column.indices {
                let worker = column[lane] ?? owners.min { loads[$0]! < loads[$1]! }!
                if column[lane] == nil { loads[worker]! += 1 }
                result[lane][branch] = worker
            }
        }
        return result
    }

    /// The lanes of a worker for each branch of which it has some.
    func lanes(of worker: String) -> [Int: [Int]] {
        var result: [Int: [Int]] = [:]
        for (lane, members) in members.enumerated() {
            for (branch, member) in members.enumerated() where member == worker {
                result[branch, default: []].append(lane)
            }
        }
        return result
    }

    /// Frames a second that each lane can do where those before it do as many as they can: a worker with several has to share.
    func rates(_ time: (String) -> Double) -> [Double] { Self.rates(members, time) }

    private static func rates(_ members: [[String?]], _ time: (String) -> Double) -> [Double] {
        var free: [String: Double] = [:]
        return members.map { members in
            let workers = Set(members.compactMap(\.self))
            let rate = workers.map { free[$0] ?? 1 / time($0) }.min() ?? 0
            for worker in workers { free[worker] = (free[worker] ?? 1 / time(worker)) - rate }
            return rate
        }
    }

    /// How long the slowest worker of each lane takes, seconds.
    func times(_ time: (String) -> Double) -> [Double] {
        members.map { $0.compactMap { $0.map(time) }.max() ?? 0 }
    }
}

/// In which turn frames are dealt to lanes: pure arithmetic.
enum LaneTurn {
    /// The part of a lane's rate up to which it is used before slower ones are.
    static let load = 0.7
    /// Lanes are alike where one takes at most so much longer than another.
    static let likeness = 1.5
    /// The most entries of a turn of unequal lanes.
    static let longest = 128

    /// The part of the frames that each lane gets.
    ///
    /// As long as the fast lanes can do it they do it all, because whoever is dealt to a slow one waits longer; where all have to
    /// help, each gets what it can do.
    ///
    /// - Parameters:
    ///   - rates: frames a second that each can do.
    ///   - times: how long each takes for a frame, seconds.
    ///   - demand: frames a second that come.
    static func shares(rates: [Double], times: [Double], demand: Double) -> [Double] {
        let all = rates.reduce(0, +)
        guard all > 0 else { return rates.map { _ in 1 / Double(rates.count) } }
        guard demand < load * all else { return rates.map { $0 / all } }
        var shares = rates.map { _ in 0.0 }
        var rest = max(demand, 1e-9)
        let total = rest
        var order = rates.indices.filter { rates[$0] > 0 }.sorted { (times[$0], $0) < (times[$1], $1) }
        while rest > 0, let fastest = order.first {
            let tier = order.prefix { times[$0] <= likeness * times[fastest] }
            order.removeFirst(tier.count)
            let rate = tier.reduce(0) { $0 + rates[$1] }
            let part = min(rest, load * rate)
            for lane in tier { shares[lane] = part * rates[lane] / rate / total }
            rest -= part
        }
        return shares
    }

    /// Lanes in the turn that gives each its share, as evenly as can be (smooth weighted round robin).
    static func turn(_ shares: [Double]) -> [Int] {
        let used = shares.indices.filter { shares[$0] >= 1 / Double(2 * longest) }
        guard let least = used.map({ shares[$0] }).min() else { return Array(shares.indices) }
        let total = used.reduce(0) { $0 + shares[$1] }
        let isEven = used.allSatisfy { shares[$0] < 1.1 * least }
        let wanted = isEven ? used.count : min(Int((4 * total / least).rounded()), max(longest, used.count))
        var slots = used.map { max(1, Int((Double(wanted) * shares[$0] / total).rounded())) }
        let divisor = slots.reduce(0, Self.divisor)
        slots = slots.map { $0 / divisor }
        let count = slots.reduce(0, +)
        var credit = slots.map { _ in 0 }
        return (0..<count).map { _ in
            for index in slots.indices { credit[index] += slots[index] }
            let next = credit.indices.max { (credit[$0], $1) < (credit[$1], $0) }!
            credit[next] -= count
            return used[next]
        }
    }

    private static func divisor(_ a: Int, _ b: Int) -> Int { b == 0 ? max(a, 1) : divisor(b, a % b) }
}
