import Foundation
import LCPModels
import Testing

@testable import LCPInference

/// The arithmetic of fixed point beside the golden vectors, which a program made that shares nothing with lcp: see
/// Tests/Fixtures/integers/vectors.py.
@Suite("Golden vectors of fixed point 3.13") struct FixedPointVectorTests {
    struct Vectors: Decodable { var fixed: Fixed }
    struct Fixed: Decodable {
        /// Bias, weight, number, result.
        var rounding: [[Int16]]
        var convolution: [Case]
        var connected: [Case]
        var maximum: [Case]
        var mean: [Case]
        var sum: Sum
        /// Scale and number.
        var six: [[Double]]
        var response: [Case]
        var pixels: [Pixels]
        var reals: [[Double]]
    }
    struct Map: Decodable {
        var shape: [Int]
        var numbers: [Int16]
        var featureMap: FeatureMapShape { FeatureMapShape(height: shape[0], width: shape[1], channels: shape[2]) }
    }
    struct Case: Decodable {
        var name: String
        var input: Map
        var output: Map
        var kernel: Int?
        var stride: Int?
        var padding: Int?
        var groups: Int?
        var weight: [Int16]?
        var bias: [Int16]?
        var size: Int?
        var factors: [Int16]?
        var shift: Int?

        /// What a layer makes of the input.
        func run(_ layer: Layer) -> [Int16] {
            let weights = weight.map { FixedPointWeights(weight: $0, bias: bias ?? []) }
            let table = factors.map { ResponseTable(factors: $0, shift: shift ?? 0) }
            return FixedPointLayer(
                layer, input: input.featureMap, output: output.featureMap, weights: weights, table: table, scale: 1
            ).run(input.numbers, others: [])
        }
    }
    struct Sum: Decodable {
        var left: [Int16]
        var right: [Int16]
        var output: [Int16]
    }
    struct Pixels: Decodable {
        var mean: Float
        var standard_deviation: Float
        var scale: Double
        var output: [Int16]
    }

    private static let vectors: Fixed = {
        let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("Fixtures/integers/vectors.json")
        // swift-format-ignore: NeverUseForceTry
        return try! JSONDecoder().decode(Vectors.self, from: Data(contentsOf: file)).fixed
    }()

