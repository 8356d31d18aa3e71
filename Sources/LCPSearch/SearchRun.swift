import FoundationEssentials
public import LCPModels
public import LCPTraining
import LCPInference
import Platform

/// A search for branches from data to bundles: what `lcp search` does.
///
/// All that is needed to go on lies in the folder: `search.json`, and the weights of what was trained in `trials`.
public struct SearchRun {
    /// What is known of the whole search.
    private struct State: Codable {
        var version = 2
        var search: ShapeSearch
        var recipe: TrainingRecipe
        var data: [String]
        var teachers: [String]
        /// Seconds that trainings have taken.
        var spent = 0.0
        /// The most seconds that an image took, by multiplications in all branches: what the whole recipe would take is known from it.
        var pace: Double? = 0
        /// Shapes that were trained by the whole recipe, and what they came to.
        var trained: [Trained] = []
    }

    /// A shape that was trained by the whole recipe.
    public struct Trained: Sendable, Hashable, Codable {
        public var member: Int
        /// On the images set aside.
        public var accuracy: Double
        /// On the first test set, with all branches and with one missing; nil where there is none. Nothing is chosen by it.
        public var tested: Double?
        public var testedOneMissing: Double?
        /// The bundle's folder, in that of the search.
        public var bundle: String
    }

    /// How far it is.
    public enum Event {
        /// A short training begins.
        case trial(ShapeSearch.Member, number: Int, generation: Int, epochs: Int)
        case tried(ShapeSearch.Member)
        /// A shape of the front is trained by the whole recipe.
        case training(ShapeSearch.Member)
        case trained(Trained)
        case progress(TrainingProgress)
    }

    /// What it came to.
    public struct Outcome {
        public var members: [ShapeSearch.Member]
        public var front: [Int]
        public var trained: [Trained]
        public var seconds: Double
    }

    /// Data, recipe, teachers and seed; its network is not looked at.
    public var training: TrainingRun
    public var base: Network
    public var limits: ShapeSearch.Limits
    /// Seconds of training in all.
    public var budget: Double
    /// What is good enough: the search ends with the first bundle that is as often right on the images set aside; nil for the best.
    public var wantedAccuracy: Double?
    /// Bundles that are trained of the front at most.
    public var bundles = 3
    /// The part of the training images that is set aside.
    public var validation = 0.1
    public var folder: String

    public init(training: TrainingRun, base: Network, limits: ShapeSearch.Limits, budget: Double, folder: String) {
        (self.training, self.base, self.limits) = (training, base, limits)
        (self.budget, self.folder) = (budget, folder)
    }

    private var file: String { "\(folder)/search.json" }

    /// Searches, or goes on.
    ///
    /// - Parameter report: false ends it with a `CancellationError`; what was found stays.
    /// - Throws: `TrainingError`, `NetworkError`, `DatasetError` or `ModelBundleError`.
    public func run(isResumed: Bool, report: (Event) -> Bool) throws -> Outcome {
        var state = try begin(isResumed: isResumed)
        // What is wrong with the data leaves no folder.
        let trials = try TrainingTrials(training, validation: validation)
        try FileIO.makeFolder("\(folder)/trials")
        guard let lock = FolderLock(folder) else {
            throw TrainingError("another process searches in \(folder): wait for it, or name another folder")
        }
        defer { withExtendedLifetime(lock) {} }
        try save(state)
        let images = Double(trials.imageCount)
        func share(_ member: ShapeSearch.Member) -> Double { Double(member.macs * member.shape.branches) }
        func finalSeconds(_ state: State) -> Double {
            state.search.front.suffix(bundles).reduce(0) { sum, member in
                sum + (state.pace ?? 0) * share(state.search.members[member]) * images * Double(training.recipe.epochs)
            }
        }
        while true {
            while let work = state.search.next {
                let member = state.search.members[work.member]
                let event = Event.trial(
                    member, number: work.member, generation: state.search.generation, epochs: work.epochs)
                guard report(event) else { throw CancellationError() }
                let start = ContinuousClock.now
                let trial = try train(member, work, trials, report)
                let seconds = (ContinuousClock.now - start) / .seconds(1)
                state.spent += seconds
                state.pace = max(state.pace ?? 0, seconds / (share(member) * images * Double(work.epochs)))
                state.search.record(accuracy: trial.result.accuracy)
                try keep(trial.parameters, of: member, number: work.member, trials)
                try save(state)
                guard report(.tried(state.search.members[work.member])) else { throw CancellationError() }
            }
            let perGeneration = state.spent / Double(state.search.generation + 1)
            guard state.trained.isEmpty, state.spent + perGeneration + finalSeconds(state) < budget else { break }
            state.search.beginGeneration { try BranchTime.milliseconds($0) }
            guard state.search.next != nil else { break }
            try save(state)
        }
        try trainFront(&state, trials, report)
        return Outcome(
            members: state.search.members, front: state.search.front, trained: state.trained, seconds: state.spent)
    }

