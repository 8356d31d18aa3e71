import CXNNPACK
import Glibc
public import LCPModels

/// One branch of a network, compiled for this processor by XNNPACK and ready to run.
///
/// Everything is prepared when it is made: packed weights, the subgraph, its buffers. A run allocates nothing. One thread at a
/// time may use it.
public final class BranchEngine {
    /// The shape of the input, height × width × channels.
    public let input: FeatureMapShape
    /// What ``output`` holds.
    public let outputKind: BranchOutput
    /// The numbers in ``output``.
    public let outputCount: Int

    private let runtime: xnn_runtime_t
    private let inputBuffer: UnsafeMutablePointer<Float>
    private let outputBuffer: UnsafeMutablePointer<Float>
    /// The weights as XNNPACK wants them. It keeps pointers into them, so they live as long as the runtime.
    private let constants: ConstantPool
    /// Where the features are an image: XNNPACK leaves them as HWC, and here they become CHW, as PyTorch flattens them.
    private let imageFeatures: (shape: FeatureMapShape, chw: UnsafeMutablePointer<Float>)?
    private let pixelScale: [Float]
    private let pixelOffset: [Float]

    /// Prepares a branch of a bundle.
    ///
    /// - Throws: ``InferenceError``, or a ``ModelBundleError`` where its weights cannot be read.
    public convenience init(bundle: ModelBundle, branch: Int) throws {
        let parameters = try bundle.branchParameters(branch)
        let network = bundle.network
        let merge =
            try network.output(of: branch) == .partialLogits
            ? try network.mergeWeights(of: branch, merge: bundle.mergeParameters()) : nil
        try self.init(
            network: network, branch: branch, parameters: parameters, mergeWeights: merge,
            preprocessing: bundle.manifest.preprocessing)
    }

    /// Prepares a branch.
    ///
    /// - Parameters:
    ///   - mergeWeights: the branch's columns of the classification layer's W, [classes, features]: given, the branch applies
    ///     them and its output is its share of the logits; nil, its output is its pre-final activations in CHW order.
    ///   - preprocessing: how pixels become the network's input.
    public init(
        network: BranchedNetwork, branch: Int, parameters: BranchParameters, mergeWeights: [Float]?,
        preprocessing: ModelManifest.Preprocessing
    ) throws {
        guard xnn_initialize(nil) == xnn_status_success else {
            throw InferenceError("XNNPACK does not run on this processor: it needs SSE2, NEON or WebAssembly")
        }
        let shapes = try network.shapes(of: branch)
        input = network.input
        outputKind = mergeWeights == nil ? .features : .partialLogits
        outputCount = mergeWeights == nil ? shapes[shapes.count - 1].elementCount : network.classes
        guard preprocessing.mean.count == input.channels, preprocessing.standardDeviation.count == input.channels else {
            throw InferenceError(
                "the preprocessing has \(preprocessing.mean.count) channels, the input has \(input.channels)")
        }
        pixelScale = preprocessing.standardDeviation.map { 1 / (255 * $0) }
        pixelOffset = zip(preprocessing.mean, preprocessing.standardDeviation).map { -$0 / $1 }

        constants = ConstantPool()
        runtime = try Self.compile(
            network.branches[branch], shapes, parameters, mergeWeights, classes: network.classes, constants: constants)
        // XNNPACK may read a few bytes beyond an input's end.
        inputBuffer = .allocate(capacity: input.elementCount + Int(XNN_EXTRA_BYTES) / 4)
        inputBuffer.initialize(repeating: 0, count: input.elementCount + Int(XNN_EXTRA_BYTES) / 4)
        outputBuffer = .allocate(capacity: outputCount + Int(XNN_EXTRA_BYTES) / 4)
        outputBuffer.initialize(repeating: 0, count: outputCount + Int(XNN_EXTRA_BYTES) / 4)
        let last = shapes[shapes.count - 1]
        let isImage = mergeWeights == nil && last.height * last.width > 1 && last.channels > 1
        imageFeatures = isImage ? (last, .allocate(capacity: last.elementCount)) : nil
        imageFeatures?.chw.initialize(repeating: 0, count: last.elementCount)
        let external = [
            xnn_external_value(id: 0, data: inputBuffer), xnn_external_value(id: 1, data: outputBuffer),
        ]
        try InferenceError.check(xnn_setup_runtime(runtime, external.count, external), "preparing branch \(branch)")
    }

    deinit {
        xnn_delete_runtime(runtime)
        inputBuffer.deallocate()
        outputBuffer.deallocate()
        imageFeatures?.chw.deallocate()
    }

