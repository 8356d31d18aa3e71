import Platform

/// Sets of missing branches as bit masks, all of one size.
struct BranchSubsets: Sendable, Hashable {
    /// How many branches are missing.
    let missing: Int
    /// Distinct sets, in increasing order.
    let masks: [UInt64]
    /// How many sets of this size there are.
    let possible: Int

    /// Whether the masks are a sample of all.
    var isSampled: Bool { masks.count < possible }

    /// All sets where they are at most `limit`, otherwise that many of them, drawn from the seed.
    init(of branches: Int, missing: Int, limit: Int, seed: UInt64) {
        self.missing = missing
        possible = Self.count(of: branches, missing: missing)
        if possible <= limit {
            masks = Self.all(of: branches, missing: missing)
            return
        }
        var generator = SeededGenerator(seed: seed, stream: UInt64(missing))
        var found: Set<UInt64> = []
        while found.count < max(1, limit) {
            // Floyd's way to draw a set: every one is equally likely.
            var mask: UInt64 = 0
            for last in branches - missing..<branches {
                let bit = UInt64(1) << UInt64(generator.index(last + 1))
                mask |= mask & bit == 0 ? bit : UInt64(1) << UInt64(last)
            }
            found.insert(mask)
        }
        masks = found.sorted()
    }

    /// The binomial coefficient; at most 1.9 × 10¹⁸ for the 64 branches that a network may have.
    static func count(of branches: Int, missing: Int) -> Int {
        var row = [1]
        for size in 1...max(1, branches) where branches > 0 {
            row = (0...size).map { ($0 > 0 ? row[$0 - 1] : 0) + ($0 < size ? row[$0] : 0) }
        }
        return row.indices.contains(missing) ? row[missing] : 0
    }

    private static func all(of branches: Int, missing: Int) -> [UInt64] {
        // Of many missing branches those that are left are listed: the sets on the way are then never more than the result.
        guard missing <= branches - missing else {
            let whole = UInt64.max >> UInt64(UInt64.bitWidth - branches)
            return all(of: branches, missing: branches - missing).map { whole ^ $0 }.sorted()
        }
        var last: [UInt64] = [0]
        for _ in 0..<missing {
            last = last.flatMap { subset in
                (UInt64.bitWidth - subset.leadingZeroBitCount..<branches).map { subset | UInt64(1) << UInt64($0) }
            }
        }
        return last.sorted()
    }
}
