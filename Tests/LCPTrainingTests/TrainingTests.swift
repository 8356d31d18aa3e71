import LCPModels
import Tensors
import Testing

@testable import LCPTraining

@Suite struct TrainingTests {
    static func network(_ layers: [[Layer]], merge: Merge = .concat) -> BranchedNetwork {
        BranchedNetwork(
            base: "test", input: .init(height: 9, width: 7, channels: 2), branches: layers, classes: 3, merge: merge)
    }

    static let small: [Layer] = [
        .convolution(outputs: 3, kernel: 3, padding: 1), .relu, .maxPool(size: 2, stride: 2),
        .convolution(outputs: 2, kernel: 3),
        .fullyConnected(outputs: 5),
    ]

    /// The slope of the loss by every parameter, from two losses beside it.
    @Test(arguments: [
        network([small]), network([small, [.convolution(outputs: 2, kernel: 4, stride: 2, padding: 1), .relu]]),
        network([small, small], merge: .sum),
    ])
    func gradientsAreTheSlopesOfTheLoss(network: BranchedNetwork) throws {
        var random = SeededGenerator(seed: 5)
        let graph = try TrainingGraph(network, batch: 4)
        graph.modelParameters = try ModelParameters.random(for: network, using: &random)
        for index in 0..<graph.images.count { graph.images.pointer[index] = random.uniform(-1, 1) }
        let labels: [UInt8] = [0, 2, 1, 2]
        func loss() throws -> Double {
            try graph.forward()
            return graph.loss(labels: labels).loss
        }
        _ = try loss()
        try graph.backward()
        let gradients = Array(UnsafeBufferPointer(start: graph.gradients.pointer, count: graph.gradients.count))
        var checked = 0
        for index in 0..<gradients.count {
            let value = graph.parameters.pointer[index]
            let step: Float = 1e-3
            graph.parameters.pointer[index] = value + step
            let above = try loss()
            graph.parameters.pointer[index] = value - step
            let below = try loss()
            graph.parameters.pointer[index] = value
            let slope = (above - below) / Double(2 * step)
            // A ReLU or a maximum that changes sides within the step bends the loss there: a few outliers are expected.
            if abs(slope - Double(gradients[index])) < 3e-3 { checked += 1 }
        }
        #expect(Double(checked) > 0.97 * Double(gradients.count), "\(checked) of \(gradients.count)")
    }

    static func set(_ count: Int, _ random: inout SeededGenerator) -> TrainingSet {
        var set = TrainingSet(pixels: [], labels: [])
        for _ in 0..<count {
            let label = random.index(3)
            // A bright third tells the class.
            let pixels = (0..<126).map { UInt8(random.index(60) + ($0 / 42 == label ? 150 : 0)) }
            set.pixels += pixels
            set.labels.append(UInt8(label))
        }
        return set
    }

    static func train(seed: UInt64, epochs: Int = 6, rate: Float = 3e-3) throws -> (ModelParameters, Double) {
        var options = TrainingOptions()
        options.epochs = epochs
        options.batchSize = 16
        options.seed = seed
        options.learningRate = rate
        options.augments = false
        let trainer = try Trainer(
            network: network([small, small]), preprocessing: .init(mean: [0.4, 0.4], standardDeviation: [0.3, 0.3]),
            options: options)
        var random = SeededGenerator(seed: 9)
        let data = set(320, &random)
        var accuracy = 0.0
        try trainer.run { _ in
            data
        } progress: { progress in
            if progress.isEndOfEpoch { accuracy = progress.accuracy }
            return true
        }
        return (trainer.parameters, accuracy)
    }

    @Test func aPlainTaskIsLearned() throws {
        #expect(try Self.train(seed: 1).1 > 0.98)
    }

    @Test func theSameSeedGivesTheSameWeights() throws {
        #expect(try Self.train(seed: 3, epochs: 1).0 == Self.train(seed: 3, epochs: 1).0)
        #expect(try Self.train(seed: 3, epochs: 1).0 != Self.train(seed: 4, epochs: 1).0)
    }

    @Test func aLossThatIsNoNumberStopsTraining() {
        let error = #expect(throws: TrainingError.self) { try Self.train(seed: 1, epochs: 30, rate: 1e30) }
        #expect(error?.description.contains("learning rate") == true)
    }

    @Test func progressMayEndTraining() throws {
        var options = TrainingOptions()
        options.batchSize = 16
        let trainer = try Trainer(
            network: Self.network([Self.small]), preprocessing: .init(mean: [0, 0], standardDeviation: [1, 1]),
            options: options)
        var random = SeededGenerator(seed: 9)
        let data = Self.set(64, &random)
        #expect(throws: CancellationError.self) {
            try trainer.run { _ in
                data
            } progress: { _ in
                false
            }
        }
    }

    @Test func dataThatDoesNotFitIsRefused() throws {
        let trainer = try Trainer(
            network: Self.network([Self.small]), preprocessing: .init(mean: [0, 0], standardDeviation: [1, 1]),
            options: TrainingOptions())
        for set in [
            TrainingSet(pixels: [1, 2, 3], labels: [1]), TrainingSet(pixels: [], labels: []),
            TrainingSet(pixels: [UInt8](repeating: 0, count: 126 * 64), labels: [UInt8](repeating: 9, count: 64)),
        ] {
            #expect(throws: TrainingError.self) {
                try trainer.run { _ in
                    set
                } progress: { _ in
                    true
                }
            }
        }
    }

    @Test func adamFollowsItsDefinition() {
        let (parameters, gradients) = (Buffer(1), Buffer(1))
        parameters.pointer[0] = 1
        let adam = Adam(count: 1)
        var (m, v, expected) = (0.0, 0.0, 1.0)
        for step in 1...50 {
            let gradient = 0.3 * Double(step % 5) - 0.4
            gradients.pointer[0] = Float(gradient)
            adam.update(parameters, gradients, learningRate: 0.01, weightDecay: 0.1)
            m = 0.9 * m + 0.1 * gradient
            v = 0.99 * v + 0.01 * gradient * gradient
            var (power1, power2) = (1.0, 1.0)
            for _ in 0..<step { (power1, power2) = (power1 * 0.9, power2 * 0.99) }
            let scaled = (v / (1 - power2)).squareRoot() + 1e-8
            expected -= 0.01 * (m / (1 - power1)) / scaled + 0.01 * 0.1 * expected
        }
        #expect(abs(Double(parameters.pointer[0]) - expected) < 1e-5)
    }
}
