package import LCPModels

/// The arithmetic of the join, the same for the aggregator and for evaluation: what each branch adds to the logits, their sum, the
/// factor for missing branches, and the bias.
package struct BranchJoin: Sendable {
    package let branches: JoinedBranches
    package let classes: Int
    private let bias: [Float]
    /// What the sum of the shares is multiplied by, by the number of missing branches.
    private let missingScale: [Float]
    /// For each branch that sends features its columns of W, as many rows at a time as a vector has, and of these column after
    /// column: [rows ÷ 16, features]; empty for one that sends partial logits, and for a parity branch.
    private let weights: [[Vector]]
    private typealias Vector = SIMD16<Float>

    /// - Parameter missingScale: the manifest's; nil for 1 throughout.
    /// - Throws: ``NetworkError`` where the classification layer does not fit the network.
    package init(network: BranchedNetwork, merge: LayerParameters, missingScale: [Float]? = nil) throws {
        branches = JoinedBranches(network)
        classes = network.classes
        bias = merge.bias
        self.missingScale = missingScale ?? Array(repeating: 1, count: branches.answeringCount)
        weights = try network.branches.indices.map { branch in
            guard try network.output(of: branch) == .features, branch != network.parity else { return [] }
            return Self.packed(try network.mergeWeights(of: branch, merge: merge), rows: network.classes)
        }
    }

    private static func packed(_ weights: [Float], rows: Int) -> [Vector] {
        let (columns, size) = (weights.count / max(1, rows), Vector.scalarCount)
        return stride(from: 0, to: rows, by: size).flatMap { first in
            (0..<columns).map { column in
                var vector = Vector.zero
                for row in first..<min(rows, first + size) { vector[row - first] = weights[row * columns + column] }
                return vector
            }
        }
    }

    /// Writes a branch's share of the logits, [classes], from what the branch sends; of a parity branch as many as it stands in for.
    ///
    /// - Parameter output: FP32 in native byte order, at any address: [classes] of partial logits, or [features].
    package func share(of branch: Int, _ output: UnsafeRawBufferPointer, into share: UnsafeMutableBufferPointer<Float>)
    {
        let weights = weights[branch]
        guard !weights.isEmpty else {
            UnsafeMutableRawBufferPointer(share).copyMemory(from: output)
            return
        }
        // The sum of every class is made in the order of the features: the same bits on every processor.
        let (columns, size) = (output.count / 4, Vector.scalarCount)
        for (block, first) in stride(from: 0, to: share.count, by: size).enumerated() {
            var sum = Vector.zero
            for column in 0..<columns {
                sum +=
                    weights[block * columns + column]
                    * output.loadUnaligned(fromByteOffset: 4 * column, as: Float.self)
            }
            for row in first..<min(share.count, first + size) { share[row] = sum[row - first] }
        }
    }

    /// Adds up shares in the order of the branches, so that the same shares give the same bits in whatever order they came.
    ///
    /// - Parameters:
    ///   - shares: [rows, classes], see ``JoinedBranches/rowCount``.
    ///   - received: the branches whose shares were received.
    ///   - sum: [classes].
    package static func sum(
        _ shares: UnsafeBufferPointer<Float>, of branches: JoinedBranches, received: UInt64,
        into sum: UnsafeMutableBufferPointer<Float>
    ) {
        sum.update(repeating: 0)
        let classes = sum.count
        for branch in 0..<branches.answeringCount {
            guard let row = branches.row(of: branch, received) else { continue }
            let start = row * classes
            for index in 0..<classes { sum[index] += shares[start + index] }
        }
    }

    /// Makes logits of a sum, in place: times the model's factor for so many missing branches, plus the bias.
    ///
    /// - Parameter received: the branches whose shares were received.
    package func finish(_ sum: UnsafeMutableBufferPointer<Float>, received: UInt64) {
        let missing = branches.lacking(received)
        // Where no share was received there is nothing to scale.
        finish(sum, factor: missing < missingScale.count ? missingScale[missing] : 1)
    }

    /// The same with a factor that is not the model's.
    package func finish(_ sum: UnsafeMutableBufferPointer<Float>, factor: Float) {
        for index in 0..<classes { sum[index] = factor * sum[index] + bias[index] }
    }
}
