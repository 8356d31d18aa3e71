#if Training
import CDNNL
import LCPModels

/// Floats at a fixed place, for C to point into.
final class Buffer {
    let pointer: UnsafeMutablePointer<Float>
    let count: Int

    init(_ count: Int) {
        self.count = count
        pointer = .allocate(capacity: max(1, count))
        pointer.initialize(repeating: 0, count: max(1, count))
    }

    deinit { pointer.deallocate() }
}

/// One layer for a batch of fixed size, NCHW.
protocol TrainingLayer: AnyObject {
    /// The layer's result, filled by `forward`.
    var output: Buffer { get }
    /// Where the next layer leaves the gradient of ``output``.
    var outputGradient: Buffer { get }
    func forward() throws(TrainingError)
    /// Turns the gradient of the output into that of the parameters and, where the input has one, of the input.
    func backward() throws(TrainingError)
}

/// What a layer reads, and where it leaves the gradient; nil for the images, which need none.
struct LayerInput {
    var values: Buffer
    var gradient: Buffer?
}

/// Where a layer's weights and their gradients lie in the model's one long vector.
struct ParameterSlice {
    var weight: UnsafeMutablePointer<Float>
    var bias: UnsafeMutablePointer<Float>
    var weightGradient: UnsafeMutablePointer<Float>
    var biasGradient: UnsafeMutablePointer<Float>
}

final class ConvolutionLayer: TrainingLayer {
    let output: Buffer
    let outputGradient: Buffer
    private let dnn: OneDNN
    private var forwardPrimitive: dnnl_primitive_t?
    private var dataPrimitive: dnnl_primitive_t?
    private var weightsPrimitive: dnnl_primitive_t?
    private var memories: [dnnl_memory_t] = []
    private var forwardArguments: [dnnl_exec_arg_t] = []
    private var dataArguments: [dnnl_exec_arg_t] = []
    private var weightsArguments: [dnnl_exec_arg_t] = []
    // Kept for the pointers into them.
    private let input: LayerInput

    init(
        dnn: OneDNN, input: LayerInput, batch: Int, from: FeatureMapShape, to: FeatureMapShape, kernel: Int,
        stride: Int,
        padding: Int, parameters: ParameterSlice
    ) throws(TrainingError) {
        self.dnn = dnn
        self.input = input
        output = Buffer(batch * to.elementCount)
        outputGradient = Buffer(batch * to.elementCount)
        let source = [batch, from.channels, from.height, from.width]
        let weights = [to.channels, from.channels, kernel, kernel]
        let destination = [batch, to.channels, to.height, to.width]
        // oneDNN pads as asked at the end, too; where the stride leaves a rest, less padding there gives the same windows.
        let strides = [Int64(stride), Int64(stride)], pads = [Int64(padding), Int64(padding)]
        func create(_ data: UnsafeMutablePointer<dnnl_primitive_t?>?) -> dnnl_status_t {
            lcp_dnnl_convolution(
                &forwardPrimitive, data, &weightsPrimitive, dnn.engine, source.map(Int64.init), weights.map(Int64.init),
                [Int64(to.channels)], destination.map(Int64.init), strides, pads)
        }
        let status = input.gradient == nil ? create(nil) : withUnsafeMutablePointer(to: &dataPrimitive) { create($0) }
        try check(status, "preparing a convolution of \(from) to \(to)")

        func view(_ dimensions: [Int], _ tag: dnnl_format_tag_t, _ data: UnsafeMutablePointer<Float>)
            throws(TrainingError) -> dnnl_memory_t
        {
            let memory = try dnn.memory(dimensions, tag, data)
            memories.append(memory)
            return memory
        }
        let sourceView = try view(source, dnnl_nchw, input.values.pointer)
        let weightView = try view(weights, dnnl_oihw, parameters.weight)
        let biasView = try view([to.channels], dnnl_a, parameters.bias)
        let outputView = try view(destination, dnnl_nchw, output.pointer)
        let gradientView = try view(destination, dnnl_nchw, outputGradient.pointer)
        forwardArguments = [
            .init(arg: DNNL_ARG_SRC, memory: sourceView), .init(arg: DNNL_ARG_WEIGHTS, memory: weightView),
            .init(arg: DNNL_ARG_BIAS, memory: biasView), .init(arg: DNNL_ARG_DST, memory: outputView),
        ]
        weightsArguments = [
            .init(arg: DNNL_ARG_SRC, memory: sourceView), .init(arg: DNNL_ARG_DIFF_DST, memory: gradientView),
            .init(arg: DNNL_ARG_DIFF_WEIGHTS, memory: try view(weights, dnnl_oihw, parameters.weightGradient)),
            .init(arg: DNNL_ARG_DIFF_BIAS, memory: try view([to.channels], dnnl_a, parameters.biasGradient)),
        ]
        if let gradient = input.gradient {
            dataArguments = [
                .init(arg: DNNL_ARG_DIFF_DST, memory: gradientView), .init(arg: DNNL_ARG_WEIGHTS, memory: weightView),
                .init(arg: DNNL_ARG_DIFF_SRC, memory: try view(source, dnnl_nchw, gradient.pointer)),
            ]
        }
    }

