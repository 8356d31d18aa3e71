import CTrainingKernels
import LCPModels

/// Steps down the gradients. Every thread of a team does its part of the parameters.
final class Optimizer {
    private let recipe: TrainingRecipe
    private let kernels: UnsafePointer<lcp_kernels>
    private let graph: TrainingGraph
    private let momentum: Buffer
    /// Adam's second moment.
    private let variance: Buffer
    /// A running average of the parameters, where the recipe wants one.
    private let average: Buffer
    /// Steps for weights that are matrices, where the recipe wants it; all others take Adam's.
    private let muon: Muon?
    /// The parameters that the kernels step, and how they decay.
    private let elementwise: [(range: Range<Int>, decay: Float)]
    private(set) var steps = 0

    private static let epsilon: Float = 1e-8

    init(_ recipe: TrainingRecipe, _ graph: TrainingGraph) {
        self.recipe = recipe
        self.graph = graph
        kernels = lcp_kernels_best()!
        momentum = Buffer(graph.parameters.count)
        variance = Buffer(recipe.optimizer == .sgd ? 0 : graph.parameters.count)
        average = Buffer(recipe.averaging > 0 ? graph.parameters.count : 0)
        let matrices = recipe.optimizer == .muon ? graph.matrices : []
        muon =
            matrices.isEmpty
            ? nil : Muon(matrices: matrices, momentum: momentum, kernels: kernels, team: graph.team)
        var others: [(range: Range<Int>, decay: Float)] = []
        var start = 0
        for range in matrices.map(\.range) + [graph.decayingCount..<graph.decayingCount] {
            if start < range.lowerBound { others.append((start..<range.lowerBound, recipe.weightDecay)) }
            start = range.upperBound
        }
        elementwise = others + [(graph.decayingCount..<graph.parameters.count, 0)]
    }

    /// Counts a step; one thread does it, before any updates.
    func begin() { steps += 1 }

    /// A thread's part of a step; all threads of the graph's team call it.
    func update(thread: Int, learningRate: Float) {
        let (count, threads) = (graph.parameters.count, graph.team.threads)
        // Whole cache lines, so that threads do not write into each other's.
        func bound(_ thread: Int) -> Int { thread == threads ? count : count * thread / threads / 16 * 16 }
        let mine = bound(thread)..<bound(thread + 1)
        for part in elementwise { update(mine.clamped(to: part.range), learningRate, part.decay) }
        if let muon {
            muon.update(
                graph.parameters, graph.gradients, thread: thread, rate: learningRate, momentum: recipe.momentum,
                decay: recipe.weightDecay)
            graph.team.barrier()
        }
        guard recipe.averaging > 0 else { return }
        // At first the average is young and must not remember the random weights, nor the zeros before any.
        let decayNow = steps == 1 ? 0 : min(recipe.averaging, Float(steps) / Float(steps + 10))
        kernels.pointee.average(
            average.pointer + mine.lowerBound, graph.parameters.pointer + mine.lowerBound, Int64(mine.count), decayNow)
    }

    private func update(_ range: Range<Int>, _ rate: Float, _ decay: Float) {
        guard !range.isEmpty else { return }
        let (start, count) = (range.lowerBound, Int64(range.count))
        let (values, slopes) = (graph.parameters.pointer + start, graph.gradients.pointer + start)
        switch recipe.optimizer {
        case .sgd:
            kernels.pointee.sgd(
                values, slopes, momentum.pointer + start, count, rate, recipe.momentum, decay, 1)
        case .adam, .adamW, .muon:
            kernels.pointee.adam(
                values, slopes, momentum.pointer + start, variance.pointer + start, count, rate, recipe.momentum,
                recipe.beta2, Self.epsilon, 1 - power(recipe.momentum, steps), 1 - power(recipe.beta2, steps), decay,
                recipe.optimizer == .adam ? 1 : 0)
        }
    }

    private func power(_ base: Float, _ exponent: Int) -> Float {
        var (result, factor, rest) = (1.0, Double(base), exponent)
        while rest > 0 {
            if rest & 1 == 1 { result *= factor }
            factor *= factor
            rest >>= 1
        }
        return Float(result)
    }

    /// Runs `body` with the averaged parameters in place of the present ones, where there is an average.
    func withAverage<T>(_ body: () throws -> T) rethrows -> T {
        guard recipe.averaging > 0, steps > 0 else { return try body() }
        swapAverage()
        defer { swapAverage() }
        return try body()
    }

    private func swapAverage() {
        for index in 0..<average.count { swap(&average.pointer[index], &graph.parameters.pointer[index]) }
    }

    /// What has to be kept to go on later, by name.
    var state: [String: [Float]] {
        var state = ["momentum": momentum.values]
        if variance.count > 0 { state["variance"] = variance.values }
        if average.count > 0 { state["average"] = average.values }
        return state
    }

    func restore(_ state: [String: [Float]], steps: Int) throws(TrainingError) {
        for (name, buffer) in [("momentum", momentum), ("variance", variance), ("average", average)]
        where buffer.count > 0 {
            guard let values = state[name], values.count == buffer.count else {
                throw TrainingError("the checkpoint is of another training: its \(name) does not fit")
            }
            buffer.values = values
        }
        self.steps = steps
    }
}