    /// Trains the best of the front by the whole recipe: the cheapest first where an accuracy is wanted, otherwise the best.
    private func trainFront(_ state: inout State, _ trials: TrainingTrials, _ report: (Event) -> Bool) throws {
        let front = state.search.front
        let chosen = wantedAccuracy == nil ? Array(front.suffix(bundles).reversed()) : Array(front.suffix(2 * bundles))
        for number in chosen where !state.trained.contains(where: { $0.member == number }) {
            if let wantedAccuracy, state.trained.contains(where: { $0.accuracy >= wantedAccuracy }) { break }
            let member = state.search.members[number]
            guard report(.training(member)) else { throw CancellationError() }
            let start = ContinuousClock.now
            let name = "\(base.name)-found-\(number)"
            var run = training
            run.network = try member.shape.network(of: base)
            run.recipe = recipe(for: member.shape, epochs: training.recipe.epochs)
            if !run.recipe.hasTeacher { run.teachers = [] }
            (run.name, run.folder, run.validation) = (name, "\(folder)/\(name)", validation)
            var trained = Trained(member: number, accuracy: 0, bundle: name)
            let bundle = try run.run(existing: .resume) { event in
                switch event {
                case .progress(let progress): return report(.progress(progress))
                case .tested(_, let result):
                    guard trained.tested == nil else { return true }
                    trained.tested = result.accuracy
                    trained.testedOneMissing = result.byMissing.count > 1 ? result.byMissing[1].mean : nil
                    return true
                default: return true
                }
            }
            state.spent += (ContinuousClock.now - start) / .seconds(1)
            trained.accuracy = bundle.manifest.training?.history?.compactMap(\.validationAccuracy).max() ?? 0
            state.trained.append(trained)
            try save(state)
            guard report(.trained(trained)) else { throw CancellationError() }
        }
    }

    // MARK: Trials

    /// The recipe for a shape: branches of other layers cannot begin as shares of a teacher.
    private func recipe(for shape: BranchShape, epochs: Int) -> TrainingRecipe {
        var recipe = training.recipe
        recipe.epochs = epochs
        if recipe.initialization == .teacher, !shape.hasLayers(of: base) { recipe.initialization = .he }
        return recipe
    }

    private func train(
        _ member: ShapeSearch.Member, _ work: ShapeSearch.Work, _ trials: TrainingTrials, _ report: (Event) -> Bool
    ) throws -> TrainingTrials.Trial {
        let network = try member.shape.network(of: base)
        let before = member.rung == 0 ? nil : try ModelBundle(path: trialFolder(work.member)).parameters()
        return try trials.train(network, recipe(for: member.shape, epochs: work.epochs), initial: before) {
            report(.progress($0))
        }
    }

    private func trialFolder(_ member: Int) -> String { "\(folder)/trials/\(member)" }

    private func keep(
        _ parameters: ModelParameters, of member: ShapeSearch.Member, number: Int, _ trials: TrainingTrials
    ) throws {
        try ModelBundle.write(
            name: "trial-\(number)", network: try member.shape.network(of: base), parameters: parameters,
            preprocessing: try trials.preprocessing(recipe(for: member.shape, epochs: 1)), labels: trials.labels,
            to: trialFolder(number))
    }

    // MARK: State

    private func begin(isResumed: Bool) throws -> State {
        let (data, teachers) = (training.data.map(\.form), training.teachers.map(\.hash.description))
        guard FileIO.exists(file) else {
            guard try !FileIO.exists(folder) || FileIO.list(folder).isEmpty else {
                throw TrainingError("\(folder) has other things in it: name a new folder for the search")
            }
            let search = try ShapeSearch(base: base, limits: limits, seed: training.seed) {
                try BranchTime.milliseconds($0)
            }
            return State(search: search, recipe: training.recipe, data: data, teachers: teachers)
        }
        guard isResumed else {
            throw TrainingError("\(folder) has a search already: go on with --resume, or name another folder")
        }
        let bytes = try FileIO.read(file, limit: 1 << 28)
        guard let state = try? JSONDecoder().decode(State.self, from: Data(bytes)), state.version == 2 else {
            throw TrainingError("\(file) is no search of lcp, or of another version: name another folder")
        }
        guard state.search.base == base, state.search.limits == limits, state.search.seed == training.seed,
            state.recipe == training.recipe, state.data == data, state.teachers == teachers
        else {
            throw TrainingError(
                "\(file) is of another search: network, limits, seed, recipe, data and teachers must be the same to go on"
            )
        }
        return state
    }

    private func save(_ state: State) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .prettyPrinted]
        try FileIO.write(Array(try encoder.encode(state)), to: file)
    }
}
