import CXNNPACK
import LCPModels

/// A convolution with its weights (OIHW), and the lower bound that a ReLU behind it sets.
struct Convolution {
    let from: FeatureMapShape
    let to: FeatureMapShape
    let kernel: Int
    let stride: Int
    let padding: Int
    let values: LayerParameters
    let minimum: Float

    /// Whether the convolution is cheaper with whole rows as channels, see ``GraphBuilder/addByRows(_:pooling:)``.
    ///
    /// XNNPACK computes 16 output channels at a time and follows a pointer for every pixel and every tap. With the few channels
    /// of a narrow branch most of that is wasted; a row of pixels fills the lanes, at the price of multiplying by the zeros
    /// between the taps. The costs are in units of 16 multiplications; a pointer is worth about two of them.
    var isFasterByRows: Bool {
        func lanes(_ channels: Int) -> Int { (channels + 15) / 16 }
        let taps = kernel * kernel
        let byPixels = to.height * to.width * taps * (from.channels * lanes(to.channels) + 2)
        let byRows = to.height * kernel * (from.width * from.channels * lanes(to.width * to.channels) + 2)
        let weights = kernel * from.width * from.channels * to.width * to.channels
        return byRows < byPixels && weights <= 1 << 16
    }
}

/// Adds layers to an XNNPACK subgraph one after the other. Activations lie as HWC all the way.
final class GraphBuilder {
    private let graph: xnn_subgraph_t
    private let constants: ConstantPool
    /// The tensor that the next layer reads; nil before the first.
    private var current: UInt32?
    private var shape: FeatureMapShape
    /// The dimensions that the tensor is declared with; they may show the same numbers another way.
    private var view: [Int]
    /// What the layer that was asked for last adds, once it is known whether it is the last of all.
    private var pending: ((UInt32) -> xnn_status)?
    private var pendingView: [Int] = []
    private var pendingAction = ""

    init(graph: xnn_subgraph_t, constants: ConstantPool, input: FeatureMapShape) {
        self.graph = graph
        self.constants = constants
        shape = input
        view = [1, input.height, input.width, input.channels]
    }

    func add(_ convolution: Convolution) throws(InferenceError) {
        let (from, to) = (convolution.from, convolution.to)
        let input = try read(as: [1, from.height, from.width, from.channels])
        let (kernel, area) = (convolution.kernel, convolution.kernel * convolution.kernel)
        // PyTorch's OIHW to XNNPACK's OHWI.
        var weights = [Float](repeating: 0, count: convolution.values.weight.count)
        for output in 0..<to.channels {
            for input in 0..<from.channels {
                for position in 0..<area {
                    weights[(output * area + position) * from.channels + input] =
                        convolution.values.weight[(output * from.channels + input) * area + position]
                }
            }
        }
        let filter = try define([to.channels, kernel, kernel, from.channels], data: constants.add(weights))
        let bias = try define([to.channels], data: constants.add(convolution.values.bias))
        let (padding, size, stride) = (UInt32(convolution.padding), UInt32(kernel), UInt32(convolution.stride))
        let minimum = convolution.minimum
        let graph = graph
        write(to, as: [1, to.height, to.width, to.channels], "adding a convolution") { output in
            xnn_define_convolution_2d(
                graph, padding, padding, padding, padding, size, size, stride, stride, 1, 1, 1, from.channels,
                to.channels,
                minimum, .infinity, input, filter, bias, output, 0)
        }
    }

    /// A convolution, and a max pooling without overlap behind it, with whole rows as channels.
    ///
    /// A row of `width` pixels with `channels` each is one pixel with width × channels channels. Along the row the convolution
    /// is then a matrix with the kernel repeated on its diagonals; down the rows it stays a convolution. For the pooling the
    /// columns come out by their place in its window, all firsts, then all seconds: the window is then `pooling` pixels wide,
    /// with everything else in the channels.
    func addByRows(_ convolution: Convolution, pooling: Int) throws(InferenceError) {
        let (from, to) = (convolution.from, convolution.to)
        let input = try read(as: [1, from.height, 1, from.width * from.channels])
        // Columns that no window takes are not even computed.
        let columns = to.width / pooling
        let inputs = from.width * from.channels
        let outputs = pooling * columns * to.channels
        let kernel = convolution.kernel
        var weights = [Float](repeating: 0, count: outputs * kernel * inputs)
        var biases = [Float](repeating: 0, count: outputs)
        for place in 0..<pooling {
            for window in 0..<columns {
                let left = (window * pooling + place) * convolution.stride - convolution.padding
                for channel in 0..<to.channels {
                    let output = (place * columns + window) * to.channels + channel
                    biases[output] = convolution.values.bias[channel]
                    for y in 0..<kernel {
                        for x in 0..<kernel where (0..<from.width).contains(left + x) {
                            for input in 0..<from.channels {
                                weights[(output * kernel + y) * inputs + (left + x) * from.channels + input] =
                                    convolution.values.weight[
                                        ((channel * from.channels + input) * kernel + y) * kernel + x]
                            }
                        }
                    }
                }
            }
        }
        let filter = try define([outputs, kernel, 1, inputs], data: constants.add(weights))
        let bias = try define([outputs], data: constants.add(biases))
        let (padding, size, stride) = (UInt32(convolution.padding), UInt32(kernel), UInt32(convolution.stride))
        let minimum = convolution.minimum
        let graph = graph
        let wide = FeatureMapShape(height: to.height, width: pooling * columns, channels: to.channels)
        write(wide, as: [1, to.height, 1, outputs], "adding a convolution") { output in
            xnn_define_convolution_2d(
                graph, padding, 0, padding, 0, size, 1, stride, 1, 1, 1, 1, inputs, outputs, minimum, .infinity, input,
                filter, bias, output, 0)
        }
        guard pooling > 1 else { return }
        let rows = to.height / pooling
        let source = try read(as: [1, to.height, pooling, columns * to.channels])
        let window = UInt32(pooling)
        write(
            FeatureMapShape(height: rows, width: columns, channels: to.channels),
            as: [1, rows, 1, columns * to.channels],
            "adding max pooling"
        ) { output in
            xnn_define_max_pooling_2d(
                graph, 0, 0, 0, 0, window, window, window, window, 1, 1, -.infinity, .infinity, source, output, 0)
        }
    }

