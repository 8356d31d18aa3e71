import ArgumentParser
import LCPDatasets
import LCPModels
import LCPTraining
import LCPWire
import Platform

struct TrainCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "train",
        abstract: "Split a network into branches, train them together, and write a model bundle.",
        discussion: """
            After every epoch all that is needed to go on is kept in the folder: cut short, the same command with --resume ends \
            with the same weights, bit for bit. The test sets are looked at once, at the end. The digits that are drawn for \
            training are others in every epoch, and never those of lcp evaluate or lcp sensor.

            csv:FILE has records, one or, with conv1d, windows of them. Behind a second file to test on may stand label=COLUMN, \
            fields=A+B, time=COLUMN and gap=SECONDS, by=COLUMN for what records belong to, and hop=N. mlp, conv1d and dscnn (wav:FOLDER) \
            get as many fields and classes as the data have.

            Examples:
              lcp train lenet --branches 4 --data drawn:60000 --out my-lenet
              lcp train lenet --branches 8 --data mnist:FOLDER --validation 0.1 \\
                  --set branch_dropout=0.1 --out my-lenet8
              lcp train cifarnet --branches 8 --data cifar10:FOLDER --recipe pictures \\
                  --epochs 60 --out my-cifarnet
              lcp train cifarnet-bn --data cifar10:FOLDER --out whole
              lcp train lenet --branches 8 --data mnist:FOLDER --auto --out chosen
              lcp train cifarnet-bn --branches 8 --data cifar10:FOLDER --distill whole \\
                  --out taught
              lcp train lenet --branches 4 --data mnist:FOLDER --teacher lenet-split1 \\
                  --set distillation=0.5 --out taught
              lcp train conv1d --branches 4 --data csv:a.csv,b.csv,label=state --out motor
              lcp train taught --parity --data cifar10:FOLDER --out guarded
              lcp train taught --classes 3 --data folder:FOLDER --out pets
              lcp train my-net --data folder:FOLDER --learning-rate 0.001 --out tuned
              lcp train my-net --branches 4 --data folder:FOLDER --distill my-net \\
                  --out split

            A bundle goes on from its weights, with a new last layer for other classes: one in branches, or one in one piece that is not \
            split, for example one that lcp model import wrote. --anew begins with new weights. --parity trains one branch more for a \
            bundle in branches, which stands in for any one that is missing.
            """)

    @OptionGroup var options: NetworkOptions
    @OptionGroup var splitting: SplitOptions

    @Option(
        help: ArgumentHelp("\(DataSpecification.forms); may be given several times.", valueName: "data"),
        completion: .data)
    var data: [String] = []

    @Option(
        help: ArgumentHelp(
            "A text file with the name of a class in each line, in the order of the labels; folders are matched by name.",
            valueName: "file"), completion: .file())
    var labels: String?

    @OptionGroup var recipeOptions: RecipeOptions

    @Option(
        help: ArgumentHelp(
            "The part of the images that is not trained on and chooses the best epoch; of drawn digits as many more are drawn for that.",
            valueName: "part"))
    var validation = 0.0

    @Option(
        help: ArgumentHelp(
            "Learn from this bundle, usually the network in one piece. Without --recipe short trials choose by how much, or not at all, as --auto does; with --recipe taught every branch begins as its share of it where there is batch normalisation, and they learn its softened answers. Given several times, they learn the mean of them all, and begin as shares of the first.",
            valueName: "bundle"), completion: .bundle)
    var distill: [String] = []

    @Option(
        help: ArgumentHelp(
            "The bundle that a recipe with distillation learns from, or several; unlike --distill it changes no recipe.",
            valueName: "bundle"), completion: .bundle)
    var teacher: [String] = []

    @Flag(
        help:
            "Train one branch more for this bundle in branches, which stands in for those that are missing; the others stay as they are. --fatten makes it wider than the first one."
    )
    var parity = false

    @Flag(
        help:
            "Choose the recipe by short trials on a tenth of the images: how much to learn from a teacher, at what rate, with how much branch dropout, and how branches are joined. --distill without a recipe does so, too."
    )
    var auto = false

    @Option(
        help: ArgumentHelp(
            "The images that all trials together may see, as a multiple of those that the training does; 1 by default, 0 for no trials.",
            valueName: "times"))
    var budget: Double?

    @Option(help: "Everything random comes from it.")
    var seed: UInt64 = 1

    @Option(help: "Threads; the processor's cores by default. The result does not depend on it.")
    var threads: Int?

    @Option(help: ArgumentHelp("The folder of the bundle.", valueName: "folder"), completion: .directory)
    var out: String?

    @Flag(help: "Write the weights in half precision: half the bytes, and three decimal digits of every weight.")
    var half = false

    @Flag(help: "Begin with new weights where the network is a bundle, and not with the bundle's.")
    var anew = false

    @Flag(help: "Go on with the training that was cut short in the folder.")
    var resume = false

    @Flag(help: "Begin anew, over what is in the folder.")
    var force = false

    @Flag(help: "Do not train where a picture cannot be read; otherwise it is named and left out.")
    var strict = false

    @Flag(help: "Print the recipes and everything that can be in one.")
    var helpRecipe = false

    func validate() throws {
        guard !helpRecipe else { return }
        guard !data.isEmpty else { throw ValidationError("--data is missing: give \(DataSpecification.forms)") }
        guard out != nil else { throw ValidationError("--out is missing: name a folder for the bundle") }
        if resume, force { throw ValidationError("--resume goes on and --force begins anew: give one") }
        if !distill.isEmpty, !teacher.isEmpty { throw ValidationError("give --distill or --teacher, not both") }
        if let budget, !(0...1000).contains(budget) {
            throw ValidationError("--budget is 0 to 1000 times the training, not \(budget)")
        }
        if auto, budget == 0 {
            throw ValidationError("--auto chooses by trials, and --budget 0 allows none: leave one out")
        }
        if auto, parity { throw ValidationError("--parity trains a branch by a recipe of its own: leave out --auto") }
        if auto, !teacher.isEmpty {
            throw ValidationError("--teacher is for a recipe of your own: with --auto give --distill")
        }
        if auto, let entry = recipeOptions.chosenEntry {
            throw ValidationError("--auto chooses \(entry): leave out one of the two")
        }
        if budget != nil, !auto, distill.isEmpty || recipeOptions.isGiven {
            throw ValidationError("--budget is for trials: give --auto, or --distill without a recipe")
        }
        guard parity else { return }
        if half {
            throw ValidationError(
                "--half would change the other branches, and --parity leaves them as they are: leave out one of the two"
            )
        }
        if anew { throw ValidationError("--parity adds a branch to a model with its weights: leave out --anew") }
        guard splitting.branches == nil, splitting.shares == nil, splitting.shape == nil, options.changes.isEmpty,
            distill.isEmpty,
            teacher.isEmpty
        else {
            throw ValidationError(
                "--parity adds a branch to a bundle as it is, and learns from that: leave out --branches, --shares, --shape, --classes, "
                    + "--input, --merge, --distill and --teacher")
        }
    }

    /// Whether the recipe is chosen by trials.
    private var chooses: Bool { auto || !distill.isEmpty && !recipeOptions.isGiven && budget != 0 }

    func run() async throws {
        if helpRecipe { return print(try RecipeOptions.help()) }
        let command = self
        try await untilStopped {
            do { try command.train() } catch let stop as CancellationError {
                let isKept = FileIO.exists("\(command.out ?? "")/checkpoint.safetensors")
                writeLine(
                    isKept
                        ? "stopped: the same command with --resume goes on after the last whole epoch"
                        : "stopped before the first whole epoch: the same command with --resume goes on with the trials that ended, "
                            + "or begins anew")
                throw stop
            }
        }
    }

    private func train() throws {
        var run = try training()
        run.validation = validation
        run.seed = seed
        run.classNames = try labels.map { try ClassNames.read($0, classes: run.network.classes) }
        run.isStrict = strict
        (run.threads, run.isHalf) = (threads, half)
        if chooses, run.start == nil, run.parityOf == nil {
            var choice = RecipeChoice()
            if let budget { choice.budget = budget }
            if options.merge == nil, splitting.shape == nil { choice.merges = Merge.allCases }
            run.choice = choice
        }
        run.command = words(run.name, run.data)
        let (network, folder) = (run.network, run.folder)
        let count = network.branches.count
        let what =
            parity
            ? "a parity branch for \(options.network)"
            : "\(network.base) in \(count) branch\(count == 1 ? "" : "es")"
        writeLine(
            "\(what): \(try network.parameterCount()) parameters, recipe \(run.recipe.name), "
                + "\(run.recipe.epochs) epoch\(run.recipe.epochs == 1 ? "" : "s")")
        if resume, !FileIO.exists("\(folder)/checkpoint.safetensors"), !FileIO.exists("\(folder)/model.json") {
            writeErrorLine("note: \(folder) has no training to go on with: begins anew")
        }
        let reporter = TrainingReporter()
        let bundle = try run.run(existing: resume ? .resume : force ? .replace : .keep) { event in
            reporter.show(event)
            return !Task.isCancelled
        }
        if chooses, !distill.isEmpty, bundle.manifest.training?.teachers?.isEmpty != false {
            writeLine("the trials were better without the bundle to learn from, and it was not used")
        }
        let figure = "\(run.folder)/training.svg"
        try TrainingFigure.write(bundle, to: figure)
        writeLine("wrote \(run.folder), model \(bundle.hash); the curves are in \(figure)")
    }

    /// What is trained, on what, and where it goes.
    private func training() throws -> TrainingRun {
        let data = try data.map { try DataSpecification($0, defaultDrawnCount: 60_000) }
        // The bundle is called like its folder.
        let folder = out ?? ""
        let name = folder.split(separator: "/").last.map(String.init) ?? options.network
        if parity {
            let bundle = try ModelBundle.find(options.network)
            return try TrainingRun(
                parityOf: bundle, fattening: splitting.fatten, name: name,
                recipe: try recipeOptions.parity(bundle.network),
                data: data, folder: folder)
        }
        if let start = try start() {
            guard !auto || anew else {
                throw CommandError(
                    "--auto chooses a recipe for a training that begins anew, and \(start.manifest.name) goes on from its weights: "
                        + "leave out --auto, or give --anew, or name \(start.network.base)")
            }
            guard !splitting.isGiven, options.input == nil, options.merge == nil else {
                throw CommandError(
                    "\(start.manifest.name) is in \(start.network.branches.count) branches already, and training goes on with "
                        + "them: leave out --branches, --shares, --shape, --fatten, --input and --merge, or name \(start.network.base)"
                )
            }
            guard !anew || start.network.parity == nil else {
                throw CommandError(
                    "the last branch of \(start.manifest.name) stands in for the others, and has nothing of its own to learn: begin "
                        + "anew with the model that it was added to")
            }
            let network = start.network.with(classes: options.classes)
            let recipe =
                anew ? try recipe(for: network) : try recipeOptions.goingOn(network, isTaught: !distill.isEmpty)
            var run = TrainingRun(network: network, name: name, recipe: recipe, data: data, folder: folder)
            (run.start, run.pictures) = (anew ? nil : start, start.manifest.preprocessing)
            run.teachers = try (distill + teacher).map { try ModelBundle.find($0) }
            return run
        }
        let (whole, origin) = try options.whole()
        let base = origin == nil ? try options.fitted(whole, to: data[0]) : whole
        let network = try splitting.split(base, merge: options.merge)
        let recipe = chooses ? try recipeOptions.chosen(for: network) : try recipe(for: network)
        var run = TrainingRun(network: network, name: name, recipe: recipe, data: data, folder: folder)
        run.teachers = try (distill + teacher).map { try ModelBundle.find($0) }
        run.pictures = (origin ?? run.teachers.first)?.manifest.preprocessing
        return run
    }

    /// The bundle whose branches are trained as they are: one in several branches, or one in one piece that is not split, not joined
    /// otherwise, and not begun otherwise.
    private func start() throws -> ModelBundle? {
        guard let bundle = try options.bundle() else { return nil }
        guard bundle.network.branches.count == 1 else { return bundle }
        let beginsOtherwise = auto || recipeOptions.entries.contains { $0.hasPrefix("initialization=") }
        let isOther = splitting.isGiven || options.input != nil || options.merge != nil
        return anew || beginsOtherwise || isOther ? nil : bundle
    }

    private func recipe(for network: BranchedNetwork) throws -> TrainingRecipe {
        let recipe = try recipeOptions.chosen(for: network, isTaught: !distill.isEmpty)
        if let first = distill.first, !recipe.distils {
            throw CommandError(
                "--distill \(first): the recipe \(recipe.name) has no distillation, so that nothing would be learned from it: "
                    + "leave out --recipe or --distill, or give --set distillation=0.5"
            )
        }
        return recipe
    }

    /// The command for the bundle's record; a folder's path is this machine's business.
    private func words(_ name: String, _ data: [DataSpecification]) -> String {
        var words = ["lcp train \(options.network)"]
        // A bundle in branches is not split.
        words +=
            (splitting.isGiven ? splitting.words : []) + options.changes + data.map { "--data \($0.form)" }
            + recipeOptions.words
        if auto { words.append("--auto") }
        if parity { words.append("--parity") }
        if anew { words.append("--anew") }
        if half { words.append("--half") }
        if let budget { words.append("--budget \(budget)") }
        if let labels { words.append("--labels \(labels.split(separator: "/").last ?? "FILE")") }
        if validation > 0 { words.append("--validation \(validation)") }
        for (option, bundles) in [("--distill", distill), ("--teacher", teacher)] {
            words += bundles.map { "\(option) \($0.split(separator: "/").last ?? "BUNDLE")" }
        }
        return (words + ["--seed \(seed)", "--out \(name)"]).joined(separator: " ")
    }
}

