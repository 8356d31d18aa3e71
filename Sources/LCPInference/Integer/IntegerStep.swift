import CBranchKernels
import LCPModels

/// An operation in numbers of eight bits that is ready to run.
protocol IntegerStep {
    /// The bytes that it needs to work with.
    var scratchBytes: Int { get }
    func run(_ scratch: UnsafeMutableRawPointer)
}

/// A convolution or a fully connected layer.
final class IntegerConvolution: IntegerStep {
    private let functions: lcp_integer_kernels
    private let window: UnsafeMutablePointer<lcp_integer_window>
    private let packed: UnsafeMutableRawPointer
    private let input: UnsafePointer<UInt8>
    private let result: Result
    private let sharing: Sharing

    enum Result {
        case numbers(UnsafeMutablePointer<UInt8>)
        /// The sum with what lies at another place.
        case sum(lcp_integer_sum, addend: UnsafePointer<UInt8>, UnsafeMutablePointer<UInt8>)
        /// Sums times a scale for each output.
        case reals([Float], UnsafeMutablePointer<Float>)
    }

    /// - Parameter weight: OHWI, whole numbers.
    init(
        _ kernels: IntegerKernels, _ window: lcp_integer_window, weight: [Float], rescaling: IntegerRescaling,
        input: UnsafePointer<UInt8>, result: Result, sharing: Sharing
    ) {
        functions = kernels.functions
        self.window = .allocate(capacity: 1)
        self.window.initialize(to: window)
        self.input = input
        self.result = result
        self.sharing = sharing
        packed = .allocateAligned(bytes: functions.packed_bytes(self.window))
        let numbers = weight.map { Int8($0) }
        rescaling.withPointer { functions.pack(self.window, numbers, $0, packed) }
    }

    deinit {
        window.deallocate()
        packed.deallocate()
    }

    private var isPadded: Bool {
        let shape = window.pointee
        return functions.always_pads != 0 || shape.top | shape.bottom | shape.left | shape.right != 0
    }

    var scratchBytes: Int { isPadded ? functions.padded_bytes(window) : 0 }

    func run(_ scratch: UnsafeMutableRawPointer) {
        let source = isPadded ? functions.padded(window, input, scratch, sharing) : UnsafeRawPointer(input)
        let (panels, tiles) = (functions.panels(window), functions.tiles(window))
        if case .reals(let scale, let output) = result {
            sharing.run(panels) { part, _ in
                functions.multiply(window, source, packed, scale, output, lcp_range(part))
            }
            return
        }
        // Each thread takes some channels where there is more to read of the weights than of the input.
        let sharesPanels =
            panels >= 2 * sharing.threads && functions.packed_bytes(window) > functions.padded_bytes(window)
        sharing.run(sharesPanels ? panels : tiles) { part, _ in
            let parts = (
                lcp_range(sharesPanels ? part : 0..<panels), lcp_range(sharesPanels ? 0..<tiles : part)
            )
            switch result {
            case .numbers(let output):
                functions.convolve(window, source, packed, nil, nil, output, parts.0, parts.1)
            case .sum(var sum, let addend, let output):
                functions.convolve(window, source, packed, &sum, addend, output, parts.0, parts.1)
            case .reals: break
            }
        }
    }
}

/// A depthwise convolution.
final class IntegerDepthwiseConvolution: IntegerStep {
    private let functions: lcp_integer_kernels
    private let window: UnsafeMutablePointer<lcp_integer_window>
    private let packed: UnsafeMutableRawPointer
    private let input: UnsafePointer<UInt8>
    private let output: UnsafeMutablePointer<UInt8>
    private let sharing: Sharing

    /// - Parameter weight: [kernel height, kernel width, channels], whole numbers.
    init(
        _ kernels: IntegerKernels, _ window: lcp_integer_window, weight: [Float], rescaling: IntegerRescaling,
        input: UnsafePointer<UInt8>, output: UnsafeMutablePointer<UInt8>, sharing: Sharing
    ) {
        functions = kernels.functions
        self.window = .allocate(capacity: 1)
        self.window.initialize(to: window)
        self.input = input
        self.output = output
        self.sharing = sharing
        packed = .allocateAligned(bytes: functions.packed_depthwise_bytes(self.window))
        let numbers = weight.map { Int8($0) }
        rescaling.withPointer { functions.pack_depthwise(self.window, numbers, $0, packed) }
    }

    deinit {
        window.deallocate()
        packed.deallocate()
    }

    private var paddedBytes: Int { (functions.padded_bytes(window) + 63) / 64 * 64 }
    private var threadBytes: Int { (functions.depthwise_scratch(window) + 63) / 64 * 64 }

    var scratchBytes: Int { paddedBytes + sharing.threads * threadBytes }

    func run(_ scratch: UnsafeMutableRawPointer) {
        let source = functions.padded(window, input, scratch, sharing)
        let own = scratch + paddedBytes
        sharing.run(window.pointee.output_height) { part, thread in
            functions.convolve_depthwise(
                window, source, packed, own + thread * threadBytes, output, part.lowerBound, part.upperBound)
        }
    }
}

