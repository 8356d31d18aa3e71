import LCPModels
import Platform

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

    /// Draws which branches are missing for an image: mostly one, at times more.
    func missing(_ random: inout SeededGenerator) -> UInt64 {
        let first = UInt64(1) << UInt64(random.index(count))
        guard count > 2, random.index(4) == 0 else { return first }
        return (0..<1 + random.index(max(1, count / 2))).reduce(first) { set, _ in
            let more = set | UInt64(1) << UInt64(random.index(count))
            // An answer from a parity branch alone is not asked for.
            return more.nonzeroBitCount < count ? more : set
        }
    }

    /// What a finished model and its parity branch say together: in place of each missing branch what the parity branch says of it.
    ///
    /// - Parameters:
    ///   - model: run forward on the same images as the parity branch.
    ///   - parity: its logits are [branches of the model, classes].
    ///   - joined: [classes].
    ///   - missing: for each image of the batch.
    func join(
        _ model: TrainingGraph, _ parity: TrainingGraph, into joined: Volume, block: Int, missing: [UInt64]
    ) {
        let (lanes, classes) = (Volume.lanes, joined.shape.channels)
        let (sum, whole) = (joined.block(block), model.logits.values.block(block))
        let standIns = parity.logits.values.block(block)
        withUnsafeTemporaryAllocation(of: Float.self, capacity: classes) { share in
            share.initialize(repeating: 0)
            for lane in 0..<min(lanes, missing.count - block * lanes) {
                for row in 0..<classes { sum[row * lanes + lane] = whole[row * lanes + lane] }
                for branch in branches(missing[block * lanes + lane]) {
                    self.share(of: branch, in: model, block: block, lane: lane, into: share)
                    for row in 0..<classes {
                        sum[row * lanes + lane] +=
                            standIns[(branch * classes + row) * lanes + lane] - share[row]
                    }
                }
            }
        }
    }

    /// Hands the slope of a loss to what a parity branch said in place of the missing ones.
    func spread(_ joined: Value, to logits: Value, block: Int, missing: [UInt64]) {
        guard let from = joined.gradient?.block(block), let gradient = logits.gradient else { return }
        let (lanes, classes) = (Volume.lanes, joined.values.shape.channels)
        let to = gradient.block(block)
        to.update(repeating: 0, count: gradient.shape.channels * lanes)
        for lane in 0..<min(lanes, missing.count - block * lanes) {
            for branch in branches(missing[block * lanes + lane]) {
                for row in 0..<classes { to[(branch * classes + row) * lanes + lane] = from[row * lanes + lane] }
            }
        }
    }

    private func branches(_ set: UInt64) -> [Int] { (0..<count).filter { set & 1 << UInt64($0) != 0 } }
}
