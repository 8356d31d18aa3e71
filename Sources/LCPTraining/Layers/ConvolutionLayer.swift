import CTrainingKernels
import LCPModels

/// A convolution of any stride, padding and number of groups.
final class ConvolutionLayer: TrainingLayer {
    private let kernels: UnsafePointer<lcp_kernels>
    private let input: LayerInput
    private let output: Value
    private let parameters: ParameterSlice
    private let isRelu: Bool
    private let forwardGather: Gather
    /// For every phase of the stride, by rows and columns.
    private let backwardGathers: [Gather]
    private var filter: lcp_filter
    private let tilesPerGroup: Int

    struct Geometry {
        var from: FeatureMapShape
        var to: FeatureMapShape
        /// Rounding down.
        var window: Window
        var groups: Int

        /// Columns of zeros that the forward pass needs beside the input.
        var inputHalo: Int {
            max(0, window.left, (to.width - 1) * window.strideAcross + window.reach.across - window.left - from.width)
        }

        /// Columns of zeros that the gradient of the input needs beside the gradient of the output.
        var gradientHalo: Int {
            var halo = 0
            for phase in columnPhases where !phase.taps.isEmpty && phase.count > 0 {
                let first = phase.source - (phase.taps.count - 1) * phase.step
                halo = max(halo, -first, phase.source + phase.count - 1 - (to.width - 1))
            }
            return halo
        }

        /// The places of one dimension that the same taps reach: `first`, `first + stride` and so on, `count` of them. The first's
        /// tap number r reads place `source − r · step` of the output.
        typealias Phase = (first: Int, count: Int, source: Int, step: Int, taps: [Int])

        var rowPhases: [Phase] {
            Self.phases(from.height, window.height, window.strideDown, window.top, window.dilationDown)
        }

        var columnPhases: [Phase] {
            Self.phases(from.width, window.width, window.strideAcross, window.left, window.dilationAcross)
        }

        /// Place x of the input and place y of the output meet at tap t where x = y · stride + t · dilation − padding.
        private static func phases(
            _ size: Int, _ kernel: Int, _ stride: Int, _ padding: Int, _ dilation: Int
        ) -> [Phase] {
            (0..<min(stride, size)).map { first in
                let taps = (0..<kernel).filter { (first + padding - $0 * dilation) % stride == 0 }
                let source = taps.first.map { (first + padding - $0 * dilation) / stride } ?? 0
                let step = taps.count > 1 ? (taps[1] - taps[0]) * dilation / stride : 1
                return (first, (size - first + stride - 1) / stride, source, step, taps)
            }
        }
    }

    init(
        kernels: UnsafePointer<lcp_kernels>, geometry: Geometry, input: LayerInput, output: Value,
        parameters: ParameterSlice, isRelu: Bool
    ) {
        self.kernels = kernels
        self.input = input
        self.output = output
        self.parameters = parameters
        self.isRelu = isRelu
        let (from, to) = (geometry.from, geometry.to)
        let (window, groups) = (geometry.window, geometry.groups)
        let (inputs, outputs, area) = (from.channels / groups, to.channels / groups, window.taps)
        let lanes = Volume.lanes
        let source = input.value.values.layout
        let destination = output.values.layout

        var taps: [(source: Int, weight: Int)] = []
        for row in 0..<window.height {
            for channel in 0..<inputs {
                for column in 0..<window.width {
                    let (down, across) = (row * window.dilationDown, column * window.dilationAcross)
                    taps.append(
                        (
                            channel * Int(source.channel_stride) + down * Int(source.row_stride) + across * lanes,
                            channel * area + row * window.width + column
                        ))
                }
            }
        }
        forwardGather = Gather(
            taps: taps,
            lcp_gather(
                groups: Int32(groups), outputs: Int32(outputs), rows: Int32(window.height),
                row_taps: Int32(inputs * window.width),
                out_rows: destination.height, out_columns: destination.width, source_height: source.height,
                source_row: Int32(-window.top), source_row_step: Int32(window.strideDown),
                tap_row_step: Int32(window.dilationDown),
                column_taps: 1, source_column: 0, source_width: source.width,
                source_row_stride: source.row_stride, source_group_stride: Int32(inputs) * source.channel_stride,
                source_column_step: Int32(window.strideAcross * lanes),
                source_origin: source.origin - Int32(window.left * lanes),
                destination_origin: destination.origin, destination_row_stride: destination.row_stride,
                destination_column_step: Int32(lanes), destination_channel_stride: destination.channel_stride,
                weight_group_stride: Int32(outputs * inputs * area), weight_output_stride: Int32(inputs * area),
                tap_source: nil, tap_weight: nil), tile: kernels.pointee.tile_outputs)

        var gathers: [Gather] = []
        if let gradient = input.value.gradient?.layout, let slope = output.gradient?.layout {
            for rowPhase in geometry.rowPhases {
                for columnPhase in geometry.columnPhases {
                    var taps: [(source: Int, weight: Int)] = []
                    for (number, row) in rowPhase.taps.enumerated() {
                        for channel in 0..<outputs {
                            for (place, column) in columnPhase.taps.enumerated() {
                                taps.append(
                                    (
                                        channel * Int(slope.channel_stride)
                                            - number * rowPhase.step * Int(slope.row_stride)
                                            - place * columnPhase.step * lanes,
                                        channel * inputs * area + row * window.width + column
                                    ))
                            }
                        }
                    }
                    // A phase that no tap reaches is written as zeros.
                    let rows = columnPhase.taps.isEmpty ? 0 : rowPhase.taps.count
                    gathers.append(
                        Gather(
                            taps: taps,
                            lcp_gather(
                                groups: Int32(groups), outputs: Int32(inputs), rows: Int32(rows),
                                row_taps: Int32(outputs * columnPhase.taps.count), out_rows: Int32(rowPhase.count),
                                out_columns: Int32(columnPhase.count), source_height: slope.height,
                                source_row: Int32(rowPhase.source), source_row_step: 1,
                                tap_row_step: Int32(-rowPhase.step),
                                column_taps: columnPhase.step == 1 ? Int32(columnPhase.taps.count) : 1,
                                source_column: Int32(columnPhase.source),
                                source_width: slope.width,
                                source_row_stride: slope.row_stride,
                                source_group_stride: Int32(outputs) * slope.channel_stride,
                                source_column_step: Int32(lanes),
                                source_origin: slope.origin + Int32(columnPhase.source * lanes),
                                destination_origin: gradient.origin + Int32(columnPhase.first * lanes)
                                    + Int32(rowPhase.first) * gradient.row_stride,
                                destination_row_stride: Int32(window.strideDown) * gradient.row_stride,
                                destination_column_step: Int32(window.strideAcross * lanes),
                                destination_channel_stride: gradient.channel_stride,
                                weight_group_stride: Int32(outputs * inputs * area), weight_output_stride: Int32(area),
                                tap_source: nil, tap_weight: nil), tile: kernels.pointee.tile_outputs))
                }
            }
        }
        backwardGathers = gathers
        filter = lcp_filter(
            groups: Int32(groups), outputs: Int32(outputs), inputs: Int32(inputs),
            kernel_height: Int32(window.height), kernel_width: Int32(window.width),
            stride_down: Int32(window.strideDown), stride_across: Int32(window.strideAcross), top: Int32(window.top),
            left: Int32(window.left), dilation_down: Int32(window.dilationDown),
            dilation_across: Int32(window.dilationAcross), input: source,
            output: output.gradient?.layout ?? destination)
        let tile = Int(kernels.pointee.filter_outputs)
        tilesPerGroup = (outputs + tile - 1) / tile
    }

