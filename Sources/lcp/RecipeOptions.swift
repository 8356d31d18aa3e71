import ArgumentParser
import FoundationEssentials
import LCPModels
import LCPPipeline
import Tensors

/// How a network is trained: a preset, and what is changed about it.
struct RecipeOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "\(TrainingRecipe.presets.map(\.name).joined(separator: ", ")), or a JSON file; by default digits for grey images and pictures for coloured ones.",
            valueName: "name"))
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
            "Another entry of the recipe, for example optimizer=sgd, schedule=cosine, branch_dropout=0.1 or views=true; may be given several times. lcp train --help-recipe lists them.",
            valueName: "entry=value"))
    var entries: [String] = []

    /// A number, a word, yes or no: what a recipe is made of.
    private enum Entry: Codable {
        case flag(Bool)
        case integer(Int)
        case number(Float)
        case word(String)

        init(from decoder: any Decoder) throws {
            let value = try decoder.singleValueContainer()
            if let flag = try? value.decode(Bool.self) {
                self = .flag(flag)
            } else if let integer = try? value.decode(Int.self) {
                self = .integer(integer)
            } else if let number = try? value.decode(Float.self) {
                self = .number(number)
            } else {
                self = .word(try value.decode(String.self))
            }
        }

        func encode(to encoder: any Encoder) throws {
            var value = encoder.singleValueContainer()
            switch self {
            case .flag(let flag): try value.encode(flag)
            case .integer(let integer): try value.encode(integer)
            case .number(let number): try value.encode(number)
            case .word(let word): try value.encode(word)
            }
        }

        init(_ text: String) {
            self =
                Bool(text).map(Self.flag) ?? Int(text).map(Self.integer) ?? Float(text).map(Self.number)
                ?? .word(text)
        }
    }

    /// The recipe for images with so many channels.
    func chosen(channels: Int) throws -> TrainingRecipe {
        var result = try base(channels: channels)
        let name = result.name
        var changed: [String] = []
        for text in entries {
            let parts = text.split(separator: "=", maxSplits: 1).map(String.init)
            guard parts.count == 2 else {
                throw ValidationError("--set \(text): write an entry and its value, for example branch_dropout=0.1")
            }
            result = try Self.with(result, parts[0], Entry(parts[1]), text)
            changed.append(text)
        }
        if let epochs { result.epochs = epochs }
        if let batch { result.batchSize = batch }
        if let learningRate { result.learningRate = learningRate }
        do { try result.validate() } catch { throw ValidationError("the recipe is not possible: \(error)") }
        result.name = name
        return result
    }

    private func base(channels: Int) throws -> TrainingRecipe {
        guard let recipe else { return channels == 1 ? .digits : .pictures }
        if let preset = TrainingRecipe.presets.first(where: { $0.name == recipe }) { return preset }
        let known = TrainingRecipe.presets.map(\.name).joined(separator: ", ")
        guard FileIO.exists(recipe) else {
            throw PipelineError("there is no recipe \(recipe): there are \(known), or name a JSON file")
        }
        do {
            return try JSONDecoder().decode(TrainingRecipe.self, from: Data(try FileIO.read(recipe, limit: 1 << 20)))
        } catch let error as FileError {
            throw error
        } catch {
            throw PipelineError(
                "\(recipe) is not the JSON of a recipe: lcp train --help-recipe lists what can be in it")
        }
    }

    private static func with(
        _ recipe: TrainingRecipe, _ key: String, _ entry: Entry, _ text: String
    ) throws -> TrainingRecipe {
        let encoded = try JSONEncoder().encode(recipe)
        var entries = try JSONDecoder().decode([String: Entry].self, from: encoded)
        guard entries[key] != nil, key != "name" else {
            throw ValidationError(
                "--set \(text): a recipe has no \(key); it has "
                    + entries.keys.filter { $0 != "name" }.sorted().joined(separator: ", "))
        }
        entries[key] = entry
        do {
            return try JSONDecoder().decode(TrainingRecipe.self, from: try JSONEncoder().encode(entries))
        } catch {
            throw ValidationError("--set \(text): that is no value for \(key)")
        }
    }

    /// The presets as JSON, for `--help-recipe`.
    static func presets() throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .prettyPrinted]
        return try TrainingRecipe.presets.map { String(decoding: try encoder.encode($0), as: UTF8.self) }
            .joined(separator: "\n")
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
