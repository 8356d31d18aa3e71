import CTrainingKernels
import LCPModels

/// A function of every number by itself, whose slope is found from what came in.
final class ActivationLayer: TrainingLayer {
    private let kernels: UnsafePointer<lcp_kernels>
    private let input: LayerInput
    private let output: Value
    private let function: lcp_activation
    private let constants: (Float, Float)

    init(kernels: UnsafePointer<lcp_kernels>, input: LayerInput, output: Value, function: Activation) {
        self.kernels = kernels
        self.input = input
        self.output = output
        self.function = lcp_activation(function.kernelNumber)
        constants = function.constants
    }

    func forward(phase: Int, blocks: Range<Int>, pass: Pass) {
        var (from, to) = (input.value.values.layout, output.values.layout)
        for block in blocks {
            kernels.pointee.activate(
                &from, &to, input.value.values.block(block), output.values.block(block), function, constants.0,
                constants.1)
        }
    }

    func backward(phase: Int, blocks: Range<Int>, pass: Pass) {
        guard let slope = output.gradient, let gradient = input.value.gradient else { return }
        var (from, slopes, to) = (input.value.values.layout, slope.layout, gradient.layout)
        for block in blocks {
            kernels.pointee.activation_gradient(
                &from, &slopes, &to, input.value.values.block(block), slope.block(block), gradient.block(block),
                function, constants.0, constants.1, input.accumulates ? 1 : 0)
        }
    }
}

/// A ReLU with a slope for every channel below 0 that is learned.
final class PReLULayer: TrainingLayer {
    private let kernels: UnsafePointer<lcp_kernels>
    private let input: LayerInput
    private let output: Value
    private let parameters: ParameterSlice

    init(kernels: UnsafePointer<lcp_kernels>, input: LayerInput, output: Value, parameters: ParameterSlice) {
        self.kernels = kernels
        self.input = input
        self.output = output
        self.parameters = parameters
    }

    func forward(phase: Int, blocks: Range<Int>, pass: Pass) {
        var (from, to) = (input.value.values.layout, output.values.layout)
        for block in blocks {
            kernels.pointee.prelu(
                &from, &to, input.value.values.block(block), output.values.block(block), parameters.weight)
        }
    }

    func backward(phase: Int, blocks: Range<Int>, pass: Pass) {
        guard let slope = output.gradient, let gradient = input.value.gradient else { return }
        var (from, slopes, to) = (input.value.values.layout, slope.layout, gradient.layout)
        for block in blocks {
            kernels.pointee.prelu_gradient(
                &from, &slopes, &to, input.value.values.block(block), slope.block(block), gradient.block(block),
                parameters.weight, input.accumulates ? 1 : 0)
        }
    }

    var gradientPieces: Int { output.gradient == nil ? 0 : input.value.values.shape.channels }

    func gradient(piece: Int, pass: Pass) {
        guard let slope = output.gradient else { return }
        let values = input.value.values
        var (from, slopes) = (values.layout, slope.layout)
        parameters.weightGradient[piece] = kernels.pointee.prelu_slope_gradient(
            &from, &slopes, values.pointer, slope.pointer, Int32(values.blocks), Int32(piece))
    }
}

/// The product of two values, or of one and a factor for each of its channels.
final class ProductLayer: TrainingLayer {
    private let kernels: UnsafePointer<lcp_kernels>
    /// The larger one.
    private let input: LayerInput
    private let factor: LayerInput
    private let output: Value

    init(kernels: UnsafePointer<lcp_kernels>, inputs: (LayerInput, LayerInput), output: Value) {
        self.kernels = kernels
        self.output = output
        let isTurned = inputs.1.value.values.shape.elementCount > inputs.0.value.values.shape.elementCount
        (input, factor) = isTurned ? (inputs.1, inputs.0) : inputs
    }

    func forward(phase: Int, blocks: Range<Int>, pass: Pass) {
        let (values, factors) = (input.value.values, factor.value.values)
        var (from, by, to) = (values.layout, factors.layout, output.values.layout)
        for block in blocks {
            kernels.pointee.multiply(
                &from, &by, &to, values.block(block), factors.block(block), output.values.block(block), 0)
        }
    }

