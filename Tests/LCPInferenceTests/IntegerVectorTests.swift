import CBranchKernels
import Foundation
import LCPModels
import Testing

@testable import LCPInference

/// Every kernel beside the golden vectors, which a program made that shares nothing with lcp: see
/// Tests/Fixtures/integers/vectors.py.
@Suite("Golden vectors of arithmetic in eight bits") struct IntegerVectorTests {
    struct Vectors: Decodable {
        /// Sum, multiplier, shift, zero, number.
        var rescaling: [[Int]]
        /// Ratio, multiplier, shift.
        var ratio: [[Double]]
        var convolution: [Convolution]
        var maximum: [Pooling]
        var mean: [Pooling]
        var sum: [Sum]
        var response: [Response]
        var pixels: [Pixels]
        var reals: Reals
        var logits: Logits
        var product: [Product]
        var lookup: [Lookup]
    }
    struct Product: Decodable {
        var name: String
        var scales: [Float]
        var zeros: [Int32]
        var output_scale: Float
        var output_zero: Int32
        var channels: Int
        var inputs: [[Int]]
        var multiplier: Int16
        var shift: UInt8
        var output: [Int]
    }
    struct Lookup: Decodable {
        var name: String
        var scale: Float
        var zero: Int8
        var output_scale: Float
        var output_zero: Int8
        var table: [Int8]
        var input: [Int]
        var output: [Int]
    }
    struct Map: Decodable {
        var shape: [Int]
        var numbers: [Int]
        var zero: Int
    }
    struct Convolution: Decodable {
        var name: String
        var input: Map
        var output: Map
        var kernel: Int
        var stride: Int
        var padding: Int
        var groups: Int
        var weight: [Int]
        var bias: [Int32]
        var multiplier: [Int16]
        var shift: [UInt8]
    }
    struct Pooling: Decodable {
        var name: String
        var input: Map
        var output: Map
        var kernel: Int
        var stride: Int
        var padding: Int?
        var scale: Float?
        var output_scale: Float?
        var weight: Int?
        var multiplier: Int16?
        var shift: UInt8?
    }
    struct Sum: Decodable {
        var name: String
        var scales: [Float]
        var zeros: [Int8]
        var inputs: [[Int]]
        var output_scale: Float
        var output_zero: Int8
        var factors: [Int]
        var shift: Int
        var output: [Int]
    }
    struct Response: Decodable {
        var name: String
        var input: Map
        var output: Map
        var size: Int
        var factors: [Int16]
        var shift: Int
        var segment_shift: Int
    }
    struct Pixels: Decodable {
        var mean: Float
        var standard_deviation: Float
        var scale: Float
        var zero: Int32
        var output: [Int]
    }
    struct Reals: Decodable {
        var scale: Float
        var zero: Int32
        var input: [Float]
        var output: [Int]
    }
    struct Logits: Decodable {
        var input: Map
        var scale: Float
        var weight: [Int]
        var weight_scale: [Float]
        var output: [Float]
    }

    static let vectors: Vectors = {
        let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("Fixtures/integers/vectors.json")
        // swift-format-ignore: NeverUseForceTry
        return try! JSONDecoder().decode(Vectors.self, from: Data(contentsOf: file))
    }()

    /// Numbers as they lie in memory, with the margin behind them, and back.
    private static func bytes(_ numbers: [Int], _ kernels: IntegerKernels) -> [UInt8] {
        numbers.map { kernels.byte(Int8($0)) } + Array(repeating: 77, count: Int(LCP_INTEGER_MARGIN))
    }
    private static func numbers(_ bytes: [UInt8], _ kernels: IntegerKernels) -> [Int] {
        bytes.map { Int(Int8(truncatingIfNeeded: Int($0) - Int(kernels.functions.offset))) }
    }

