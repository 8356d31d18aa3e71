package import LCPModels

/// Which branches of a model make its whole answer, and which one stands in where one of them is missing. Sets of branches are bits,
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

    /// The branches whose shares are the whole answer.
    package var answering: UInt64 { parity.map { all & ~(1 << UInt64($0)) } ?? all }

    /// How many these are.
    package var answeringCount: Int { parity ?? count }

    package func isWhole(_ received: UInt64) -> Bool { received & answering == answering }

    /// The branches whose shares are added up: the parity branch's only where another is missing.
    package func counted(_ received: UInt64) -> UInt64 { isWhole(received) ? answering : received & all }

    /// Whether the parity branch's share is in the sum.
    package func usesParity(_ received: UInt64) -> Bool { counted(received) & ~answering != 0 }

    /// How many shares the sum lacks: one fewer than branches are missing where the parity branch stands in.
    package func lacking(_ received: UInt64) -> Int { max(0, answeringCount - counted(received).nonzeroBitCount) }

    /// The branches that a prediction tells as missing: a parity branch that nobody needed is none.
    package func missing(_ received: UInt64) -> UInt64 { isWhole(received) ? 0 : all & ~received }
}
