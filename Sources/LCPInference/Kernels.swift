import CBranchKernels
import LCPModels

/// The vector length of our own kernels on this processor, and what they are used for.
struct Kernels {
    /// Numbers in a vector: 4, 8 (AVX2) or 16 (AVX-512).
    let lanes: Int
    /// The numbers that an instruction multiplies and adds in each of them: 1 in single precision, more in eight bits, where all
    /// operations are ours.
    var group = 1
    var isInteger = false

    /// What is taken where the time does not count.
    static var usual: Kernels? { KernelSet.candidates[0].kernels }

    /// Whether we run an operation, and not XNNPACK.
    func run(_ node: BranchGraph.Node) -> Bool {
        // A window with holes is XNNPACK's.
        if node.operation.window?.isDilated == true { return false }
        switch node.operation {
        // A tile is a run of pixels in a row; short ones leave the multipliers waiting.
        case .convolution(_, 1, _, _):
            return isInteger || node.to.width >= 5 || node.isPointwise && node.to.height * node.to.width >= 5
        case .depthwiseConvolution, .maxPool: return true
        default: return false
        }
    }

    /// The window of an operation as C wants it; a convolution of single pixels sees one long row.
    func window(_ node: BranchGraph.Node, _ window: BranchGraph.Window) -> lcp_window {
        let isPointwise = node.isPointwise
        func flat(_ shape: FeatureMapShape) -> FeatureMapShape {
            isPointwise
                ? FeatureMapShape(height: 1, width: shape.height * shape.width, channels: shape.channels) : shape
        }
        let (from, to) = (flat(node.from), flat(node.to))
        return lcp_window(
            lanes: lanes, height: from.height, width: from.width, channels: from.channels, output_height: to.height,
            output_width: to.width, outputs: to.channels, kernel_height: window.height, kernel_width: window.width,
            stride_down: window.strideDown, stride_across: window.strideAcross, top: window.top, bottom: window.bottom,
            left: window.left, right: window.right, minimum: node.bounds.minimum, maximum: node.bounds.maximum)
    }
}

extension BranchGraph.Node {
    /// Whether every pixel is computed from one pixel, in the same order.
    var isPointwise: Bool {
        switch operation {
        case .convolution(let window, _, _, _): window == BranchGraph.Window(size: 1, stride: 1)
        default: false
        }
    }
}

extension UnsafeMutablePointer<Float> {
    /// Memory for so many numbers, all zero, that begins a cache line.
    static func allocateAligned(_ count: Int) -> UnsafeMutablePointer<Float> {
        let memory = UnsafeMutableRawPointer.allocate(byteCount: max(1, count) * 4, alignment: 64)
        let numbers = memory.bindMemory(to: Float.self, capacity: count)
        numbers.initialize(repeating: 0, count: count)
        return numbers
    }
}
