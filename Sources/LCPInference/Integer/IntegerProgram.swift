import CBranchKernels
import LCPModels

/// A branch in numbers of eight bits.
final class IntegerProgram: BranchProgram {
    let operations: [String]
    private(set) var output: UnsafePointer<Float>

    private let kernels: IntegerKernels
    private let steps: [any IntegerStep]
    private let activations: UnsafeMutableRawPointer
    private let inputBuffer: UnsafeMutablePointer<UInt8>
    private let inputCount: Int
    private let inputQuantization: Quantization
    private let scratch: UnsafeMutableRawPointer
    /// The real numbers of the output.
    private let reals: UnsafeMutablePointer<Float>
    /// What becomes real numbers in the end; nil where the last operation makes them.
    private let last: (numbers: UnsafePointer<UInt8>, count: Int, quantization: Quantization)?
    private let pixels: PixelScale

    /// - Parameter optimized: made for the kernels.
    /// - Throws: ``InferenceError`` where scales do not fit each other.
    init(
        _ optimized: consuming BranchGraph, pixels: PixelScale, kernels: IntegerKernels, pool: ThreadPool?,
        sharesAll: Bool
    ) throws(InferenceError) {
        var graph = optimized
        guard let inputQuantization = graph.inputQuantization else {
            throw InferenceError("the branch lacks the scale of its input")
        }
        // The numbers are those of (pixel · scale + offset) / the input's scale.
        let pixels = pixels.divided(by: inputQuantization.scale)
        guard (pixels.scale + pixels.offset).allSatisfy(\.isFinite) else {
            throw InferenceError("the scale of the branch's input, \(inputQuantization.scale), is too small for pixels")
        }
        let plan = BufferPlan(graph, margin: Int(LCP_INTEGER_MARGIN), unit: 64)
        let activations = UnsafeMutableRawPointer.allocateAligned(bytes: plan.count)
        let numbers = activations.assumingMemoryBound(to: UInt8.self)
        let shape = graph.shape(of: graph.output)
        let reals = UnsafeMutablePointer<Float>.allocateAligned(shape.elementCount + 64)
        self.kernels = kernels
        self.activations = activations
        self.reals = reals
        self.inputQuantization = inputQuantization
        inputBuffer = numbers + plan.offsets[0]
        inputCount = graph.input.elementCount
        output = UnsafePointer(reals)
        last = graph.quantization(of: graph.output).map {
            (UnsafePointer(numbers + plan.offsets[graph.output]), shape.elementCount, $0)
        }
        operations = graph.nodes.map(\.description)
        self.pixels = pixels
        do {
            var builder = IntegerStepBuilder(
                kernels: kernels, numbers: numbers, reals: reals, pool: pool, sharesAll: sharesAll)
            steps = try builder.build(&graph, plan)
        } catch {
            activations.deallocate()
            reals.deallocate()
            throw error
        }
        scratch = .allocateAligned(bytes: steps.map(\.scratchBytes).max() ?? 0)
    }

    deinit {
        activations.deallocate()
        scratch.deallocate()
        reals.deallocate()
    }

    var elementSize: Int { pixels.elementSize }

    func load(pixels bytes: UnsafeRawBufferPointer) {
        guard pixels.elementSize == 1 else {
            return withUnsafeTemporaryAllocation(of: Float.self, capacity: inputCount) {
                pixels.scaled(bytes, into: $0.baseAddress!)
                load(normalized: UnsafeRawBufferPointer($0))
            }
        }
        kernels.functions.quantize_bytes(
            bytes.bindMemory(to: UInt8.self).baseAddress, inputBuffer, inputCount, pixels.scale, pixels.offset,
            pixels.scale.count, Int32(inputQuantization.zero))
    }

    func load(normalized: UnsafeRawBufferPointer) {
        kernels.functions.quantize(
            normalized.baseAddress, inputBuffer, inputCount, 1 / inputQuantization.scale, Int32(inputQuantization.zero))
    }

    func run(operation index: Int) throws(InferenceError) {
        steps[index].run(scratch)
        guard index + 1 == steps.count, let last else { return }
        kernels.functions.dequantize(
            last.numbers, reals, last.count, last.quantization.scale, Int32(last.quantization.zero))
    }
}

extension PixelScale {
    /// Both divided by a scale, in single precision.
    func divided(by divisor: Float) -> PixelScale {
        var result = self
        result.scale = scale.map { $0 / divisor }
        result.offset = offset.map { $0 / divisor }
        return result
    }
}
