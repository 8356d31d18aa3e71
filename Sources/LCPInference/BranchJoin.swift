import Glibc
package import LCPModels

/// Joins the branches of one image, as the aggregator does.
package struct BranchJoin: Sendable {
    package let branches: Int
    package let classes: Int
    package let bias: [Float]
    /// What the sum of the shares is multiplied by, by the number of missing branches.
    private let missingScale: [Float]
    /// For each branch that sends features its columns of W, [classes, features]; empty for one that sends partial logits.
    private let weights: [[Float]]

    package init(network: BranchedNetwork, merge: LayerParameters, missingScale: [Float]? = nil) throws {
        branches = network.branches.count
        classes = network.classes
        bias = merge.bias
        self.missingScale = missingScale ?? Array(repeating: 1, count: network.branches.count)
        weights = try network.branches.indices.map { branch in
            try network.output(of: branch) == .features ? network.mergeWeights(of: branch, merge: merge) : []
        }
    }

    /// Writes a branch's share of the logits, [classes], from what the branch sends.
    package func share(
        of branch: Int, _ output: UnsafeBufferPointer<Float>, into share: UnsafeMutableBufferPointer<Float>
    ) {
        let weights = weights[branch]
        guard !weights.isEmpty else {
            for index in share.indices { share[index] = output[index] }
            return
        }
        for row in share.indices {
            var sum: Float = 0
            for column in output.indices { sum += weights[row * output.count + column] * output[column] }
            share[row] = sum
        }
    }

    /// The logits with some branches missing: the sum of the shares that came, times the model's factor for so many missing, and the bias.
    ///
    /// - Parameters:
    ///   - shares: [branches, classes].
    ///   - missing: a bit for each branch that did not come.
    package func logits(
        _ shares: UnsafeBufferPointer<Float>, missing: UInt64, into logits: UnsafeMutableBufferPointer<Float>
    ) {
        logits.update(repeating: 0)
        for branch in 0..<branches where missing & UInt64(1) << UInt64(branch) == 0 {
            let start = branch * classes
            for index in 0..<classes { logits[index] += shares[start + index] }
        }
        // Where nothing came there is nothing to scale.
        let absent = missing.nonzeroBitCount
        let factor = absent < missingScale.count ? missingScale[absent] : 1
        for index in 0..<classes { logits[index] = factor * logits[index] + bias[index] }
    }
}
