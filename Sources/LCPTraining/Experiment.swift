import FoundationEssentials
public import LCPDatasets
public import LCPEvaluation
public import LCPModels
import Platform

/// Trainings to compare, written down so that anyone can repeat them: networks, recipes, data and seeds.
public struct Experiment: Sendable, Decodable {
    /// One network, trained once for every seed.
    public struct Run: Sendable, Decodable {
        /// For example `lenet-split4`, unique in the experiment.
        public var name: String
        /// A network of the zoo, or the folder of a bundle of one branch, with a slash in it; nil for a parity branch, which has that
        /// of its model.
        public var network: String?
        public var branches: Int?
        public var shares: [Int]?
        /// A number for all layers, or a text of two for convolutions and fully connected layers: "50,0".
        public var fatten: Fattening?
        /// The branches in place of those of a split, as `lcp search` writes them: `8x16k3+p-32k3+-48-24/concat`.
        public var shape: BranchShape?
        public var classes: Int?
        public var merge: Merge?
        /// What is different from the experiment's recipe.
        public var recipe: [String: RecipeEntry]?
        /// Whether short trials choose the recipe.
        public var auto: Bool?
        /// The run, with the same seed, that this one is the parity branch of. `fatten` makes it wider.
        public var parityOf: String?
        /// The run that is the teacher, with the same seed.
        public var teacher: String?
        /// The seeds of the teacher whose answers are learned together; without any, the run's own.
        public var teacherSeeds: [UInt64]?
        /// What the paper measured, top-1 in per cent.
        public var paper: Double?

        enum CodingKeys: String, CodingKey, CaseIterable {
            case name, network, branches, shares, fatten, shape, classes, merge, recipe, auto, teacher, paper
            case parityOf = "parity_of"
            case teacherSeeds = "teacher_seeds"
        }

        /// The run and seeds to learn from when it is trained with a seed. The first is what branches begin as shares of, so
        /// that is the run's own seed where it is one of them.
        public func teachers(seed: UInt64) -> [(run: String, seed: UInt64)] {
            guard let teacher else { return [] }
            let seeds = teacherSeeds ?? [seed]
            return (seeds.filter { $0 == seed } + seeds.filter { $0 != seed }).map { (teacher, $0) }
        }

        /// The runs and seeds that have to be trained before it.
        func needed(seed: UInt64) -> [(run: String, seed: UInt64)] {
            teachers(seed: seed) + (parityOf.map { [($0, seed)] } ?? [])
        }
    }

    public var name: String
    public var title: String
    /// For people: what is compared and why.
    public var about: String
    /// Data sets by their names: `mnist` lies in the folder `mnist` of the data folder.
    public var data: [String]
    /// A preset that the recipe begins with.
    public var preset: String
    /// What is different from the preset, for all runs.
    public var recipe: [String: RecipeEntry]?
    /// The part of the training images that chooses the best epoch.
    public var validation: Double
    public var seeds: [UInt64]
    public var runs: [Run]

    /// Reads a file.
    ///
    /// - Throws: ``TrainingError``, one sentence with the file and the reason.
    public init(path: String) throws(TrainingError) {
        let bytes: [UInt8]
        do { bytes = try FileIO.read(path, limit: 1 << 20) } catch { throw TrainingError("\(error)") }
        do {
            self = try JSONDecoder().decode(Self.self, from: Data(bytes))
        } catch {
            throw TrainingError("\(path) is no experiment: \(error.reason); see Configs/experiments")
        }
        // A word that means nothing is a mistake that would cost hours.
        if let stranger = try? JSONDecoder().decode(UnknownName.self, from: Data(bytes)).name {
            throw TrainingError(
                "\(path) has the entry \(stranger.debugDescription), which no experiment has: see Configs/experiments")
        }
        guard !seeds.isEmpty, !runs.isEmpty, !data.isEmpty else {
            throw TrainingError("\(path) needs at least one of each: data, seeds, runs")
        }
        guard Set(seeds).count == seeds.count else { throw TrainingError("\(path) has a seed twice") }
        guard validation >= 0, validation < 1 else {
            throw TrainingError("\(path): the part for validation is 0 to below 1, not \(validation)")
        }
        let names = runs.map(\.name)
        guard Set(names).count == names.count else { throw TrainingError("\(path) has two runs of the same name") }
        for (index, run) in runs.enumerated() {
            guard run.name.allSatisfy({ $0.isLetter || $0.isNumber || "-_.".contains($0) }), !run.name.hasPrefix("."),
                !["", "results.json", "results.md"].contains(run.name)
            else {
                throw TrainingError("\(path): the run \(run.name.debugDescription) names no folder")
            }
            guard run.teacherSeeds?.isEmpty != true, run.teacherSeeds == nil || run.teacher != nil else {
                throw TrainingError("\(path): the teacher_seeds of \(run.name) need a teacher, and at least one seed")
            }
            guard (run.network == nil) == (run.parityOf != nil) else {
                throw TrainingError(
                    "\(path): the run \(run.name) needs one of both: a network, or in parity_of a run that it is the parity branch of"
                )
            }
            guard
                run.shape == nil || (run.branches ?? run.shares?.count) == nil && run.fatten == nil && run.merge == nil
            else {
                throw TrainingError(
                    "\(path): the shape of \(run.name) says all of its branches: leave out branches, shares, fatten and merge"
                )
            }
            guard
                run.parityOf == nil
                    || run.branches == nil && run.shares == nil && run.shape == nil && run.auto != true
                        && run.teacher == nil
            else {
                throw TrainingError(
                    "\(path): \(run.name) is one branch for another run, and learns from that: leave out branches, shares, shape, "
                        + "auto and teacher")
            }
            for (role, other) in [("teacher", run.teacher), ("parity_of", run.parityOf)] {
                guard let other, !names[..<index].contains(other) else { continue }
                throw TrainingError("\(path): the \(role) of \(run.name), \(other), is not a run before it")
            }
        }
    }

