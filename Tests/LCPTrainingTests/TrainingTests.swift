import Foundation
import LCPModels
import Platform
import Testing

@testable import LCPTraining

@Suite struct TrainingTests {
    static func set(_ count: Int, _ random: inout SeededGenerator) -> TrainingSet {
        var set = TrainingSet(pixels: [], labels: [])
        for _ in 0..<count {
            let label = random.index(3)
            // A bright third tells the class.
            let pixels = (0..<126).map { UInt8(random.index(60) + ($0 / 42 == label ? 150 : 0)) }
            set.pixels += pixels
            set.labels.append(UInt16(label))
        }
        return set
    }

    static func recipe(epochs: Int = 6, rate: Float = 3e-3) -> TrainingRecipe {
        var recipe = TrainingRecipe()
        recipe.epochs = epochs
        recipe.batchSize = 32
        recipe.learningRate = rate
        return recipe
    }

    static let preprocessing = ModelManifest.Preprocessing(mean: [0.4, 0.4], standardDeviation: [0.3, 0.3])
    static let branched = GradientTests.network([GradientTests.small, GradientTests.small])

    static func train(
        _ recipe: TrainingRecipe, seed: UInt64 = 1, network: BranchedNetwork = branched, threads: Int = 2,
        validation: Bool = false, teachers: [(network: BranchedNetwork, parameters: ModelParameters)] = [],
        preprocessing: ModelManifest.Preprocessing = preprocessing,
        teacherPreprocessing: ModelManifest.Preprocessing? = nil
    ) throws -> (parameters: ModelParameters, accuracy: Double) {
        let trainer = try Trainer(
            network: network, preprocessing: preprocessing, recipe: recipe, seed: seed, teachers: teachers,
            teacherPreprocessing: teacherPreprocessing, threads: threads)
        var random = SeededGenerator(seed: 9)
        let data = set(320, &random)
        let held = set(50, &random)
        try trainer.run(data: { _ in data }, validation: validation ? held : nil) { _ in true }
        return (trainer.parameters, try trainer.evaluate(held).accuracy)
    }

    @Test func aPlainTaskIsLearned() throws {
        #expect(try Self.train(Self.recipe()).accuracy > 0.98)
    }

    /// Everything that a recipe can have, each by itself.
    @Test(arguments: [
        "sgd", "adam", "muon", "cosine", "exponential", "constant", "averaging", "smoothing", "normal", "dropout",
        "heads",
        "fading heads", "mutual", "views", "affine", "cutout", "jpeg", "all",
    ])
    func everyEntryOfARecipeLearns(entry: String) throws {
        var recipe = Self.recipe(epochs: 8, rate: 5e-3)
        let all = entry == "all"
        if entry == "sgd" { (recipe.optimizer, recipe.learningRate) = (.sgd, 0.02) }
        if entry == "adam" { recipe.optimizer = .adam }
        if entry == "muon" { recipe.optimizer = .muon }
        if entry == "cosine" { recipe.schedule = .cosine }
        if entry == "exponential" { recipe.schedule = .exponential }
        if entry == "constant" { recipe.schedule = .constant }
        if entry == "averaging" || all { recipe.averaging = 0.9 }
        if entry == "smoothing" || all { recipe.labelSmoothing = 0.1 }
        if entry == "normal" { (recipe.initialization, recipe.epochs) = (.normal, 12) }
        if entry == "dropout" || all { recipe.branchDropout = 0.2 }
        if entry == "heads" || all { recipe.auxiliaryWeight = 0.3 }
        if entry == "mutual" || all { (recipe.auxiliaryWeight, recipe.mutual) = (0.3, 0.5) }
        if entry == "fading heads" { (recipe.auxiliaryWeight, recipe.auxiliaryUntil) = (0.5, 0.6) }
        if entry == "views" || all { (recipe.views, recipe.shift) = (true, 1) }
        if entry == "affine" || all { (recipe.rotation, recipe.shear, recipe.scaling) = (0.1, 0.1, 0.1) }
        if entry == "cutout" || all { recipe.cutout = 2 }
        if entry == "jpeg" || all { recipe.jpeg = .init(range: 60...95) }
        #expect(try Self.train(recipe).accuracy > 0.9)
    }

