import ArgumentParser
import Charts
import LCPDatasets
import LCPModels
import LCPSearch
import LCPTraining
import Platform

struct SearchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "search",
        abstract: "Look for the best branches of a network for so many devices, by short trainings.",
        discussion: """
            Widths of every layer, smaller kernels, convolutions behind others, separable ones and the way to join branches are tried: many shapes \
            for an epoch, the better third for two more, and of these the better third for six more; then changed shapes of the \
            best ones. A tenth of the training images is set aside to compare them. At the end the best ones are trained by the \
            whole recipe and written as bundles; the test set is looked at then, and nothing is chosen by it. All that is needed to go on is kept in the folder.

            Examples:
              lcp search cifarnet-bn --devices 8 --data cifar10:FOLDER --budget 2h \\
                  --out found
              lcp search cifarnet-bn --devices 8 --parameters 320000 --latency 0.05 \\
                  --data cifar10:FOLDER --distill whole --budget 3h --out found
              lcp search lenet --devices 4 --accuracy 99 --data mnist:FOLDER \\
                  --budget 30m --out small
              lcp search lenet --devices 4 --data mnist:FOLDER --budget 1h --out small \\
                  --resume
            """)

    @OptionGroup var options: NetworkOptions

    @Option(help: "Into how many branches: one for each device.")
    var devices: Int

    @Option(
        help: ArgumentHelp("\(DataSpecification.forms); may be given several times.", valueName: "data"),
        completion: .data)
    var data: [String] = []

    @Option(
        help: ArgumentHelp(
            "The most milliseconds that a branch may take on this machine, one thread.", valueName: "ms"))
    var latency: Double?

    @Option(help: ArgumentHelp("The most parameters in all branches together.", valueName: "count"))
    var parameters: Int?

    @Option(
        help: ArgumentHelp(
            "Per cent right on the images set aside that are enough: the cheapest bundle that has them is wanted.",
            valueName: "percent"))
    var accuracy: Double?

    @Option(
        help: ArgumentHelp(
            "The time for trainings, for example 90s, 30m or 2h; at least one generation is tried.", valueName: "time"),
        transform: parseBudget)
    var budget: Double

    @OptionGroup var recipeOptions: RecipeOptions

    @Option(
        help: ArgumentHelp(
            "Learn from this bundle, the network in one piece, by the recipe taught where no other is named; may be given several times.",
            valueName: "bundle"), completion: .bundle)
    var distill: [String] = []

    @Option(help: "How many bundles are trained at the end, at most.")
    var bundles = 3

    @Option(help: "Everything random comes from it.")
    var seed: UInt64 = 1

    @Option(help: "Threads; the processor's cores by default.")
    var threads: Int?

    @Option(help: ArgumentHelp("The folder of the search.", valueName: "folder"), completion: .directory)
    var out: String

    @Flag(help: "Go on with the search in the folder; --budget counts what it has used.")
    var resume = false

    @Flag(help: "Print one JSON object.")
    var json = false

    func validate() throws {
        guard !data.isEmpty else { throw ValidationError("--data is missing: give \(DataSpecification.forms)") }
        guard (1...BranchedNetwork.maximumBranches).contains(devices) else {
            throw ValidationError("--devices is 1 to \(BranchedNetwork.maximumBranches), not \(devices)")
        }
        if let latency, !(latency > 0 && latency.isFinite) {
            throw ValidationError("--latency is above 0 ms, not \(latency)")
        }
        if let parameters, parameters < 1 { throw ValidationError("--parameters is at least 1, not \(parameters)") }
        if let accuracy, !(accuracy > 0 && accuracy <= 100) {
            throw ValidationError("--accuracy is above 0 and at most 100 per cent, not \(accuracy)")
        }
        guard (1...100).contains(bundles) else { throw ValidationError("--bundles is 1 to 100, not \(bundles)") }
    }

    func run() async throws {
        let command = self
        try await untilStopped {
            do { try command.search() } catch let stop as CancellationError {
                writeErrorLine("stopped: the same command with --resume goes on")
                throw stop
            }
        }
    }

    private func search() throws {
        let (base, _) = try options.whole()
        let plain = try base.split(into: devices)
        let recipe = try recipeOptions.chosen(for: plain, isTaught: !distill.isEmpty)
        var training = TrainingRun(
            network: plain, name: base.name, recipe: recipe,
            data: try data.map { try DataSpecification($0, defaultDrawnCount: 60_000) }, folder: out)
        training.seed = seed
        training.threads = threads
        training.teachers = try distill.map { try ModelBundle.find($0) }
        training.command = words(training.data)
        guard training.teachers.isEmpty || recipe.hasTeacher else {
            throw CommandError(
                "--distill: the recipe \(recipe.name) learns nothing from a bundle: leave out one of the two")
        }
        let limits = ShapeSearch.Limits(
            devices: devices, parameters: parameters, latency: latency, merge: options.merge)
        var run = SearchRun(training: training, base: base, limits: limits, budget: budget, folder: out)
        (run.wantedAccuracy, run.bundles) = (accuracy.map { $0 / 100 }, bundles)
        if resume, !FileIO.exists("\(out)/search.json") {
            writeErrorLine("note: \(out) has no search to go on with: begins anew")
        }
        let short = ShapeSearch.epochs.reduce(0, +)
        if recipe.epochs < short {
            writeErrorLine(
                "note: the recipe has \(recipe.epochs) epoch\(recipe.epochs == 1 ? "" : "s"), fewer than the \(short) of the short "
                    + "trainings: the bundles will be worse than these")
        }
        let reporter = SearchReporter(isQuiet: json)
        let outcome = try run.run(isResumed: resume) { event in
            reporter.show(event)
            return !Task.isCancelled
        }
        let report = try SearchReport(outcome, base: base, folder: out)
        try FileIO.write(Array(report.figure.svg().utf8), to: "\(out)/search.svg")
        writeLine(json ? try jsonLine(report) : report.text)
        if let accuracy, !outcome.trained.contains(where: { $0.accuracy * 100 >= accuracy }) {
            writeErrorLine(
                "note: no bundle has the \(accuracy) per cent that are wanted: give more --budget, --parameters or --latency"
            )
        }
    }

    /// The command for the bundles' records.
    private func words(_ data: [DataSpecification]) -> String {
        var words = ["lcp search \(options.network)"] + options.changes + ["--devices \(devices)"]
        if let latency { words.append("--latency \(latency)") }
        if let parameters { words.append("--parameters \(parameters)") }
        if let accuracy { words.append("--accuracy \(accuracy)") }
        words += recipeOptions.words + distill.map { "--distill \($0.split(separator: "/").last ?? "BUNDLE")" }
        words += data.map { "--data \($0.form)" } + ["--budget \(Int(budget))s", "--seed \(seed)"]
        return (words + ["--out \(out.split(separator: "/").last ?? "found")"]).joined(separator: " ")
    }
}

