import Glibc
public import LCPModels
import Platform
import Tensors

/// Trains all branches of a network together, end to end.
///
/// Everything random follows from the seed, the epoch and the step, and no sum depends on the number of threads: the same
/// training gives the same weights, bit for bit, also where it was cut short and goes on from a checkpoint.
public final class Trainer {
    let network: BranchedNetwork
    let preprocessing: ModelManifest.Preprocessing
    let recipe: TrainingRecipe
    let seed: UInt64
    let team: Team
    let graph: TrainingGraph
    let teacher: TrainingGraph?
    /// To train a parity branch: the branches that it stands in for, which the teacher is then made of.
    let others: BranchShares?
    /// To train a parity branch: what all branches and it say together, [batch, classes].
    let joined: Value?
    /// What is learned from, in words: a checkpoint of anything else is refused.
    public var sources: [String] = []
    /// The images themselves; nil where nobody told them.
    var dataDigest: DataDigest?
    let teacherPreprocessing: ModelManifest.Preprocessing
    let optimizer: Optimizer
    var history: [ModelManifest.EpochRecord] = []
    /// The weights with the best validation accuracy so far.
    var best: (epoch: Int, accuracy: Double, parameters: ModelParameters)?
    var epochsDone = 0

    /// Prepares training with fresh weights.
    ///
    /// - Parameters:
    ///   - initial: the weights to begin with, in place of the recipe's; nil for those.
    ///   - teachers: networks and their weights, where the recipe distils: the mean of their answers is learned, and where the
    ///     recipe begins with a teacher's weights, they are the first one's.
    ///   - others: to train a parity branch, as a network of one branch: the finished model that it belongs to, which is also
    ///     its teacher. The weights that come out have a classification layer for each of the model's branches.
    ///   - teacherPreprocessing: how pixels become the teachers' input; nil where that is as for the network.
    ///   - rounding: trains for eight bits: for each branch, by layer, the numbers that come out.
    ///   - threads: the processor's cores where nil.
    /// - Throws: ``TrainingError`` or `NetworkError` where the network or the recipe cannot be used.
    public init(
        network: BranchedNetwork, preprocessing: ModelManifest.Preprocessing, recipe: TrainingRecipe, seed: UInt64,
        initial given: ModelParameters? = nil,
        teachers: [(network: BranchedNetwork, parameters: ModelParameters)] = [],
        standingInFor others: (network: BranchedNetwork, parameters: ModelParameters)? = nil,
        teacherPreprocessing: ModelManifest.Preprocessing? = nil, rounding: [[Int: Quantization]]? = nil,
        threads: Int? = nil
    ) throws {
        try recipe.validate()
        guard network.classes <= 65_536 else { throw TrainingError("training reads at most 65,536 classes") }
        let blocks = (recipe.batchSize + Volume.lanes - 1) / Volume.lanes
        let wanted = threads ?? Processors.available
        guard (1...1024).contains(wanted) else { throw TrainingError("threads are 1 to 1024, not \(wanted)") }
        self.network = network
        self.preprocessing = preprocessing
        self.teacherPreprocessing = teacherPreprocessing ?? preprocessing
        self.recipe = recipe
        self.seed = seed
        team = try Team(threads: min(wanted, blocks))
        let teachers = others.map { [$0] } ?? teachers
        let teacher = (recipe.distils || others != nil) && !teachers.isEmpty ? try Ensemble(teachers) : nil
        try TrainingMemory.check(network, recipe, teacher: teacher?.network)
        var extras = TrainingGraph.Extras()
        extras.hasAuxiliaryHeads = recipe.auxiliaryWeight > 0
        extras.hasViews = recipe.views && network.branches.count > 1
        extras.rounding = rounding
        extras.hasMasks = recipe.branchDropout > 0 && network.branches.count > 1
        let trained = network.with(classes: others.map { $0.network.branches.count * network.classes })
        graph = try TrainingGraph(trained, batch: recipe.batchSize, team: team, extras: extras)
        joined = others.map { _ in
            let shape = FeatureMapShape(features: network.classes)
            return Value(values: Volume(shape, blocks: blocks), gradient: Volume(shape, blocks: blocks))
        }
        var random = SeededGenerator(seed: seed, stream: 1)
        var initial = try ModelParameters.random(
            for: trained, initialization: recipe.initialization, using: &random)
        if let given {
            initial = given
        } else if recipe.initialization == .teacher {
            guard let first = teachers.first else {
                throw TrainingError("the recipe begins with a teacher's weights: name one")
            }
            try initial.inherit(from: first.network, first.parameters, for: network)
        }
        graph.modelParameters = initial
        for (weight, inputs) in graph.auxiliaryWeights {
            let limit = (6 / Float(inputs + network.classes)).squareRoot()
            for index in weight { graph.parameters.pointer[index] = random.uniform(-limit, limit) }
        }
        if recipe.distils || others != nil {
            guard let teacher else { throw TrainingError("the recipe distils and needs a teacher: name one") }
            guard teacher.network.input == network.input, teacher.network.classes == network.classes else {
                throw TrainingError(
                    "the teacher takes \(teacher.network.input) and knows \(teacher.network.classes) classes, the "
                        + "network \(network.input) and \(network.classes)")
            }
            var frozen = TrainingGraph.Extras()
            frozen.isFrozen = true
            let graph = try TrainingGraph(teacher.network, batch: recipe.batchSize, team: team, extras: frozen)
            graph.modelParameters = teacher.parameters
            self.teacher = graph
            if recipe.featureDistillation > 0 {
                let (own, others) = (try network.mergedFeatureCount(), try teacher.network.mergedFeatureCount())
                guard own == others else {
                    throw TrainingError(
                        "the teacher has \(others) pre-final activations and the branches together \(own): features are only distilled where they are as many"
                    )
                }
            }
        } else {
            self.teacher = nil
        }
        self.others = try others.map { try BranchShares($0.network, $0.parameters.merge) }
        optimizer = Optimizer(recipe, graph)
    }

