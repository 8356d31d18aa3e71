import CTrainingKernels
import LCPModels
import Platform
import Testing

@testable import LCPTraining

/// All kernels that this processor runs compute the same, whichever the machine would choose.
@Suite struct KernelTests {
    static let networks: [BranchedNetwork] = [
        // Widths and sizes that leave every kind of rest, edges on all sides, poolings that overlap and that leave a column out.
        GradientTests.network([
            [
                .convolution(outputs: 7, kernel: 5, padding: 4), .relu, .maxPool(size: 2, stride: 2),
                .localResponseNormalization(size: 4, alpha: 0.5, beta: 0.75, k: 1),
                .convolution(outputs: 10, kernel: 4, padding: 2), .relu,
                .localResponseNormalization(size: 9, alpha: 0.5, beta: 0.6, k: 2), .maxPool(size: 3, stride: 2),
                .convolution(outputs: 5, kernel: 1), .relu6, .fullyConnected(outputs: 37), .relu,
                .fullyConnected(outputs: 21), .softmax,
            ],
            [
                .convolution(outputs: 1, kernel: 3, stride: 2, padding: 1), .relu,
                .maxPool(size: 3, stride: 1, padding: 1), .convolution(outputs: 2, kernel: 3, padding: 2), .relu,
                .averagePool(size: 2, stride: 2), .fullyConnected(outputs: 5),
            ],
            GradientTests.normalized + [.globalAveragePool],
        ]),
        // A wide convolution without padding, whose gradient reaches over all edges; both leave other rests.
        BranchedNetwork(
            base: "test", input: .init(height: 13, width: 14, channels: 1),
            branches: [
                [
                    .convolution(outputs: 9, kernel: 3), .relu, .convolution(outputs: 29, kernel: 5), .relu,
                    .globalAveragePool,
                ]
            ],
            classes: 3, merge: .concat),
    ]

    static let others = (["avx512", "avx2"] as [String]).filter { lcp_kernels_named($0) != nil }

    @Test(arguments: others, networks)
    func allKernelsGiveTheSameGradients(name: String, network: BranchedNetwork) throws {
        let (loss, gradients) = try Self.gradients(network, "portable")
        let (otherLoss, otherGradients) = try Self.gradients(network, name)
        #expect(abs(loss - otherLoss) < 1e-5)
        let scale = gradients.reduce(0) { max($0, abs($1)) }
        let distance = zip(gradients, otherGradients).reduce(Float(0)) { max($0, abs($1.0 - $1.1)) }
        #expect(distance < 1e-4 * scale, "\(distance) of \(scale)")
    }

    @Test(arguments: others + ["portable"])
    func optimizersStepTheSameWhereverAPartEnds(name: String) throws {
        let kernels = try #require(lcp_kernels_named(name))
        var random = SeededGenerator(seed: 3)
        let start = (0..<50).map { _ in random.uniform(-1, 1) }
        let slopes = (0..<50).map { _ in random.uniform(-1, 1) }
        func stepped(_ parts: [Range<Int>]) -> [Float] {
            var (values, first) = (start, [Float](repeating: 0.1, count: 50))
            var second = [Float](repeating: 0.2, count: 50)
            for part in parts {
                values.withUnsafeMutableBufferPointer { values in
                    slopes.withUnsafeBufferPointer { slopes in
                        first.withUnsafeMutableBufferPointer { first in
                            second.withUnsafeMutableBufferPointer { second in
                                let start = part.lowerBound
                                kernels.pointee.adam(
                                    values.baseAddress! + start, slopes.baseAddress! + start,
                                    first.baseAddress! + start,
                                    second.baseAddress! + start, Int64(part.count), 0.1, 0.9, 0.999, 1e-8, 0.1, 0.001,
                                    0.01, 1)
                            }
                        }
                    }
                }
            }
            return values
        }
        let whole = stepped([0..<50])
        #expect(whole == stepped([0..<7, 7..<39, 39..<50]))
        for (index, value) in whole.enumerated() {
            let slope = Double(slopes[index]) + 0.01 * Double(start[index])
            let (momentum, variance) = (0.09 + 0.1 * slope, 0.1998 + 0.001 * slope * slope)
            let expected = Double(start[index]) - 0.1 / 0.1 * momentum / ((variance / 0.001).squareRoot() + 1e-8)
            #expect(abs(Double(value) - expected) < 1e-5)
        }
    }

    private static func gradients(_ network: BranchedNetwork, _ name: String) throws -> (Double, [Float]) {
        let kernels = try #require(lcp_kernels_named(name))
        var random = SeededGenerator(seed: 5)
        let parameters = try GradientTests.parameters(network, &random)
        let batch = 23
        let team = try Team(threads: 2)
        let graph = try TrainingGraph(network, batch: batch, team: team, kernels: kernels)
        graph.modelParameters = parameters
        for image in 0..<batch { GradientTests.fill(graph.images[0], image) { random.uniform(-1, 1) } }
        let targets = Targets(
            labels: (0..<batch).map { UInt16($0 % network.classes) }, smoothing: 0.1, teacher: nil)
        let pass = Pass(isTraining: true, images: batch)
        team.run { graph.forward(pass, thread: $0) }
        let loss = (0..<graph.blocks).reduce(0.0) {
            $0 + targets.loss(of: graph.logits, block: $1, pass: pass).loss / Double(batch)
        }
        team.run { graph.backward(pass, thread: $0) }
        return (loss, graph.gradients.values)
    }
}
