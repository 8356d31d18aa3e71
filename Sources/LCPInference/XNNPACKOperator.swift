import CXNNPACK
import LCPModels
import Synchronization

/// One operation, compiled by XNNPACK: in pieces, where several threads run it.
///
/// Each piece is a graph of its own for one thread: its buffers lie outside, where the operations around it may be anyone's, and
/// another view of the same numbers costs nothing. XNNPACK packs the weights as it likes them and never looks at the given ones
/// again.
final class XNNPACKOperator {
    private let sharing: Sharing
    private var runtimes: [xnn_runtime_t] = []
    /// Where the pieces are channels: their outputs, one behind the other, and what interleaves them.
    private var channels: (memory: UnsafeMutablePointer<Float>, interleaving: Concatenation)?

    /// - Parameters:
    ///   - inputs: what the operation reads, with `XNN_EXTRA_BYTES` that may be read behind each.
    ///   - output: where the result goes.
    init(
        _ node: BranchGraph.Node, inputs: [UnsafeMutablePointer<Float>], output: UnsafeMutablePointer<Float>,
        sharing: Sharing
    ) throws(InferenceError) {
        self.sharing = sharing
        switch node.pieces(threads: sharing.threads) {
        case .runs(let pieces):
            for piece in pieces {
                try add(piece.node, inputs.map { $0 + piece.inputOffset }, output + piece.outputOffset)
            }
        case .channels(let pieces):
            let memory = UnsafeMutablePointer<Float>.allocateAligned(node.to.elementCount)
            channels = (
                memory,
                Concatenation(
                    area: node.to.height * node.to.width,
                    sources: pieces.map { ($0.node.to.channels, memory + $0.outputOffset) }, output: output,
                    sharing: sharing)
            )
            for piece in pieces { try add(piece.node, inputs, memory + piece.outputOffset) }
        }
    }

    private func add(
        _ node: BranchGraph.Node, _ inputs: [UnsafeMutablePointer<Float>], _ output: UnsafeMutablePointer<Float>
    ) throws(InferenceError) {
        let (weight, bias) = node.operation.constants
        let runtime = try weight.withUnsafeBufferPointer { weight throws(InferenceError) in
            try bias.withUnsafeBufferPointer { bias throws(InferenceError) in
                let definition = try Definition(node)
                try definition.define(weight: weight.baseAddress, bias: bias.baseAddress)
                return try definition.compile()
            }
        }
        runtimes.append(runtime)
        let external = ([output] + inputs).enumerated().map { xnn_external_value(id: UInt32($0), data: $1) }
        try InferenceError.check(
            xnn_setup_runtime(runtime, external.count, external), "preparing \(node.operation.name)")
    }

    deinit {
        for runtime in runtimes { xnn_delete_runtime(runtime) }
        channels?.memory.deallocate()
    }

    func run() throws(InferenceError) {
        let failure = Atomic<UInt32>(xnn_status_success.rawValue)
        var sharing = sharing
        if channels != nil { sharing.isLast = false }
        sharing.run(runtimes.count) { part, _ in
            for index in part {
                let status = xnn_invoke_runtime(runtimes[index])
                if status != xnn_status_success { failure.store(status.rawValue, ordering: .relaxed) }
            }
        }
        try InferenceError.check(xnn_status(failure.load(ordering: .relaxed)), "running a branch")
        channels?.interleaving.run()
    }
}

/// A graph of one operation while it is being defined: value 0 is its output, 1 and 2 are its inputs.
private final class Definition {
    private let graph: xnn_subgraph_t
    private let node: BranchGraph.Node

    init(_ node: BranchGraph.Node) throws(InferenceError) {
        var created: xnn_subgraph_t?
        try InferenceError.check(xnn_create_subgraph(3, 0, &created), "creating a graph")
        guard let created else { throw InferenceError("creating a graph failed") }
        graph = created
        self.node = node
    }

    deinit { xnn_delete_subgraph(graph) }

    func compile() throws(InferenceError) -> xnn_runtime_t {
        var compiled: xnn_runtime_t?
        try InferenceError.check(xnn_create_runtime_v2(graph, nil, 0, &compiled), "compiling \(node.operation.name)")
        guard let compiled else { throw InferenceError("compiling \(node.operation.name) failed") }
        return compiled
    }