    /// The weights that training gives: those of the best epoch where there was a validation set, otherwise the last ones.
    public var parameters: ModelParameters {
        best?.parameters ?? optimizer.withAverage { graph.modelParameters }
    }

    /// One entry for every epoch that is done.
    public var epochRecords: [ModelManifest.EpochRecord] { history }

    /// The epoch whose weights ``parameters`` are, from 1.
    public var bestEpoch: Int { best?.epoch ?? epochsDone }

    // MARK: Training

    /// Trains.
    ///
    /// - Parameters:
    ///   - data: the images of an epoch, from 0; they may differ from epoch to epoch, but not in number.
    ///   - validation: images that choose the best epoch and stop training early; none of them is trained on.
    ///   - checkpoint: a file that is written after every epoch, for ``resume(from:)``; nil for none.
    ///   - progress: called about twice a second and at the end of every epoch.
    /// - Throws: ``TrainingError`` where the loss is no longer a number or has grown beyond reason, or there is not a batch of
    ///   images; `CancellationError` where `progress` returns false.
    public func run(
        data: (Int) throws -> TrainingSet, validation: TrainingSet? = nil, checkpoint: String? = nil,
        progress: (TrainingProgress) -> Bool
    ) throws {
        if let validation { try check(validation) }
        let clock = ContinuousClock()
        let start = clock.now
        var lastReport = start
        var trained = 0
        let firstEpoch = epochsDone
        let loader = ImageLoader(
            shape: network.input, preprocessing: preprocessing, recipe: recipe, augments: true)
        var watch = LossWatch(classes: network.classes, first: history.first?.loss)
        for epoch in firstEpoch..<recipe.epochs {
            let set = try data(epoch)
            try check(set)
            let steps = set.labels.count / recipe.batchSize
            guard steps > 0 else {
                throw TrainingError(
                    "\(set.labels.count) images are fewer than a batch of \(recipe.batchSize): take a smaller --batch, or batch_size"
                )
            }
            let epochStart = clock.now
            let order = shuffled(set.labels.count, epoch: epoch)
            var (lossSum, correct) = (0.0, 0)
            for step in 0..<steps {
                let number = epoch * steps + step
                let images = order[step * recipe.batchSize..<(step + 1) * recipe.batchSize]
                let result = self.step(
                    set, Array(images), loader, number: number, epoch: epoch, first: step * recipe.batchSize,
                    fraction: Float(number) / Float(steps * recipe.epochs),
                    learningRate: recipe.learningRate(step: number, stepsPerEpoch: steps))
                if let complaint = watch.complaint(result.loss, steps: steps * recipe.epochs) {
                    throw TrainingError(
                        "\(complaint) in epoch \(epoch + 1), step \(step + 1): try a lower learning rate than \(recipe.learningRate)"
                            + (checkpoint == nil || epoch == firstEpoch
                                ? "" : "; the checkpoint of epoch \(epoch) is kept"))
                }
                trained += recipe.batchSize
                lossSum += result.loss
                correct += result.correct
                let now = clock.now
                let isEnd = step == steps - 1
                guard isEnd || now - lastReport > .milliseconds(500) else { continue }
                lastReport = now
                let seconds = Self.seconds(now - start)
                let fraction = Double(number + 1) / Double(steps * recipe.epochs)
                let here = Double(number + 1 - firstEpoch * steps) / Double(steps * (recipe.epochs - firstEpoch))
                var state = TrainingProgress(
                    epoch: epoch + 1, epochs: recipe.epochs, fraction: fraction,
                    loss: lossSum / Double(step + 1),
                    accuracy: Double(correct) / Double((step + 1) * recipe.batchSize),
                    imagesPerSecond: Double(trained) / max(seconds, 1e-9),
                    remaining: seconds / here * (1 - here), record: nil)
                if isEnd {
                    state.record = try finishEpoch(
                        epoch, state, validation, rate: recipe.learningRate(step: number, stepsPerEpoch: steps),
                        seconds: Self.seconds(clock.now - epochStart), checkpoint)
                }
                guard progress(state) else { throw CancellationError() }
            }
            if recipe.patience > 0, let best, epoch + 1 - best.epoch >= recipe.patience { return }
        }
    }

