import LCPDatasets
import LCPModels
import LCPTraining
import Platform
import Testing

@Suite("Choosing a recipe by short trials") struct RecipeChooserTests {
    private static func chooser(
        branches: Int = 4, hasTeacher: Bool = true, merges: [Merge] = [.concat]
    ) throws -> RecipeChooser {
        RecipeChooser(
            network: try Network.cifarnetBN.split(into: branches), recipe: .pictures, hasTeacher: hasTeacher,
            isNormalized: true, merges: merges)
    }

    /// So many of a thousand images right, the first ones.
    private static func result(_ right: Int, oneMissing: Double? = nil) -> RecipeChooser.Result {
        .init(right: (0..<1000).map { $0 < right }, oneMissing: oneMissing)
    }

    /// Plays through all questions.
    private static func play(
        _ chooser: RecipeChooser, _ result: (RecipeChooser.Candidate) -> RecipeChooser.Result
    ) -> (tried: [RecipeChooser.Candidate], best: RecipeChooser.Candidate) {
        var (chooser, tried) = (chooser, [RecipeChooser.Candidate]())
        while let candidate = chooser.next {
            tried.append(candidate)
            chooser.record(result(candidate))
        }
        return (tried, chooser.best)
    }

    @Test("Where nothing is better, the recipe stays as it is, and as many trials are made as were told")
    func nothingBetter() throws {
        let chooser = try Self.chooser()
        let (tried, best) = Self.play(chooser) { _ in Self.result(700, oneMissing: 0.695) }
        #expect(best == .init() && tried.count == chooser.trialCount && tried[0] == .init())
        #expect(Set(tried).count == tried.count)
    }

    @Test(
        "An answer is kept where it is better by more than a standard error, and the next questions are asked on top of it"
    )
    func better() throws {
        let (tried, best) = Self.play(try Self.chooser()) { candidate in
            let gain = candidate.merge == .concat ? 20 : 0
            // One image more of a thousand says nothing.
            let noise = candidate.entries["distillation"] == .number(0.5) ? 1 : 0
            return Self.result(700 + gain + noise, oneMissing: 0.715)
        }
        #expect(best == .init(merge: .concat))
        #expect(tried.dropFirst().allSatisfy { $0.merge == .concat })
    }

    /// What is chosen where so many of a thousand are right, and a missing branch costs so much, by the rate of branch dropout.
    private static func dropout(_ costs: [Float: (right: Int, cost: Double)]) throws -> RecipeEntry? {
        let (_, best) = play(try chooser(hasTeacher: false, merges: [])) { candidate in
            guard case .number(let rate)? = candidate.entries["branch_dropout"] else {
                return result(705, oneMissing: 0.655)
            }
            let (right, cost) = costs[rate] ?? (705, 0.05)
            return result(right, oneMissing: Double(right) / 1000 - cost)
        }
        return best.entries["branch_dropout"]
    }

    @Test("Branch dropout is what makes a missing branch cheap where that costs the whole answer next to nothing")
    func independence() throws {
        #expect(try Self.dropout([0.1: (705, 0.02), 0.2: (704, 0.012), 0.3: (704, 0.004)]) == .number(0.2))
        // Where it does cost something, as much as it is worth.
        #expect(try Self.dropout([0.1: (700, 0.02), 0.2: (690, 0.012), 0.3: (680, 0.004)]) == .number(0.1))
        #expect(try Self.dropout([0.1: (650, 0.02), 0.2: (640, 0.012), 0.3: (630, 0.004)]) == nil)
    }

    @Test("A network in one piece is asked about its rate alone, and about a teacher only where there is one")
    func whole() throws {
        func keys(_ chooser: RecipeChooser) -> Set<String> {
            Set(Self.play(chooser) { _ in Self.result(500) }.tried.flatMap(\.entries.keys))
        }
        #expect(keys(try Self.chooser(branches: 1, hasTeacher: false)) == ["learning_rate"])
        #expect(keys(try Self.chooser(hasTeacher: true)) == Set(TrainingRecipe.chosenEntries))
    }

    private static func run(_ folder: String, _ name: String, teacher: ModelBundle) throws -> TrainingRun {
        var recipe = TrainingRecipe()
        (recipe.epochs, recipe.batchSize) = (2, 32)
        var run = TrainingRun(
            network: try Network.lenet.split(into: 2), name: "test", recipe: recipe,
            data: [try TrainingRunTests.digits(320, in: folder)], folder: "\(folder)/\(name)")
        run.teachers = [teacher]
        var choice = RecipeChoice()
        choice.budget = 0.5
        run.choice = choice
        return run
    }

    @Test(
        "The same seed makes the same choice, the bundle remembers it, and one that was cut short goes on with its trials"
    )
    func wholeTraining() throws {
        let folder = try TemporaryFolder()
        var whole = try TrainingRunTests.run("\(folder.path)/teacher", branches: 1)
        whole.data = [try TrainingRunTests.digits(320, in: folder.path)]
        let teacher = try whole.run { _ in true }
        func events(_ run: TrainingRun, _ existing: TrainingRun.Existing, stopAfter: Int = .max) throws -> (
            bundle: ModelBundle?, epochs: Int
        ) {
            var (tried, epochs) = (0, 0)
            do {
                let bundle = try run.run(existing: existing) { event in
                    if case .tried = event { tried += 1 }
                    if case .progress(let progress) = event, progress.record != nil { epochs += 1 }
                    return tried < stopAfter
                }
                return (bundle, epochs)
            } catch is CancellationError { return (nil, epochs) }
        }
        let first = try events(try Self.run(folder.path, "first", teacher: teacher), .keep)
        let bundle = try #require(first.bundle)
        let choice = try #require(bundle.manifest.training?.choice)
        #expect(choice.trials.count == 9 && choice.epochs == 1 && choice.images == 32)
        #expect(choice.trials.allSatisfy { $0.oneMissing != nil } && choice.trials[0].changes == "")
        #expect(first.epochs == 9 + 2 && !FileIO.exists("\(folder.path)/first/trials.json"))
        let second = try Self.run(folder.path, "second", teacher: teacher)
        #expect(try events(second, .keep, stopAfter: 4).bundle == nil)
        let refusal = #expect(throws: TrainingError.self) { try second.run { _ in true } }
        #expect(refusal?.description.contains("--resume") == true)
        var other = second
        other.seed = 2
        let error = #expect(throws: TrainingError.self) { try other.run(existing: .resume) { _ in true } }
        #expect(error?.description.contains("trials of another training") == true)
        let resumed = try events(second, .resume)
        #expect(resumed.epochs == 5 + 2)
        #expect(resumed.bundle?.manifest.files == bundle.manifest.files)
        #expect(resumed.bundle?.manifest.training?.choice == choice)
    }
}