    /// What has to be trained for some of the runs, seed by seed, so that there is something to compare soon; teachers come
    /// before those who learn from them, also where they have other seeds.
    public func trainings(of runs: [Run], seeds: [UInt64]) -> [(run: Run, seed: UInt64)] {
        var result: [(run: Run, seed: UInt64)] = []
        func add(_ run: Run, _ seed: UInt64) {
            guard !result.contains(where: { $0.run.name == run.name && $0.seed == seed }) else { return }
            for (name, seed) in run.needed(seed: seed) {
                if let other = self.runs.first(where: { $0.name == name }) { add(other, seed) }
            }
            result.append((run, seed))
        }
        for seed in seeds { for run in runs { add(run, seed) } }
        return result
    }

    /// A training of the experiment, ready to go.
    ///
    /// - Parameters:
    ///   - data: the folder that has a folder for each data set.
    ///   - folder: where the results go; teachers lie there already.
    /// - Throws: ``TrainingError``, `NetworkError`, ``DatasetError`` or ``ModelBundleError``.
    public func training(_ run: Run, seed: UInt64, data folderOfData: String, folder: String) throws -> TrainingRun {
        let (data, own) = (try specifications(folderOfData), Self.folder(run, seed: seed, in: folder))
        var training: TrainingRun
        if let parityOf = run.parityOf {
            let model = try ModelBundle(path: "\(folder)/\(parityOf)/seed-\(seed)")
            training = try TrainingRun(
                parityOf: model, fattening: run.fatten ?? .none, name: run.name,
                recipe: try recipe(of: run, for: model.network), data: data, folder: own)
        } else {
            let network = try network(of: run)
            training = TrainingRun(
                network: network, name: run.name, recipe: try recipe(of: run, for: network), data: data, folder: own)
        }
        if run.auto == true {
            var choice = RecipeChoice()
            if run.merge == nil, run.shape == nil { choice.merges = Merge.allCases }
            training.choice = choice
        }
        training.validation = validation
        training.seed = seed
        training.teachers = try run.teachers(seed: seed).map {
            try ModelBundle(path: "\(folder)/\($0.run)/seed-\($0.seed)")
        }
        training.command = "lcp experiment \(name).json, \(run.name), seed \(seed)"
        return training
    }

    private func network(of run: Run) throws -> BranchedNetwork {
        let base = try Self.network(run.network ?? "").with(classes: run.classes, merge: run.merge)
        if let shape = run.shape { return try shape.network(of: base) }
        return try run.shares.map { try base.split(shares: $0, fattening: run.fatten ?? .none) }
            ?? base.split(into: run.branches ?? 1, fattening: run.fatten ?? .none)
    }

    private func recipe(of run: Run, for network: BranchedNetwork) throws -> TrainingRecipe {
        let recipe = try TrainingRecipe.preset(preset, for: network).with(recipe ?? [:])
            .with(run.recipe ?? [:])
        try recipe.validate()
        guard run.parityOf == nil else { return recipe }
        guard run.teacher == nil || recipe.hasTeacher else {
            throw TrainingError("it has a teacher and no distillation, so that nothing would be learned from it")
        }
        guard run.teacher != nil || !recipe.hasTeacher else {
            throw TrainingError("its recipe learns from a teacher, or begins with its weights: name one")
        }
        return recipe
    }