    private func finishEpoch(
        _ epoch: Int, _ state: TrainingProgress, _ validation: TrainingSet?, rate: Float, seconds: Double,
        _ checkpoint: String?
    ) throws -> ModelManifest.EpochRecord {
        var record = ModelManifest.EpochRecord(
            epoch: epoch + 1, loss: state.loss, accuracy: state.accuracy, learningRate: rate, seconds: seconds)
        if let validation {
            let (loss, accuracy, parameters) = try optimizer.withAverage {
                let result = try evaluate(validation)
                return (result.loss, result.accuracy, graph.modelParameters)
            }
            (record.validationLoss, record.validationAccuracy) = (loss, accuracy)
            if accuracy > best?.accuracy ?? -1 { best = (epoch + 1, accuracy, parameters) }
        }
        history.append(record)
        epochsDone = epoch + 1
        if let checkpoint { try save(to: checkpoint) }
        return record
    }

    /// One step on a batch: all threads load, run forward, compare, run backward and update, each its part.
    private func step(
        _ set: TrainingSet, _ images: [Int], _ loader: ImageLoader, number: Int, epoch: Int, first: Int,
        fraction: Float, learningRate: Float
    ) -> BlockLoss {
        let pass = Pass(isTraining: true, seed: mixed(UInt64(number), 2), images: images.count)
        let still = Pass(isTraining: false, images: images.count)
        let auxiliary =
            fraction < recipe.auxiliaryUntil
            ? recipe.auxiliaryWeight * (recipe.auxiliaryUntil < 1 ? 1 - fraction / recipe.auxiliaryUntil : 1) : 0
        let targets = Targets(
            labels: images.map { set.labels[$0] }, smoothing: recipe.labelSmoothing,
            teacher: teacher.map { ($0.logits.values, recipe.distillation, recipe.temperature) })
        var headTargets = targets
        if recipe.mutual > 0 { headTargets.teacher = (graph.logits.values, recipe.mutual, recipe.temperature) }
        if !graph.masks.isEmpty { drawMasks(step: number) }
        let teacherLoader = teacher.map { _ in loader.normalizing(teacherPreprocessing) }
        var random = SeededGenerator(seed: mixed(UInt64(number), 6))
        let missing = others.map { others in images.map { _ in others.missing(&random) } } ?? []
        optimizer.begin()
        var losses = [BlockLoss](repeating: BlockLoss(), count: graph.blocks)
        losses.withUnsafeMutableBufferPointer { losses in
            // Every thread writes the losses of its own blocks only.
            nonisolated(unsafe) let losses = losses
            team.run { [graph, teacher, optimizer, recipe, headTargets] thread in
                load(set, images, loader, teacherLoader, graph.blocks(of: thread), epoch: epoch, first: first)
                graph.forward(pass, thread: thread)
                if let teacher { teacher.forward(still, thread: thread) }
                for block in graph.blocks(of: thread) {
                    var loss = loss(targets, block, pass, missing: missing)
                    for head in graph.auxiliaryLogits {
                        loss.loss += headTargets.loss(of: head, block: block, pass: pass, weight: auxiliary).loss
                    }
                    losses[block] = loss
                }
                graph.backward(
                    pass, thread: thread,
                    featureTarget: recipe.featureDistillation > 0
                        ? teacher.map { ($0.features[0].values, recipe.featureDistillation) } : nil)
                optimizer.update(thread: thread, learningRate: learningRate)
            }
        }
        var total = BlockLoss()
        for loss in losses {
            total.loss += loss.loss / Double(images.count)
            total.correct += loss.correct
        }
        return total
    }

