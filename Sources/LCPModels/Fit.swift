/// The smallest split whose branches fit a device (paper, Procedure 1).
public struct Fit: Sendable, Hashable {
    /// A number of branches that was tried.
    public struct Step: Sendable, Hashable {
        public var branches: Int
        /// Of the largest branch: weights and activations.
        public var memoryBytes: Int
        /// Of the largest branch, for one image.
        public var macs: Int
        public var fits: Bool
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
    /// - Throws: ``NetworkError`` where no number of branches fits.
    public func fit(
        memory: Int?, macs: Int?, factor: Int = 2, fattening: Int = 0
    ) throws(NetworkError) -> Fit {
        guard factor >= 2 else { throw NetworkError("a division factor is at least 2, not \(factor)") }
        var steps: [Fit.Step] = []
        var branches = 1
        while true {
            let network = try split(into: branches, fattening: fattening)
            let cost = try network.cost(of: 0)
            let fits = cost.memoryBytes <= memory ?? .max && cost.macs <= macs ?? .max
            steps.append(.init(branches: branches, memoryBytes: cost.memoryBytes, macs: cost.macs, fits: fits))
            if fits { return Fit(network: network, steps: steps) }
            let narrowest = network.branches[0].compactMap(\.width).max() ?? 1
            guard branches * factor <= BranchedNetwork.maximumBranches, narrowest > 1 else {
                let reason =
                    narrowest > 1
                    ? "more than \(BranchedNetwork.maximumBranches) are not possible"
                    : "no width can be divided further"
                throw NetworkError(
                    "\(name) does not fit: a branch of \(branches) still needs \(cost.memoryBytes) bytes and "
                        + "\(cost.macs) MACs, and \(reason); allow more, or take a smaller network")
            }
            branches *= factor
        }
    }
}
