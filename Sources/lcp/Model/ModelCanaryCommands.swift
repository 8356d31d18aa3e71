import ArgumentParser
import LCPPipeline

struct ModelPromoteCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "promote",
        abstract: "Make the model that a pipeline tries its model.",
        discussion: """
            What lcp model push --canary began ends here: the model is pushed from what the broker has kept of it, all roles \
            change over to it without losing a frame, and lcp model rollback brings the one before back.

            Example:
              lcp model promote --pipeline kitchen --broker mqtt://broker.local
            """)

    @OptionGroup var role: RoleOptions

    @OptionGroup var push: PushOptions

    func run() async throws {
        try await push.push("the model that is tried", with: role) {
            try await ModelPush.promote($0, key: $1, patience: $2, progress: $3)
        }
    }
}

struct ModelAbortCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "abort",
        abstract: "Stop trying a model in a pipeline.",
        discussion: """
            The pipeline's model has answered all frames meanwhile, so that nothing is lost.

            Example:
              lcp model abort --pipeline kitchen --broker mqtt://broker.local
            """)

    @OptionGroup var role: RoleOptions

    func run() async throws {
        let configuration = try role.settings().configuration()
        try await role.run(.cutShort) {
            let name = try await ModelPush.abort(configuration)
            writeLine("\(configuration.prefix)/\(configuration.pipeline) does not try \(Log.printable(name)) any more")
        }
    }
}