    @Test(arguments: [TrainingRecipe.Optimizer.adamW, .muon])
    func theSameSeedGivesTheSameWeightsOnAnyNumberOfThreads(optimizer: TrainingRecipe.Optimizer) throws {
        var recipe = Self.recipe(epochs: 2)
        recipe.optimizer = optimizer
        (recipe.branchDropout, recipe.auxiliaryWeight, recipe.shift, recipe.batchSize) = (0.2, 0.3, 1, 64)
        let network = GradientTests.network([GradientTests.normalized, GradientTests.small])
        let one = try Self.train(recipe, network: network, threads: 1).parameters
        for threads in [2, 3] {
            #expect(try Self.train(recipe, network: network, threads: threads).parameters == one)
        }
        #expect(try Self.train(recipe, seed: 2, network: network).parameters != one)
    }

    @Test func aTeacherTeaches() throws {
        let teacher = GradientTests.network([GradientTests.small])
        let taught = try Self.train(Self.recipe(epochs: 10), network: teacher)
        #expect(taught.accuracy > 0.98)
        var recipe = Self.recipe(epochs: 10)
        // Nothing but what the teacher says.
        recipe.distillation = 1
        #expect(try Self.train(recipe, teachers: [(teacher, taught.parameters)]).accuracy > 0.95)
        #expect(throws: TrainingError.self) { try Self.train(recipe) }
        recipe.featureDistillation = 1
        let error = #expect(throws: TrainingError.self) {
            try Self.train(recipe, teachers: [(teacher, taught.parameters)])
        }
        #expect(error?.description.contains("pre-final") == true)
        #expect(try Self.train(recipe, network: teacher, teachers: [(teacher, taught.parameters)]).accuracy > 0.95)
    }

    /// Two teachers that are half right each are right together: what is learned is the mean of their answers.
    @Test func severalTeachersTeachTogether() throws {
        let network = GradientTests.network([GradientTests.small])
        let taught = try Self.train(Self.recipe(epochs: 10), network: network)
        // Each is only sure of the classes whose logits it was left.
        func forgetting(_ parity: Int) -> (BranchedNetwork, ModelParameters) {
            var parameters = taught.parameters
            let width = parameters.merge.weight.count / network.classes
            for row in 0..<network.classes where row % 2 == parity {
                for column in 0..<width { parameters.merge.weight[row * width + column] = 0 }
                parameters.merge.bias[row] = 0
            }
            return (network, parameters)
        }
        var recipe = Self.recipe(epochs: 10)
        recipe.distillation = 1
        let one = try Self.train(recipe, teachers: [forgetting(0)]).accuracy
        let both = try Self.train(recipe, teachers: [forgetting(0), forgetting(1)]).accuracy
        #expect(both > 0.95 && both > one)
        var other = network
        other.classes += 1
        let stranger = (other, taught.parameters)
        #expect(throws: NetworkError.self) { try Self.train(recipe, teachers: [forgetting(0), stranger]) }
    }

    /// A network from elsewhere may have learned from pixels that were normalised in another way.
    @Test func aTeacherSeesPixelsAsItLearnedThem() throws {
        let teacher = GradientTests.network([GradientTests.small])
        let other = ModelManifest.Preprocessing(mean: [-1, -1], standardDeviation: [0.6, 0.6])
        let taught = try Self.train(Self.recipe(epochs: 12), network: teacher, preprocessing: other)
        #expect(taught.accuracy > 0.95)
        var recipe = Self.recipe(epochs: 10)
        recipe.distillation = 1
        let pair = (teacher, taught.parameters)
        #expect(try Self.train(recipe, teachers: [pair], teacherPreprocessing: other).accuracy > 0.95)
        #expect(try Self.train(recipe, teachers: [pair]).accuracy < 0.9)
    }

    /// Cut short after every epoch, each time in a new process's place, and gone on with.
    @Test func trainingGoesOnBitForBit() throws {
        let folder = try TemporaryFolder()
        let path = "\(folder.path)/checkpoint.safetensors"
        var recipe = Self.recipe(epochs: 4)
        (recipe.averaging, recipe.branchDropout, recipe.shift) = (0.9, 0.2, 1)
        let network = GradientTests.network([GradientTests.normalized, GradientTests.small])
        var random = SeededGenerator(seed: 9)
        let (data, held) = (Self.set(160, &random), Self.set(40, &random))
        func trainer() throws -> Trainer {
            try Trainer(network: network, preprocessing: Self.preprocessing, recipe: recipe, seed: 4, threads: 2)
        }
        let whole = try trainer()
        try whole.run(data: { _ in data }, validation: held) { _ in true }
        for epoch in 1...4 {
            let part = try trainer()
            if epoch > 1 { try part.resume(from: path) }
            do {
                try part.run(data: { _ in data }, validation: held, checkpoint: path) { $0.record == nil }
            } catch is CancellationError {}
            #expect(part.epochRecords.count == epoch)
        }
        let last = try trainer()
        try last.resume(from: path)
        #expect(last.parameters == whole.parameters)
        #expect(last.epochRecords.map(\.loss) == whole.epochRecords.map(\.loss))
        #expect(last.epochRecords.map(\.validationLoss) == whole.epochRecords.map(\.validationLoss))
        #expect(last.bestEpoch == whole.bestEpoch)

        // A checkpoint of another training, and one that is damaged.
        let other = try Trainer(network: network, preprocessing: Self.preprocessing, recipe: recipe, seed: 5)
        #expect(throws: TrainingError.self) { try other.resume(from: path) }
        try FileIO.write(Array(try FileIO.read(path).dropLast(7)), to: path)
        #expect(throws: TrainingError.self) { try last.resume(from: path) }
    }

    @Test func patienceStopsTrainingAndTheBestEpochIsKept() throws {
        var recipe = Self.recipe(epochs: 60)
        recipe.patience = 3
        let trainer = try Trainer(
            network: Self.branched, preprocessing: Self.preprocessing, recipe: recipe, seed: 1, threads: 1)
        var random = SeededGenerator(seed: 9)
        let (data, held) = (Self.set(320, &random), Self.set(50, &random))
        try trainer.run(data: { _ in data }, validation: held) { _ in true }
        let accuracies = trainer.epochRecords.compactMap(\.validationAccuracy)
        #expect(accuracies.count < 60)
        #expect(accuracies[trainer.bestEpoch - 1] == accuracies.max())
        #expect(accuracies.count - trainer.bestEpoch == 3)
    }

    @Test func aLossThatIsNoNumberStopsTrainingAndKeepsTheCheckpoint() throws {
        let folder = try TemporaryFolder()
        let path = "\(folder.path)/checkpoint.safetensors"
        var recipe = Self.recipe(epochs: 3)
        recipe.schedule = .constant
        let trainer = try Trainer(
            network: Self.branched, preprocessing: Self.preprocessing, recipe: recipe, seed: 1, threads: 2)
        var random = SeededGenerator(seed: 9)
        let data = Self.set(320, &random)
        do {
            try trainer.run(data: { _ in data }, checkpoint: path) { $0.record == nil }
        } catch is CancellationError {}
        let good = try FileIO.read(path)
        #expect(!good.isEmpty)
        recipe.learningRate = 1e30
        let wild = try Trainer(
            network: Self.branched, preprocessing: Self.preprocessing, recipe: recipe, seed: 1, threads: 2)
        let error = #expect(throws: TrainingError.self) {
            try wild.run(data: { _ in data }, checkpoint: path) { _ in true }
        }
        #expect(error?.description.contains("epoch 1, step") == true)
        #expect(try FileIO.read(path) == good)
    }

    /// Adam's loss stays a number where the others' becomes infinite. There is nothing to learn, so that no batch is right.
    @Test("A learning rate that is far too high ends a training with every recipe", arguments: TrainingRecipe.presets)
    func divergence(preset: TrainingRecipe) throws {
        var recipe = preset
        (recipe.epochs, recipe.batchSize, recipe.learningRate, recipe.distillation) = (3, 32, 1e6, 0)
        if recipe.initialization == .teacher { recipe.initialization = .he }
        let trainer = try Trainer(
            network: Self.branched, preprocessing: Self.preprocessing, recipe: recipe, seed: 1, threads: 1)
        var random = SeededGenerator(seed: 9)
        var data = Self.set(320, &random)
        for index in data.labels.indices { data.labels[index] = UInt16(random.index(3)) }
        let error = #expect(throws: TrainingError.self) { try trainer.run(data: { _ in data }) { _ in true } }
        #expect(error?.description.contains("try a lower learning rate than 1000000.0") == true)
    }

    @Test func aCheckpointThatCannotBeWrittenIsTold() throws {
        let trainer = try Trainer(
            network: Self.branched, preprocessing: Self.preprocessing, recipe: Self.recipe(), seed: 1, threads: 1)
        var random = SeededGenerator(seed: 9)
        let data = Self.set(64, &random)
        let error = #expect(throws: TrainingError.self) {
            try trainer.run(data: { _ in data }, checkpoint: "/dev/null/checkpoint") { _ in true }
        }
        #expect(error?.description.contains("checkpoint of epoch 1") == true)
    }

    @Test func dataThatDoesNotFitIsRefused() throws {
        let trainer = try Trainer(
            network: Self.branched, preprocessing: Self.preprocessing, recipe: Self.recipe(), seed: 1, threads: 1)
        for set in [
            TrainingSet(pixels: [1, 2, 3], labels: [1]), TrainingSet(pixels: [], labels: []),
            TrainingSet(pixels: [UInt8](repeating: 0, count: 126 * 64), labels: [UInt16](repeating: 9, count: 64)),
        ] {
            #expect(throws: TrainingError.self) { try trainer.run(data: { _ in set }) { _ in true } }
        }
    }

    @Test func optimizersFollowTheirDefinitions() throws {
        let network = GradientTests.network([[.fullyConnected(outputs: 1)]])
        let team = try Team(threads: 1)
        for optimizer in TrainingRecipe.Optimizer.allCases {
            var recipe = TrainingRecipe()
            (recipe.optimizer, recipe.weightDecay) = (optimizer, 0.1)
            // A single row is no matrix to Muon.
            let isDecoupled = optimizer == .adamW || optimizer == .muon
            let graph = try TrainingGraph(network, batch: 16, team: team)
            let subject = Optimizer(recipe, graph)
            graph.parameters.pointer[0] = 1
            let last = graph.parameters.count - 1
            graph.parameters.pointer[last] = 1
            // The first parameter is a weight and decays, the last one is a bias and does not.
            var expected = [1.0, 1.0]
            var (m, v) = ([0.0, 0.0], [0.0, 0.0])
            for step in 1...50 {
                let slope = 0.3 * Double(step % 5) - 0.4
                graph.gradients.pointer[0] = Float(slope)
                graph.gradients.pointer[last] = Float(slope)
                subject.begin()
                subject.update(thread: 0, learningRate: 0.01)
                for index in 0...1 {
                    let decay = index == 0 ? 0.1 : 0
                    let gradient = slope + (isDecoupled ? 0 : decay * expected[index])
                    if optimizer == .sgd {
                        m[index] = 0.9 * m[index] + gradient
                        expected[index] -= 0.01 * (gradient + 0.9 * m[index])
                        continue
                    }
                    m[index] = 0.9 * m[index] + 0.1 * gradient
                    v[index] = 0.99 * v[index] + 0.01 * gradient * gradient
                    var (power1, power2) = (1.0, 1.0)
                    for _ in 0..<step { (power1, power2) = (power1 * 0.9, power2 * 0.99) }
                    let step = m[index] / (1 - power1) / ((v[index] / (1 - power2)).squareRoot() + 1e-8)
                    expected[index] -= 0.01 * (step + (isDecoupled ? decay * expected[index] : 0))
                }
            }
            #expect(abs(Double(graph.parameters.pointer[0]) - expected[0]) < 1e-5, "\(optimizer)")
            #expect(abs(Double(graph.parameters.pointer[last]) - expected[1]) < 1e-5, "\(optimizer)")
        }
    }
}

/// A folder that is gone when the test is.
final class TemporaryFolder {
    let path: String

    init() throws {
        path = NSTemporaryDirectory() + "lcp-training-\(UUID().uuidString)"
        try FileIO.makeFolder(path)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}
