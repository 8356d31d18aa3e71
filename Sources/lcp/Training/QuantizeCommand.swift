import ArgumentParser
import LCPCompression
import LCPDatasets
import LCPEvaluation
import LCPInference
import LCPModels
import LCPTraining
import Platform

struct QuantizeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "quantize",
        abstract: "Make a model that computes with numbers of eight bits: smaller and faster.",
        usage: "lcp quantize <model> --data <data> --out <folder> [<options>]",
        discussion: """
            Weights and activations become whole numbers of eight bits. How large activations get is found with some pictures of \
            the training set. The result is a model like any other: it is evaluated, pushed and run the \
            same way, by workers of this version and later. What it costs is told where the data have a test set.

            Where that is too much, --epochs 10 trains it with the rounding in the loop: it learns from the model that it was, on \
            the whole training set. Where it is little, training only costs time.

            Examples:
              lcp quantize lenet-split4 --data drawn --out lenet-split4-int8
              lcp quantize my-bundle --data cifar10:FOLDER --out my-bundle-int8
              lcp quantize my-bundle --data folder:PICTURES --images 200 --out small
              lcp quantize my-bundle --data cifar10:FOLDER --epochs 10 --out tuned
            """)

    @Argument(help: "A model bundle: a folder, or the name of one that came with lcp.", completion: .bundle)
    var model: String

    @Option(
        help: ArgumentHelp(
            "Pictures like those that will come: \(DataSpecification.forms); may be given several times.",
            valueName: "data"), completion: .data)
    var data: [String]

    @Option(help: "How many of each, the same number of each class.")
    var images = 500

    @OptionGroup var recipeOptions: RecipeOptions

    @Option(help: "Which of them, and everything random in training.")
    var seed: UInt64 = 1

    @Option(help: "Threads to train with; the processor's cores by default.")
    var threads: Int?

    @Option(help: ArgumentHelp("The folder of the new bundle.", valueName: "folder"), completion: .directory)
    var out: String

    @Flag(help: "Replace a bundle that is in the folder.")
    var force = false

    @Flag(help: "Go on with the training that was cut short in the folder.")
    var resume = false

    @Flag(help: "Print one JSON object.")
    var json = false

    func validate() throws {
        guard !data.isEmpty else { throw ValidationError("--data is missing: give \(DataSpecification.forms)") }
        guard (1...100_000).contains(images) else { throw ValidationError("--images is 1 to 100,000, not \(images)") }
        try recipeOptions.validate(resume: resume, force: force, byDefault: 0)
    }

    private var trains: Bool { recipeOptions.epochs ?? 0 > 0 }

    private struct Report: Encodable {
        struct Test: Encodable {
            var data: String
            var images: Int
            var top1: Double
            var original_top1: Double
        }
        var model: String
        var model_hash: String
        var path: String
        var bytes: Int
        var original_bytes: Int
        var tests: [Test]
    }

    func run() async throws {
        let command = self
        try await untilStopped {
            do { try command.quantize() } catch let stop as CancellationError {
                if command.trains { BundleFolder.tellStopped(out) }
                throw stop
            }
        }
    }

    private func quantize() throws {
        let bundle = try ModelBundle.find(model)
        let manifest = bundle.manifest
        guard manifest.arithmetic == nil else {
            throw CommandError("\(manifest.name) computes with numbers of eight bits already")
        }
        try BundleFolder.checkFree(out, force: force || resume, source: bundle)
        var lock: FolderLock? = try BundleFolder.lock(out, hasTraining: force || trains)
        defer { withExtendedLifetime(lock) {} }
        defer { FileIO.removeEmptyFolder(out) }
        let specifications = try data.map { try DataSpecification($0, defaultDrawnCount: images) }
        if trains { try bundle.network.refuseParity("training with the rounding in the loop") }
        let pixels = try specifications.flatMap { try $0.calibrationPictures(images, seed: seed, for: manifest) }
        guard !pixels.isEmpty else { throw CommandError("there is not one picture in \(data.joined(separator: ", "))") }
        // Read first, so that a wrong path is told at once.
        let tests = try specifications.filter(\.hasTestSet).map { ($0.name, try testSet($0, for: manifest)) }
        let line = ProgressLine()
        defer { line.clear() }
        var quantizer = try Quantizer(
            network: bundle.network, parameters: bundle.parameters(), preprocessing: manifest.preprocessing)
        var branches = try calibrated(quantizer, pixels, line)
        var source = bundle
        // What was trained is no model in eight bits yet.
        var isUnfinished = false
        defer { if isUnfinished { ModelBundle.removeFiles(at: out) } }
        if trains {
            line.clear()
            // It takes the folder itself.
            lock = nil
            source = try trained(bundle, quantizer, branches, specifications)
            isUnfinished = true
            lock = try BundleFolder.lock(out)
            quantizer = try Quantizer(
                network: source.network, parameters: source.parameters(), preprocessing: manifest.preprocessing)
            branches = try calibrated(quantizer, pixels, line)
        }
        var record = record(source, of: bundle, specifications)
        var report = Report(
            model: "\(manifest.name)-int8", model_hash: "", path: out, bytes: 0, original_bytes: bundle.byteCount,
            tests: [])
        let evaluator = try BundleEvaluator(bundle: source) { [quantizer, branches] in
            try BranchEngine(
                network: quantizer.network, branch: $0, integers: branches[$0], preprocessing: manifest.preprocessing)
        }
        for (name, set) in tests {
            line.show(1, "testing on \(name)")
            let accuracies = try [evaluator, BundleEvaluator(bundle: bundle)].map { try accuracy($0, set) }
            report.tests.append(
                .init(data: name, images: set.count, top1: accuracies[0], original_top1: accuracies[1]))
            record?.accuracy[name] = accuracies[0]
        }
        let written = try ModelBundle.write(
            name: report.model, network: quantizer.network, integers: branches,
            merge: source.mergeParameters(), preprocessing: manifest.preprocessing, labels: manifest.labels,
            training: record, missingScale: source.manifest.missingScale, to: out)
        isUnfinished = false
        if !trains { BundleFolder.removeTraining(out) }
        line.clear()
        (report.model_hash, report.bytes) = (written.hash.description, written.byteCount)
        if json { return writeLine(try jsonLine(report)) }
        for test in report.tests {
            writeLine(
                "\(percent(test.top1)) right on \(examples(test.images, of: test.data)), in single precision \(percent(test.original_top1))"
            )
        }
        writeLine(
            "wrote \(out), model \(report.model_hash): \(byteAmount(report.bytes)) in place of \(byteAmount(report.original_bytes))"
        )
    }

    private func calibrated(
        _ quantizer: Quantizer, _ pixels: [UInt8], _ line: ProgressLine
    ) throws -> [IntegerBranch] {
        let count = quantizer.network.branches.count
        return try (0..<count).map { branch in
            try quantizer.branch(branch, pixels: pixels) {
                line.show((Double(branch) + $0) / Double(count), "branch \(branch)")
                return !Task.isCancelled
            }
        }
    }

    /// Trains with rounding to eight bits in the loop. Until what it gives is written in eight bits, it lies in the folder.
    private func trained(
        _ bundle: ModelBundle, _ quantizer: Quantizer, _ branches: [IntegerBranch],
        _ specifications: [DataSpecification]
    ) throws -> ModelBundle {
        var run = TrainingRun(
            network: quantizer.network, name: "\(bundle.manifest.name)-int8",
            recipe: try recipeOptions.tuning(quantizer.network, divisor: 10), data: specifications, folder: out)
        run.initial = quantizer.modelParameters
        run.rounding = branches.indices.map { quantizer.rounding($0, branches[$0]) }
        run.teachers = [bundle]
        run.pictures = bundle.manifest.preprocessing
        run.classNames = bundle.manifest.labels
        run.seed = seed
        run.threads = threads
        run.command = bundle.manifest.training?.command ?? ""
        let reporter = TrainingReporter(isQuiet: json, tellsTests: false)
        return try run.run(existing: resume ? .resume : force ? .replace : .keep) { event in
            reporter.show(event)
            return !Task.isCancelled
        }
    }

    private func accuracy(_ evaluator: BundleEvaluator, _ set: LabeledImages) throws -> Double {
        var options = EvaluationOptions()
        options.maximumMissing = 0
        return
            try evaluator
            .evaluate(pixels: set.pixels, labels: set.labels, options: options) { _ in !Task.isCancelled }.accuracy
    }

    private func testSet(_ specification: DataSpecification, for manifest: ModelManifest) throws -> LabeledImages {
        var tested = specification
        if case .drawn = specification { tested = .drawn(count: 10_000) }
        var set = try tested.evaluationSet(
            seed: 1, size: manifest.network.input.imageSize(manifest.preprocessing),
            signal: manifest.preprocessing.signal)
        try set.match(
            specification.classNames(isTest: true), to: manifest.labels, data: specification.name, model: manifest.name)
        return set
    }

    /// How the original came to be, and what was done with it; its accuracy is not this one's.
    private func record(
        _ source: ModelBundle, of bundle: ModelBundle, _ specifications: [DataSpecification]
    ) -> ModelManifest.TrainingRecord? {
        guard var record = source.manifest.training else { return nil }
        let name = bundle.manifest.name
        let words =
            ["lcp quantize \(name)"] + specifications.map { "--data \($0.form)" }
            + ["--images \(images)"] + recipeOptions.words + ["--seed \(seed)", "--out \(name)-int8"]
        record.command += (record.command.isEmpty ? "" : " && ") + words.joined(separator: " ")
        record.accuracy = [:]
        record.encodedAccuracy = nil
        return record
    }
}
