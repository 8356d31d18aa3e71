import CBranchKernels
import LCPModels

/// A convolution, a depthwise convolution or a max pooling by a kernel of ours, with its packed weights.
final class WindowKernel {
    private enum Kind { case convolution, winograd(strip: Int, bias: UnsafeMutablePointer<Float>), depthwise, maxPool }

    private let kind: Kind
    /// Behind it the same window with all the padding that the kernel wants. In memory of its own: several threads read it.
    private let window: UnsafeMutablePointer<lcp_window>
    private var padding: UnsafeMutablePointer<lcp_window> { window + 1 }
    private let packed: UnsafeMutablePointer<Float>?
    private let input: UnsafePointer<Float>
    private let addend: UnsafePointer<Float>?
    private let output: UnsafeMutablePointer<Float>
    private let sharing: Sharing
    /// What each thread needs to work with, in numbers.
    private let threadCount: Int
    /// The output's rows of a padded depthwise convolution that are computed at once.
    private var strip = 0

    /// - Parameter inputs: what the operation reads, and for a convolution perhaps what is added to its result.
    init(
        _ node: BranchGraph.Node, kernels: Kernels, inputs: [UnsafeMutablePointer<Float>],
        output: UnsafeMutablePointer<Float>, sharing: Sharing
    ) {
        input = UnsafePointer(inputs[0])
        addend = inputs.count > 1 ? UnsafePointer(inputs[1]) : nil
        self.output = output
        self.sharing = sharing
        guard let shape = node.operation.window else {
            preconditionFailure("there is no kernel for \(node.operation.name)")
        }
        window = .allocate(capacity: 2)
        window.initialize(repeating: kernels.window(node, shape), count: 2)
        switch node.operation {
        case .convolution(_, _, let weight, let bias) where Winograd.isWorth(node, lanes: kernels.lanes):
            window[1] = lcp_whole_tiles(window)
            let strip = Winograd.strip(window[0], threads: sharing.threads)
            let padded = UnsafeMutablePointer<Float>.allocateAligned(bias.count + kernels.lanes)
            padded.update(from: bias, count: bias.count)
            kind = .winograd(strip: strip, bias: padded)
            var place = window[0]
            (place.kernel_height, place.kernel_width) = (1, 1)
            let count = lcp_packed_count(&place)
            let packed = UnsafeMutablePointer<Float>.allocateAligned(36 * count)
            let zeros = [Float](repeating: 0, count: bias.count)
            let kernel = Winograd.transformed(weight, inputs: node.from.channels, outputs: node.to.channels)
            for (index, matrix) in kernel.enumerated() { lcp_pack(&place, matrix, zeros, packed + index * count) }
            self.packed = packed
            threadCount = lcp_winograd_scratch(window, strip)
        case .convolution(_, _, let weight, let bias):
            kind = .convolution
            packed = .allocateAligned(lcp_packed_count(window))
            lcp_pack(window, weight, bias, packed)
            threadCount = 0
        case .depthwiseConvolution(_, let weight, let bias):
            kind = .depthwise
            packed = .allocateAligned(lcp_packed_depthwise_count(window))
            lcp_pack_depthwise(window, weight, bias, packed)
            strip = Self.strip(window[0])
            threadCount = Self.stripScratch(window[0], strip)
        default:
            kind = .maxPool
            packed = nil
            threadCount = lcp_pool_scratch(window)
        }
    }

    deinit {
        window.deallocate()
        packed?.deallocate()
        if case .winograd(_, let bias) = kind { bias.deallocate() }
    }

    /// Whether each thread takes some output channels of a convolution, and not some pixels: where there is more to read of the
    /// weights than of the input. Pixels are better otherwise: what a thread reads is what it wrote in the operation before.
    private var sharesPanels: Bool {
        lcp_panels(window) >= 2 * sharing.threads && lcp_packed_count(window) > lcp_padded_count(window)
    }

    /// The numbers that a run needs to work with.
    var scratchCount: Int { paddedCount + sharing.threads * threadCount }

    /// Of the input with its padding.
    private var paddedCount: Int {
        switch kind {
        case .maxPool, .depthwise: 0
        case .convolution, .winograd: (lcp_padded_count(padding) + 15) / 16 * 16
        }
    }

