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

    /// Whose kernels compute it; nil in other arithmetics than single precision, where all are ours.
    public let kernelSet: KernelSet?

    private let program: any BranchProgram
    /// Where the features are an image: they are made as HWC, and here they become CHW, as PyTorch flattens them.
    private let imageFeatures: (shape: FeatureMapShape, chw: UnsafeMutablePointer<Float>)?
    /// The threads that help; nil where none can.
    private let pool: ThreadPool?

    /// Prepares a branch of a bundle.
    ///
    /// - Parameters:
    ///   - kernels: nil for the fastest on this processor.
    ///   - pool: the threads that compute it, asked for where the branch is long enough for several; nil for the
    ///     caller's alone. The result has the same bits with any.
    /// - Throws: ``InferenceError``, or a ``ModelBundleError`` where its weights cannot be read.
    public convenience init(
        bundle: ModelBundle, branch: Int, kernels: KernelSet? = nil,
        pool: @autoclosure () throws(InferenceError) -> ThreadPool? = nil
    ) throws {
        let network = bundle.network
        if bundle.manifest.arithmetic == .int8 {
            do {
                try self.init(
                    network: network, branch: branch, integers: bundle.integerBranch(branch),
                    preprocessing: bundle.manifest.preprocessing, pool: try pool())
            } catch let error as InferenceError {
                throw InferenceError("branch \(branch) of \(bundle.path): \(error)")
            }
            return
        }
        let parameters = try bundle.branchParameters(branch)
        let merge = try network.headWeights(of: branch, merge: bundle.mergeParameters())
        try self.init(
            network: network, branch: branch, parameters: parameters, mergeWeights: merge,
            preprocessing: bundle.manifest.preprocessing, kernels: kernels, pool: try pool())
    }

    /// Prepares a branch.
    ///
    /// - Parameters:
    ///   - kernels: nil for the fastest on this processor.
    ///   - mergeWeights: the branch's columns of the classification layer's W, [classes, features]: given, the branch applies
    ///     them and its output is its share of the logits; nil, its output is its pre-final activations in CHW order.
    ///   - preprocessing: how pixels become the network's input.
    ///   - pool: the threads that compute it, asked for where the branch is long enough for several; nil for the caller's
    ///     alone. The result has the same bits with any.
    public convenience init(
        network: BranchedNetwork, branch: Int, parameters: BranchParameters, mergeWeights: [Float]?,
        preprocessing: ModelManifest.Preprocessing, kernels: KernelSet? = nil,
        pool: @autoclosure () throws(InferenceError) -> ThreadPool? = nil
    ) throws {
        try Self.check(preprocessing, network)
        let set =
            try kernels
            ?? .fastest(
                for: network, branch: branch, parameters: parameters, head: mergeWeights, preprocessing: preprocessing)
        try self.init(
            network: network, branch: branch, parameters: parameters, mergeWeights: mergeWeights,
            preprocessing: preprocessing, kernels: set.kernels, pool: try pool())
    }

    /// Prepares a branch of a network with all its weights.
    ///
    /// - Throws: ``InferenceError``, or a ``NetworkError``.
    package convenience init(
        _ network: BranchedNetwork, branch: Int = 0, of parameters: ModelParameters, kernels: KernelSet? = nil,
        pool: @autoclosure () throws(InferenceError) -> ThreadPool? = nil
    ) throws {
        let merge = try network.headWeights(of: branch, merge: parameters.merge)
        try self.init(
            network: network, branch: branch, parameters: parameters.branches[branch], mergeWeights: merge,
            preprocessing: .usual(for: network.input), kernels: kernels, pool: try pool())
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
            kernels: .usual, flattens: false)
    }

    /// - Parameters:
    ///   - kernels: our own kernels, used beside XNNPACK's; nil for XNNPACK's wherever it has them.
    ///   - flattens: whether an image that comes out becomes CHW, as PyTorch flattens it.
    ///   - sharesAll: whether the threads share even what is too short for several.
    convenience init(
        network: BranchedNetwork, branch: Int, parameters: BranchParameters, mergeWeights: [Float]?,
        preprocessing: ModelManifest.Preprocessing, kernels: Kernels?, flattens: Bool = true,
        pool: @autoclosure () throws(InferenceError) -> ThreadPool? = nil, sharesAll: Bool = false
    ) throws {
        try Self.check(preprocessing, network)
        let graph = try BranchGraph(
            lowering: network.branches[branch], shapes: network.shapes(of: branch), parameters: parameters,
            head: mergeWeights
        ).optimized(for: kernels)
        let pool = try sharesAll || graph.isWorthSharing ? pool() : nil
        let program = try FloatProgram(
            consume graph, pixels: PixelScale(preprocessing), kernels: kernels, pool: pool, sharesAll: sharesAll)
        try self.init(
            network: network, branch: branch, hasHead: mergeWeights != nil, flattens: flattens, program: program,
            kernelSet: kernels == nil ? .xnnpack : .own, pool: pool)
    }

    /// Prepares a branch in numbers of eight bits.
    ///
    /// - Throws: ``InferenceError``, or a ``NetworkError``.
    public convenience init(
        network: BranchedNetwork, branch: Int, integers: IntegerBranch, preprocessing: ModelManifest.Preprocessing,
        pool: @autoclosure () throws(InferenceError) -> ThreadPool? = nil
    ) throws {
        try self.init(
            network: network, branch: branch, integers: integers, preprocessing: preprocessing, kernels: .best,
            pool: try pool())
    }

    /// - Parameters:
    ///   - kernels: the instruction set.
    ///   - sharesAll: whether the threads share even what is too short for several.
    /// - Throws: ``InferenceError``, or a ``NetworkError``.
    convenience init(
        network: BranchedNetwork, branch: Int, integers: IntegerBranch, preprocessing: ModelManifest.Preprocessing,
        kernels: IntegerKernels, pool: @autoclosure () throws(InferenceError) -> ThreadPool? = nil,
        sharesAll: Bool = false
    ) throws {
        try Self.check(preprocessing, network)
        let graph = try BranchGraph(
            lowering: network.branches[branch], shapes: network.shapes(of: branch), integers: integers
        ).optimized(for: kernels)
        let pool = try sharesAll || graph.isWorthSharing ? pool() : nil
        let program = try IntegerProgram(
            consume graph, pixels: PixelScale(preprocessing), kernels: kernels, pool: pool, sharesAll: sharesAll)
        try self.init(
            network: network, branch: branch, hasHead: integers.head != nil, flattens: true, program: program,
            pool: pool)
    }

    /// Prepares a branch in fixed point. It is for comparison, and slow.
    ///
    /// - Throws: ``InferenceError``, or a ``NetworkError``.
    public convenience init(
        network: BranchedNetwork, branch: Int, fixedPoint: FixedPointBranch,
        preprocessing: ModelManifest.Preprocessing
    ) throws {
        try Self.check(preprocessing, network)
        try preprocessing.refuseSignal("fixed point")
        let program = try FixedPointProgram(
            network.branches[branch], network.shapes(of: branch), fixedPoint, preprocessing)
        try self.init(
            network: network, branch: branch, hasHead: fixedPoint.head != nil, flattens: true, program: program,
            pool: nil)
    }

    private static func check(
        _ preprocessing: ModelManifest.Preprocessing, _ network: BranchedNetwork
    ) throws(InferenceError) {
        let channels = network.input.channels
        guard preprocessing.mean.count == channels, preprocessing.standardDeviation.count == channels else {
            throw InferenceError(
                "the preprocessing has \(preprocessing.mean.count) channels, the input has \(channels)")
        }
    }

    private init(
        network: BranchedNetwork, branch: Int, hasHead: Bool, flattens: Bool, program: any BranchProgram,
        kernelSet: KernelSet? = nil, pool: ThreadPool?
    ) throws(NetworkError) {
        let shapes = try network.shapes(of: branch)
        let last = shapes[shapes.count - 1]
        input = network.input
        outputKind = hasHead ? .partialLogits : .features
        outputCount = hasHead ? network.classes : last.elementCount
        self.program = program
        self.kernelSet = kernelSet
        self.pool = pool
        let isImage = flattens && !hasHead && last.height * last.width > 1 && last.channels > 1
        imageFeatures = isImage ? (last, .allocate(capacity: last.elementCount)) : nil
        imageFeatures?.chw.initialize(repeating: 0, count: last.elementCount)
    }

    deinit { imageFeatures?.chw.deallocate() }

    /// Runs the branch on raw pixels, or on a signal's numbers as its source has them: UINT8 or FP32, HWC, exactly
    /// `input.elementCount` of them.
    public func run(pixels: UnsafeRawBufferPointer) throws(InferenceError) {
        let count = input.elementCount * program.elementSize
        guard pixels.count == count else { throw .inputSize(pixels.count, expected: count) }
        program.load(pixels: pixels)
        try invoke()
    }

    /// Runs the branch on normalised numbers: FP32, little-endian, HWC, exactly `input.elementCount` of them.
    public func run(normalized: UnsafeRawBufferPointer) throws(InferenceError) {
        let bytes = input.elementCount * 4
        guard normalized.count == bytes else { throw .inputSize(normalized.count, expected: bytes) }
        program.load(normalized: normalized)
        try invoke()
    }

    /// The result of the last run, ``outputCount`` numbers. Valid until the next run.
    public var output: UnsafeBufferPointer<Float> {
        UnsafeBufferPointer(start: imageFeatures.map { UnsafePointer($0.chw) } ?? program.output, count: outputCount)
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
        var result = program.operations.map { (name: $0, time: Duration.seconds(3600)) }
        pool?.begin()
        defer { pool?.end() }
        for _ in 0..<max(1, runs) {
            for index in result.indices {
                let start = ContinuousClock.now
                try program.run(operation: index)
                result[index].time = min(result[index].time, .now - start)
            }
        }
        return result
    }

    private func invoke() throws(InferenceError) {
        pool?.begin()
        defer { pool?.end() }
        for index in program.operations.indices { try program.run(operation: index) }
        guard let (shape, chw) = imageFeatures else { return }
        let (area, made) = (shape.height * shape.width, program.output)
        for position in 0..<area {
            for channel in 0..<shape.channels {
                chw[channel * area + position] = made[position * shape.channels + channel]
            }
        }
    }
}

extension BranchedNetwork {
    /// The branch's columns of the classification layer's W, where the branch applies them; nil where it does not.
    func headWeights(
        of branch: Int, merge: @autoclosure () throws -> LayerParameters
    ) throws -> [Float]? {
        try output(of: branch) == .partialLogits ? try mergeWeights(of: branch, merge: merge()) : nil
    }
}
