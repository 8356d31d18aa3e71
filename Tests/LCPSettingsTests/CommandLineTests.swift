import ArgumentParser
import Testing

@testable import lcp

@Suite struct CommandLineTests {
    @Test("A number below zero behind an option is its value")
    func negativeNumbers() {
        #expect(
            Arguments.joined(["sensor", "--rate", "-1", "--count", "-.5", "--name", "-x", "-1", "--", "-2"])
                == ["sensor", "--rate=-1", "--count=-.5", "--name", "-x", "-1", "--", "-2"])
    }

    @Test(
        "A command with a slip in it is told which one is meant",
        arguments: [
            (["statsu"], "there is no command lcp \"statsu\": did you mean lcp status?"),
            (["model", "lst"], "there is no command lcp model \"lst\": did you mean lcp model list?"),
            (["hlep"], "there is no command lcp \"hlep\": did you mean lcp help?"),
            (["photograph"], "there is no command lcp \"photograph\": see lcp --help"),
        ])
    func suggestions(_ words: [String], _ sentence: String) {
        #expect(Arguments.suggestion(words, in: LCP.self) == sentence)
    }

    @Test(
        "What is a command, an option or an argument is left to the parser",
        arguments: [
            [], ["--version"], ["status", "statsu"], ["model", "push", "lenet"], ["help", "status"], ["model"],
        ])
    func nothingToSay(_ words: [String]) { #expect(Arguments.suggestion(words, in: LCP.self) == nil) }

    private static func all(_ command: any ParsableCommand.Type) -> [any ParsableCommand.Type] {
        [command] + command.configuration.subcommands.flatMap(all)
    }

    @Test("Every example in a help text fits a line of 80 columns, and is not broken")
    func examples() {
        for command in Self.all(LCP.self) {
            for line in command.configuration.discussion.split(separator: "\n") where line.hasPrefix("  ") {
                #expect(line.count <= 80, "\(command): \(line)")
            }
        }
    }
}
