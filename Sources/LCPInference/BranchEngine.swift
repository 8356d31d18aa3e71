import CBranchKernels
import CXNNPACK
public import LCPModels

/// One branch of a network, compiled for this processor and ready to run.
///
/// Everything is prepared when it is made: packed weights, operations, their buffers. A run allocates nothing. One thread at a
/// time may use it.
public final class BranchEngine {
    /// The shape of the input, height × width × channels.
    public let input: FeatureMapShape
    /// What ``output`` holds.
    public let outputKind: BranchOutput
    /// The numbers in ``output``.
    public let outputCount: Int

    private let steps: [Step]
    private let stepNames: [String]
    /// All activations: XNNPACK and the kernels of ours read and write here.
    private let activations: UnsafeMutablePointer<Float>
    private let inputBuffer: UnsafeMutablePointer<Float>
    private let outputBuffer: UnsafeMutablePointer<Float>
    /// What a single operation needs beside them.
    private let scratch: UnsafeMutablePointer<Float>
    /// Where the features are an image: they are made as HWC, and here they become CHW, as PyTorch flattens them.
    private let imageFeatures: (shape: FeatureMapShape, chw: UnsafeMutablePointer<Float>)?
    /// The vector length of ``lcp_scale_bytes``.
    private let lanes: Int
    private let pixelScale: [Float]
    private let pixelOffset: [Float]
    /// The threads that help; nil where none can.
    private let pool: ThreadPool?

    /// Prepares a branch of a bundle.
    ///
    /// - Parameter pool: the threads that compute it, asked for where the branch is long enough for several; nil for the
    ///   caller's alone. The result has the same bits with any.
    /// - Throws: ``InferenceError``, or a ``ModelBundleError`` where its weights cannot be read.
    public convenience init(
        bundle: ModelBundle, branch: Int, pool: @autoclosure () throws(InferenceError) -> ThreadPool? = nil
    ) throws {
        let parameters = try bundle.branchParameters(branch)
        let network = bundle.network
        let merge =
            try network.output(of: branch) == .partialLogits
            ? try network.mergeWeights(of: branch, merge: bundle.mergeParameters()) : nil
        try self.init(
            network: network, branch: branch, parameters: parameters, mergeWeights: merge,
            preprocessing: bundle.manifest.preprocessing, pool: try pool())
    }

    /// Prepares a branch.
    ///
    /// - Parameters:
    ///   - mergeWeights: the branch's columns of the classification layer's W, [classes, features]: given, the branch applies
    ///     them and its output is its share of the logits; nil, its output is its pre-final activations in CHW order.
    ///   - preprocessing: how pixels become the network's input.
    ///   - pool: the threads that compute it, asked for where the branch is long enough for several; nil for the caller's
    ///     alone. The result has the same bits with any.
    public convenience init(
        network: BranchedNetwork, branch: Int, parameters: BranchParameters, mergeWeights: [Float]?,
        preprocessing: ModelManifest.Preprocessing,
        pool: @autoclosure () throws(InferenceError) -> ThreadPool? = nil
    ) throws {
        try self.init(
            network: network, branch: branch, parameters: parameters, mergeWeights: mergeWeights,
            preprocessing: preprocessing, kernels: .best, pool: try pool())
    }

    /// Prepares a branch of a network with all its weights.
    ///
    /// - Throws: ``InferenceError``, or a ``NetworkError``.
    package convenience init(
        _ network: BranchedNetwork, branch: Int = 0, of parameters: ModelParameters,
        pool: @autoclosure () throws(InferenceError) -> ThreadPool? = nil
    ) throws {
        let merge =
            try network.output(of: branch) == .partialLogits
            ? try network.mergeWeights(of: branch, merge: parameters.merge) : nil
        try self.init(
            network: network, branch: branch, parameters: parameters.branches[branch], mergeWeights: merge,
            preprocessing: .usual(for: network.input), pool: try pool())
    }

    /// Prepares layers that are only a part of a network.
    ///
    /// - Parameter input: what ``run(normalized:)`` takes, HWC.
    /// - Throws: ``InferenceError``, or a ``NetworkError`` where the layers do not fit. Its output is HWC, too.
    package convenience init(part layers: [Layer], input: FeatureMapShape, parameters: BranchParameters) throws {
        let network = BranchedNetwork(base: "part", input: input, branches: [layers], classes: 1, merge: .concat)
        try self.init(
            network: network, branch: 0, parameters: parameters, mergeWeights: nil,
            preprocessing: .init(
                mean: Array(repeating: 0, count: input.channels),
                standardDeviation: Array(repeating: 1, count: input.channels)),
            kernels: .best, flattens: false)
    }

