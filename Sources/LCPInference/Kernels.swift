import CBranchKernels
import LCPModels

/// The vector length of our own kernels on this processor, and what they are used for.
struct Kernels {
    /// Numbers in a vector: 4, 8 (AVX2) or 16 (AVX-512).
    let lanes: Int

    /// The best for this processor, or nil where XNNPACK's kernels are as good: its ones for ARM are, those of 2022 for x86-64
    /// are made for many channels, which narrow branches do not have.
    static let best: Kernels? = lcp_lanes() > 4 ? Kernels(lanes: lcp_lanes()) : nil

    /// Whether we run an operation, and not XNNPACK.
    func run(_ node: BranchGraph.Node) -> Bool {
        switch node.operation {
        // A tile is a run of pixels in a row; short ones leave the multipliers waiting.
        case .convolution(_, 1, _, _): node.to.width >= 5 || node.isPointwise && node.to.height * node.to.width >= 5
        case .depthwiseConvolution, .maxPool: true
        default: false
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

/// A convolution, a depthwise convolution or a max pooling by a kernel of ours, with its packed weights.
final class WindowKernel {
    private enum Kind { case convolution, winograd(strip: Int, bias: UnsafeMutablePointer<Float>), depthwise, maxPool }

    private let kind: Kind
    private var window: lcp_window
    private let packed: UnsafeMutablePointer<Float>?
    private let input: UnsafePointer<Float>
    private let addend: UnsafePointer<Float>?
    private let output: UnsafeMutablePointer<Float>
    /// The numbers that a run needs to work with.
    let scratchCount: Int

    /// - Parameter inputs: what the operation reads, and for a convolution perhaps what is added to its result.
    init(
        _ node: BranchGraph.Node, kernels: Kernels, inputs: [UnsafeMutablePointer<Float>],
        output: UnsafeMutablePointer<Float>
    ) {
        input = UnsafePointer(inputs[0])
        addend = inputs.count > 1 ? UnsafePointer(inputs[1]) : nil
        self.output = output
        switch node.operation {
        case .convolution(let window, _, let weight, let bias) where Winograd.isWorth(node, lanes: kernels.lanes):
            self.window = kernels.window(node, window)
            let strip = Winograd.strip(self.window)
            let padded = UnsafeMutablePointer<Float>.allocateAligned(bias.count + kernels.lanes)
            padded.update(from: bias, count: bias.count)
            kind = .winograd(strip: strip, bias: padded)
            var place = self.window
            (place.kernel_height, place.kernel_width) = (1, 1)
            let count = lcp_packed_count(&place)
            let packed = UnsafeMutablePointer<Float>.allocateAligned(36 * count)
            let zeros = [Float](repeating: 0, count: bias.count)
            let kernel = Winograd.transformed(weight, inputs: node.from.channels, outputs: node.to.channels)
            for (index, matrix) in kernel.enumerated() { lcp_pack(&place, matrix, zeros, packed + index * count) }
            self.packed = packed
            scratchCount = lcp_winograd_scratch(&self.window, strip)
            return
        case .convolution(let window, _, let weight, let bias):
            kind = .convolution
            self.window = kernels.window(node, window)
            packed = .allocateAligned(lcp_packed_count(&self.window))
            lcp_pack(&self.window, weight, bias, packed)
        case .depthwiseConvolution(let window, let weight, let bias):
            kind = .depthwise
            self.window = kernels.window(node, window)
            packed = .allocateAligned(lcp_packed_depthwise_count(&self.window))
            lcp_pack_depthwise(&self.window, weight, bias, packed)
        case .maxPool(let window):
            kind = .maxPool
            self.window = kernels.window(node, window)
            packed = nil
        default: preconditionFailure("there is no kernel for \(node.operation.name)")
        }
        scratchCount = lcp_padded_count(&self.window)
    }

    deinit {
        packed?.deallocate()
        if case .winograd(_, let bias) = kind { bias.deallocate() }
    }

    func run(_ scratch: UnsafeMutablePointer<Float>) {
        switch kind {
        case .convolution: lcp_convolve(&window, input, packed, addend, scratch, output)
        case .winograd(let strip, let bias):
            lcp_convolve_winograd(&window, strip, input, packed, bias, addend, scratch, output)
        case .depthwise: lcp_convolve_depthwise(&window, input, packed, scratch, output)
        case .maxPool: lcp_pool_maximum(&window, input, scratch, output)
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