    deinit {
        for primitive in [forwardPrimitive, dataPrimitive, weightsPrimitive] {
            if let primitive { dnnl_primitive_destroy(primitive) }
        }
        for memory in memories { dnnl_memory_destroy(memory) }
    }

    func forward() throws(TrainingError) {
        guard let forwardPrimitive else { return }
        try dnn.execute(forwardPrimitive, forwardArguments, "a convolution")
    }

    func backward() throws(TrainingError) {
        guard let weightsPrimitive else { return }
        try dnn.execute(weightsPrimitive, weightsArguments, "a convolution's gradient")
        if let dataPrimitive { try dnn.execute(dataPrimitive, dataArguments, "a convolution's gradient") }
    }
}

/// Y = X·Wᵀ + b.
final class FullyConnectedLayer: TrainingLayer {
    let output: Buffer
    let outputGradient: Buffer
    private let input: LayerInput
    private let parameters: ParameterSlice
    private let batch: Int
    private let inputs: Int
    private let outputs: Int

    init(input: LayerInput, batch: Int, inputs: Int, outputs: Int, parameters: ParameterSlice) {
        self.input = input
        self.batch = batch
        self.inputs = inputs
        self.outputs = outputs
        self.parameters = parameters
        output = Buffer(batch * outputs)
        outputGradient = Buffer(batch * outputs)
    }

    func forward() throws(TrainingError) {
        for row in 0..<batch { (output.pointer + row * outputs).update(from: parameters.bias, count: outputs) }
        try multiply(
            input.values.pointer, parameters.weight, transposeB: true, into: output.pointer, rows: batch,
            columns: outputs,
            inner: inputs, accumulate: true)
    }

    func backward() throws(TrainingError) {
        try multiply(
            outputGradient.pointer, transposeA: true, input.values.pointer, into: parameters.weightGradient,
            rows: outputs,
            columns: inputs, inner: batch)
        parameters.biasGradient.update(repeating: 0, count: outputs)
        for row in 0..<batch {
            for column in 0..<outputs {
                parameters.biasGradient[column] += outputGradient.pointer[row * outputs + column]
            }
        }
        if let gradient = input.gradient {
            try multiply(
                outputGradient.pointer, parameters.weight, into: gradient.pointer, rows: batch, columns: inputs,
                inner: outputs)
        }
    }
}

final class ReLULayer: TrainingLayer {
    let output: Buffer
    let outputGradient: Buffer
    private let input: LayerInput

    init(input: LayerInput) {
        self.input = input
        output = Buffer(input.values.count)
        outputGradient = Buffer(input.values.count)
    }

    func forward() {
        let (from, to) = (input.values.pointer, output.pointer)
        for index in 0..<output.count { to[index] = max(0, from[index]) }
    }

    func backward() {
        guard let gradient = input.gradient?.pointer else { return }
        let (values, from) = (input.values.pointer, outputGradient.pointer)
        for index in 0..<output.count { gradient[index] = values[index] > 0 ? from[index] : 0 }
    }
}

final class MaxPoolLayer: TrainingLayer {
    let output: Buffer
    let outputGradient: Buffer
    private let input: LayerInput
    private let planes: Int
    private let from: FeatureMapShape
    private let to: FeatureMapShape
    private let size: Int
    private let stride: Int
    /// Which element of a plane won each window.
    private var winners: [Int32]

    init(input: LayerInput, batch: Int, from: FeatureMapShape, to: FeatureMapShape, size: Int, stride: Int) {
        self.input = input
        self.from = from
        self.to = to
        self.size = size
        self.stride = stride
        planes = batch * from.channels
        output = Buffer(batch * to.elementCount)
        outputGradient = Buffer(batch * to.elementCount)
        winners = [Int32](repeating: 0, count: batch * to.elementCount)
    }

    func forward() {
        winners.withUnsafeMutableBufferPointer { winners in
            for plane in 0..<planes {
                let source = input.values.pointer + plane * from.height * from.width
                var index = plane * to.height * to.width
                for row in 0..<to.height {
                    for column in 0..<to.width {
                        var best = row * stride * from.width + column * stride
                        var value = source[best]
                        for y in 0..<size {
                            let start = (row * stride + y) * from.width + column * stride
                            for x in start..<start + size where source[x] > value {
                                value = source[x]
                                best = x
                            }
                        }
                        output.pointer[index] = value
                        winners[index] = Int32(best)
                        index += 1
                    }
                }
            }
        }
    }

    func backward() {
        guard let gradient = input.gradient else { return }
        gradient.pointer.update(repeating: 0, count: gradient.count)
        let area = to.height * to.width
        for plane in 0..<planes {
            let target = gradient.pointer + plane * from.height * from.width
            for index in plane * area..<(plane + 1) * area {
                target[Int(winners[index])] += outputGradient.pointer[index]
            }
        }
    }
}
#endif
