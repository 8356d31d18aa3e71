import LCPModels

/// What each branch of a network adds to the logits, from its features.
struct BranchShares {
    /// For each branch its columns of the classification layer, [classes, features].
    private let weights: [[Float]]

    var count: Int { weights.count }

    init(_ network: BranchedNetwork, _ merge: LayerParameters) throws {
        weights = try network.branches.indices.map { try network.mergeWeights(of: $0, merge: merge) }
    }

    /// A branch's share of an image's logits, [classes].
    ///
    /// - Parameter graph: the network, run forward on the batch.
    func share(
        of branch: Int, in graph: TrainingGraph, block: Int, lane: Int, into share: UnsafeMutableBufferPointer<Float>
    ) {
        let features = graph.features[branch].values
        let (values, columns) = (features.block(block), features.shape.elementCount)
        weights[branch].withUnsafeBufferPointer { weights in
            for row in share.indices {
                var sum: Float = 0
                for column in 0..<columns {
                    sum += weights[row * columns + column] * values[column * Volume.lanes + lane]
                }
                share[row] = sum
            }
        }
    }

    /// Adds to a parity branch's logits what the branches of a finished model say, but for one that is missing.
    ///
    /// - Parameters:
    ///   - graph: the finished model, run forward on the same images.
    ///   - missing: for each image of the batch.
    func add(_ graph: TrainingGraph, to logits: Volume, block: Int, missing: [Int]) {
        let (sum, whole, lanes) = (logits.block(block), graph.logits.values.block(block), Volume.lanes)
        withUnsafeTemporaryAllocation(of: Float.self, capacity: logits.shape.channels) { share in
            share.initialize(repeating: 0)
            for lane in 0..<min(lanes, missing.count - block * lanes) {
                self.share(of: missing[block * lanes + lane], in: graph, block: block, lane: lane, into: share)
                for row in share.indices { sum[row * lanes + lane] += whole[row * lanes + lane] - share[row] }
            }
        }
    }
}