    /// Runs the branch on raw pixels: UINT8, HWC, exactly `input.elementCount` of them.
    public func run(pixels: UnsafeRawBufferPointer) throws(InferenceError) {
        let count = input.elementCount
        guard pixels.count == count else { throw .inputSize(pixels.count, expected: count) }
        let channels = input.channels
        if channels == 1 {
            let (scale, offset) = (pixelScale[0], pixelOffset[0])
            for index in 0..<count { inputBuffer[index] = Float(pixels[index]) * scale + offset }
        } else {
            var index = 0
            while index < count {
                for channel in 0..<channels {
                    inputBuffer[index + channel] =
                        Float(pixels[index + channel]) * pixelScale[channel] + pixelOffset[channel]
                }
                index += channels
            }
        }
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

    private func invoke() throws(InferenceError) {
        try InferenceError.check(xnn_invoke_runtime(runtime), "running a branch")
        guard let (shape, chw) = imageFeatures else { return }
        let area = shape.height * shape.width
        for position in 0..<area {
            for channel in 0..<shape.channels {
                chw[channel * area + position] = outputBuffer[position * shape.channels + channel]
            }
        }
    }
}

extension BranchEngine {
    /// Builds the subgraph and compiles it for one thread.
    private static func compile(
        _ layers: [Layer], _ shapes: [FeatureMapShape], _ parameters: BranchParameters, _ mergeWeights: [Float]?,
        classes: Int, constants: ConstantPool
    ) throws -> xnn_runtime_t {
        var created: xnn_subgraph_t?
        try InferenceError.check(xnn_create_subgraph(2, 0, &created), "creating a graph")
        guard let graph = created else { throw InferenceError("creating a graph failed") }
        defer { xnn_delete_subgraph(graph) }
        let builder = GraphBuilder(graph: graph, constants: constants, input: shapes[0])

        // A ReLU right behind a layer with weights is that layer's lower bound; other ReLUs are layers of their own.
        var index = 0
        while index < layers.count {
            let (from, to) = (shapes[index], shapes[index + 1])
            let hasReLU = index + 1 < layers.count && layers[index + 1] == .relu
            let minimum: Float = hasReLU ? 0 : -.infinity
            var used = hasReLU && layers[index].width != nil ? 2 : 1
            switch layers[index] {
            case .convolution(_, let kernel, let stride, let padding, 1, true):
                guard let values = parameters[index] else { throw InferenceError("\(layers[index]) lacks weights") }
                let convolution = Convolution(
                    from: from, to: to, kernel: kernel, stride: stride, padding: padding, values: values,
                    minimum: minimum)
                if convolution.isFasterByRows {
                    // Pooling that follows is cheap, too, if the columns come out in the order that it wants.
                    if index + used < layers.count, case .maxPool(let size, let step, 0) = layers[index + used],
                        size == step
                    {
                        try builder.addByRows(convolution, pooling: size)
                        used += 1
                    } else {
                        try builder.addByRows(convolution, pooling: 1)
                    }
                } else {
                    try builder.add(convolution)
                }
            case .maxPool(let size, let stride, 0): try builder.addMaxPool(size: size, stride: stride, to: to)
            case .fullyConnected(let outputs):
                guard let values = parameters[index] else { throw InferenceError("\(layers[index]) lacks weights") }
                try builder.addFullyConnected(values.weight, values.bias, outputs: outputs, minimum: minimum)
            case .relu: try builder.addReLU()
            default: throw InferenceError("\(layers[index]) cannot be run")
            }
            index += used
        }
        if let mergeWeights {
            // The bias is added once, by the aggregator.
            let zero = [Float](repeating: 0, count: classes)
            try builder.addFullyConnected(mergeWeights, zero, outputs: classes, minimum: -.infinity)
        }
        try builder.finish()
        var runtime: xnn_runtime_t?
        try InferenceError.check(xnn_create_runtime_v2(graph, nil, 0, &runtime), "compiling a branch")
        guard let runtime else { throw InferenceError("compiling a branch failed") }
        return runtime
    }
}

/// Why a branch cannot be prepared or run.
public struct InferenceError: Error, Hashable, CustomStringConvertible {
    public let description: String

    init(_ description: String) { self.description = description }

    static func inputSize(_ found: Int, expected: Int) -> InferenceError {
        InferenceError("the input has \(found) bytes, the network takes \(expected)")
    }

    static func check(_ status: xnn_status, _ action: String) throws(InferenceError) {
        guard status != xnn_status_success else { return }
        let reason =
            switch status {
            case xnn_status_invalid_parameter: "invalid parameter"
            case xnn_status_unsupported_parameter: "unsupported parameter"
            case xnn_status_unsupported_hardware: "unsupported hardware"
            case xnn_status_out_of_memory: "out of memory"
            default: "status \(status.rawValue)"
            }
        throw InferenceError("\(action) failed in XNNPACK: \(reason)")
    }
}
