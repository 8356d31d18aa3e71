/// The smallest split whose branches fit a device (paper, Procedure 1).
public struct Fit: Sendable, Hashable {
    /// A number of branches that was tried.
    public struct Step: Sendable, Hashable, Codable {
        public var branches: Int
        /// Of one branch: ``BranchCost/memoryBytes``.
        public var memoryBytes: Int
        /// Of one branch for one image, with its share of the classification layer.
        public var macs: Int
        public var fits: Bool

        enum CodingKeys: String, CodingKey {
            case branches, macs, fits
            case memoryBytes = "memory_bytes"
        }
    }

    public var network: BranchedNetwork
    /// Every number of branches from 1 to the one that fits.
    public var steps: [Step]
}

extension Network {
    /// Divides every width by `factor` until a branch fits both limits (the paper's text; its pseudo-code stops at either).
    ///
    /// - Parameters:
    ///   - memory: bytes for weights and activations of one branch; nil for no limit.
    ///   - macs: multiply-accumulate operations of one branch for one image; nil for no limit.
    ///   - factor: what every width is divided by in a step, 2 or more.
    /// - Throws: ``NetworkError`` where no number of branches fits.
    public func fit(
        memory: Int?, macs: Int?, factor: Int = 2, fattening: Fattening = .none
    ) throws(NetworkError) -> Fit {
        guard factor >= 2 else { throw NetworkError("a division factor is at least 2, not \(factor)") }
        guard memory ?? 1 > 0, macs ?? 1 > 0 else { throw NetworkError("a limit is more than 0") }
        var network = try split(into: 1, fattening: fattening)
        var steps: [Fit.Step] = []
        while true {
            let branches = network.branches.count
            let cost = try network.cost(of: 0)
            let step = Fit.Step(
                branches: branches, memoryBytes: cost.memoryBytes, macs: cost.macs + cost.mergeMACs,
                fits: cost.memoryBytes <= memory ?? .max && cost.macs + cost.mergeMACs <= macs ?? .max)
            steps.append(step)
            if step.fits { return Fit(network: network, steps: steps) }
            func failure(_ reason: String) -> NetworkError {
                let state =
                    branches == 1 ? "the whole network" : "a branch of \(branches)"
                return NetworkError(
                    "\(name) does not fit: \(state) still needs \(step.memoryBytes) bytes and \(step.macs) MACs, and "
                        + "\(reason); allow more, or take a smaller network")
            }
            let (next, overflows) = branches.multipliedReportingOverflow(by: factor)
            guard !overflows, next <= BranchedNetwork.maximumBranches else {
                throw failure("more than \(BranchedNetwork.maximumBranches) branches are not possible")
            }
            let narrower = try split(into: next, fattening: fattening)
            guard narrower.branches[0] != network.branches[0] else { throw failure("no width can be divided further") }
            network = narrower
        }
    }
}
