import LCPModels
import Tensors
import Testing

@testable import LCPTraining

@Suite struct GradientTests {
    static func network(_ layers: [[Layer]], merge: Merge = .concat, channels: Int = 2) -> BranchedNetwork {
        BranchedNetwork(
            base: "test", input: .init(height: 9, width: 7, channels: channels), branches: layers, classes: 3,
            merge: merge)
    }

    static let small: [Layer] = [
        .convolution(outputs: 3, kernel: 3, padding: 1), .relu, .maxPool(size: 2, stride: 2),
        .convolution(outputs: 2, kernel: 3), .fullyConnected(outputs: 5),
    ]

    /// Every layer, and every way to put layers together.
    static let networks: [(name: String, network: BranchedNetwork)] = [
        ("one branch", network([small])),
        (
            "two different branches",
            network([small, [.convolution(outputs: 2, kernel: 4, stride: 2, padding: 1), .relu]])
        ),
        ("a sum", network([small, small], merge: .sum)),
        (
            "strides",
            network([
                [
                    .convolution(outputs: 5, kernel: 3, stride: 2, padding: 1),
                    .convolution(outputs: 4, kernel: 2, stride: 3, padding: 1), .relu,
                ]
            ])
        ),
        (
            "a stride wider than its kernel",
            network([[.convolution(outputs: 6, kernel: 1), .convolution(outputs: 3, kernel: 1, stride: 2)]])
        ),
        (
            "groups",
            network([
                [
                    .convolution(outputs: 6, kernel: 3, padding: 1),
                    .convolution(outputs: 4, kernel: 3, stride: 2, padding: 2, groups: 2),
                    .relu,
                ]
            ])
        ),
        (
            "depthwise",
            network([
                [
                    .convolution(outputs: 5, kernel: 1), .depthwiseConvolution(kernel: 3, stride: 2, padding: 1), .relu,
                    .convolution(outputs: 3, kernel: 1, hasBias: false),
                ]
            ])
        ),
        (
            "pooling",
            network([
                [
                    .convolution(outputs: 3, kernel: 3, padding: 1), .maxPool(size: 3, stride: 2, padding: 1),
                    .averagePool(size: 2, stride: 1), .convolution(outputs: 4, kernel: 2), .globalAveragePool,
                ]
            ])
        ),
        (
            "batch normalisation",
            network([
                [
                    .convolution(outputs: 4, kernel: 3, padding: 1, hasBias: false), .batchNormalization(), .relu,
                    .convolution(outputs: 3, kernel: 3, hasBias: false), .batchNormalization(epsilon: 1e-3), .relu6,
                ]
            ])
        ),
        (
            "response normalisation",
            network([
                [
                    .convolution(outputs: 7, kernel: 3, padding: 1), .relu,
                    .localResponseNormalization(size: 5, alpha: 0.5, beta: 0.75, k: 1),
                    .convolution(outputs: 3, kernel: 3),
                    .localResponseNormalization(size: 4, alpha: 0.3, beta: 0.6, k: 2),
                ]
            ])
        ),
        (
            "a skip connection",
            network([
                [
                    .convolution(outputs: 4, kernel: 3, padding: 1), .relu,
                    .convolution(outputs: 4, kernel: 3, padding: 1),
                    .batchNormalization(), .add(1), .relu, .output(of: 1),
                    .convolution(outputs: 3, kernel: 1, stride: 2),
                    .output(of: 5), .convolution(outputs: 3, kernel: 3, stride: 2, padding: 1), .add(7), .relu,
                ]
            ])
        ),
        (
            "a concatenation",
            network([
                [
                    .convolution(outputs: 3, kernel: 3, padding: 1), .relu, .convolution(outputs: 2, kernel: 1), .relu,
                    .concatenate([1, 3]), .convolution(outputs: 3, kernel: 5, padding: 2), .softmax,
                    .fullyConnected(outputs: 4),
                ]
            ])
        ),
        (
            "clamps that leave their input alone",
            network([[.convolution(outputs: 3, kernel: 3), .relu6, .add(0), .relu, .add(1)]])
        ),
        ("pixels as they are", network([[.relu, .maxPool(size: 2, stride: 2), .fullyConnected(outputs: 4)]])),
    ]

    /// The slope of the loss by every parameter, from two losses beside it.
    @Test(arguments: networks.indices)
    func gradientsAreTheSlopesOfTheLoss(index: Int) throws {
        let network = Self.networks[index].network
        var random = SeededGenerator(seed: 5)
        // Two blocks, the second of them not full.
        let batch = 19
        let team = try Team(threads: 2)
        let graph = try TrainingGraph(network, batch: batch, team: team)
        graph.modelParameters = try ModelParameters.random(for: network, using: &random)
        for image in 0..<batch { Self.fill(graph.images[0], image) { random.uniform(-1, 1) } }
        let targets = Targets(
            labels: (0..<batch).map { UInt8($0 % 3) }, smoothing: 0.1, teacher: nil)
        let pass = Pass(isTraining: true, seed: 3, images: batch)
        func loss() -> Double {
            team.run { graph.forward(pass, thread: $0) }
            return (0..<graph.blocks).reduce(0.0) {
                $0 + targets.loss(of: graph.logits, block: $1, pass: pass).loss / Double(batch)
            }
        }
        _ = loss()
        team.run { graph.backward(pass, thread: $0) }
        let gradients = graph.gradients.values
        var (right, worst) = (0, 0.0)
        for index in 0..<gradients.count {
            let value = graph.parameters.pointer[index]
            let step: Float = 2e-3
            graph.parameters.pointer[index] = value + step
            let above = loss()
            graph.parameters.pointer[index] = value - step
            let below = loss()
            graph.parameters.pointer[index] = value
            let difference = abs((above - below) / Double(2 * step) - Double(gradients[index]))
            // A ReLU or a maximum that changes sides within the step bends the loss there: a few outliers are expected.
            if difference < 1e-3 { right += 1 } else { worst = max(worst, difference) }
        }
        #expect(
            Double(right) >= 0.97 * Double(gradients.count),
            "\(Self.networks[index].name): \(right) of \(gradients.count), the worst off by \(worst)")
    }

    static func fill(_ volume: Volume, _ image: Int, _ value: () -> Float) {
        let layout = volume.layout
        for channel in 0..<Int(layout.channels) {
            for row in 0..<Int(layout.height) {
                for column in 0..<Int(layout.width) {
                    volume.block(image / Volume.lanes)[
                        channel * Int(layout.channel_stride) + row * Int(layout.row_stride) + Int(layout.origin)
                            + column * Volume.lanes + image % Volume.lanes] = value()
                }
            }
        }
    }
}
