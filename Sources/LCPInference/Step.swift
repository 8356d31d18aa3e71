import CBranchKernels
import LCPModels

/// An operation that is ready to run: by XNNPACK where that has it, by a kernel of ours otherwise.
enum Step {
    case xnnpack(XNNPACKOperator)
    case window(WindowKernel)
    case localResponseNormalization(LocalResponseNormalization)
    case concatenation(Concatenation)
    case elementwise(ElementwiseKernel)

    /// - Parameter scratch: memory of at least ``scratchCount`` numbers that the operations use in turns.
    func run(_ scratch: UnsafeMutablePointer<Float>) throws(InferenceError) {
        switch self {
        case .xnnpack(let operation): try operation.run()
        case .window(let operation): operation.run(scratch)
        case .localResponseNormalization(let operation): operation.run(scratch)
        case .concatenation(let operation): operation.run()
        case .elementwise(let operation): operation.run()
        }
    }

    /// The numbers that it needs to work with.
    var scratchCount: Int {
        switch self {
        case .window(let operation): operation.scratchCount
        case .localResponseNormalization(let operation): operation.scratchCount
        case .xnnpack, .concatenation, .elementwise: 0
        }
    }
}

extension BranchGraph {
    /// Prepares the operations one after the other, and lets go of the weights of each, which are packed then.
    ///
    /// - Parameter pool: the threads that compute what is long enough for several.
    mutating func compile(
        _ activations: UnsafeMutablePointer<Float>, _ plan: BufferPlan, kernels: Kernels?, pool: ThreadPool?,
        sharesAll: Bool
    ) throws(InferenceError) -> [Step] {
        var steps: [Step] = []
        let isShared = { (node: Node) in sharesAll || node.isWorthSharing }
        let last = nodes.lastIndex(where: isShared)
        for index in nodes.indices {
            let node = nodes[index]
            let inputs = node.inputs.map { activations + plan.offsets[$0] }
            let output = activations + plan.offsets[index + 1]
            let sharing = isShared(node) ? Sharing(pool: pool, isLast: index == last) : .none
            switch node.operation {
            case .localResponseNormalization(let size, let alpha, let beta, let k):
                steps.append(
                    .localResponseNormalization(
                        LocalResponseNormalization(
                            shape: node.from, size: size, factor: alpha / Float(size), beta: beta, k: k,
                            input: inputs[0], output: output, sharing: sharing)))
            case .concatenate:
                let sources = zip(node.inputs, inputs).map { (channels: shape(of: $0).elementCount, pixels: $1) }
                let area = node.to.height * node.to.width
                steps.append(
                    .concatenation(
                        Concatenation(
                            area: area, sources: sources.map { ($0.channels / area, $0.pixels) }, output: output,
                            sharing: sharing)))
            case .activation, .prelu, .multiply, .channelNormalization, .pick:
                let factors = inputs.count > 1 ? shape(of: node.inputs[1]) : nil
                steps.append(
                    .elementwise(
                        ElementwiseKernel(
                            node, lanes: kernels?.lanes ?? lcp_lanes(), factors: factors, inputs: inputs,
                            output: output, sharing: sharing)))
                nodes[index].operation = .clamp
            default:
                if let kernels, kernels.run(node) {
                    steps.append(
                        .window(
                            WindowKernel(node, kernels: kernels, inputs: inputs, output: output, sharing: sharing)))
                } else {
                    steps.append(
                        .xnnpack(try XNNPACKOperator(node, inputs: inputs, output: output, sharing: sharing)))
                }
                nodes[index].operation = .clamp
            }
        }
        return steps
    }
}

/// x / (k + α / size · Σ x²)^β over `size` neighbouring channels.
struct LocalResponseNormalization {
    let shape: FeatureMapShape
    let size: Int
    /// α / size.
    let factor: Float
    let beta: Float
    let k: Float
    let input: UnsafePointer<Float>
    let output: UnsafeMutablePointer<Float>
    let sharing: Sharing

    /// For the squares of a thread.
    private var threadCount: Int { lcp_normalization_scratch(shape.channels, size) }

    var scratchCount: Int { sharing.threads * threadCount }

    func run(_ scratch: UnsafeMutablePointer<Float>) {
        sharing.run(shape.height * shape.width) { part, thread in
            let first = part.lowerBound * shape.channels
            lcp_normalize_responses(
                lcp_lanes(), input + first, output + first, part.count, shape.channels, size, factor, beta, k,
                scratch + thread * threadCount)
        }
    }
}

/// The channels of several feature maps, one behind the other.
struct Concatenation {
    let area: Int
    let sources: [(channels: Int, pixels: UnsafeMutablePointer<Float>)]
    let output: UnsafeMutablePointer<Float>
    let sharing: Sharing

    func run() {
        let total = sources.reduce(0) { $0 + $1.channels }
        sharing.run(area) { part, _ in
            var offset = 0
            for (channels, pixels) in sources {
                for position in part {
                    (output + position * total + offset).update(from: pixels + position * channels, count: channels)
                }
                offset += channels
            }
        }
    }
}
