import ArgumentParser
import FoundationEssentials
import LCPModels
import LCPTraining
import LCPWire
import Platform

/// How a network is trained: a preset, and what is changed about it.
struct RecipeOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "\(TrainingRecipe.presets.map(\.name).joined(separator: ", ")), or a JSON file; by default digits for grey images and pictures for coloured ones; taught is these with a teacher.",
            valueName: "name"), completion: .file())
    var recipe: String?

    @Option(help: "How often every image is seen.")
    var epochs: Int?

    @Option(help: "Images per step.")
    var batch: Int?

    @Option(help: "The highest learning rate.")
    var learningRate: Float?

    @Option(
        name: .customLong("set"),
        help: ArgumentHelp(
            "Another entry of the recipe, for example optimizer=sgd, schedule=cosine, branch_dropout=0.1 or views=true; may be given several times. lcp train lenet --help-recipe lists them.",
            valueName: "entry=value"))
    var entries: [String] = []

    /// The recipe for a network, with a teacher to learn from or without.
    ///
    /// - Throws: ``CommandError``, one sentence.
    func chosen(for network: BranchedNetwork, isTaught: Bool = false) throws -> TrainingRecipe {
        var result = try base(for: network, isTaught: isTaught)
        for text in entries {
            let parts = text.split(separator: "=", maxSplits: 1).map(String.init)
            guard parts.count == 2 else {
                throw CommandError("--set \(text): write an entry and its value, for example branch_dropout=0.1")
            }
            do { result = try result.with([parts[0]: RecipeEntry(parts[1])]) } catch {
                throw CommandError("--set \(text): \(error)")
            }
        }
        if let epochs { result.epochs = epochs }
        if let batch { result.batchSize = batch }
        if let learningRate { result.learningRate = learningRate }
        do { try result.validate() } catch { throw CommandError("the recipe is not possible: \(error)") }
        return result
    }

    /// The recipe for a network that knows most already and learns from the model that it was: what teaches a network, in a third
    /// of the time and at a lower rate.
    ///
    /// - Parameter divisor: of the learning rate, where none was given.
    func tuning(_ network: BranchedNetwork, divisor: Float) throws -> TrainingRecipe {
        var options = self
        options.epochs = epochs ?? 10
        var recipe = try options.chosen(for: network, isTaught: true)
        if learningRate == nil { recipe.learningRate /= divisor }
        recipe.initialization = .teacher
        return recipe
    }

    /// The recipe for a parity branch, which learns the whole answer of the model that it belongs to.
    func parity(_ network: BranchedNetwork) throws -> TrainingRecipe {
        var options = self
        options.entries = ["initialization=he", "distillation=0.9"] + entries
        return try options.chosen(for: network)
    }

    /// The recipe for a network that goes on from its weights.
    func goingOn(_ network: BranchedNetwork, isTaught: Bool) throws -> TrainingRecipe {
        var recipe = try chosen(for: network, isTaught: isTaught)
        if learningRate == nil { recipe.learningRate /= 4 }
        return recipe
    }

    private func base(for network: BranchedNetwork, isTaught: Bool) throws -> TrainingRecipe {
        let recipe = recipe ?? (isTaught ? TrainingRecipe.taught : .usual(for: network)).name
        guard !TrainingRecipe.presets.contains(where: { $0.name == recipe }), FileIO.exists(recipe) else {
            do { return try .preset(recipe, for: network) } catch {
                throw CommandError("\(error), or name a JSON file")
            }
        }
        let bytes = try FileIO.read(recipe, limit: 1 << 20)
        do {
            var entries = try JSONDecoder().decode([String: RecipeEntry].self, from: Data(bytes))
            let name = entries.removeValue(forKey: "name")
            var start = TrainingRecipe()
            if let preset = entries.removeValue(forKey: "preset") {
                guard case .word(let preset) = preset else { throw CommandError("its preset is the name of one") }
                start = try .preset(preset, for: network)
            }
            var result = try start.with(entries)
            if case .word(let name) = name { result.name = name }
            return result
        } catch {
            throw CommandError(
                "\(recipe) is no recipe: \(error.reason); lcp train lenet --help-recipe lists what can be in one")
        }
    }

    /// What can be in a recipe, and the presets, for `--help-recipe`.
    static func help() throws -> String {
        var (start, presets) = (TrainingRecipe(), TrainingRecipe.presets)
        start.name = "default"
        presets.insert(start, at: 0)
        let values = try presets.map {
            try JSONDecoder().decode([String: RecipeEntry].self, from: try JSONEncoder().encode($0))
        }
        var table = Table(["entry"] + presets.map(\.name) + ["what it is"])
        for (name, about) in TrainingRecipe.entries {
            table.add([name] + values.map { $0[name]?.description ?? "" } + [about])
        }
        return """
            What can be in a recipe, and what the presets have. --set ENTRY=VALUE changes an entry. A file for --recipe has \
            several, and the preset that they change:
              {"preset": "digits", "epochs": 20, "branch_dropout": 0.2}
            Without a preset they change the defaults. taught is pictures, or for grey images digits, with a teacher.

            \(table.text)
            """
    }

    /// An entry that was given and that ``RecipeChoice`` would choose; nil for none.
    var chosenEntry: String? {
        if learningRate != nil { return "the learning rate" }
        let names = entries.compactMap { $0.split(separator: "=").first.map(String.init) }
        return names.first(where: TrainingRecipe.chosenEntries.contains)
    }

    /// Whether there is any but the epochs.
    var isGiven: Bool { recipe != nil || batch != nil || learningRate != nil || !entries.isEmpty }

    /// Checks the options of a command that trains only on demand.
    ///
    /// - Parameters:
    ///   - resume: whether a training is to go on.
    ///   - byDefault: the epochs where none are given.
    func validate(resume: Bool, force: Bool, byDefault: Int) throws {
        let epochs = epochs ?? byDefault
        guard epochs >= 0 else { throw ValidationError("--epochs is 0 or more, not \(epochs)") }
        if resume, force { throw ValidationError("--resume goes on and --force begins anew: give one") }
        guard epochs == 0, isGiven || resume else { return }
        throw ValidationError(
            "--recipe, --batch, --learning-rate, --set and --resume are for training: give --epochs, too")
    }

    /// The options as they were typed.
    var words: [String] {
        var words: [String] = []
        if let recipe { words.append("--recipe \(recipe)") }
        if let epochs { words.append("--epochs \(epochs)") }
        if let batch { words.append("--batch \(batch)") }
        if let learningRate { words.append("--learning-rate \(learningRate)") }
        return words + entries.map { "--set \($0)" }
    }
}
