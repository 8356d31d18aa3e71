import FoundationEssentials

/// A number, a word, yes or no: what a recipe is made of.
public enum RecipeEntry: Sendable, Hashable, Codable {
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
        } else {
            self = .word(try value.decode(String.self))
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
                    throw NetworkError("that is no value for a recipe's \(key)")
                }
            }
            return try JSONDecoder().decode(TrainingRecipe.self, from: try JSONEncoder().encode(entries))
        } catch let error as NetworkError {
            throw error
        } catch {
            throw NetworkError("the recipe cannot be changed: \(error)")
        }
    }
}