/// A live line while training goes on, and a line for every epoch.
final class TrainingReporter {
    private let line = ProgressLine()
    private let prefix: String
    /// Whether only the live line is shown.
    private let isQuiet: Bool
    /// Whether it tells what the test sets say.
    private let tellsTests: Bool
    /// The short trial that goes on.
    private var trial = ""

    init(prefix: String = "", isQuiet: Bool = false, tellsTests: Bool = true) {
        (self.prefix, self.isQuiet, self.tellsTests) = (prefix, isQuiet, tellsTests)
    }

    private func write(_ text: String) {
        line.clear()
        if !isQuiet { writeLine(text) }
    }

    func show(_ event: TrainingRun.Event) {
        switch event {
        case .trial(let number, let count, let changes):
            trial = "trial \(number)/\(count)\(changes.isEmpty ? "" : ", \(changes)")"
        case .tried(let result):
            write(
                "\(prefix)\(trial): \(percent(result.accuracy)) right"
                    + (result.oneMissing.map { ", \(percent($0)) with one branch missing" } ?? ""))
            trial = ""
        case .chosen(let choice):
            write(
                "\(prefix)chosen by \(choice.trials.count) trials of \(choice.epochs) epoch\(choice.epochs == 1 ? "" : "s"), on \(choice.images) images set aside: "
                    + (choice.changes.isEmpty
                        ? "the recipe as it is, since nothing else was better by more than the standard error"
                        : choice.changes))
        case .resumed(let epoch): write("\(prefix)going on after epoch \(epoch)")
        case .leftOut(let data, let files): LeftOut.tell(files, of: data)
        case .noted(let data, let notes): LeftOut.tell(notes: notes, of: data)
        case .progress(let progress):
            let epoch = "\(prefix)\(trial.isEmpty ? "" : "\(trial), ")epoch \(progress.epoch)/\(progress.epochs)"
            let loss = "loss \(fixed(progress.loss, digits: 4))"
            let accuracy = "accuracy \(percent(progress.accuracy))"
            let speed = "\(fixed(progress.imagesPerSecond, digits: 0)) images/s"
            if let record = progress.record, trial.isEmpty {
                let validation = record.validationAccuracy.map { ["validation \(percent($0))"] } ?? []
                write(([epoch, loss, accuracy] + validation + [speed]).joined(separator: "  "))
            }
            line.show(progress.fraction, epoch, "\(duration(progress.remaining)) left", loss, accuracy, speed)
        case .tested(let data, let result):
            guard tellsTests else { return }
            write(
                "\(prefix)\(percent(result.accuracy)) right on \(examples(result.images, of: data)) that training never saw"
                    + (result.byMissing.count > 1
                        ? ", \(percent(result.byMissing[1].mean)) with one branch missing" : ""))
        }
    }
}