    @Test("Products, convolutions and fully connected layers have the bits of the page") func products() {
        for entry in Self.vectors.rounding {
            let layer = FixedPointLayer(
                .fullyConnected(outputs: 1), input: FeatureMapShape(features: 1), output: FeatureMapShape(features: 1),
                weights: FixedPointWeights(weight: [entry[1]], bias: [entry[0]]), table: nil, scale: 1)
            #expect(layer.run([entry[2]], others: []) == [entry[3]], "\(entry)")
        }
        for entry in Self.vectors.convolution {
            let (channels, outputs) = (entry.input.shape[2], entry.output.shape[2])
            let (kernel, stride, padding) = (entry.kernel ?? 1, entry.stride ?? 1, entry.padding ?? 0)
            let convolution = Layer.convolution(
                outputs: outputs, kernel: kernel, stride: stride, padding: padding, groups: entry.groups ?? 1)
            #expect(entry.run(convolution) == entry.output.numbers, "\(entry.name)")
            guard entry.groups == channels, channels == outputs else { continue }
            let depthwise = Layer.depthwiseConvolution(kernel: kernel, stride: stride, padding: padding)
            #expect(entry.run(depthwise) == entry.output.numbers, "\(entry.name)")
        }
        for entry in Self.vectors.connected {
            #expect(
                entry.run(.fullyConnected(outputs: entry.output.shape[2])) == entry.output.numbers, "\(entry.name)")
        }
        #expect(Self.vectors.convolution.contains { $0.groups ?? 1 == $0.input.shape[2] })
    }

    @Test("Maxima, means, sums, ReLU6 and response normalisations have the bits of the page") func others() {
        for entry in Self.vectors.maximum {
            let layer = Layer.maxPool(size: entry.kernel ?? 1, stride: entry.stride ?? 1, padding: entry.padding ?? 0)
            #expect(entry.run(layer) == entry.output.numbers, "\(entry.name)")
        }
        for entry in Self.vectors.mean {
            let isGlobal = entry.kernel == entry.input.shape[0] && entry.kernel == entry.input.shape[1]
            let layer =
                isGlobal
                ? Layer.globalAveragePool : .averagePool(size: entry.kernel ?? 1, stride: entry.stride ?? 1)
            #expect(entry.run(layer) == entry.output.numbers, "\(entry.name)")
        }
        for entry in Self.vectors.response {
            let layer = Layer.localResponseNormalization(size: entry.size ?? 1, alpha: 0, beta: 0, k: 0)
            #expect(entry.run(layer) == entry.output.numbers, "\(entry.name)")
        }
        let (sum, shape) = (Self.vectors.sum, FeatureMapShape(features: Self.vectors.sum.left.count))
        let add = FixedPointLayer(.add(0), input: shape, output: shape, weights: nil, table: nil, scale: 1)
        #expect(add.run(sum.left, others: [sum.right]) == sum.output)
        for entry in Self.vectors.six {
            let one = FeatureMapShape(features: 3)
            let layer = FixedPointLayer(.relu6, input: one, output: one, weights: nil, table: nil, scale: entry[0])
            #expect(layer.run([-5, 3, .max], others: []) == [0, 3, Int16(entry[1])])
        }
    }

    @Test("A response normalisation's table is that of the page") func table() throws {
        let constants: [(size: Int, alpha: Float, beta: Float, k: Float, input: Double, output: Double)] = [
            (5, 1e-4, 0.75, 2, 16, 8), (9, 1e-3, 0.75, 1, 4, 4),
        ]
        for (entry, constants) in zip(Self.vectors.response, constants) {
            let table = try #require(
                ResponseTable(
                    size: constants.size, alpha: constants.alpha, beta: constants.beta, k: constants.k,
                    inputScale: constants.input, outputScale: constants.output))
            #expect(table.shift == entry.shift && entry.size == constants.size)
            // No two libraries agree on the last bit of a power.
            #expect(zip(table.factors, entry.factors ?? []).allSatisfy { abs(Int($0) - Int($1)) <= 1 })
        }
    }

    @Test("Pixels and real numbers become the numbers of the page") func inputs() throws {
        for entry in Self.vectors.reals { #expect(FixedPoint.number(of: entry[0]) == Int16(entry[1]), "\(entry)") }
        #expect(FixedPoint.number(of: .nan) == 0 && FixedPoint.number(of: -.infinity) == -32_768)
        for entry in Self.vectors.pixels {
            let shape = FeatureMapShape(height: 16, width: 16, channels: 1)
            let engine = try BranchEngine(
                network: BranchedNetwork(base: "none", input: shape, branches: [[.relu]], classes: 1, merge: .concat),
                branch: 0, fixedPoint: FixedPointBranch(layers: [nil], scales: [entry.scale, entry.scale]),
                preprocessing: .init(mean: [entry.mean], standardDeviation: [entry.standard_deviation]))
            let pixels = (0...255).map { UInt8($0) }
            try pixels.withUnsafeBytes { try engine.run(pixels: $0) }
            #expect(Array(engine.output) == entry.output.map { Float(Double(max(0, $0)) / 8192 * entry.scale) })
            let reals = pixels.map { (Float($0) / 255 - entry.mean) / entry.standard_deviation }
            try reals.withUnsafeBytes { try engine.run(normalized: $0) }
            #expect(
                zip(engine.output, entry.output).allSatisfy {
                    abs(Double($0) - Double(max(0, $1)) / 8192 * entry.scale) <= entry.scale / 8192
                })
        }
    }
}