    private static func window(
        _ input: Map, _ output: Map, kernel: Int = 1, stride: Int = 1, padding: Int = 0, groups: Int = 1
    ) -> lcp_integer_window {
        lcp_integer_window(
            height: input.shape[0], width: input.shape[1], channels: input.shape[2], output_height: output.shape[0],
            output_width: output.shape[1], outputs: output.shape[2], kernel_height: kernel, kernel_width: kernel,
            stride_down: stride, stride_across: stride, top: padding, bottom: padding, left: padding, right: padding,
            groups: groups, input_zero: Int32(input.zero), output_zero: Int32(output.zero), minimum: -128, maximum: 127)
    }

    /// Runs a step on numbers, and gives so many that it makes.
    private static func run(
        _ kernels: IntegerKernels, _ input: [Int], count: Int,
        _ step: (UnsafePointer<UInt8>, UnsafeMutablePointer<UInt8>) -> any IntegerStep
    ) -> [Int] {
        let bytes = bytes(input, kernels)
        var output = [UInt8](repeating: 0, count: count)
        bytes.withUnsafeBufferPointer { bytes in
            output.withUnsafeMutableBufferPointer { output in
                let step = step(bytes.baseAddress!, output.baseAddress!)
                let scratch = UnsafeMutableRawPointer.allocateAligned(bytes: step.scratchBytes)
                step.run(scratch)
                scratch.deallocate()
            }
        }
        return numbers(output, kernels)
    }

    @Test("A ratio has the multiplier and the shift of the page") func ratios() throws {
        for ratio in Self.vectors.ratio {
            let rescaling = try #require(Rescaling(ratio[0]))
            #expect(rescaling == Rescaling(multiplier: Int16(ratio[1]), shift: UInt8(ratio[2])), "\(ratio[0])")
        }
        #expect(Rescaling(1.0 / 64) == nil && Rescaling(0) == nil && Rescaling(-1) == nil && Rescaling(.nan) == nil)
        #expect(Rescaling((1.0 / 64).nextDown) == nil, "it would round to 1/64")
    }

    @Test("Sums are rescaled at every edge") func rescaling() {
        let one = Map(shape: [1, 1, 1], numbers: [5], zero: 0)
        for kernels in IntegerKernels.all {
            for sum in Self.vectors.rescaling {
                // A convolution of nothing but a bias.
                let rescaling = IntegerRescaling(
                    bias: [Int32(sum[0])], multipliers: [Int16(sum[1])], shifts: [UInt8(sum[2])])
                let window = Self.window(one, Map(shape: [1, 1, 1], numbers: [], zero: sum[3]))
                let found = Self.run(kernels, one.numbers, count: 1) {
                    IntegerConvolution(
                        kernels, window, weight: [0], rescaling: rescaling, input: $0, result: .numbers($1),
                        sharing: .none)
                }
                #expect(found == [sum[4]], "\(kernels): \(sum)")
            }
        }
    }

    /// OIHW to OHWI.
    private static func ohwi(_ weight: [Int], outputs: Int, inputs: Int, taps: Int) -> [Float] {
        (0..<outputs).flatMap { output in
            (0..<taps).flatMap { tap in (0..<inputs).map { Float(weight[(output * inputs + $0) * taps + tap]) } }
        }
    }

    @Test("Convolutions, with groups and depthwise") func convolutions() {
        for vector in Self.vectors.convolution {
            let (input, output, taps) = (vector.input, vector.output, vector.kernel * vector.kernel)
            let rescaling = IntegerRescaling(bias: vector.bias, multipliers: vector.multiplier, shifts: vector.shift)
            let window = Self.window(
                input, output, kernel: vector.kernel, stride: vector.stride, padding: vector.padding,
                groups: vector.groups)
            for kernels in IntegerKernels.all {
                let weight = Self.ohwi(
                    vector.weight, outputs: output.shape[2], inputs: input.shape[2] / vector.groups, taps: taps)
                let found = Self.run(kernels, input.numbers, count: output.numbers.count) {
                    IntegerConvolution(
                        kernels, window, weight: weight, rescaling: rescaling, input: $0, result: .numbers($1),
                        sharing: .none)
                }
                #expect(found == output.numbers, "\(kernels): \(vector.name)")
                guard vector.groups == input.shape[2], vector.groups == output.shape[2] else { continue }
                let depthwise = Self.run(kernels, input.numbers, count: output.numbers.count) {
                    IntegerDepthwiseConvolution(
                        kernels, window,
                        weight: Self.ohwi(vector.weight, outputs: 1, inputs: vector.groups, taps: taps),
                        rescaling: rescaling, input: $0, output: $1, sharing: .none)
                }
                #expect(depthwise == output.numbers, "\(kernels), depthwise: \(vector.name)")
            }
        }
    }

