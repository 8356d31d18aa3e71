import CBranchKernels
import CXNNPACK
import LCPModels

/// A branch in single precision.
final class FloatProgram: BranchProgram {
    let operations: [String]
    var output: UnsafePointer<Float> { UnsafePointer(outputBuffer) }

    private let steps: [Step]
    /// All activations: XNNPACK and the kernels of ours read and write here.
    private let activations: UnsafeMutablePointer<Float>
    /// Where the input lies, HWC.
    let inputBuffer: UnsafeMutablePointer<Float>
    private let outputBuffer: UnsafeMutablePointer<Float>
    private let inputCount: Int
    /// Of every value.
    private let offsets: [Int]
    /// What a single operation needs beside them.
    private let scratch: UnsafeMutablePointer<Float>
    /// The vector length of ``lcp_scale_bytes``.
    private let lanes: Int
    private let pixels: PixelScale

    /// - Parameters:
    ///   - optimized: made for the kernels.
    ///   - keepsAll: whether all values can be read afterwards.
    init(
        _ optimized: consuming BranchGraph, pixels: PixelScale, kernels: Kernels?, pool: ThreadPool? = nil,
        sharesAll: Bool = false, keepsAll: Bool = false
    ) throws(InferenceError) {
        guard xnn_initialize(nil) == xnn_status_success else {
            throw InferenceError("XNNPACK does not run on this processor: it needs SSE2, NEON or WebAssembly")
        }
        var graph = optimized
        self.pixels = pixels
        lanes = kernels?.lanes ?? 4
        // XNNPACK may read a few bytes beyond an input's end, our kernels a vector.
        let plan = BufferPlan(graph, margin: max(Int(XNN_EXTRA_BYTES) / 4, 16), keepsAll: keepsAll)
        offsets = plan.offsets
        activations = .allocateAligned(plan.count)
        inputBuffer = activations + plan.offsets[0]
        outputBuffer = activations + plan.offsets[graph.output]
        inputCount = graph.input.elementCount
        operations = graph.nodes.map(\.description)
        do {
            steps = try graph.compile(activations, plan, kernels: kernels, pool: pool, sharesAll: sharesAll)
        } catch {
            activations.deallocate()
            throw error
        }
        scratch = .allocateAligned(steps.map(\.scratchCount).max() ?? 0)
    }

    deinit {
        activations.deallocate()
        scratch.deallocate()
    }

    var elementSize: Int { pixels.elementSize }

    func load(pixels bytes: UnsafeRawBufferPointer) {
        guard pixels.elementSize == 1 else { return pixels.scaled(bytes, into: inputBuffer) }
        lcp_scale_bytes(
            lanes, bytes.baseAddress, inputBuffer, inputCount, pixels.scale, pixels.offset, pixels.scale.count)
    }

    func load(normalized: UnsafeRawBufferPointer) {
        UnsafeMutableRawPointer(inputBuffer).copyMemory(from: normalized.baseAddress!, byteCount: inputCount * 4)
    }

    /// Where a value lies after the operations, HWC.
    func numbers(of value: Int) -> UnsafePointer<Float> { UnsafePointer(activations + offsets[value]) }

    func run(operation index: Int) throws(InferenceError) { try steps[index].run(scratch) }
}

/// What a pixel, or a signal's number, is multiplied by, and what is added to that, for each channel and repeated for 16 pixels,
/// so that a vector of a kernel's never ends within one.
struct PixelScale {
    var scale: [Float]
    var offset: [Float]
    /// Bytes of a pixel, 1, or of a signal's number, 4.
    let elementSize: Int
    private let preprocessing: ModelManifest.Preprocessing

    init(_ preprocessing: ModelManifest.Preprocessing) {
        func repeated(_ values: [Float]) -> [Float] { (0..<16).flatMap { _ in values } }
        self.preprocessing = preprocessing
        elementSize = preprocessing.elementSize
        scale = repeated(preprocessing.standardDeviation.map { 1 / (255 * $0) })
        offset = repeated(zip(preprocessing.mean, preprocessing.standardDeviation).map { -$0 / $1 })
    }

    /// A signal's numbers, FP32, as the network takes them.
    func scaled(_ numbers: UnsafeRawBufferPointer, into result: UnsafeMutablePointer<Float>) {
        let channels = preprocessing.mean.count
        var channel = 0
        for index in 0..<numbers.count / 4 {
            let number = numbers.loadUnaligned(fromByteOffset: 4 * index, as: Float.self)
            // Not by the reciprocal: far from zero, as a pressure in pascal is, a product and a sum lose digits.
            result[index] = (number - preprocessing.mean[channel]) / preprocessing.standardDeviation[channel]
            channel = channel + 1 == channels ? 0 : channel + 1
        }
    }
}
