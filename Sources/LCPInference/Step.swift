import CBranchKernels
import LCPModels

/// An operation that is ready to run: by XNNPACK where that has it, by a kernel of ours otherwise.
enum Step {
    case xnnpack(XNNPACKOperator)
    case window(WindowKernel)
    case localResponseNormalization(LocalResponseNormalization)
    case concatenation(Concatenation)

    /// - Parameter scratch: memory of at least ``scratchCount`` numbers that the operations use in turns.
    func run(_ scratch: UnsafeMutablePointer<Float>) throws(InferenceError) {
        switch self {
        case .xnnpack(let operation): try operation.run()
        case .window(let operation): operation.run(scratch)
        case .localResponseNormalization(let operation): operation.run()
        case .concatenation(let operation): operation.run()
        }
    }

    var scratchCount: Int { if case .window(let operation) = self { operation.scratchCount } else { 0 } }
}

extension BranchGraph {
    /// Prepares the operations one after the other, and lets go of the weights of each, which are packed then.
    mutating func compile(
        _ activations: UnsafeMutablePointer<Float>, _ plan: BufferPlan, kernels: Kernels?
    ) throws(InferenceError) -> [Step] {
        var steps: [Step] = []
        for index in nodes.indices {
            let node = nodes[index]
            let inputs = node.inputs.map { activations + plan.offsets[$0] }
            let output = activations + plan.offsets[index + 1]
            switch node.operation {
            case .localResponseNormalization(let size, let alpha, let beta, let k):
                steps.append(
                    .localResponseNormalization(
                        LocalResponseNormalization(
                            node.from, size: size, alpha: alpha, beta: beta, k: k, input: inputs[0], output: output)))
            case .concatenate:
                let sources = zip(node.inputs, inputs).map { (channels: shape(of: $0).elementCount, pixels: $1) }
                let area = node.to.height * node.to.width
                steps.append(
                    .concatenation(
                        Concatenation(
                            area: area, sources: sources.map { ($0.channels / area, $0.pixels) }, output: output)))
            default:
                if let kernels, kernels.run(node) {
                    steps.append(.window(WindowKernel(node, kernels: kernels, inputs: inputs, output: output)))
                } else {
                    steps.append(.xnnpack(try XNNPACKOperator(node, inputs: inputs, output: output)))
                }
                nodes[index].operation = .clamp
            }
        }
        return steps
    }
}

/// x / (k + α / size · Σ x²)^β over `size` neighbouring channels.
final class LocalResponseNormalization {
    private let shape: FeatureMapShape
    private let size: Int
    private let factor: Float
    private let beta: Float
    private let k: Float
    private let input: UnsafePointer<Float>
    private let output: UnsafeMutablePointer<Float>
    /// The squares of one pixel, with zeros around them.
    private let squares: UnsafeMutablePointer<Float>

    init(
        _ shape: FeatureMapShape, size: Int, alpha: Float, beta: Float, k: Float, input: UnsafePointer<Float>,
        output: UnsafeMutablePointer<Float>
    ) {
        self.shape = shape
        self.size = size
        factor = alpha / Float(size)
        self.beta = beta
        self.k = k
        self.input = input
        self.output = output
        let count = lcp_normalization_scratch(shape.channels, size)
        squares = .allocate(capacity: count)
        squares.initialize(repeating: 0, count: count)
    }

    deinit { squares.deallocate() }

    func run() {
        lcp_normalize_responses(
            lcp_lanes(), input, output, shape.height * shape.width, shape.channels, size, factor, beta, k, squares)
    }
}

/// The channels of several feature maps, one behind the other.
struct Concatenation {
    let area: Int
    let sources: [(channels: Int, pixels: UnsafeMutablePointer<Float>)]
    let output: UnsafeMutablePointer<Float>

    func run() {
        let total = sources.reduce(0) { $0 + $1.channels }
        var offset = 0
        for (channels, pixels) in sources {
            for position in 0..<area {
                (output + position * total + offset).update(from: pixels + position * channels, count: channels)
            }
            offset += channels
        }
    }
}