    @Test("Maxima and means") func pooling() throws {
        for vector in Self.vectors.maximum + Self.vectors.mean {
            var kind = IntegerPooling.Kind.maximum
            if let scale = vector.scale, let outputScale = vector.output_scale {
                let found = try #require(
                    Rescaling.mean(
                        over: vector.kernel * vector.kernel, from: Quantization(scale: scale, zero: 0),
                        to: Quantization(scale: outputScale, zero: 0)))
                #expect(found.weight == vector.weight && found.rescaling.multiplier == vector.multiplier)
                #expect(found.rescaling.shift == vector.shift)
                kind = .mean(weight: found.weight, found.rescaling)
            }
            let window = Self.window(
                vector.input, vector.output, kernel: vector.kernel, stride: vector.stride, padding: vector.padding ?? 0)
            for kernels in IntegerKernels.all {
                let found = Self.run(kernels, vector.input.numbers, count: vector.output.numbers.count) {
                    IntegerPooling(kernels, window, kind, input: $0, output: $1, sharing: .none)
                }
                #expect(found == vector.output.numbers, "\(kernels): \(vector.name)")
            }
        }
    }

    @Test("Sums, and numbers of another scale") func sums() throws {
        for vector in Self.vectors.sum {
            let from = zip(vector.scales, vector.zeros).map { Quantization(scale: $0, zero: $1) }
            let weights = try #require(
                SumWeights(from: from, to: Quantization(scale: vector.output_scale, zero: vector.output_zero)))
            #expect(weights.factors == vector.factors && weights.shift == vector.shift)
            let second = from.count > 1
            var sum = lcp_integer_sum(
                zero: (Int32(from[0].zero), second ? Int32(from[1].zero) : 0),
                factor: (Int32(weights.factors[0]), second ? Int32(weights.factors[1]) : 0),
                shift: Int32(weights.shift), output_zero: Int32(vector.output_zero), minimum: -128, maximum: 127)
            for kernels in IntegerKernels.all {
                let bytes = vector.inputs.map { Self.bytes($0, kernels) }
                var result = [UInt8](repeating: 0, count: vector.output.count)
                kernels.functions.add(&sum, bytes[0], second ? bytes[1] : nil, &result, 1, result.count, result.count)
                #expect(Self.numbers(result, kernels) == vector.output, "\(kernels): \(vector.name)")
            }
        }
    }

    @Test("Products, of two maps and with a gate") func products() throws {
        for vector in Self.vectors.product {
            let ratio = Double(vector.scales[0]) * Double(vector.scales[1]) / Double(vector.output_scale)
            let rescaling = try #require(Rescaling(ratio))
            #expect(rescaling.multiplier == vector.multiplier && rescaling.shift == vector.shift)
            let product = lcp_integer_product(
                zero: (vector.zeros[0], vector.zeros[1]), multiplier: Int32(vector.multiplier),
                shift: Int32(vector.shift), output_zero: vector.output_zero)
            for kernels in IntegerKernels.all {
                let second = Self.bytes(vector.inputs[1], kernels)
                let found = second.withUnsafeBufferPointer { second in
                    Self.run(kernels, vector.inputs[0], count: vector.output.count) {
                        IntegerElements(
                            functions: kernels.functions,
                            kind: .product(
                                product, second.baseAddress!, isFactor: vector.inputs[1].count == vector.channels),
                            input: $0, output: $1, pixels: vector.output.count / vector.channels,
                            channels: vector.channels, sharing: .none)
                    }
                }
                #expect(found == vector.output, "\(kernels): \(vector.name)")
            }
        }
    }

    @Test("Functions of a number") func lookups() {
        for vector in Self.vectors.lookup {
            let function = vector.name == "sigmoid" ? Activation.sigmoid : .hardSwish
            let table = function.lookup(
                from: Quantization(scale: vector.scale, zero: vector.zero),
                to: Quantization(scale: vector.output_scale, zero: vector.output_zero))
            #expect(table == vector.table)
            for kernels in IntegerKernels.all {
                let found = Self.run(kernels, vector.input, count: vector.output.count) {
                    IntegerElements(
                        functions: kernels.functions, kind: .lookup(table), input: $0, output: $1, pixels: 1,
                        channels: vector.output.count, sharing: .none)
                }
                #expect(found == vector.output, "\(kernels): \(vector.name)")
            }
        }
    }

    @Test("Response normalisations") func responses() {
        for vector in Self.vectors.response {
            let from = Quantization(scale: 1, zero: Int8(vector.input.zero))
            let to = Quantization(scale: 1, zero: Int8(vector.output.zero))
            #expect(ResponseTable.segmentShift(size: vector.size, zero: from.zero) == vector.segment_shift)
            let table = ResponseTable(factors: vector.factors, shift: vector.shift)
            let shape = FeatureMapShape(height: 1, width: vector.input.shape[1], channels: vector.input.shape[2])
            for kernels in IntegerKernels.all {
                let found = Self.run(kernels, vector.input.numbers, count: vector.output.numbers.count) {
                    IntegerResponseNormalization(
                        kernels, shape, size: vector.size, table: table, from: from, to: to, input: $0, output: $1,
                        sharing: .none)
                }
                #expect(found == vector.output.numbers, "\(kernels): \(vector.name)")
            }
        }
    }

    @Test("Pixels and real numbers on their way in") func inputs() {
        let reals = Self.vectors.reals
        for kernels in IntegerKernels.all {
            for one in Self.vectors.pixels {
                let scale = PixelScale(.init(mean: [one.mean], standardDeviation: [one.standard_deviation]))
                    .divided(by: one.scale)
                var result = [UInt8](repeating: 0, count: 256)
                kernels.functions.quantize_bytes(
                    (0...255).map { UInt8($0) }, &result, 256, scale.scale, scale.offset, scale.scale.count, one.zero)
                #expect(Self.numbers(result, kernels) == one.output, "\(kernels): \(one.mean)")
            }
            var result = [UInt8](repeating: 0, count: reals.input.count)
            kernels.functions.quantize(reals.input, &result, result.count, 1 / reals.scale, reals.zero)
            #expect(Self.numbers(result, kernels) == reals.output, "\(kernels)")
            // What is no number is 0, and what has no end is the last.
            let odd: [Float] = [.nan, .infinity, -.infinity]
            kernels.functions.quantize(odd, &result, 3, 1 / reals.scale, reals.zero)
            #expect(Self.numbers(result, kernels).prefix(3) == [Int(reals.zero), 127, -128], "\(kernels)")
        }
    }

    @Test("Shares of the logits on their way out") func logits() {
        let vector = Self.vectors.logits
        var window = Self.window(vector.input, vector.input)
        window.outputs = vector.weight_scale.count
        let none = IntegerRescaling(
            bias: vector.weight_scale.map { _ in 0 }, multipliers: vector.weight_scale.map { _ in 0 },
            shifts: vector.weight_scale.map { _ in 0 })
        for kernels in IntegerKernels.all {
            let shares = UnsafeMutablePointer<Float>.allocate(capacity: vector.output.count)
            defer { shares.deallocate() }
            _ = Self.run(kernels, vector.input.numbers, count: 0) { input, _ in
                IntegerConvolution(
                    kernels, window, weight: vector.weight.map(Float.init), rescaling: none, input: input,
                    result: .reals(vector.weight_scale.map { $0 * vector.scale }, shares), sharing: .none)
            }
            #expect((0..<vector.output.count).map { shares[$0] } == vector.output, "\(kernels)")
        }
    }
}
