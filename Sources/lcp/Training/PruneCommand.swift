import ArgumentParser
import LCPCompression
import LCPDatasets
import LCPModels
import LCPTraining
import Platform

struct PruneCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "prune",
        abstract: "Take channels out of a model's convolutions, and train what is left.",
        usage: "lcp prune <model> --convolutions <share> --data <data> --out <folder> [<options>]",
        discussion: """
            Whole channels go, those that matter least on training pictures, from each layer as many as cost least: the result is a \
            smaller and faster model like any other, and lcp quantize makes it smaller still. Then it learns from the model that \
            it was, --epochs long, 10 by default; with --epochs 0 it is written as it is. Channels are whole, so more than \
            asked for may go from a small model.

            Examples:
              lcp prune my-bundle --convolutions 0.5 --data cifar10:FOLDER --out half
              lcp prune my-bundle --convolutions 0.4 --data folder:PICTURES \\
                  --epochs 20 --learning-rate 0.003 --out smaller
              lcp prune lenet-split4 --convolutions 0.3 --data drawn --epochs 0 --out cut
            """)

    @Argument(help: "A model bundle: a folder, or the name of one that came with lcp.", completion: .bundle)
    var model: String

    @Option(
        help: ArgumentHelp("The share of the convolutions' weights that goes, above 0 and below 1.", valueName: "share")
    )
    var convolutions: Double

    @Option(
        help: ArgumentHelp(
            "What it is trained on: \(DataSpecification.forms); may be given several times.", valueName: "data"),
        completion: .data)
    var data: [String]

    @Option(help: "How many training pictures channels are tried on, 10 or more.")
    var images = 1000

    @OptionGroup var recipeOptions: RecipeOptions

    @Option(help: "Everything random comes from it.")
    var seed: UInt64 = 1

    @Option(help: "Threads; the processor's cores by default. The result does not depend on it.")
    var threads: Int?

    @Option(help: ArgumentHelp("The folder of the new bundle.", valueName: "folder"), completion: .directory)
    var out: String

    @Flag(help: "Begin anew, over what is in the folder.")
    var force = false

    @Flag(help: "Go on with the training that was cut short in the folder.")
    var resume = false

    func validate() throws {
        guard convolutions > 0, convolutions < 1 else {
            throw ValidationError(
                "--convolutions is above 0 and below 1, not \(convolutions): 1 would leave no channel")
        }
        guard !data.isEmpty else { throw ValidationError("--data is missing: give \(DataSpecification.forms)") }
        guard (10...100_000).contains(images) else { throw ValidationError("--images is 10 to 100,000, not \(images)") }
        try recipeOptions.validate(resume: resume, force: force, byDefault: 10)
    }

    func run() async throws {
        let command = self
        try await untilStopped {
            do { try command.prune() } catch let stop as CancellationError {
                BundleFolder.tellStopped(out)
                throw stop
            }
        }
    }

    private func prune() throws {
        let bundle = try ModelBundle.find(model)
        let manifest = bundle.manifest
        guard manifest.arithmetic == nil else {
            throw CommandError(
                "\(manifest.name) computes with numbers of eight bits: prune the model that it was made of, and quantise that"
            )
        }
        try BundleFolder.checkFree(out, force: force || resume, source: bundle)
        // What cannot be written is told before the work; the training takes the folder itself.
        var lock: FolderLock? = try BundleFolder.lock(out, hasTraining: force || recipeOptions.epochs != 0)
        defer { withExtendedLifetime(lock) {} }
        defer { FileIO.removeEmptyFolder(out) }
        let specifications = try data.map { try DataSpecification($0, defaultDrawnCount: 60_000) }
        let result = try pruned(bundle, specifications)
        writeLine(Self.text(bundle.network, result))
        let name = out.split(separator: "/").last.map(String.init) ?? "\(manifest.name)-pruned"
        guard recipeOptions.epochs != 0 else { return try write(result, bundle, name, specifications) }

        var run = TrainingRun(
            network: result.network, name: name, recipe: try recipeOptions.tuning(result.network, divisor: 3),
            data: specifications,
            folder: out)
        run.initial = result.parameters
        run.teachers = [bundle]
        run.pictures = manifest.preprocessing
        run.classNames = manifest.labels
        run.seed = seed
        run.threads = threads
        run.command = command(name, bundle, specifications)
        let reporter = TrainingReporter()
        lock = nil
        let trained = try run.run(existing: resume ? .resume : force ? .replace : .keep) { event in
            reporter.show(event)
            return !Task.isCancelled
        }
        writeLine(
            "wrote \(out), model \(trained.hash): \(byteAmount(trained.byteCount)) in place of \(byteAmount(bundle.byteCount))"
        )
    }

    private func pruned(_ bundle: ModelBundle, _ specifications: [DataSpecification]) throws -> Pruner.Result {
        let manifest = bundle.manifest
        var specification = specifications[0]
        // As many are drawn as are looked at.
        if case .drawn = specification { specification = .drawn(count: images) }
        var set = try specification.trainingSet(
            seed: seed, size: manifest.network.input.imageSize(manifest.preprocessing),
            signal: manifest.preprocessing.signal)
        try set.match(
            specification.classNames(), to: manifest.labels, data: specification.name, model: manifest.name)
        guard !set.labels.isEmpty else {
            throw CommandError("the pictures of \(specification.name) have no classes, and pruning needs them")
        }
        if set.count > images { set = try set.split(validation: images, seed: seed).validation }
        if let label = set.labels.first(where: { Int($0) >= bundle.network.classes }) {
            throw CommandError(
                "\(specification.name) has a class \(label), and \(manifest.name) knows 0 to \(bundle.network.classes - 1)"
            )
        }
        let line = ProgressLine()
        defer { line.clear() }
        line.show(0, "trying channels")
        let pruner = try Pruner(
            network: bundle.network, parameters: bundle.parameters(), preprocessing: manifest.preprocessing,
            pixels: set.pixels, labels: set.labels.map(Int.init))
        return try pruner.prune(share: convolutions) {
            line.show($0, "trying channels")
            return !Task.isCancelled
        }
    }

    private func write(
        _ result: Pruner.Result, _ bundle: ModelBundle, _ name: String, _ specifications: [DataSpecification]
    ) throws {
        var record = bundle.manifest.training
        record?.command = command(name, bundle, specifications)
        record?.accuracy = [:]
        record?.encodedAccuracy = nil
        let written = try ModelBundle.write(
            name: name, network: result.network, parameters: result.parameters,
            preprocessing: bundle.manifest.preprocessing, labels: bundle.manifest.labels, training: record,
            missingScale: bundle.manifest.missingScale, to: out)
        BundleFolder.removeTraining(out)
        writeLine(
            "wrote \(out), model \(written.hash), not trained: \(byteAmount(written.byteCount)) in place of \(byteAmount(bundle.byteCount)); lcp evaluate tells what it is worth"
        )
    }

    /// What made the model, and then this.
    private func command(_ name: String, _ bundle: ModelBundle, _ data: [DataSpecification]) -> String {
        let before = bundle.manifest.training?.command ?? ""
        return (before.isEmpty ? "" : "\(before) && ") + words(name, bundle, data)
    }

    private func words(_ name: String, _ bundle: ModelBundle, _ data: [DataSpecification]) -> String {
        let words =
            ["lcp prune \(bundle.manifest.name) --convolutions \(convolutions)"] + data.map { "--data \($0.form)" }
            + ["--images \(images)"] + recipeOptions.words
        return (words + ["--seed \(seed)", "--out \(name)"]).joined(separator: " ")
    }

    private static func text(_ before: BranchedNetwork, _ result: Pruner.Result) -> String {
        var table = Table(["branch", "widths", "become"])
        for branch in before.branches.indices {
            let widths = [before, result.network].map {
                $0.branches[branch].compactMap(\.width).map(String.init).joined(separator: ", ")
            }
            table.add(["\(branch)", widths[0], widths[1]])
        }
        let share = percent(1 - Double(result.weightsAfter) / Double(result.weightsBefore))
        return table.text
            + "\n\n\(exact(result.weightsAfter)) of \(exact(result.weightsBefore)) weights of the convolutions stay: \(share) go"
    }
}
