import CTrainingKernels
import Glibc

/// Batch normalisation with the statistics of the whole batch, in whatever number of blocks it lies.
final class BatchNormalizationLayer: TrainingLayer {
    /// As in PyTorch.
    private static let momentum: Float = 0.1

    private let kernels: UnsafePointer<lcp_kernels>
    private let input: LayerInput
    private let output: Value
    private let parameters: ParameterSlice
    private let epsilon: Float
    private let channels: Int
    private let area: Int
    let runningMean: Buffer
    let runningVariance: Buffer
    /// What each block adds to the sums of a channel, [block][channel][2].
    private let blockSums: UnsafeMutablePointer<Double>
    private let blockSlopes: UnsafeMutablePointer<Double>
    private let blocks: Int
    /// Of this batch, [channels].
    private let mean: Buffer
    private let variance: Buffer
    private let factor: Buffer
    private let offset: Buffer

    init(
        kernels: UnsafePointer<lcp_kernels>, input: LayerInput, output: Value, parameters: ParameterSlice,
        epsilon: Float
    ) {
        self.kernels = kernels
        self.input = input
        self.output = output
        self.parameters = parameters
        self.epsilon = epsilon
        let shape = input.value.values.shape
        channels = shape.channels
        area = shape.height * shape.width
        blocks = input.value.values.blocks
        runningMean = Buffer(channels)
        runningVariance = Buffer(channels)
        for channel in 0..<channels { runningVariance.pointer[channel] = 1 }
        (mean, variance, factor, offset) = (Buffer(channels), Buffer(channels), Buffer(channels), Buffer(channels))
        blockSums = .allocate(capacity: blocks * channels * 2)
        blockSlopes = .allocate(capacity: blocks * channels * 2)
        blockSums.initialize(repeating: 0, count: blocks * channels * 2)
        blockSlopes.initialize(repeating: 0, count: blocks * channels * 2)
    }

    deinit {
        blockSums.deallocate()
        blockSlopes.deallocate()
    }

    func prepare() {
        // For a pass without training; in training the batch's own take their place.
        combine(mean: runningMean, variance: runningVariance)
    }

    private func combine(mean: Buffer, variance: Buffer) {
        for channel in 0..<channels {
            let scale = parameters.weight[channel] / (variance.pointer[channel] + epsilon).squareRoot()
            factor.pointer[channel] = scale
            offset.pointer[channel] = parameters.bias![channel] - mean.pointer[channel] * scale
        }
    }

    var forwardPhases: Int { 3 }

    func forward(phase: Int, blocks: Range<Int>, pass: Pass) {
        let values = input.value.values
        var (from, to) = (values.layout, output.values.layout)
        switch phase {
        case 0:
            guard pass.isTraining else { return }
            for block in blocks {
                let sums = blockSums + block * channels * 2
                sums.update(repeating: 0, count: channels * 2)
                // Sums around the running mean keep their digits where the mean is far from zero.
                kernels.pointee.moments(&from, values.block(block), pass.lanes(of: block), runningMean.pointer, sums)
            }
        case 1:
            guard pass.isTraining, blocks.contains(0) else { return }
            let count = Double(pass.images * area)
            for channel in 0..<channels {
                var (first, second) = (0.0, 0.0)
                for block in 0..<self.blocks {
                    first += blockSums[(block * channels + channel) * 2]
                    second += blockSums[(block * channels + channel) * 2 + 1]
                }
                let distance = first / count
                mean.pointer[channel] = Float(Double(runningMean.pointer[channel]) + distance)
                variance.pointer[channel] = Float(max(0, second / count - distance * distance))
            }
            combine(mean: mean, variance: variance)
        default:
            for block in blocks {
                kernels.pointee.affine(
                    &from, &to, values.block(block), output.values.block(block), factor.pointer, offset.pointer)
            }
        }
    }

    var backwardPhases: Int { 2 }

