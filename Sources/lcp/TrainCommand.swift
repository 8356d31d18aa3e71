import ArgumentParser
import LCPDatasets
import LCPInference
import LCPModels
import LCPPipeline
import LCPTraining

struct TrainCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "train",
        abstract: "Split a network into branches, train them together, and write a model bundle.",
        discussion: """
            The digits that are drawn for training are others in every epoch, and never those of lcp evaluate or lcp sensor.

            Examples:
              lcp train lenet --branches 4 --data drawn:60000 --out my-lenet
              lcp train lenet --branches 4 --data mnist:FOLDER --data drawn:60000 --epochs 30 --out my-lenet
            """)

    @Argument(help: "The network: lenet.")
    var network: String

    @Option(help: "Into how many branches it is split.")
    var branches = 4

    @Option(
        help: ArgumentHelp(
            "\(DataSpecification.forms); may be given several times.", valueName: "data"))
    var data: [String]

    @Option(help: "How often every image is seen.")
    var epochs = 20

    @Option(help: "Images per step.")
    var batch = 64

    @Option(help: "The highest learning rate.")
    var learningRate: Float = 3e-3

    @Option(help: "Everything random comes from it.")
    var seed: UInt64 = 1

    @Flag(inversion: .prefixedNo, help: "Turn, scale and shift the images a little.")
    var augment = true

    @Option(help: ArgumentHelp("The folder of the bundle.", valueName: "folder"))
    var out: String

    func validate() throws {
        guard epochs > 0, batch > 0, learningRate > 0 else {
            throw ValidationError("--epochs, --batch and --learning-rate are more than 0")
        }
    }

    func run() async throws {
        let command = self
        try await untilStopped { try command.train() }
    }

    private func train() throws {
        guard let base = Network.zoo.first(where: { $0.name == network }) else {
            let known = Network.zoo.map(\.name).joined(separator: ", ")
            throw ValidationError("there is no network \(network.debugDescription); there is \(known)")
        }
        let split = try base.split(into: branches)
        // A folder that cannot be written is told now and not after an hour.
        try ModelBundle.prepareFolder(out)
        let specifications = try data.map { try DataSpecification($0, defaultDrawnCount: 60_000) }
        // What does not change is read before anything else, so that a wrong path is told at once.
        let size = ImageSize(height: split.input.height, width: split.input.width, channels: split.input.channels)
        let fixedSets = try specifications.map { specification -> LabeledImages? in
            if case .drawn = specification { return nil }
            return try specification.trainingSet(seed: seed, size: size)
        }
        let preprocessing = ModelManifest.Preprocessing(mean: [0.1307], standardDeviation: [0.3081])
        var options = TrainingOptions()
        options.epochs = epochs
        options.batchSize = batch
        options.learningRate = learningRate
        options.seed = seed
        options.augments = augment
        let trainer = try Trainer(network: split, preprocessing: preprocessing, options: options)
        writeLine(
            "\(network) in \(branches) branch\(branches == 1 ? "" : "es"): \(try split.parameterCount()) parameters")

        let line = ProgressLine()
        try trainer.run { epoch in
            var set = TrainingSet(pixels: [], labels: [])
            for (specification, fixedSet) in zip(specifications, fixedSets) {
                let images: LabeledImages
                if let fixedSet {
                    images = fixedSet
                } else if case .drawn(let count) = specification {
                    images = DrawnDigits(trainingSeed: seed, epoch: epoch).images(count)
                } else {
                    continue
                }
                set.pixels += images.pixels
                set.labels += images.labels
            }
            return set
        } progress: { progress in
            let state =
                "epoch \(progress.epoch)/\(progress.epochs)  loss \(fixed(progress.loss, digits: 4))  "
                + "accuracy \(percent(progress.accuracy))  \(fixed(progress.imagesPerSecond, digits: 0)) images/s"
            if progress.isEndOfEpoch {
                line.clear()
                writeLine(state)
            }
            line.show(progress.fraction, "\(state)  \(duration(progress.remaining)) left")
            return !Task.isCancelled
        }
        line.clear()
        try write(trainer.parameters, split, preprocessing, specifications)
    }

    private func write(
        _ parameters: ModelParameters, _ split: BranchedNetwork, _ preprocessing: ModelManifest.Preprocessing,
        _ specifications: [DataSpecification]
    ) throws {
        let name = "\(network)-split\(branches)"
        let labels = (0..<split.classes).map { "\($0)" }
        let draft = try ModelBundle.write(
            name: name, network: split, parameters: parameters, preprocessing: preprocessing, labels: labels, to: out)
        let evaluator = try BundleEvaluator(bundle: draft)
        var accuracy: [String: Double] = [:]
        for specification in specifications {
            // Images that were trained on say nothing about images never seen.
            guard specification.hasTestSet else { continue }
            let size = ImageSize(height: split.input.height, width: split.input.width, channels: split.input.channels)
            let set = try (specification.name == "drawn" ? DataSpecification.drawn(count: 10_000) : specification)
                .evaluationSet(seed: 1, size: size)
            let result = try evaluator.evaluate(pixels: set.pixels, labels: set.labels, maximumMissing: 0) { _ in
                !Task.isCancelled
            }
            accuracy[specification.name] = result.accuracy
            writeLine(
                "\(percent(result.accuracy)) right on \(set.count) images of \(specification.name) that training never saw"
            )
        }
        // A folder's path is this machine's business.
        let shownData = specifications.map(\.form)
        let command =
            "lcp train \(network) --branches \(branches) " + shownData.map { "--data \($0) " }.joined()
            + "--epochs \(epochs) --batch \(batch) --learning-rate \(learningRate) --seed \(seed)"
            + (augment ? "" : " --no-augment")
            + " --out \(name)"
        let record = ModelManifest.TrainingRecord(
            command: command, data: specifications.map(\.name).joined(separator: ", "), epochs: epochs, seed: seed,
            accuracy: accuracy)
        let bundle = try ModelBundle.write(
            name: name, network: split, parameters: parameters, preprocessing: preprocessing, labels: labels,
            training: record,
            to: out)
        writeLine("wrote \(out), model \(bundle.hash)")
    }
}