    /// - Parameters:
    ///   - kernels: our own kernels, used beside XNNPACK's; nil for XNNPACK's wherever it has them.
    ///   - flattens: whether an image that comes out becomes CHW, as PyTorch flattens it.
    ///   - sharesAll: whether the threads share even what is too short for several.
    init(
        network: BranchedNetwork, branch: Int, parameters: BranchParameters, mergeWeights: [Float]?,
        preprocessing: ModelManifest.Preprocessing, kernels: Kernels?, flattens: Bool = true,
        pool: @autoclosure () throws(InferenceError) -> ThreadPool? = nil, sharesAll: Bool = false
    ) throws {
        guard xnn_initialize(nil) == xnn_status_success else {
            throw InferenceError("XNNPACK does not run on this processor: it needs SSE2, NEON or WebAssembly")
        }
        let shapes = try network.shapes(of: branch)
        let last = shapes[shapes.count - 1]
        input = network.input
        outputKind = mergeWeights == nil ? .features : .partialLogits
        outputCount = mergeWeights == nil ? last.elementCount : network.classes
        guard preprocessing.mean.count == input.channels, preprocessing.standardDeviation.count == input.channels else {
            throw InferenceError(
                "the preprocessing has \(preprocessing.mean.count) channels, the input has \(input.channels)")
        }
        // Sixteen pixels' worth, so that a vector of the kernel's never ends within one.
        func repeated(_ values: [Float]) -> [Float] { (0..<16).flatMap { _ in values } }
        pixelScale = repeated(preprocessing.standardDeviation.map { 1 / (255 * $0) })
        pixelOffset = repeated(zip(preprocessing.mean, preprocessing.standardDeviation).map { -$0 / $1 })
        lanes = kernels?.lanes ?? 4

        var graph = try BranchGraph(
            lowering: network.branches[branch], shapes: shapes, parameters: parameters, head: mergeWeights
        ).optimized(for: kernels)
        self.pool = try sharesAll || graph.isWorthSharing ? pool() : nil
        // XNNPACK may read a few bytes beyond an input's end, our kernels a vector.
        let plan = BufferPlan(graph, margin: max(Int(XNN_EXTRA_BYTES) / 4, 16))
        activations = .allocateAligned(plan.count)
        inputBuffer = activations + plan.offsets[0]
        outputBuffer = activations + plan.offsets[graph.output]
        let isImage = flattens && mergeWeights == nil && last.height * last.width > 1 && last.channels > 1
        imageFeatures = isImage ? (last, .allocate(capacity: last.elementCount)) : nil
        imageFeatures?.chw.initialize(repeating: 0, count: last.elementCount)
        stepNames = graph.nodes.map(\.description)
        do {
            steps = try graph.compile(activations, plan, kernels: kernels, pool: self.pool, sharesAll: sharesAll)
        } catch {
            activations.deallocate()
            imageFeatures?.chw.deallocate()
            throw error
        }
        scratch = .allocateAligned(steps.map(\.scratchCount).max() ?? 0)
    }

    deinit {
        activations.deallocate()
        scratch.deallocate()
        imageFeatures?.chw.deallocate()
    }

    /// Runs the branch on raw pixels: UINT8, HWC, exactly `input.elementCount` of them.
    public func run(pixels: UnsafeRawBufferPointer) throws(InferenceError) {
        let count = input.elementCount
        guard pixels.count == count else { throw .inputSize(pixels.count, expected: count) }
        lcp_scale_bytes(
            lanes, pixels.baseAddress, inputBuffer, count, pixelScale, pixelOffset, pixelScale.count)
        try invoke()
    }

    /// Runs the branch on normalised numbers: FP32, little-endian, HWC, exactly `input.elementCount` of them.
    public func run(normalized: UnsafeRawBufferPointer) throws(InferenceError) {
        let bytes = input.elementCount * 4
        guard normalized.count == bytes else { throw .inputSize(normalized.count, expected: bytes) }
        UnsafeMutableRawPointer(inputBuffer).copyMemory(from: normalized.baseAddress!, byteCount: bytes)
        try invoke()
    }

    /// The result of the last run, ``outputCount`` numbers. Valid until the next run.
    public var output: UnsafeBufferPointer<Float> {
        UnsafeBufferPointer(start: imageFeatures?.chw ?? outputBuffer, count: outputCount)
    }

    /// The time of one run, measured: the median of `runs` after two to warm up.
    public func measure(runs: Int = 5) throws(InferenceError) -> Duration {
        for _ in 0..<2 { try invoke() }
        var times: [Duration] = []
        for _ in 0..<max(1, runs) {
            let start = ContinuousClock.now
            try invoke()
            times.append(.now - start)
        }
        return times.sorted()[times.count / 2]
    }

    /// The time of each operation, measured one by one in running order: what it is, and the least of `runs`.
    public func measureOperations(runs: Int = 20) throws(InferenceError) -> [(name: String, time: Duration)] {
        var result = stepNames.map { (name: $0, time: Duration.seconds(3600)) }
        pool?.begin()
        defer { pool?.end() }
        for _ in 0..<max(1, runs) {
            for index in steps.indices {
                let start = ContinuousClock.now
                try steps[index].run(scratch)
                result[index].time = min(result[index].time, .now - start)
            }
        }
        return result
    }

    private func invoke() throws(InferenceError) {
        pool?.begin()
        defer { pool?.end() }
        for step in steps { try step.run(scratch) }
        guard let (shape, chw) = imageFeatures else { return }
        let area = shape.height * shape.width
        for position in 0..<area {
            for channel in 0..<shape.channels {
                chw[channel * area + position] = outputBuffer[position * shape.channels + channel]
            }
        }
    }
}
