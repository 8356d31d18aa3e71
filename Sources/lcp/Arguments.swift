import ArgumentParser
import Platform

/// What is made of a command line before it is parsed.
enum Arguments {
    /// The words as the parser understands them: a number below zero behind an option is its value, and not another option.
    static func joined(_ words: [String]) -> [String] {
        var result: [String] = []
        for word in words {
            if let last = result.last, last.hasPrefix("--"), last.count > 2, !last.contains("="), isNegativeNumber(word)
            {
                result[result.count - 1] = "\(last)=\(word)"
            } else {
                result.append(word)
            }
        }
        return result
    }

    private static func isNegativeNumber(_ word: String) -> Bool {
        word.hasPrefix("-") && word.dropFirst().first.map { $0.isASCII && ($0.isNumber || $0 == ".") } == true
    }

    /// A sentence where the first words name a command that there is not.
    static func suggestion(_ words: [String], in root: any ParsableCommand.Type) -> String? {
        var command = root
        var path = name(of: root)
        for word in words {
            let subcommands = command.configuration.subcommands
            if let found = subcommands.first(where: { name(of: $0) == word }) {
                command = found
                path += " " + word
                continue
            }
            guard !subcommands.isEmpty, !word.hasPrefix("-"), word != "help" else { return nil }
            let names = subcommands.map(name) + (command == root ? ["help"] : [])
            let close = names.map { ($0, distance(word, $0)) }.filter { $1 <= max(1, word.count / 3) }
                .min { $0.1 < $1.1 }
            let advice = close.map { "did you mean \(path) \($0.0)?" } ?? "see \(path) --help"
            return "there is no command \(path) \(word.quoted): \(advice)"
        }
        return nil
    }

    private static func name(of command: any ParsableCommand.Type) -> String { command.configuration.commandName ?? "" }

    /// How many letters have to be put in, taken away, changed or exchanged with their neighbour, to make one word of the other
    /// (optimal string alignment).
    static func distance(_ one: String, _ other: String) -> Int {
        let (a, b) = (Array(one), Array(other))
        var rows = [Array(0...b.count)]
        for i in 1..<(a.count + 1) {
            var row = [i]
            for j in 1..<(b.count + 1) {
                var best = min(rows[i - 1][j] + 1, row[j - 1] + 1, rows[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1))
                if i > 1, j > 1, a[i - 1] == b[j - 2], a[i - 2] == b[j - 1] { best = min(best, rows[i - 2][j - 2] + 1) }
                row.append(best)
            }
            rows.append(row)
        }
        return rows[a.count][b.count]
    }
}