    /// The loss of a block's images, and its slope where there is a gradient.
    ///
    /// - Parameter missing: for a parity branch, which of the others are missing for each image of the batch.
    func loss(_ targets: Targets, _ block: Int, _ pass: Pass, missing: [UInt64]) -> BlockLoss {
        guard let others, let teacher, let joined else {
            return targets.loss(of: graph.logits, block: block, pass: pass)
        }
        others.join(teacher, graph, into: joined.values, block: block, missing: missing)
        let result = targets.loss(of: joined, block: block, pass: pass)
        others.spread(joined, to: graph.logits, block: block, missing: missing)
        return result
    }

    /// A step on a batch that is the whole set.
    func benchmarkStep(_ set: TrainingSet) throws(TrainingError) {
        let loader = ImageLoader(
            shape: network.input, preprocessing: preprocessing, recipe: recipe, augments: false)
        let result = step(
            set, Array(set.labels.indices), loader, number: 0, epoch: 0, first: 0, fraction: 0,
            learningRate: recipe.learningRate)
        guard result.loss.isFinite else { throw TrainingError("the loss is no longer a number") }
    }

    /// Loads a thread's blocks of the batch, for the teacher, too.
    func load(
        _ set: TrainingSet, _ images: [Int], _ loader: ImageLoader, _ teacherLoader: ImageLoader?, _ blocks: Range<Int>,
        epoch: Int, first: Int
    ) {
        let size = network.input.elementCount * preprocessing.elementSize
        let augmentation = mixed(UInt64(epoch), 3)
        set.pixels.withUnsafeBufferPointer { pixels in
            for block in blocks {
                for lane in 0..<min(Volume.lanes, images.count - block * Volume.lanes) {
                    let index = block * Volume.lanes + lane
                    let source = pixels.baseAddress! + images[index] * size
                    for (view, volume) in graph.images.enumerated() {
                        var random = SeededGenerator(
                            seed: augmentation, stream: UInt64(first + index) << 8 | UInt64(view))
                        loader.load(source, into: volume, block: block, lane: lane, &random)
                        // The teacher sees what the first branch sees, normalised as it learned it.
                        guard view == 0, let teacher, let teacherLoader else { continue }
                        var same = SeededGenerator(seed: augmentation, stream: UInt64(first + index) << 8)
                        teacherLoader.load(source, into: teacher.images[0], block: block, lane: lane, &same)
                    }
                }
            }
        }
    }

    /// Draws which branches are missing for which image; those that are there speak for the others.
    private func drawMasks(step: Int) {
        var random = SeededGenerator(seed: mixed(UInt64(step), 4))
        let count = graph.masks.count
        for image in 0..<graph.blocks * Volume.lanes {
            var present = (0..<count).map { _ in random.unit() >= recipe.branchDropout }
            // An answer from nothing teaches nothing.
            if !present.contains(true) { present[random.index(count)] = true }
            let factor = Float(count) / Float(present.filter { $0 }.count)
            for branch in 0..<count { graph.masks[branch].factors.pointer[image] = present[branch] ? factor : 0 }
        }
    }

    private func shuffled(_ count: Int, epoch: Int) -> [Int] {
        var random = SeededGenerator(seed: mixed(UInt64(epoch), 5))
        var order = Array(0..<count)
        for index in stride(from: count - 1, to: 0, by: -1) { order.swapAt(index, random.index(index + 1)) }
        return order
    }

    /// A seed for one epoch or step, and one use of it.
    private func mixed(_ number: UInt64, _ use: UInt64) -> UInt64 {
        var generator = SeededGenerator(seed: seed &+ use &* 0xA076_1D64_78BD_642F, stream: number)
        return generator.next()
    }

    private func check(_ set: TrainingSet) throws(TrainingError) {
        guard set.pixels.count == set.labels.count * network.input.elementCount * preprocessing.elementSize else {
            throw TrainingError("the images are not \(network.input), or there are not as many labels as images")
        }
        if let wrong = set.labels.first(where: { Int($0) >= network.classes }) {
            throw TrainingError("there is a label \(wrong), and the network has \(network.classes) classes")
        }
    }

    private static func seconds(_ duration: Duration) -> Double {
        Double(duration.components.seconds) + Double(duration.components.attoseconds) * 1e-18
    }
}
