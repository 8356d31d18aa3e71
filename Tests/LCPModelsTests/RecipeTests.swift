import Foundation
import LCPModels
import Testing

@Suite struct RecipeTests {
    @Test(arguments: TrainingRecipe.presets)
    func presetsAreSoundAndSurviveJSON(recipe: TrainingRecipe) throws {
        try recipe.validate()
        let copy = try JSONDecoder().decode(TrainingRecipe.self, from: JSONEncoder().encode(recipe))
        #expect(copy == recipe)
    }

    @Test func entriesAreChangedByName() throws {
        let recipe = try TrainingRecipe.digits.with([
            "optimizer": .word("sgd"), "views": .flag(true), "learning_rate": .number(0.1), "epochs": .integer(3),
            "branch_dropout": RecipeEntry("0.25"),
        ])
        #expect(recipe.optimizer == .sgd && recipe.views && recipe.learningRate == 0.1 && recipe.epochs == 3)
        #expect(recipe.branchDropout == 0.25)
        #expect(recipe.name == "digits")
        for wrong in [["colour": RecipeEntry.word("red")], ["optimizer": .word("newton")], ["epochs": .word("many")]] {
            let error = #expect(throws: NetworkError.self) { try TrainingRecipe.digits.with(wrong) }
            #expect(error?.description.contains(wrong.keys.first!) == true)
        }
    }

    @Test func everyEntryIsExplained() throws {
        let recipe = try JSONSerialization.jsonObject(with: JSONEncoder().encode(TrainingRecipe()))
        let names = try #require(recipe as? [String: Any]).keys.filter { $0 != "name" }
        #expect(TrainingRecipe.entries.map(\.name).sorted() == names.sorted())
        let error = #expect(throws: NetworkError.self) { try TrainingRecipe().with(["optimizer": .word("lion")]) }
        #expect(error?.description.contains("sgd, adam, adamw, muon") == true)
    }

    @Test func theTaughtRecipeIsThatOfTheImages() throws {
        let (grey, coloured) = (try Network.lenet.split(into: 2), try Network.named("cifarnet-bn").split(into: 2))
        #expect(try TrainingRecipe.preset("taught", for: grey) == TrainingRecipe.digits.taught(isNormalized: false))
        #expect(try TrainingRecipe.preset("taught", for: coloured) == .taught)
        let error = #expect(throws: NetworkError.self) { try TrainingRecipe.preset("digit", for: grey) }
        #expect(error?.description.contains("paper, digits, pictures, signals, taught") == true)
    }

    @Test("What is different from another recipe is told by its name and what it was")
    func differences() throws {
        let recipe = TrainingRecipe.pictures
        #expect(recipe.difference(from: recipe) == nil)
        #expect(
            try recipe.with(["epochs": .integer(2)]).difference(from: recipe) == "the recipe's epochs, which was 30,")
        let two = try recipe.with(["epochs": .integer(2), "shift": .integer(9)])
        #expect(two.difference(from: recipe) == "the recipe's epochs, which was 30, and 1 more of its entries")
    }

    /// A recipe that is not the preset of that name is not called like it.
    @Test func whatIsTaughtOtherwiseIsCalledOtherwise() {
        #expect(TrainingRecipe.pictures.taught() == .taught && TrainingRecipe.taught.name == "taught")
        #expect(TrainingRecipe.pictures.taught(isNormalized: false).name == "pictures taught")
        #expect(TrainingRecipe.digits.taught().name == "digits taught")
    }

    @Test(arguments: [
        ("epochs", RecipeEntry.integer(0)), ("batch_size", .integer(-1)), ("learning_rate", .number(-1)),
        ("branch_dropout", .integer(1)), ("temperature", .integer(0)), ("momentum", .number(1.5)),
        ("shift", .integer(-3)), ("mutual", .number(0.5)),
    ])
    func impossibleNumbersAreRefused(key: String, entry: RecipeEntry) throws {
        let recipe = try TrainingRecipe.digits.with([key: entry])
        #expect(throws: NetworkError.self) { try recipe.validate() }
    }

    @Test("Qualities of JPEG are one number, two, or none, and are remembered as they were written")
    func qualities() throws {
        #expect(TrainingRecipe().jpeg == .none && TrainingRecipe().jpeg.description == "none")
        for (entry, range) in [
            (RecipeEntry("60-95"), 60...95), (RecipeEntry("80"), 80...80), (RecipeEntry("1-100"), 1...100),
        ] {
            let recipe = try TrainingRecipe.pictures.with(["jpeg": entry])
            #expect(recipe.jpeg.range == range)
            let json = try JSONEncoder().encode(recipe)
            #expect(try JSONDecoder().decode(TrainingRecipe.self, from: json) == recipe)
        }
        for text in ["", "0", "101", "95-60", "60-", "-95", "60-70-80", "high", "60.5"] {
            #expect(throws: NetworkError.self) { try TrainingRecipe.pictures.with(["jpeg": RecipeEntry(text)]) }
        }
    }

    @Test func schedulesAreWhatTheySay() {
        var recipe = TrainingRecipe()
        (recipe.epochs, recipe.learningRate, recipe.warmup) = (10, 1, 0.1)
        func rates(_ schedule: TrainingRecipe.Schedule) -> [Float] {
            recipe.schedule = schedule
            return (0..<1000).map { recipe.learningRate(step: $0, stepsPerEpoch: 100) }
        }
        #expect(rates(.constant).allSatisfy { $0 == 1 })
        let cycle = rates(.oneCycle)
        #expect(abs(cycle[0] - 0.01) < 1e-6 && cycle[99] == 1 && cycle.max() == 1)
        for step in 100..<1000 {
            let expected = 0.5 * (1 + cos(Double.pi * Double(step - 100) / 900))
            #expect(abs(Double(cycle[step]) - expected) < 1e-6)
        }
        let cosine = rates(.cosine)
        #expect(cosine[0] == 1 && abs(cosine[500] - 0.5) < 1e-6 && cosine[999] < 1e-4)
        let strokes = rates(.exponential)
        #expect(strokes[199] == 1 && strokes[200] == 0.94 && abs(strokes[999] - 0.94 * 0.94 * 0.94 * 0.94) < 1e-6)
    }
}