    func define(weight: UnsafePointer<Float>?, bias: UnsafePointer<Float>?) throws(InferenceError) {
        let (from, to) = (node.from, node.to)
        let (minimum, maximum) = (node.bounds.minimum, node.bounds.maximum)
        let image = { (shape: FeatureMapShape) in [1, shape.height, shape.width, shape.channels] }
        let status: xnn_status
        switch node.operation {
        case .convolution(let window, let groups, _, _):
            let input = try self.input(image(from)), output = try self.output(image(to))
            let filter = try tensor(
                [to.channels, window.height, window.width, from.channels / groups], data: weight)
            let offsets = try tensor([to.channels], data: bias)
            status = xnn_define_convolution_2d(
                graph, UInt32(window.top), UInt32(window.right), UInt32(window.bottom), UInt32(window.left),
                UInt32(window.height), UInt32(window.width), UInt32(window.strideDown), UInt32(window.strideAcross),
                UInt32(window.dilationDown), UInt32(window.dilationAcross), UInt32(groups), from.channels / groups,
                to.channels / groups, minimum, maximum, input, filter, offsets,
                output, 0)
        case .depthwiseConvolution(let window, _, _):
            status = try depthwise(window, weight: weight, bias: bias)
        case .scale: status = try depthwise(.init(size: 1, stride: 1), weight: weight, bias: bias)
        case .fullyConnected:
            let count = from.elementCount / node.rows
            let input = try self.input([node.rows, count]), output = try self.output([node.rows, to.channels])
            let filter = try tensor([to.channels, count], data: weight)
            let offsets = try tensor([to.channels], data: bias)
            status = xnn_define_fully_connected(graph, minimum, maximum, input, filter, offsets, output, 0)
        case .maxPool(let window):
            let input = try self.input(image(from)), output = try self.output(image(to))
            status = xnn_define_max_pooling_2d(
                graph, UInt32(window.top), UInt32(window.right), UInt32(window.bottom), UInt32(window.left),
                UInt32(window.height), UInt32(window.width), UInt32(window.strideDown), UInt32(window.strideAcross),
                UInt32(window.dilationDown), UInt32(window.dilationAcross), minimum, maximum, input, output, 0)
        case .averagePool(let window):
            let input = try self.input(image(from)), output = try self.output(image(to))
            status = xnn_define_average_pooling_2d(
                graph, UInt32(window.top), UInt32(window.right), UInt32(window.bottom), UInt32(window.left),
                UInt32(window.height), UInt32(window.width), UInt32(window.strideDown), UInt32(window.strideAcross),
                minimum, maximum, input, output, 0)
        case .globalAveragePool:
            let input = try self.input(image(from)), output = try self.output(image(to))
            status = xnn_define_global_average_pooling_2d(graph, minimum, maximum, input, output, 0)
        case .softmax:
            let input = try self.input(image(from)), output = try self.output(image(to))
            status = xnn_define_softmax(graph, input, output, 0)
        case .add:
            let left = try self.input(image(to)), right = try self.input(image(to), identifier: 2)
            status = xnn_define_add2(graph, minimum, maximum, left, right, try output(image(to)), 0)
        case .clamp:
            let input = try self.input(image(from))
            status = xnn_define_clamp(graph, minimum, maximum, input, try output(image(to)), 0)
        case .localResponseNormalization, .concatenate, .multiply, .channelNormalization, .pick, .activation, .prelu:
            throw InferenceError("XNNPACK has no \(node.operation.name)")
        }
        try InferenceError.check(status, "defining \(node.operation.name)")
    }

    private func depthwise(
        _ window: BranchGraph.Window, weight: UnsafePointer<Float>?, bias: UnsafePointer<Float>?
    ) throws(InferenceError) -> xnn_status {
        let channels = node.from.channels
        let input = try self.input([1, node.from.height, node.from.width, channels])
        let output = try self.output([1, node.to.height, node.to.width, channels])
        let filter = try tensor([1, window.height, window.width, channels], data: weight)
        let offsets = try tensor([channels], data: bias)
        return xnn_define_depthwise_convolution_2d(
            graph, UInt32(window.top), UInt32(window.right), UInt32(window.bottom), UInt32(window.left),
            UInt32(window.height), UInt32(window.width), UInt32(window.strideDown), UInt32(window.strideAcross),
            UInt32(window.dilationDown), UInt32(window.dilationAcross), 1, channels, node.bounds.minimum,
            node.bounds.maximum, input, filter, offsets, output, 0)
    }

    private func input(_ dimensions: [Int], identifier: UInt32 = 1) throws(InferenceError) -> UInt32 {
        try tensor(dimensions, external: identifier, flags: UInt32(XNN_VALUE_FLAG_EXTERNAL_INPUT))
    }

    private func output(_ dimensions: [Int]) throws(InferenceError) -> UInt32 {
        try tensor(dimensions, external: 0, flags: UInt32(XNN_VALUE_FLAG_EXTERNAL_OUTPUT))
    }

    private func tensor(
        _ dimensions: [Int], data: UnsafePointer<Float>? = nil, external: UInt32 = .max, flags: UInt32 = 0
    ) throws(InferenceError) -> UInt32 {
        var identifier: UInt32 = 0
        try InferenceError.check(
            xnn_define_tensor_value(
                graph, xnn_datatype_fp32, dimensions.count, dimensions, data, external, flags, &identifier),
            "defining a tensor")
        return identifier
    }
}