    func addMaxPool(size: Int, stride: Int, to: FeatureMapShape) throws(InferenceError) {
        let input = try read(as: [1, shape.height, shape.width, shape.channels])
        let (graph, size, stride) = (graph, UInt32(size), UInt32(stride))
        write(to, as: [1, to.height, to.width, to.channels], "adding max pooling") { output in
            xnn_define_max_pooling_2d(
                graph, 0, 0, 0, 0, size, size, stride, stride, 1, 1, -.infinity, .infinity, input, output, 0)
        }
    }

    /// - Parameter weight: [outputs, inputs], the inputs in PyTorch's CHW order.
    func addFullyConnected(
        _ weight: [Float], _ bias: [Float], outputs: Int, minimum: Float
    ) throws(InferenceError) {
        let from = shape
        let input = try read(as: [1, from.elementCount])
        let area = from.height * from.width
        var weights = weight
        if area > 1, from.channels > 1 {
            for row in 0..<outputs {
                for channel in 0..<from.channels {
                    for position in 0..<area {
                        weights[row * from.elementCount + position * from.channels + channel] =
                            weight[row * from.elementCount + channel * area + position]
                    }
                }
            }
        }
        let filter = try define([outputs, from.elementCount], data: constants.add(weights))
        let offsets = try define([outputs], data: constants.add(bias))
        let graph = graph
        write(
            FeatureMapShape(height: 1, width: 1, channels: outputs), as: [1, outputs], "adding a fully connected layer"
        ) {
            xnn_define_fully_connected(graph, minimum, .infinity, input, filter, offsets, $0, 0)
        }
    }

    func addReLU() throws(InferenceError) {
        let dimensions = pending == nil ? view : pendingView
        let input = try read(as: dimensions)
        let graph = graph
        write(shape, as: dimensions, "adding ReLU") { xnn_define_clamp(graph, 0, .infinity, input, $0, 0) }
    }

    /// Makes the last layer's result the graph's output.
    func finish() throws(InferenceError) {
        guard pending != nil else { throw InferenceError("a branch needs a layer with work in it") }
        _ = try flush(isLast: true)
    }

    /// The tensor to read, with the given dimensions: as it is, or through a reshape, which costs a copy.
    private func read(as dimensions: [Int]) throws(InferenceError) -> UInt32 {
        if pending != nil { try flush(isLast: false) }
        guard let tensor = current else {
            let input = try define(dimensions, external: 0, flags: Int32(XNN_VALUE_FLAG_EXTERNAL_INPUT))
            current = input
            view = dimensions
            return input
        }
        guard view != dimensions else { return tensor }
        let reshaped = try define(dimensions)
        try InferenceError.check(
            xnn_define_static_reshape(graph, dimensions.count, dimensions, tensor, reshaped, 0), "reshaping")
        return reshaped
    }

    private func write(
        _ shape: FeatureMapShape, as dimensions: [Int], _ action: String, _ define: @escaping (UInt32) -> xnn_status
    ) {
        self.shape = shape
        pending = define
        pendingView = dimensions
        pendingAction = action
    }

    private func flush(isLast: Bool) throws(InferenceError) {
        guard let define = pending else { return }
        pending = nil
        let output =
            isLast
            ? try self.define(pendingView, external: 1, flags: Int32(XNN_VALUE_FLAG_EXTERNAL_OUTPUT))
            : try self.define(pendingView)
        try InferenceError.check(define(output), pendingAction)
        current = output
        view = pendingView
    }

    private func define(
        _ dimensions: [Int], data: UnsafePointer<Float>? = nil, external: UInt32? = nil, flags: Int32 = 0
    ) throws(InferenceError) -> UInt32 {
        var identifier: UInt32 = 0
        try InferenceError.check(
            xnn_define_tensor_value(
                graph, xnn_datatype_fp32, dimensions.count, dimensions, data, external ?? UInt32.max, UInt32(flags),
                &identifier),
            "defining a tensor")
        return identifier
    }
}

/// Arrays that XNNPACK points into, freed together.
final class ConstantPool {
    private var buffers: [UnsafeMutablePointer<Float>] = []

    func add(_ values: [Float]) -> UnsafePointer<Float> {
        let buffer = UnsafeMutablePointer<Float>.allocate(capacity: max(1, values.count) + Int(XNN_EXTRA_BYTES) / 4)
        buffer.initialize(repeating: 0, count: values.count + Int(XNN_EXTRA_BYTES) / 4)
        values.withUnsafeBufferPointer { buffer.update(from: $0.baseAddress ?? UnsafePointer(buffer), count: $0.count) }
        buffers.append(buffer)
        return UnsafePointer(buffer)
    }

    deinit { for buffer in buffers { buffer.deallocate() } }
}