    func backward(phase: Int, blocks: Range<Int>, pass: Pass) {
        guard let slope = output.gradient else { return }
        let (values, factors) = (input.value.values, factor.value.values)
        let isForChannels = factors.shape != values.shape
        var (from, by, slopes) = (values.layout, factors.layout, slope.layout)
        for block in blocks {
            if let gradient = input.value.gradient {
                var to = gradient.layout
                kernels.pointee.multiply(
                    &slopes, &by, &to, slope.block(block), factors.block(block), gradient.block(block),
                    input.accumulates ? 1 : 0)
            }
            if let gradient = factor.value.gradient {
                var to = gradient.layout
                let product = isForChannels ? kernels.pointee.multiply_sum : kernels.pointee.multiply
                _ = product?(
                    &from, &slopes, &to, values.block(block), slope.block(block), gradient.block(block),
                    factor.accumulates ? 1 : 0)
            }
        }
    }
}

/// A normalisation over the channels of every pixel.
final class ChannelNormalizationLayer: TrainingLayer {
    private let kernels: UnsafePointer<lcp_kernels>
    private let input: LayerInput
    private let output: Value
    private let parameters: ParameterSlice
    private let epsilon: Float

    init(
        kernels: UnsafePointer<lcp_kernels>, input: LayerInput, output: Value, parameters: ParameterSlice,
        epsilon: Float
    ) {
        self.kernels = kernels
        self.input = input
        self.output = output
        self.parameters = parameters
        self.epsilon = epsilon
    }

    func forward(phase: Int, blocks: Range<Int>, pass: Pass) {
        var (from, to) = (input.value.values.layout, output.values.layout)
        for block in blocks {
            kernels.pointee.normalize_channels(
                &from, &to, input.value.values.block(block), output.values.block(block), parameters.weight,
                parameters.bias, epsilon)
        }
    }

    func backward(phase: Int, blocks: Range<Int>, pass: Pass) {
        guard let slope = output.gradient, let gradient = input.value.gradient else { return }
        var (from, slopes, to) = (input.value.values.layout, slope.layout, gradient.layout)
        for block in blocks {
            kernels.pointee.normalize_channels_gradient(
                &from, &slopes, &to, input.value.values.block(block), slope.block(block), gradient.block(block),
                parameters.weight, epsilon, input.accumulates ? 1 : 0)
        }
    }

    var gradientPieces: Int { output.gradient == nil ? 0 : 1 }

    func gradient(piece: Int, pass: Pass) {
        guard let slope = output.gradient else { return }
        let values = input.value.values
        var (from, slopes) = (values.layout, slope.layout)
        // Sixteen images side by side, for every channel.
        let sums = Buffer(2 * values.shape.channels * Volume.lanes)
        kernels.pointee.normalize_channels_sums(
            &from, &slopes, values.pointer, slope.pointer, Int32(values.blocks), epsilon, sums.pointer,
            parameters.weightGradient, parameters.biasGradient)
    }
}

/// Some channels of a value, or all in another order.
final class PickLayer: TrainingLayer {
    private let kernels: UnsafePointer<lcp_kernels>
    private let input: LayerInput
    private let output: Value
    private let channels: [Int]

    init(kernels: UnsafePointer<lcp_kernels>, input: LayerInput, output: Value, channels: [Int]) {
        self.kernels = kernels
        self.input = input
        self.output = output
        self.channels = channels
    }

    func forward(phase: Int, blocks: Range<Int>, pass: Pass) {
        var (from, to) = (input.value.values.layout, output.values.layout)
        for block in blocks {
            let (source, target) = (input.value.values.block(block), output.values.block(block))
            for (place, channel) in channels.enumerated() {
                kernels.pointee.copy(
                    &from, &to, source + channel * Int(from.channel_stride), target + place * Int(to.channel_stride), 1,
                    0)
            }
        }
    }

    func backward(phase: Int, blocks: Range<Int>, pass: Pass) {
        guard let slope = output.gradient, let gradient = input.value.gradient else { return }
        input.clearUnlessShared(blocks)
        var (from, to) = (slope.layout, gradient.layout)
        for block in blocks {
            let (source, target) = (slope.block(block), gradient.block(block))
            for (place, channel) in channels.enumerated() {
                kernels.pointee.copy(
                    &from, &to, source + place * Int(from.channel_stride), target + channel * Int(to.channel_stride), 1,
                    1)
            }
        }
    }
}
