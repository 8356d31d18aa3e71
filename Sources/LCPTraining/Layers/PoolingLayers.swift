import CTrainingKernels
import LCPModels

final class MaxPoolLayer: TrainingLayer {
    private let kernels: UnsafePointer<lcp_kernels>
    private let input: LayerInput
    private let output: Value
    private let pool: lcp_pool
    /// Whether the gradient goes through a ReLU in front, too: where the winner is not above 0, neither is the output.
    private let isRelu: Bool
    /// Which place of its window won, for every number of the output.
    private let winners: UnsafeMutablePointer<Int8>
    private let winnersPerBlock: Int

    init(
        kernels: UnsafePointer<lcp_kernels>, input: LayerInput, output: Value, window: Window, isRelu: Bool
    ) throws(TrainingError) {
        guard window.taps <= 127 else {
            throw TrainingError("pooling over \(window.height)×\(window.width) is too large to train")
        }
        self.kernels = kernels
        self.input = input
        self.output = output
        pool = lcp_pool(window, from: input.value.values.shape, to: output.values.shape)
        self.isRelu = isRelu
        winnersPerBlock = output.values.shape.elementCount * Volume.lanes
        let bytes = output.values.blocks * winnersPerBlock
        winners = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 64)
            .initializeMemory(as: Int8.self, repeating: 0, count: bytes)
    }

    deinit { winners.deallocate() }

    func forward(phase: Int, blocks: Range<Int>, pass: Pass) {
        var (from, to, pool) = (input.value.values.layout, output.values.layout, pool)
        for block in blocks {
            kernels.pointee.max_pool(
                &from, &to, input.value.values.block(block), output.values.block(block),
                winners + block * winnersPerBlock, &pool)
        }
    }

    func backward(phase: Int, blocks: Range<Int>, pass: Pass) {
        guard let gradient = input.value.gradient, let slope = output.gradient else { return }
        var (from, to, values, pool) = (gradient.layout, slope.layout, output.values.layout, pool)
        for block in blocks {
            kernels.pointee.max_pool_gradient(
                &from, &to, &values, gradient.block(block), slope.block(block), output.values.block(block),
                winners + block * winnersPerBlock, &pool, input.accumulates ? 1 : 0, isRelu ? 1 : 0)
        }
    }
}

final class AveragePoolLayer: TrainingLayer {
    private let kernels: UnsafePointer<lcp_kernels>
    private let input: LayerInput
    private let output: Value
    private let pool: lcp_pool

    init(
        kernels: UnsafePointer<lcp_kernels>, input: LayerInput, output: Value, window: Window, countsPadding: Bool
    ) {
        self.kernels = kernels
        self.input = input
        self.output = output
        pool = lcp_pool(
            window, from: input.value.values.shape, to: output.values.shape, countsPadding: countsPadding)
    }

    func forward(phase: Int, blocks: Range<Int>, pass: Pass) {
        var (from, to, pool) = (input.value.values.layout, output.values.layout, pool)
        for block in blocks {
            kernels.pointee.average_pool(
                &from, &to, input.value.values.block(block), output.values.block(block), &pool)
        }
    }

    func backward(phase: Int, blocks: Range<Int>, pass: Pass) {
        guard let gradient = input.value.gradient, let slope = output.gradient else { return }
        input.clearUnlessShared(blocks)
        var (from, to, pool) = (gradient.layout, slope.layout, pool)
        for block in blocks {
            kernels.pointee.average_pool_gradient(&from, &to, gradient.block(block), slope.block(block), &pool)
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

extension lcp_pool {
    fileprivate init(
        _ window: Window, from: FeatureMapShape, to: FeatureMapShape, countsPadding: Bool = false
    ) {
        let bottom = (to.height - 1) * window.strideDown + window.reach.down - window.top
        let right = (to.width - 1) * window.strideAcross + window.reach.across - window.left
        let isInside = window.top == 0 && window.left == 0 && bottom <= from.height && right <= from.width
        self.init(
            height: Int32(window.height), width: Int32(window.width), stride_down: Int32(window.strideDown),
            stride_across: Int32(window.strideAcross), top: Int32(window.top), left: Int32(window.left),
            dilation_down: Int32(window.dilationDown), dilation_across: Int32(window.dilationAcross),
            counts_padding: countsPadding && window.hasPadding ? 1 : 0, is_inside: isInside ? 1 : 0)
    }
}
