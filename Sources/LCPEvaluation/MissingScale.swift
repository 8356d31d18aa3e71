import LCPInference

extension BundleEvaluator {
    /// The most images, and sets of missing branches of one size, that the factors are fitted on.
    private static let (mostImages, mostSubsets) = (4000, 24)

    /// By what the sum of the shares that came is multiplied when some are missing, so that the answer is as sure as it is
    /// right: for every number of missing branches the factor with the smallest cross-entropy. The first, for none, is 1.
    ///
    /// - Parameters:
    ///   - pixels: UINT8, HWC, image after image, or FP32 of a signal; not those of a test set.
    ///   - labels: the true class of each image.
    /// - Throws: ``InferenceError`` for images that do not fit the model.
    public func missingScale(pixels: [UInt8], labels: [some BinaryInteger]) throws -> [Float] {
        let branches = join.branches.answeringCount
        guard branches > 1 else { return [1] }
        let truths = try truths(labels, pixels: pixels.count)
        let size = imageSize
        // Evenly from all of them.
        let count = min(truths.count, Self.mostImages)
        let chosen = (0..<count).map { $0 * truths.count / count }
        var shares: [[Float]] = []
        try pixels.withUnsafeBytes { pixels in
            for image in chosen {
                try lanes[0].run(UnsafeRawBufferPointer(rebasing: pixels[image * size..<(image + 1) * size]))
                shares.append(lanes[0].allShares)
            }
        }
        var factors: [Float] = [1]
        for missing in 1..<branches {
            let masks = BranchSubsets(of: branches, missing: missing, limit: Self.mostSubsets, seed: 1).masks
            var sums: [(sum: [Float], truth: Int)] = []
            for (shares, image) in zip(shares, chosen) {
                for mask in masks { sums.append((join.sum(shares, missing: mask), truths[image])) }
            }
            // The cross-entropy is convex in the factor.
            let most = 2 * Float(branches) / Float(branches - missing)
            factors.append(Self.minimum(from: 0.1, to: most) { join.loss(sums, factor: $0) })
        }
        return factors
    }

    /// Where a convex function is smallest, by golden sections.
    private static func minimum(from start: Float, to end: Float, _ function: (Float) -> Double) -> Float {
        let golden: Float = 0.618_034
        var (low, high) = (start, end)
        var (left, right) = (high - golden * (high - low), low + golden * (high - low))
        var (leftValue, rightValue) = (function(left), function(right))
        while high - low > 1e-3 * high {
            if leftValue < rightValue {
                (high, right, rightValue) = (right, left, leftValue)
                left = high - golden * (high - low)
                leftValue = function(left)
            } else {
                (low, left, leftValue) = (left, right, rightValue)
                right = low + golden * (high - low)
                rightValue = function(right)
            }
        }
        return (low + high) / 2
    }
}

extension BranchJoin {
    /// The shares that were received, added up, [classes].
    fileprivate func sum(_ shares: [Float], missing: UInt64) -> [Float] {
        var sum = [Float](repeating: 0, count: classes)
        shares.withUnsafeBufferPointer { shares in
            sum.withUnsafeMutableBufferPointer {
                Self.sum(shares, of: branches, received: branches.answering(without: missing), into: $0)
            }
        }
        return sum
    }

    /// The cross-entropy of all sums, times a factor and with the bias.
    fileprivate func loss(_ sums: [(sum: [Float], truth: Int)], factor: Float) -> Double {
        var logits = [Float](repeating: 0, count: classes)
        return logits.withUnsafeMutableBufferPointer { logits in
            sums.reduce(0) { total, item in
                _ = logits.update(fromContentsOf: item.sum)
                finish(logits, factor: factor)
                return total + Softmax(UnsafeBufferPointer(logits)).loss(of: logits[item.truth])
            }
        }
    }
}