    // MARK: Strips

    /// A strip of the padded input with so many numbers stays in the nearest cache, where a whole map does not.
    private static let stripCount = 12_288

    /// The numbers of a row of the padded input.
    private static func rowCount(_ window: lcp_window) -> Int {
        (window.left + window.width + window.right) * window.channels
    }

    /// How many rows of the padded input so many of the output read.
    private static func inputRows(_ window: lcp_window, _ rows: Int) -> Int {
        (rows - 1) * window.stride_down + window.kernel_height
    }

    /// 0 where the input needs no padding. Rows that two strips read are padded twice, so that a strip has some more.
    private static func strip(_ window: lcp_window) -> Int {
        guard window.isPadded else { return 0 }
        let rows = max(3 * window.kernel_height, stripCount / rowCount(window))
        return min(window.output_height, (rows - window.kernel_height) / window.stride_down + 1)
    }

    private static func stripScratch(_ window: lcp_window, _ strip: Int) -> Int {
        guard strip > 0 else { return 0 }
        // Behind the end a vector may be read that means nothing.
        let behind = (window.kernel_width + 2) * window.channels + 64
        return (inputRows(window, strip) * rowCount(window) + behind + 15) / 16 * 16
    }

    private func convolveDepthwise(_ scratch: UnsafeMutablePointer<Float>) {
        let (shape, row) = (window.pointee, Self.rowCount(window.pointee))
        sharing.run(shape.output_height) { part, thread in
            guard strip > 0 else {
                return lcp_convolve_depthwise(window, input, packed, output, part.lowerBound, part.upperBound)
            }
            for begin in stride(from: part.lowerBound, to: part.upperBound, by: strip) {
                let end = min(begin + strip, part.upperBound)
                let first = begin * shape.stride_down
                // The whole padded input would begin here.
                let source = scratch + (thread * threadCount - first * row)
                lcp_pad(window, input, source, first, first + Self.inputRows(shape, end - begin))
                lcp_convolve_depthwise(window, source, packed, output, begin, end)
            }
        }
    }

    func run(_ scratch: UnsafeMutablePointer<Float>) {
        switch kind {
        case .convolution:
            let source = padded(scratch)
            let (panels, tiles) = (lcp_panels(window), lcp_tiles(window))
            if sharesPanels {
                sharing.run(panels) { part, _ in
                    lcp_convolve(window, source, packed, addend, output, lcp_range(part), lcp_range(0..<tiles))
                }
            } else {
                sharing.run(tiles) { part, _ in
                    lcp_convolve(window, source, packed, addend, output, lcp_range(0..<panels), lcp_range(part))
                }
            }
        case .winograd(let strip, let bias):
            let source = padded(scratch)
            let tiles = Int((window.pointee.output_height + 3) / 4 * ((window.pointee.output_width + 3) / 4))
            let own = scratch + paddedCount
            sharing.run((tiles + strip - 1) / strip) { part, thread in
                lcp_convolve_winograd(
                    window, strip, source, packed, bias, addend, own + thread * threadCount, output, part.lowerBound,
                    part.upperBound)
            }
        case .depthwise: convolveDepthwise(scratch)
        case .maxPool:
            sharing.run(window.pointee.output_height) { part, thread in
                lcp_pool_maximum(
                    window, input, scratch + thread * threadCount, output, part.lowerBound, part.upperBound)
            }
        }
    }

    /// The input with its padding: the input itself where it needs none.
    private func padded(_ scratch: UnsafeMutablePointer<Float>) -> UnsafePointer<Float> {
        let shape = padding.pointee
        guard shape.isPadded else { return input }
        let rows = shape.top + shape.height + shape.bottom
        // The threads stay awake for the operation itself.
        let sharing = Sharing(pool: rows * shape.width * shape.channels < 1 << 14 ? nil : sharing.pool)
        sharing.run(rows) { part, _ in lcp_pad(padding, input, scratch, part.lowerBound, part.upperBound) }
        return UnsafePointer(scratch)
    }
}

extension lcp_range {
    init(_ range: Range<Int>) { self.init(begin: range.lowerBound, end: range.upperBound) }
}

extension lcp_window {
    fileprivate var isPadded: Bool { top | bottom | left | right != 0 }
}