    func prepare() {
        forwardGather.pack(parameters.weight)
        for gather in backwardGathers { gather.pack(parameters.weight) }
    }

    func forward(phase: Int, blocks: Range<Int>, pass: Pass) {
        for block in blocks {
            forwardGather.run(
                kernels, input.value.values.block(block), bias: parameters.bias, output.values.block(block),
                accumulates: false, isRelu: isRelu)
        }
    }

    func backward(phase: Int, blocks: Range<Int>, pass: Pass) {
        guard let gradient = input.value.gradient, let slope = output.gradient else { return }
        for block in blocks {
            for gather in backwardGathers {
                gather.run(
                    kernels, slope.block(block), bias: nil, gradient.block(block), accumulates: input.accumulates,
                    isRelu: false)
            }
        }
    }

    /// One for each group, tile of output channels and row of the kernel, and one for the bias.
    var gradientPieces: Int {
        Int(filter.groups) * tilesPerGroup * Int(filter.kernel_height) + (parameters.biasGradient == nil ? 0 : 1)
    }

    func gradient(piece: Int, pass: Pass) {
        guard let slope = output.gradient else { return }
        let rows = Int(filter.kernel_height)
        let tiles = Int(filter.groups) * tilesPerGroup
        guard piece < tiles * rows else {
            if let bias = parameters.biasGradient {
                var layout = slope.layout
                kernels.pointee.bias_gradient(
                    &layout, slope.pointer, Int32(slope.blocks), 0, layout.channels, bias)
            }
            return
        }
        let tile = piece / rows
        let first = tile % tilesPerGroup * Int(kernels.pointee.filter_outputs)
        kernels.pointee.filter_gradient(
            &filter, input.value.values.pointer, slope.pointer, Int32(slope.blocks), Int32(tile / tilesPerGroup),
            Int32(first), min(kernels.pointee.filter_outputs, filter.outputs - Int32(first)), Int32(piece % rows),
            parameters.weightGradient)
    }
}

/// A sum over taps with its tables and packed weights.
private final class Gather {
    private var gather: lcp_gather
    private let tables: UnsafeMutablePointer<Int32>
    private let packed: Buffer
    private let tile: Int32

    init(taps: [(source: Int, weight: Int)], _ gather: lcp_gather, tile: Int32) {
        self.gather = gather
        self.tile = tile
        tables = .allocate(capacity: max(1, 2 * taps.count))
        for (index, tap) in taps.enumerated() {
            (tables + index).initialize(to: Int32(tap.source))
            (tables + taps.count + index).initialize(to: Int32(tap.weight))
        }
        self.gather.tap_source = UnsafePointer(tables)
        self.gather.tap_weight = UnsafePointer(tables + taps.count)
        packed = Buffer(taps.count * Int(gather.outputs) * Int(gather.groups))
    }

    deinit { tables.deallocate() }

    func pack(_ weights: UnsafePointer<Float>) { lcp_gather_pack(&gather, tile, weights, packed.pointer) }

    func run(
        _ kernels: UnsafePointer<lcp_kernels>, _ source: UnsafePointer<Float>, bias: UnsafePointer<Float>?,
        _ destination: UnsafeMutablePointer<Float>, accumulates: Bool, isRelu: Bool
    ) {
        withUnsafePointer(to: gather) {
            kernels.pointee.gather(
                $0, source, packed.pointer, bias, destination, accumulates ? 1 : 0, isRelu ? 1 : 0)
        }
    }
}
