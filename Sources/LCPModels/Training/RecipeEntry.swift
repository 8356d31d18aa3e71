import FoundationEssentials
import Platform

/// A number, a word, yes or no: what a recipe is made of.
public enum RecipeEntry: Sendable, Hashable, Codable, CustomStringConvertible {
    case flag(Bool)
    case integer(Int)
    case number(Float)
    case word(String)

    /// Reads a value as it is written on a command line.
    public init(_ text: String) {
        self =
            Bool(text).map(Self.flag) ?? Int(text).map(Self.integer) ?? Float(text).map(Self.number) ?? .word(text)
    }

    public init(from decoder: any Decoder) throws {
        let value = try decoder.singleValueContainer()
        if let flag = try? value.decode(Bool.self) {
            self = .flag(flag)
        } else if let integer = try? value.decode(Int.self) {
            self = .integer(integer)
        } else if let number = try? value.decode(Float.self) {
            self = .number(number)
        } else if let word = try? value.decode(String.self) {
            self = .word(word)
        } else {
            throw DecodingError.dataCorruptedError(in: value, debugDescription: "no number, word, true or false")
        }
    }

    /// As it is written on a command line.
    public var description: String {
        switch self {
        case .flag(let flag): "\(flag)"
        case .integer(let integer): "\(integer)"
        case .number(let number): "\(number)"
        case .word(let word): word
        }
    }

    public func encode(to encoder: any Encoder) throws {
        var value = encoder.singleValueContainer()
        switch self {
        case .flag(let flag): try value.encode(flag)
        case .integer(let integer): try value.encode(integer)
        case .number(let number): try value.encode(number)
        case .word(let word): try value.encode(word)
        }
    }
}

extension TrainingRecipe {
    /// Every entry that ``with(_:)`` changes, by its name in JSON, and what it is, with the values that it may have.
    public static let entries: [(name: String, about: String)] = [
        ("epochs", "how often every image is seen"),
        ("batch_size", "images per step"),
        ("optimizer", words(Optimizer.self)),
        ("learning_rate", "the highest"),
        ("schedule", words(Schedule.self)),
        ("warmup", "one-cycle: the part of all steps in which the rate rises, 0 to 1"),
        ("decay_factor", "exponential: what the rate is multiplied by, 0 to 1"),
        ("decay_epochs", "exponential: after how many epochs, again and again"),
        ("momentum", "of sgd and muon, and Adam's first, 0 to below 1"),
        ("beta2", "Adam's second, 0 to below 1"),
        ("weight_decay", "L2 with sgd and adam, decoupled with adamw and muon"),
        ("label_smoothing", "the part of a label that all classes share, 0 to below 1"),
        ("initialization", words(Initialization.self) + " (each branch begins as its share of the teacher)"),
        ("averaging", "decay of the running average of the weights that is the result, 0 for none"),
        ("patience", "epochs without a better validation accuracy until it stops, 0 for never"),
        ("shift", "pixels by which images, or samples by which signals, are shifted at most"),
        ("flips", "true: mirrored, left to right, half of the time"),
        ("cutout", "the side of a square that is blacked out, in pixels"),
        ("rotation", "radians by which images are turned at most"),
        ("shear", "how far they are sheared at most"),
        ("scaling", "the part by which they are made larger or smaller at most, 0 to below 1"),
        ("noise", "the standard deviation of the noise that a signal's numbers get, of 1"),
        ("jpeg", "the qualities of JPEG that images go through, for example 60-95, or none"),
        ("branch_dropout", "the probability that a branch is missing for an image, 0 to below 1"),
        ("auxiliary_weight", "weight of every branch's own classification layer in the loss"),
        ("auxiliary_until", "the part of training after which these have faded out, 1 for never"),
        ("mutual", "the part of what these learn that is all branches' answer, 0 to 1"),
        ("views", "true: every branch sees its own shifts, turns and so on"),
        ("distillation", "the part of what is learned that is the teacher's answer, 0 to 1"),
        ("temperature", "what softens that answer"),
        ("feature_distillation", "weight of the distance from the teacher's last activations"),
    ]

    private static func words<Word: CaseIterable & RawRepresentable>(_: Word.Type) -> String
    where Word.RawValue == String { Word.allCases.map(\.rawValue).joined(separator: ", ") }

    /// The recipe with other entries, by their names in JSON.
    ///
    /// - Throws: ``NetworkError`` for a name that no recipe has, or a value that does not fit.
    public func with(_ changes: [String: RecipeEntry]) throws(NetworkError) -> TrainingRecipe {
        guard !changes.isEmpty else { return self }
        do {
            var entries = try JSONDecoder().decode([String: RecipeEntry].self, from: try JSONEncoder().encode(self))
            for (key, entry) in changes.sorted(by: { $0.key < $1.key }) {
                guard entries[key] != nil, key != CodingKeys.name.rawValue else {
                    let known = entries.keys.filter { $0 != CodingKeys.name.rawValue }.sorted()
                    throw NetworkError("a recipe has no \(key); it has \(known.joined(separator: ", "))")
                }
                entries[key] = entry
                // One after the other, so that a value that does not fit is told with its name.
                do {
                    _ = try JSONDecoder().decode(TrainingRecipe.self, from: try JSONEncoder().encode(entries))
                } catch {
                    throw NetworkError(
                        "\(entry.description.quoted) is no value for a recipe's \(key): "
                            + (Self.entries.first { $0.name == key }?.about ?? "another is needed"))
                }
            }
            return try JSONDecoder().decode(TrainingRecipe.self, from: try JSONEncoder().encode(entries))
        } catch let error as NetworkError {
            throw error
        } catch {
            throw NetworkError("the recipe cannot be changed: \(error)")
        }
    }

    /// What is different from another recipe, for people: `the recipe's epochs, which were 30,`; nil where nothing is.
    package func difference(from other: TrainingRecipe) -> String? {
        guard self != other else { return nil }
        func entries(_ recipe: TrainingRecipe) -> [String: RecipeEntry] {
            (try? JSONDecoder().decode([String: RecipeEntry].self, from: JSONEncoder().encode(recipe))) ?? [:]
        }
        let (own, others) = (entries(self), entries(other))
        let changed = own.keys.filter { own[$0] != others[$0] }.sorted()
        guard let first = changed.first(where: { $0 != CodingKeys.name.rawValue }) ?? changed.first else {
            return "the recipe"
        }
        let more = changed.count { $0 != CodingKeys.name.rawValue && $0 != first }
        return "the recipe's \(first), which was \(others[first]?.description ?? "none"),"
            + (more > 0 ? " and \(more) more of its entries" : "")
    }
}
