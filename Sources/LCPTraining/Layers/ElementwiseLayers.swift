import CTrainingKernels

/// ReLU and ReLU6: min(max(0, x), limit), in the place of its input where nobody else needs that.
final class ClampLayer: TrainingLayer {
    private let kernels: UnsafePointer<lcp_kernels>
    private let input: LayerInput
    private let output: Value
    private let limit: Float
    /// Whether the layer in front has clamped its output already.
    private let isFused: Bool
    /// Whether the layer behind takes the gradient through this one, too.
    private let isPassed: Bool

    init(
        kernels: UnsafePointer<lcp_kernels>, input: LayerInput, output: Value, limit: Float, isFused: Bool,
        isPassed: Bool
    ) {
        self.kernels = kernels
        self.input = input
        self.output = output
        self.limit = limit
        self.isFused = isFused
        self.isPassed = isPassed
    }

    private var isInPlace: Bool { input.value.values === output.values }

    func forward(phase: Int, blocks: Range<Int>, pass: Pass) {
        guard !isFused else { return }
        var (from, to) = (input.value.values.layout, output.values.layout)
        for block in blocks {
            if !isInPlace {
                kernels.pointee.copy(
                    &from, &to, input.value.values.block(block), output.values.block(block), from.channels, 0)
            }
            kernels.pointee.clamp(&to, output.values.block(block), limit)
        }
    }

    func backward(phase: Int, blocks: Range<Int>, pass: Pass) {
        guard !isPassed, let slope = output.gradient else { return }
        var (values, slopes) = (output.values.layout, slope.layout)
        for block in blocks {
            kernels.pointee.clamp_gradient(
                &values, &slopes, output.values.block(block), slope.block(block), limit)
        }
        if !isInPlace { passGradient(kernels, slope, to: input, blocks) }
    }
}

/// Dropout, in the place of its input where nobody else needs that.
final class DropoutLayer: TrainingLayer {
    private let kernels: UnsafePointer<lcp_kernels>
    private let input: LayerInput
    private let output: Value
    private let rate: Float
    /// Tells this layer's random numbers from the other layers'.
    private let number: UInt64

    init(kernels: UnsafePointer<lcp_kernels>, input: LayerInput, output: Value, rate: Float, number: Int) {
        self.kernels = kernels
        self.input = input
        self.output = output
        self.rate = rate
        self.number = UInt64(number)
    }

    private var isInPlace: Bool { input.value.values === output.values }

    private func seed(_ pass: Pass, _ block: Int) -> UInt32 {
        var mixed = pass.seed &+ (number << 32 | UInt64(block)) &* 0x9E37_79B9_7F4A_7C15
        mixed = (mixed ^ (mixed >> 31)) &* 0xBF58_476D_1CE4_E5B9
        return UInt32(truncatingIfNeeded: mixed >> 29)
    }

    func forward(phase: Int, blocks: Range<Int>, pass: Pass) {
        var (from, to) = (input.value.values.layout, output.values.layout)
        for block in blocks {
            if !isInPlace {
                kernels.pointee.copy(
                    &from, &to, input.value.values.block(block), output.values.block(block), from.channels, 0)
            }
            if pass.isTraining { kernels.pointee.dropout(&to, output.values.block(block), seed(pass, block), rate) }
        }
    }

    func backward(phase: Int, blocks: Range<Int>, pass: Pass) {
        guard let slope = output.gradient else { return }
        var slopes = slope.layout
        for block in blocks { kernels.pointee.dropout(&slopes, slope.block(block), seed(pass, block), rate) }
        if !isInPlace { passGradient(kernels, slope, to: input, blocks) }
    }
}

/// The sum of two values, or of the channels of several one after the other.
final class JoinLayer: TrainingLayer {
    private let kernels: UnsafePointer<lcp_kernels>
    private let inputs: [LayerInput]
    private let output: Value
    private let concatenates: Bool

