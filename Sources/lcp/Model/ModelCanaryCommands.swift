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
        let configuration = try role.settings().configuration()
        let key = try push.key()
        let push = push
        try await role.run(.cutShort) {
            let line = ProgressLine()
            defer { line.clear() }
            let result = try await ModelPush.promote(configuration, key: key, patience: .seconds(push.wait)) {
                line.show($0, "the model that is tried: \(percent($0, digits: 0))")
            }
            line.clear()
            try push.tell(result, configuration)
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
