import FoundationEssentials
public import LCPModels
import Platform

/// How a recipe is chosen by short trials before the training.
public struct RecipeChoice: Sendable, Hashable {
    /// The images that all trials together may see, as a multiple of those that the training itself does.
    public var budget = 1.0
    /// Ways to join the branches besides the network's own that may be tried.
    public var merges: [Merge] = []
    /// The part of the training images that trials are compared on, and not trained on.
    public var validation = 0.1

    public init() {}
}

extension TrainingRecipe {
    /// The entries that ``RecipeChooser`` asks for, and that nobody should have given.
    public static let chosenEntries = [
        "distillation", "initialization", "learning_rate", "auxiliary_weight", "auxiliary_until", "branch_dropout",
    ]
}

extension TrainingRun {
    var trialsFile: String { "\(folder)/trials.json" }

    func checkChoice() throws(TrainingError) {
        guard let choice else { return }
        guard choice.budget > 0, choice.budget <= 1000 else {
            throw TrainingError(
                "the budget of the trials is above 0 and at most 1000 times the training, not \(choice.budget)")
        }
        guard parityOf == nil, start == nil, initial == nil, rounding == nil else {
            throw TrainingError("a recipe is chosen for a training that begins anew, and not for one that goes on")
        }
    }

    /// What trials that ended are kept as, so that a training that was cut short does not repeat them.
    private struct KeptTrials: Codable, Equatable {
        struct Trial: Codable, Equatable {
            var candidate: RecipeChooser.Candidate
            /// For each image "1" where it was right.
            var right: String
            var oneMissing: Double?
        }
        /// What the trials are of: others are not gone on with.
        var network: BranchedNetwork
        var recipe: TrainingRecipe
        var seed: UInt64
        var data: DataDigest
        var teachers: [String]
        var epochs: Int
        var trials: [Trial] = []
    }

    /// The training with what short trials chose. The same seed makes the same choice.
    ///
    /// - Parameter isResumed: whether trials that ended before count.
    func chosen(isResumed: Bool, _ report: (Event) -> Bool) throws -> TrainingRun {
        guard let choice else { return self }
        let trials = try TrainingTrials(self, validation: choice.validation)
        let isNormalized = network.branches[0].contains { $0.hasStatistics }
        var chooser = RecipeChooser(
            network: network, recipe: recipe, hasTeacher: !teachers.isEmpty, isNormalized: isNormalized,
            merges: choice.merges.filter { $0 != network.merge })
        let epochs = max(1, Int(choice.budget * Double(recipe.epochs)) / chooser.trialCount)
        var kept = KeptTrials(
            network: network, recipe: recipe, seed: seed,
            data: trials.digest,
            teachers: teachers.map(\.hash.description), epochs: epochs)
        let before = isResumed ? try keptTrials(kept) : []
        var record = ModelManifest.ChoiceRecord(
            changes: "", epochs: epochs, images: trials.held.labels.count, trials: [])
        while let candidate = chooser.next {
            let number = record.trials.count
            guard report(.trial(number + 1, of: chooser.trialCount, changes: candidate.description)) else {
                throw CancellationError()
            }
            let result: RecipeChooser.Result
            if before.indices.contains(number), before[number].candidate == candidate {
                result = .init(right: before[number].right.map { $0 == "1" }, oneMissing: before[number].oneMissing)
            } else {
                var run = try changed(by: candidate)
                run.recipe.epochs = epochs
                result = try trials.train(run.network, run.recipe) { report(.progress($0)) }.result
            }
            kept.trials.append(
                .init(
                    candidate: candidate, right: String(result.right.map { $0 ? "1" : "0" }),
                    oneMissing: result.oneMissing))
            try FileIO.write(Array(try JSONEncoder().encode(kept)), to: trialsFile)
            chooser.record(result)
            record.trials.append(
                .init(changes: candidate.description, accuracy: result.accuracy, oneMissing: result.oneMissing))
            guard report(.tried(record.trials[number])) else { throw CancellationError() }
        }
        record.changes = chooser.best.description
        guard report(.chosen(record)) else { throw CancellationError() }
        var result = try changed(by: chooser.best)
        (result.choice, result.choiceRecord) = (nil, record)
        return result
    }

    private func keptTrials(_ now: KeptTrials) throws -> [KeptTrials.Trial] {
        guard FileIO.exists(trialsFile) else { return [] }
        let bytes = try FileIO.read(trialsFile, limit: 1 << 30)
        guard var before = try? JSONDecoder().decode(KeptTrials.self, from: Data(bytes)) else {
            throw TrainingError("\(trialsFile) has no trials of lcp, or of another version: begin anew with --force")
        }
        let trials = before.trials
        before.trials = []
        guard before == now else {
            throw TrainingError(
                "\(trialsFile) has trials of another training: network, recipe, seed, budget, data and teachers must be the same; "
                    + "begin anew with --force")
        }
        return trials
    }

    private func changed(by candidate: RecipeChooser.Candidate) throws -> TrainingRun {
        var result = self
        result.recipe = try recipe.with(candidate.entries)
        if let merge = candidate.merge { result.network.merge = merge }
        if !result.recipe.hasTeacher { result.teachers = [] }
        return result
    }
}

extension RecipeChooser.Candidate: CustomStringConvertible {
    /// As it is written on a command line, without the dashes.
    public var description: String {
        (entries.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
            + (merge.map { ["merge=\($0.rawValue)"] } ?? [])).joined(separator: " ")
    }
}
