package import LCPModels

/// Which branches of a model make its whole answer, and which one stands in for those that are missing. Sets of branches are bits,
/// branch 0 the lowest.
package struct JoinedBranches: Sendable, Hashable {
    /// All of them, the parity branch too.
    package let count: Int
    package let parity: Int?

    package init(count: Int, parity: Int? = nil) {
        precondition((1...64).contains(count) && parity.map { $0 > 0 && $0 == count - 1 } != false)
        (self.count, self.parity) = (count, parity)
    }

    package init(_ network: BranchedNetwork) {
        self.init(count: network.branches.count, parity: network.parity)
    }

    package var all: UInt64 { .max >> UInt64(64 - count) }

    /// How many branches make the whole answer.
    package var answeringCount: Int { parity ?? count }

    private var answering: UInt64 { .max >> UInt64(64 - answeringCount) }

    /// All of them, but for some.
    package func answering(without missing: UInt64) -> UInt64 { answering & ~missing }

    package func isWhole(_ received: UInt64) -> Bool { received & answering == answering }

    /// Whether what the parity branch says is in the sum.
    package func usesParity(_ received: UInt64) -> Bool {
        parity.map { received & 1 << UInt64($0) != 0 } == true && !isWhole(received)
    }

    /// How many shares the sum lacks: none where the parity branch stands in.
    package func lacking(_ received: UInt64) -> Int {
        usesParity(received) ? 0 : answeringCount - (received & answering).nonzeroBitCount
    }

    /// The branches that a prediction tells as missing: a parity branch that nobody needed is none.
    package func missing(_ received: UInt64) -> UInt64 { isWhole(received) ? 0 : all & ~received }

    // MARK: Shares

    /// The rows of a frame's shares, each with a number for every class: one for each branch, and behind them what the parity branch
    /// says in place of each.
    package var rowCount: Int { parity.map { 2 * $0 } ?? count }

    /// The rows that a branch's share takes.
    package func rows(of branch: Int) -> Range<Int> {
        branch == parity ? branch..<2 * branch : branch..<branch + 1
    }

    /// The row of a branch's share, or of what stands in for it; nil where there is neither.
    func row(of branch: Int, _ received: UInt64) -> Int? {
        if received & 1 << UInt64(branch) != 0 { return branch }
        return usesParity(received) ? answeringCount + branch : nil
    }
}
