import CTrainingKernels

/// Y = W·X + b, over the CHW-flattened input; also a convolution whose kernel is as large as its input.
final class FullyConnectedLayer: TrainingLayer {
    private let kernels: UnsafePointer<lcp_kernels>
    private let input: LayerInput
    private let output: Value
    private let parameters: ParameterSlice
    private let inputs: Int
    private let outputs: Int
    /// From row to row of W: more than `inputs` where the layer has some columns of a larger W.
    private let row: Int
    private let accumulatesOutput: Bool
    private let isRelu: Bool
    /// The input without its halo, where it has one, and its gradient.
    private let compact: Volume?
    private let compactGradient: Volume?
    /// [image][inputs rounded up to 16], for the gradient of the weights.
    private let transposed: Buffer?

    private static let piece = 16

    /// - Parameter accumulatesOutput: whether another layer has written its share of the output already.
    init(
        kernels: UnsafePointer<lcp_kernels>, input: LayerInput, output: Value, parameters: ParameterSlice, row: Int,
        accumulatesOutput: Bool = false, isRelu: Bool = false
    ) throws(TrainingError) {
        guard output.values.isCompact else {
            throw TrainingError("a convolution with padding cannot be trained right behind a fully connected layer")
        }
        self.kernels = kernels
        self.input = input
        self.output = output
        self.parameters = parameters
        self.row = row
        self.accumulatesOutput = accumulatesOutput
        self.isRelu = isRelu
        let values = input.value.values
        inputs = values.shape.elementCount
        outputs = output.values.shape.elementCount
        compact = values.isCompact ? nil : Volume(values.shape, blocks: values.blocks)
        compactGradient =
            input.value.gradient?.isCompact ?? true ? nil : Volume(values.shape, blocks: values.blocks)
        transposed =
            output.gradient == nil ? nil : Buffer(values.blocks * Volume.lanes * ((inputs + 15) / 16 * 16))
    }

    func forward(phase: Int, blocks: Range<Int>, pass: Pass) {
        guard !blocks.isEmpty else { return }
        let values = input.value.values
        if let compact {
            var (from, to) = (values.layout, compact.layout)
            for block in blocks {
                kernels.pointee.copy(&from, &to, values.block(block), compact.block(block), from.channels, 0)
            }
        }
        let source = compact ?? values
        kernels.pointee.fc_forward(
            source.block(blocks.lowerBound), source.layout.block_stride, parameters.weight, Int64(row), parameters.bias,
            output.values.block(blocks.lowerBound), output.values.layout.block_stride, Int32(blocks.count),
            Int32(inputs), Int32(outputs), accumulatesOutput ? 1 : 0, isRelu ? 1 : 0)
    }

    func backward(phase: Int, blocks: Range<Int>, pass: Pass) {
        guard !blocks.isEmpty, let slope = output.gradient, let transposed else { return }
        let source = compact ?? input.value.values
        let width = (inputs + 15) / 16 * 16
        kernels.pointee.transpose(
            source.block(blocks.lowerBound), source.layout.block_stride, Int32(blocks.count), Int32(inputs),
            transposed.pointer + blocks.lowerBound * Volume.lanes * width)
        guard let gradient = input.value.gradient else { return }
        let target = compactGradient ?? gradient
        kernels.pointee.fc_input_gradient(
            slope.block(blocks.lowerBound), slope.layout.block_stride, parameters.weight, Int64(row),
            target.block(blocks.lowerBound), target.layout.block_stride, Int32(blocks.count), Int32(inputs),
            Int32(outputs), input.accumulates && compactGradient == nil ? 1 : 0)
        if let compactGradient {
            var (from, to) = (compactGradient.layout, gradient.layout)
            for block in blocks {
                kernels.pointee.copy(
                    &from, &to, compactGradient.block(block), gradient.block(block), from.channels,
                    input.accumulates ? 1 : 0)
            }
        }
    }

    /// One for every few rows of W, and one for the bias.
    var gradientPieces: Int {
        (outputs + Self.piece - 1) / Self.piece + (parameters.biasGradient == nil ? 0 : 1)
    }

    func gradient(piece: Int, pass: Pass) {
        guard let slope = output.gradient, let transposed else { return }
        let first = piece * Self.piece
        guard first < outputs else {
            if let bias = parameters.biasGradient {
                var layout = slope.layout
                kernels.pointee.bias_gradient(&layout, slope.pointer, Int32(slope.blocks), 0, Int32(outputs), bias)
            }
            return
        }
        kernels.pointee.fc_weight_gradient(
            transposed.pointer, slope.pointer, slope.layout.block_stride, Int32(slope.blocks), Int32(inputs),
            Int32(first), Int32(min(Self.piece, outputs - first)), parameters.weightGradient, Int64(row))
    }
}