/// Seconds of a time as it is typed: 90s, 30m, 2h.
func parseBudget(_ text: String) throws -> Double {
    let units: [Character: Double] = ["s": 1, "m": 60, "h": 3600]
    guard let unit = text.last.flatMap({ units[$0] }), let number = Double(text.dropLast()),
        number > 0, number * unit <= 1e7
    else { throw ValidationError("give a time with its unit, for example 90s, 30m or 2h") }
    return number * unit
}

/// A live line while a search goes on, and a line for every trial.
final class SearchReporter {
    private let line = ProgressLine()
    private let isQuiet: Bool
    private var what = ""

    init(isQuiet: Bool) { self.isQuiet = isQuiet }

    private func write(_ text: String) {
        line.clear()
        if !isQuiet { writeLine(text) }
    }

    func show(_ event: SearchRun.Event) {
        switch event {
        case .trial(let member, let number, let generation, let epochs):
            what =
                "generation \(generation + 1), shape \(number), \(epochs) epoch\(epochs == 1 ? "" : "s"), \(member.shape)"
        case .tried(let member):
            write("\(what): \(percent(member.accuracy ?? 0)) right")
        case .training(let member):
            what = "training \(member.shape)"
            write("\(what) by the whole recipe")
        case .trained(let trained):
            write(
                "\(trained.bundle): \(percent(trained.accuracy)) right"
                    + (trained.tested.map { "; of the test set \(percent($0))" } ?? "")
                    + (trained.testedOneMissing.map { ", \(percent($0)) with one branch missing" } ?? ""))
        case .progress(let progress):
            line.show(
                progress.fraction, what, "\(duration(progress.remaining)) left",
                "\(fixed(progress.imagesPerSecond, digits: 0)) images/s")
        }
    }
}
