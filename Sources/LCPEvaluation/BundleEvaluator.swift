public import LCPInference
public import LCPModels
public import LCPWire
import Platform

/// How a model is evaluated.
public struct EvaluationOptions: Sendable, Hashable {
    /// The most branches to leave out; nil is all but one.
    public var maximumMissing: Int?
    /// The most sets of missing branches that are tried for each number of them. Where there are more, that many are drawn.
    public var maximumSubsets = 256
    /// What the sets are drawn from.
    public var seed: UInt64 = 1
    /// How images are written and read again before they are seen, as between a sensor and a worker.
    public var encoding = FrameEncoding.raw
    /// How branches' numbers are written and read again, as between a worker and an aggregator.
    public var features = FeatureEncoding.fp32
    /// Threads to compute on; nil is one for every processor. The result does not depend on it.
    public var threads: Int?

    public init() {}
}

/// Runs a bundle's branches, as the workers do, on many images, and joins them, as the aggregator does.
public final class BundleEvaluator {
    let bundle: ModelBundle
    let join: BranchJoin
    /// One for each thread that was needed so far.
    private(set) var lanes: [EvaluationLane]

    private let engine: (Int) throws -> BranchEngine

    /// - Throws: as ``BranchEngine/init(bundle:branch:)``.
    public convenience init(bundle: ModelBundle) throws {
        try self.init(bundle: bundle) { try BranchEngine(bundle: bundle, branch: $0) }
    }

    /// - Parameter engine: makes an engine for a branch, which takes and makes what those of the bundle do.
    /// - Throws: what it throws.
    public init(bundle: ModelBundle, engine: @escaping (Int) throws -> BranchEngine) throws {
        self.bundle = bundle
        self.engine = engine
        join = try BranchJoin(
            network: bundle.network, merge: bundle.mergeParameters(), missingScale: bundle.manifest.missingScale)
        lanes = [try EvaluationLane(join: join, engine: engine)]
    }

    /// The logits of one image, or of the numbers of a signal, [classes], with the shares of the branches that are not missing.
    public func logits(pixels: UnsafeRawBufferPointer, missing: Set<Int> = []) throws -> [Float] {
        let mask = mask(missing)
        try lanes[0].run(pixels, missing: mask)
        return Array(lanes[0].logits(missing: mask))
    }

    /// The same of numbers that are normalised already: FP32, HWC.
    public func logits(normalized: UnsafeRawBufferPointer, missing: Set<Int> = []) throws -> [Float] {
        let mask = mask(missing)
        try lanes[0].run(normalized: normalized, missing: mask)
        return Array(lanes[0].logits(missing: mask))
    }

    /// Bytes of an image, or of a signal's numbers.
    var imageSize: Int { bundle.network.input.elementCount * bundle.manifest.preprocessing.elementSize }

    private func mask(_ missing: Set<Int>) -> UInt64 {
        missing.filter { (0..<join.branches.count).contains($0) }.reduce(UInt64(0)) { $0 | UInt64(1) << UInt64($1) }
    }

    /// Evaluates with the usual options.
    public func evaluate(
        pixels: [UInt8], labels: [some BinaryInteger], maximumMissing: Int?, progress: (Double) -> Bool
    ) throws -> Evaluation {
        var options = EvaluationOptions()
        options.maximumMissing = maximumMissing
        return try evaluate(pixels: pixels, labels: labels, options: options, progress: progress)
    }

    /// Evaluates the model on labelled images. Every branch runs once per image; missing branches cost sums only.
    ///
    /// - Parameters:
    ///   - pixels: UINT8, HWC, image after image; of a signal FP32.
    ///   - labels: the true class of each image.
    ///   - progress: gets the share of the images that is done, 0 to 1, and returns false to stop.
    /// - Throws: ``InferenceError`` for data or options that do not fit the model, `CancellationError` where `progress` stops it.
    public func evaluate(
        pixels: [UInt8], labels: [some BinaryInteger], options: EvaluationOptions = .init(),
        progress: (Double) -> Bool = { _ in true }
    ) throws -> Evaluation {
        let subsets = try subsets(options)
        guard bundle.manifest.preprocessing.signal == nil || options.encoding == .raw else {
            throw InferenceError(
                "\(bundle.manifest.name) takes numbers, and no pictures: its frames are sent raw")
        }
        guard options.encoding.fits(bundle.network.input) else {
            throw InferenceError(
                "\(bundle.manifest.name) takes \(bundle.network.input), and a picture has one channel or three: "
                    + "its frames are sent raw")
        }
        let work = EvaluationWork(
            pixels: pixels, labels: try truths(labels, pixels: pixels.count),
            imageSize: imageSize, masks: subsets.flatMap(\.masks), encoding: options.encoding,
            features: options.features)
        let threads = max(1, min(options.threads ?? Processors.available, work.blockCount))
        while lanes.count < threads { lanes.append(try EvaluationLane(join: join, engine: engine)) }

        guard progress(0) else { throw CancellationError() }
        // A thread that cannot be started leaves its images to the others.
        let helpers = lanes[1..<threads].compactMap { lane in JoinedThread { work.add(lane.evaluate(work)) } }
        work.add(lanes[0].evaluate(work) { if !progress(work.fraction) { work.stop() } })
        for helper in helpers { helper.join() }
        let result = try work.result()
        // The helpers may have done what this thread has not seen.
        guard progress(1) else { throw CancellationError() }
        return result.evaluation(subsets)
    }

    private func subsets(_ options: EvaluationOptions) throws -> [BranchSubsets] {
        let branches = join.branches.answeringCount
        let most = options.maximumMissing ?? branches - 1
        guard (0..<branches).contains(most) else {
            throw InferenceError(
                branches == 1
                    ? "\(bundle.manifest.name) has one branch, so none can be missing"
                    : "\(bundle.manifest.name) has \(branches) branches, so 0 to \(branches - 1) can be missing, not \(most)"
            )
        }
        guard options.maximumSubsets > 0 else { throw InferenceError("at least one set of missing branches is tried") }
        return (0...most).map {
            BranchSubsets(of: branches, missing: $0, limit: options.maximumSubsets, seed: options.seed)
        }
    }

    /// The labels as classes of the model.
    func truths(_ labels: [some BinaryInteger], pixels: Int) throws -> [Int] {
        let (name, input) = (bundle.manifest.name, bundle.network.input)
        guard !labels.isEmpty else { throw InferenceError("there are no labelled images to evaluate \(name) on") }
        guard pixels == labels.count * imageSize else {
            throw InferenceError(
                "\(pixels) bytes for \(labels.count) labels are not images of \(input), which \(name) takes")
        }
        return try labels.enumerated().map { image, label in
            guard let truth = Int(exactly: label), (0..<join.classes).contains(truth) else {
                throw InferenceError(
                    "image \(image) has the label \(label), and \(name) knows the classes 0 to \(join.classes - 1): "
                        + "evaluate it on the data that it was trained for")
            }
            return truth
        }
    }
}