    /// Finds what is wrong with a run before hours were spent on others.
    ///
    /// - Parameter folder: the folder that has a folder for each data set.
    /// - Throws: ``TrainingError`` with the run's name.
    public func check(_ run: Run, data folder: String) throws(TrainingError) {
        do {
            if let model = runs.first(where: { $0.name == run.parityOf }) {
                _ = try recipe(of: run, for: network(of: model))
                return
            }
            let network = try network(of: run)
            let recipe = try recipe(of: run, for: network)
            try TrainingRun(
                network: network, name: run.name, recipe: recipe, data: try specifications(folder), folder: ""
            ).checkSizes()
            guard let teacher = runs.first(where: { $0.name == run.teacher }) else { return }
            let whole = try self.network(of: teacher)
            guard whole.input == network.input, !recipe.distils || whole.classes == network.classes else {
                throw TrainingError("its teacher \(teacher.name) takes other images or knows other classes")
            }
            guard recipe.initialization == .teacher else { return }
            // Of the teacher only the layers are known yet.
            var random = SeededGenerator(seed: 1, stream: 1)
            var own = try ModelParameters.random(for: network, using: &random)
            try own.inherit(from: whole, try ModelParameters.random(for: whole, using: &random), for: network)
        } catch { throw TrainingError("the run \(run.name) of the experiment \(name) cannot be trained: \(error)") }
    }

    private static func network(_ name: String) throws -> Network {
        guard name.contains("/") else { return try Network.named(name) }
        guard let network = try ModelBundle(path: name).network.unsplit else {
            throw TrainingError("\(name) is in several branches already, and only a whole network is split")
        }
        return network
    }

    /// Where the bundle of a run and a seed lies.
    public static func folder(_ run: Run, seed: UInt64, in folder: String) -> String {
        "\(folder)/\(run.name)/seed-\(seed)"
    }

    /// The data, from a folder that has a folder for each data set.
    public func specifications(_ folder: String) throws(DatasetError) -> [DataSpecification] {
        var result: [DataSpecification] = []
        for name in data {
            result.append(
                try DataSpecification(
                    name.hasPrefix("drawn") ? name : "\(name):\(folder)/\(name)", defaultDrawnCount: 60_000))
        }
        return result
    }
}

/// The first name in an experiment's file that means nothing.
private struct UnknownName: Decodable {
    let name: String?

    init(from decoder: any Decoder) throws {
        let top = ["name", "title", "about", "data", "preset", "recipe", "validation", "seeds", "runs"]
        let runs = try decoder.container(keyedBy: KeyNames.Key.self).decode(
            [KeyNames].self, forKey: .init(stringValue: "runs"))
        name =
            try KeyNames(from: decoder).stranger(to: top)
            ?? runs.lazy.compactMap { $0.stranger(to: Experiment.Run.CodingKeys.allCases.map(\.rawValue)) }.first
    }
}

/// What the seeds of a run came to on a test set.
public struct ExperimentResult: Sendable, Codable {
    /// A mean over the seeds with its standard error; nil for one seed.
    public struct Estimate: Sendable, Codable {
        public var mean: Double
        public var standardError: Double?

        public init(_ values: [Double]) {
            let count = Double(values.count)
            let mean = values.reduce(0, +) / count
            self.mean = mean
            guard values.count > 1 else { return }
            let variance = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / (count - 1)
            standardError = (variance / count).squareRoot()
        }

        enum CodingKeys: String, CodingKey {
            case mean
            case standardError = "standard_error"
        }
    }

    public var run: String
    public var data: String
    public var parameters: Int
    public var seeds: [UInt64]
    /// Top-1 with every number of missing branches, 0 to 1: each the mean over the sets of missing branches.
    public var accuracy: [Estimate]
    /// With no branch missing.
    public var calibrationError: Estimate
    /// Top-1 in per cent.
    public var paper: Double?

    /// - Parameter evaluations: one for each seed.
    public init(
        run: Experiment.Run, data: String, parameters: Int, seeds: [UInt64], evaluations: [Evaluation]
    ) {
        self.run = run.name
        self.data = data
        self.parameters = parameters
        self.seeds = seeds
        accuracy = (0..<(evaluations.map(\.byMissing.count).min() ?? 0)).map { missing in
            Estimate(evaluations.map { $0.byMissing[missing].mean })
        }
        calibrationError = Estimate(evaluations.map(\.calibrationError))
        paper = run.paper
    }

    enum CodingKeys: String, CodingKey {
        case run, data, parameters, seeds, accuracy, paper
        case calibrationError = "calibration_error"
    }
}
