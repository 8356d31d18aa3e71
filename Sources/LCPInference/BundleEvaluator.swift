public import LCPModels

/// How often a model is right, with all branches and with some missing.
public struct Evaluation: Sendable, Hashable, Codable {
    /// Accuracy over all subsets of a number of missing branches.
    public struct Missing: Sendable, Hashable, Codable {
        public var missing: Int
        /// Top-1, 0 to 1: the mean over the subsets, the worst and the best of them.
        public var mean: Double
        public var worst: Double
        public var best: Double
        public var subsets: Int
    }

    public var images: Int
    /// Top-1 with all branches, 0 to 1.
    public var accuracy: Double
    /// From no branch missing to all but one.
    public var byMissing: [Missing]

    enum CodingKeys: String, CodingKey {
        case images, accuracy
        case byMissing = "by_missing"
    }
}

/// Runs a bundle's branches, as the workers do, on many images, and joins them, as the aggregator does.
public final class BundleEvaluator {
    private let bundle: ModelBundle
    private let engines: [BranchEngine]
    private let merge: LayerParameters

    /// - Throws: as ``BranchEngine/init(bundle:branch:)``.
    public init(bundle: ModelBundle) throws {
        self.bundle = bundle
        engines = try bundle.network.branches.indices.map { try BranchEngine(bundle: bundle, branch: $0) }
        merge = try bundle.mergeParameters()
    }

    /// The logits of one image, [classes], with the shares of the branches that are not missing.
    public func logits(pixels: UnsafeRawBufferPointer, missing: Set<Int> = []) throws -> [Float] {
        var logits = merge.bias
        for branch in engines.indices where !missing.contains(branch) {
            for (index, value) in try share(branch, pixels).enumerated() { logits[index] += value }
        }
        return logits
    }

    /// A branch's share of the logits.
    private func share(_ branch: Int, _ pixels: UnsafeRawBufferPointer) throws -> [Float] {
        let engine = engines[branch]
        try engine.run(pixels: pixels)
        guard engine.outputKind == .features else { return Array(engine.output) }
        let columns = try bundle.network.mergeColumns(of: branch)
        let total = try bundle.network.mergedFeatureCount()
        return (0..<bundle.network.classes).map { row in
            zip(columns, engine.output).reduce(Float(0)) { $0 + merge.weight[row * total + $1.0] * $1.1 }
        }
    }

    /// Evaluates on images: UINT8, HWC, one after the other.
    ///
    /// - Parameters:
    ///   - maximumMissing: the most branches that are left out; nil for all but one.
    ///   - progress: called with the fraction that is done; false ends it with a `CancellationError`.
    public func evaluate(
        pixels: [UInt8], labels: [UInt8], maximumMissing: Int? = nil, progress: (Double) -> Bool = { _ in true }
    ) throws -> Evaluation {
        let size = bundle.network.input.elementCount
        let count = labels.count
        guard count > 0, pixels.count == count * size else {
            throw InferenceError("\(pixels.count) bytes are not \(count) images of \(bundle.network.input)")
        }
        let subsets = Self.subsets(of: engines.count, maximumMissing: maximumMissing ?? engines.count - 1)
        var right = [Int](repeating: 0, count: subsets.count)
        let classes = bundle.network.classes
        for image in 0..<count {
            if image % 256 == 0, !progress(Double(image) / Double(count)) { throw CancellationError() }
            let shares = try pixels.withUnsafeBytes { bytes in
                let one = UnsafeRawBufferPointer(rebasing: bytes[image * size..<(image + 1) * size])
                return try engines.indices.map { try share($0, one) }
            }
            for (index, subset) in subsets.enumerated() {
                var (best, bestValue) = (0, -Float.infinity)
                for label in 0..<classes {
                    var value = merge.bias[label]
                    for branch in shares.indices where subset & UInt64(1) << UInt64(branch) == 0 {
                        value += shares[branch][label]
                    }
                    if value > bestValue { (best, bestValue) = (label, value) }
                }
                if best == Int(labels[image]) { right[index] += 1 }
            }
        }
        var byMissing: [Evaluation.Missing] = []
        for missing in 0...subsets.map(\.nonzeroBitCount).max()! {
            let rates = subsets.indices.filter { subsets[$0].nonzeroBitCount == missing }.map {
                Double(right[$0]) / Double(count)
            }
            guard !rates.isEmpty else { continue }
            byMissing.append(
                .init(
                    missing: missing, mean: rates.reduce(0, +) / Double(rates.count), worst: rates.min() ?? 0,
                    best: rates.max() ?? 0, subsets: rates.count))
        }
        return Evaluation(images: count, accuracy: byMissing[0].mean, byMissing: byMissing)
    }

    /// All sets of missing branches, as bit masks. Beyond eight branches only those with one or two missing are tried.
    static func subsets(of branches: Int, maximumMissing: Int) -> [UInt64] {
        let limit = max(0, min(branches - 1, branches <= 8 ? maximumMissing : min(2, maximumMissing)))
        var result: [UInt64] = [0]
        var last: [UInt64] = [0]
        for _ in 0..<limit {
            var next: [UInt64] = []
            for subset in last {
                let first = subset == 0 ? 0 : 64 - subset.leadingZeroBitCount
                for branch in first..<branches { next.append(subset | UInt64(1) << UInt64(branch)) }
            }
            result += next
            last = next
        }
        return result
    }
}