    init(kernels: UnsafePointer<lcp_kernels>, inputs: [LayerInput], output: Value, concatenates: Bool) {
        self.kernels = kernels
        self.inputs = inputs
        self.output = output
        self.concatenates = concatenates
    }

    func forward(phase: Int, blocks: Range<Int>, pass: Pass) {
        var to = output.values.layout
        var channel = 0
        for (index, input) in inputs.enumerated() {
            var from = input.value.values.layout
            for block in blocks {
                kernels.pointee.copy(
                    &from, &to, input.value.values.block(block),
                    output.values.block(block) + channel * Int(to.channel_stride), from.channels,
                    concatenates || index == 0 ? 0 : 1)
            }
            if concatenates { channel += Int(from.channels) }
        }
    }

    func backward(phase: Int, blocks: Range<Int>, pass: Pass) {
        guard let slope = output.gradient else { return }
        var channel = 0
        for input in inputs {
            passGradient(kernels, slope, to: input, blocks, fromChannel: channel)
            if concatenates { channel += input.value.values.shape.channels }
        }
    }
}

/// Every image times a factor of its own: which branches are there for which image.
final class MaskLayer: TrainingLayer {
    private let kernels: UnsafePointer<lcp_kernels>
    private let input: LayerInput
    private let output: Value
    /// [block][image of the block].
    let factors: Buffer

    init(kernels: UnsafePointer<lcp_kernels>, input: LayerInput, output: Value) {
        self.kernels = kernels
        self.input = input
        self.output = output
        factors = Buffer(input.value.values.blocks * Volume.lanes)
        factors.pointer.update(repeating: 1, count: factors.count)
    }

    func forward(phase: Int, blocks: Range<Int>, pass: Pass) {
        var (from, to) = (input.value.values.layout, output.values.layout)
        for block in blocks {
            kernels.pointee.scale_images(
                &from, &to, input.value.values.block(block), output.values.block(block),
                factors.pointer + block * Volume.lanes, 0)
        }
    }

    func backward(phase: Int, blocks: Range<Int>, pass: Pass) {
        guard let slope = output.gradient, let gradient = input.value.gradient else { return }
        var (from, to) = (slope.layout, gradient.layout)
        for block in blocks {
            kernels.pointee.scale_images(
                &from, &to, slope.block(block), gradient.block(block), factors.pointer + block * Volume.lanes,
                input.accumulates ? 1 : 0)
        }
    }
}

final class SoftmaxLayer: TrainingLayer {
    private let kernels: UnsafePointer<lcp_kernels>
    private let input: LayerInput
    private let output: Value

    init(kernels: UnsafePointer<lcp_kernels>, input: LayerInput, output: Value) {
        self.kernels = kernels
        self.input = input
        self.output = output
    }

    func forward(phase: Int, blocks: Range<Int>, pass: Pass) {
        var (from, to) = (input.value.values.layout, output.values.layout)
        for block in blocks {
            kernels.pointee.softmax(&from, &to, input.value.values.block(block), output.values.block(block))
        }
    }

    func backward(phase: Int, blocks: Range<Int>, pass: Pass) {
        guard let gradient = input.value.gradient, let slope = output.gradient else { return }
        input.clearUnlessShared(blocks)
        var (values, slopes, target) = (output.values.layout, slope.layout, gradient.layout)
        for block in blocks {
            kernels.pointee.softmax_gradient(
                &values, &slopes, &target, output.values.block(block), slope.block(block), gradient.block(block))
        }
    }
}

/// Adds a gradient, or some of its channels, to what the others that read the input have left.
private func passGradient(
    _ kernels: UnsafePointer<lcp_kernels>, _ slope: Volume, to input: LayerInput, _ blocks: Range<Int>,
    fromChannel channel: Int = 0
) {
    guard let gradient = input.value.gradient else { return }
    var (from, to) = (slope.layout, gradient.layout)
    for block in blocks {
        kernels.pointee.copy(
            &from, &to, slope.block(block) + channel * Int(from.channel_stride), gradient.block(block), to.channels,
            input.accumulates ? 1 : 0)
    }
}
