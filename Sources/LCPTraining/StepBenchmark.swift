public import LCPModels
import Platform

/// How long a step of training takes: load, forward, loss, backward and update, on random images.
public struct StepBenchmark {
    private let trainer: Trainer
    private let set: TrainingSet
    private let batch: Int

    /// - Throws: as ``Trainer/init(network:preprocessing:recipe:seed:teachers:teacherPreprocessing:threads:)``.
    public init(network: BranchedNetwork, batch: Int, optimizer: TrainingRecipe.Optimizer, threads: Int?) throws {
        var recipe = TrainingRecipe()
        recipe.batchSize = batch
        recipe.optimizer = optimizer
        // Small enough that random images do not blow the weights up.
        recipe.learningRate = 1e-5
        recipe.schedule = .constant
        self.batch = batch
        trainer = try Trainer(
            network: network, preprocessing: .usual(for: network.input), recipe: recipe, seed: 1, threads: threads)
        var random = SeededGenerator(seed: 2)
        set = TrainingSet(
            pixels: (0..<batch * network.input.elementCount).map { _ in UInt8(truncatingIfNeeded: random.next()) },
            labels: (0..<batch).map { _ in UInt16(random.index(network.classes)) })
    }

    /// Steps for a while, after some to warm up.
    ///
    /// - Returns: the time of every step.
    public func run(for duration: Duration) throws -> [Duration] {
        for _ in 0..<3 { try trainer.benchmarkStep(set) }
        var times: [Duration] = []
        let clock = ContinuousClock()
        let end = clock.now + duration
        repeat {
            let start = clock.now
            try trainer.benchmarkStep(set)
            times.append(clock.now - start)
        } while clock.now < end
        return times
    }
}
