import CTrainingKernels

final class MaxPoolLayer: TrainingLayer {
    private let kernels: UnsafePointer<lcp_kernels>
    private let input: LayerInput
    private let output: Value
    private let size: Int32
    private let stride: Int32
    private let padding: Int32
    /// Whether the gradient goes through a ReLU in front, too: where the winner is not above 0, neither is the output.
    private let isRelu: Bool
    /// Which place of its window won, for every number of the output.
    private let winners: UnsafeMutablePointer<Int8>
    private let winnersPerBlock: Int

    init(
        kernels: UnsafePointer<lcp_kernels>, input: LayerInput, output: Value, size: Int, stride: Int, padding: Int,
        isRelu: Bool
    ) throws(TrainingError) {
        guard size * size <= 127 else { throw TrainingError("pooling over \(size)×\(size) is too large to train") }
        self.kernels = kernels
        self.input = input
        self.output = output
        (self.size, self.stride, self.padding) = (Int32(size), Int32(stride), Int32(padding))
        self.isRelu = isRelu
        winnersPerBlock = output.values.shape.elementCount * Volume.lanes
        let bytes = output.values.blocks * winnersPerBlock
        winners = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 64)
            .initializeMemory(as: Int8.self, repeating: 0, count: bytes)
    }

    deinit { winners.deallocate() }

    func forward(phase: Int, blocks: Range<Int>, pass: Pass) {
        var (from, to) = (input.value.values.layout, output.values.layout)
        for block in blocks {
            kernels.pointee.max_pool(
                &from, &to, input.value.values.block(block), output.values.block(block),
                winners + block * winnersPerBlock, size, stride, padding)
        }
    }

    func backward(phase: Int, blocks: Range<Int>, pass: Pass) {
        guard let gradient = input.value.gradient, let slope = output.gradient else { return }
        var (from, to, values) = (gradient.layout, slope.layout, output.values.layout)
        for block in blocks {
            kernels.pointee.max_pool_gradient(
                &from, &to, &values, gradient.block(block), slope.block(block), output.values.block(block),
                winners + block * winnersPerBlock, size, stride, padding, input.accumulates ? 1 : 0, isRelu ? 1 : 0)
        }
    }
}

final class AveragePoolLayer: TrainingLayer {
    private let kernels: UnsafePointer<lcp_kernels>
    private let input: LayerInput
    private let output: Value
    private let size: Int32
    private let stride: Int32

    init(kernels: UnsafePointer<lcp_kernels>, input: LayerInput, output: Value, size: Int, stride: Int) {
        self.kernels = kernels
        self.input = input
        self.output = output
        (self.size, self.stride) = (Int32(size), Int32(stride))
    }

    func forward(phase: Int, blocks: Range<Int>, pass: Pass) {
        var (from, to) = (input.value.values.layout, output.values.layout)
        for block in blocks {
            kernels.pointee.average_pool(
                &from, &to, input.value.values.block(block), output.values.block(block), size, stride)
        }
    }

    func backward(phase: Int, blocks: Range<Int>, pass: Pass) {
        guard let gradient = input.value.gradient, let slope = output.gradient else { return }
        input.clearUnlessShared(blocks)
        var (from, to) = (gradient.layout, slope.layout)
        for block in blocks {
            kernels.pointee.average_pool_gradient(&from, &to, gradient.block(block), slope.block(block), size, stride)
        }
    }
}

final class GlobalAveragePoolLayer: TrainingLayer {
    private let kernels: UnsafePointer<lcp_kernels>
    private let input: LayerInput
    private let output: Value

    init(kernels: UnsafePointer<lcp_kernels>, input: LayerInput, output: Value) {
        self.kernels = kernels
        self.input = input
        self.output = output
    }

    func forward(phase: Int, blocks: Range<Int>, pass: Pass) {
        var from = input.value.values.layout
        let to = output.values.layout
        for block in blocks {
            kernels.pointee.global_average(
                &from, input.value.values.block(block), output.values.block(block) + Int(to.origin),
                Int64(to.channel_stride))
        }
    }

    func backward(phase: Int, blocks: Range<Int>, pass: Pass) {
        guard let gradient = input.value.gradient, let slope = output.gradient else { return }
        input.clearUnlessShared(blocks)
        var from = gradient.layout
        for block in blocks {
            kernels.pointee.global_average_gradient(
                &from, gradient.block(block), slope.block(block) + Int(slope.layout.origin),
                Int64(slope.layout.channel_stride))
        }
    }
}