/// The maximum or the mean over windows.
final class IntegerPooling: IntegerStep {
    enum Kind {
        case maximum
        case mean(weight: Int, Rescaling)
    }

    private let functions: lcp_integer_kernels
    private let window: UnsafeMutablePointer<lcp_integer_window>
    private let kind: Kind
    private let input: UnsafePointer<UInt8>
    private let output: UnsafeMutablePointer<UInt8>
    private let sharing: Sharing

    init(
        _ kernels: IntegerKernels, _ window: lcp_integer_window, _ kind: Kind, input: UnsafePointer<UInt8>,
        output: UnsafeMutablePointer<UInt8>, sharing: Sharing
    ) {
        functions = kernels.functions
        self.window = .allocate(capacity: 1)
        self.window.initialize(to: window)
        self.kind = kind
        self.input = input
        self.output = output
        self.sharing = sharing
    }

    deinit { window.deallocate() }

    private var threadBytes: Int { (functions.pool_scratch(window) + 63) / 64 * 64 }

    var scratchBytes: Int { sharing.threads * threadBytes }

    func run(_ scratch: UnsafeMutableRawPointer) {
        sharing.run(window.pointee.output_height) { part, thread in
            switch kind {
            case .maximum:
                functions.pool_maximum(
                    window, input, scratch + thread * threadBytes, output, part.lowerBound, part.upperBound)
            case .mean(let weight, let rescaling):
                functions.pool_mean(
                    window, input, Int32(weight), Int32(rescaling.multiplier), Int32(rescaling.shift), output,
                    part.lowerBound, part.upperBound)
            }
        }
    }
}

/// Numbers of other scales and zeros, added up where there are two, clamped.
struct IntegerSum: IntegerStep {
    /// Inputs, each with the output that it goes to.
    struct Part {
        var sum: lcp_integer_sum
        var first: UnsafePointer<UInt8>
        var second: UnsafePointer<UInt8>?
        var output: UnsafeMutablePointer<UInt8>
        /// The numbers of a run of the input, and from one of the output to the next.
        var count: Int
        var step: Int
    }

    let functions: lcp_integer_kernels
    let parts: [Part]
    let runs: Int
    let sharing: Sharing

    var scratchBytes: Int { 0 }

    func run(_ scratch: UnsafeMutableRawPointer) {
        sharing.run(runs) { range, _ in
            for part in parts {
                var sum = part.sum
                let begin = range.lowerBound
                functions.add(
                    &sum, part.first + begin * part.count, part.second.map { $0 + begin * part.count },
                    part.output + begin * part.step, range.count, part.count, part.step)
            }
        }
    }
}

/// A response normalisation.
final class IntegerResponseNormalization: IntegerStep {
    private let functions: lcp_integer_kernels
    private var response: lcp_integer_response
    private let table: UnsafeMutablePointer<Int16>
    private let pixels: Int
    private let input: UnsafePointer<UInt8>
    private let output: UnsafeMutablePointer<UInt8>
    private let sharing: Sharing

    init(
        _ kernels: IntegerKernels, _ shape: FeatureMapShape, size: Int, table: ResponseTable, from: Quantization,
        to: Quantization, input: UnsafePointer<UInt8>, output: UnsafeMutablePointer<UInt8>, sharing: Sharing
    ) {
        functions = kernels.functions
        self.table = .allocate(capacity: ResponseTable.count)
        self.table.initialize(from: table.factors, count: ResponseTable.count)
        response = lcp_integer_response(
            channels: shape.channels, size: size, input_zero: Int32(from.zero), output_zero: Int32(to.zero),
            segment_shift: Int32(ResponseTable.segmentShift(size: size, zero: from.zero)),
            factor_shift: Int32(table.shift), table: UnsafePointer(self.table))
        pixels = shape.height * shape.width
        self.input = input
        self.output = output
        self.sharing = sharing
    }

    deinit { table.deallocate() }

    private var threadBytes: Int {
        var response = response
        return (functions.response_scratch(&response) + 63) / 64 * 64
    }

    var scratchBytes: Int { sharing.threads * threadBytes }

    func run(_ scratch: UnsafeMutableRawPointer) {
        let (channels, threadBytes) = (response.channels, threadBytes)
        sharing.run(pixels) { part, thread in
            var response = response
            let offset = part.lowerBound * channels
            functions.normalize_responses(
                &response, input + offset, scratch + thread * threadBytes, output + offset, part.count)
        }
    }
}

extension lcp_integer_kernels {
    /// The input with its padding.
    fileprivate func padded(
        _ window: UnsafePointer<lcp_integer_window>, _ input: UnsafePointer<UInt8>, _ scratch: UnsafeMutableRawPointer,
        _ sharing: Sharing
    ) -> UnsafeRawPointer {
        let shape = window.pointee
        let rows = shape.top + shape.height + shape.bottom
        // The threads stay awake for the operation itself.
        let sharing = Sharing(pool: rows * shape.width * shape.channels < 1 << 16 ? nil : sharing.pool)
        sharing.run(rows) { part, _ in pad(window, input, scratch, part.lowerBound, part.upperBound) }
        return UnsafeRawPointer(scratch)
    }
}