    func backward(phase: Int, blocks: Range<Int>, pass: Pass) {
        guard let slope = output.gradient else { return }
        let values = input.value.values
        var (from, to) = (values.layout, slope.layout)
        if phase == 0 {
            for block in blocks {
                let sums = blockSlopes + block * channels * 2
                sums.update(repeating: 0, count: channels * 2)
                kernels.pointee.norm_sums(&from, &to, values.block(block), slope.block(block), mean.pointer, sums)
            }
            return
        }
        guard let gradient = input.value.gradient else { return }
        let count = Double(pass.images * area)
        var constants = [[Float]](repeating: [Float](repeating: 0, count: channels), count: 3)
        for channel in 0..<channels {
            let (slopes, products) = slopeSums(channel)
            let inverse = 1 / (Double(variance.pointer[channel]) + Double(epsilon))
            let scale = Double(factor.pointer[channel])
            let own = -scale * inverse * products / count
            constants[0][channel] = Float(scale)
            constants[1][channel] = Float(own)
            constants[2][channel] = Float(-scale * slopes / count - own * Double(mean.pointer[channel]))
        }
        var target = gradient.layout
        for block in blocks {
            kernels.pointee.norm_gradient(
                &from, &to, &target, values.block(block), slope.block(block), gradient.block(block), constants[0],
                constants[1], constants[2], pass.lanes(of: block), input.accumulates ? 1 : 0)
        }
    }

    /// Σ dy and Σ dy · (x − mean) over the batch.
    private func slopeSums(_ channel: Int) -> (Double, Double) {
        var sums = (0.0, 0.0)
        for block in 0..<blocks {
            sums.0 += blockSlopes[(block * channels + channel) * 2]
            sums.1 += blockSlopes[(block * channels + channel) * 2 + 1]
        }
        return sums
    }

    var gradientPieces: Int { 1 }

    func gradient(piece: Int, pass: Pass) {
        for channel in 0..<channels {
            let (slopes, products) = slopeSums(channel)
            parameters.biasGradient?[channel] = Float(slopes)
            let deviation = (Double(variance.pointer[channel]) + Double(epsilon)).squareRoot()
            parameters.weightGradient[channel] = Float(products / deviation)
        }
    }

    func finish(pass: Pass) {
        // The running variance is the one without bias, as in PyTorch.
        let count = Float(pass.images * area)
        for channel in 0..<channels {
            let unbiased = variance.pointer[channel] * (count > 1 ? count / (count - 1) : 1)
            runningMean.pointer[channel] += Self.momentum * (mean.pointer[channel] - runningMean.pointer[channel])
            runningVariance.pointer[channel] += Self.momentum * (unbiased - runningVariance.pointer[channel])
        }
    }
}

/// Local response normalisation across channels.
final class LocalResponseNormalizationLayer: TrainingLayer {
    private let kernels: UnsafePointer<lcp_kernels>
    private let input: LayerInput
    private let output: Value
    private let size: Int32
    private let alpha: Float
    private let beta: Float
    private let k: Float
    /// k + α / size · Σ x² of every number.
    private let scale: Volume

    init(
        kernels: UnsafePointer<lcp_kernels>, input: LayerInput, output: Value, size: Int, alpha: Float, beta: Float,
        k: Float
    ) {
        self.kernels = kernels
        self.input = input
        self.output = output
        (self.size, self.alpha, self.beta, self.k) = (Int32(size), alpha, beta, k)
        scale = Volume(input.value.values.shape, blocks: input.value.values.blocks)
    }

    func forward(phase: Int, blocks: Range<Int>, pass: Pass) {
        var (from, to) = (input.value.values.layout, output.values.layout)
        for block in blocks {
            kernels.pointee.lrn(
                &from, &to, input.value.values.block(block), output.values.block(block), scale.block(block), size,
                alpha, beta, k)
        }
    }

    func backward(phase: Int, blocks: Range<Int>, pass: Pass) {
        guard let gradient = input.value.gradient, let slope = output.gradient else { return }
        var (from, to) = (input.value.values.layout, output.values.layout)
        var (fromGradient, toGradient) = (gradient.layout, slope.layout)
        for block in blocks {
            kernels.pointee.lrn_gradient(
                &from, &to, &fromGradient, &toGradient, input.value.values.block(block), output.values.block(block),
                scale.block(block), gradient.block(block), slope.block(block), size, alpha, beta,
                input.accumulates ? 1 : 0)
        }
    }
}
