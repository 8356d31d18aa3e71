import ArgumentParser
import LCPPipeline

struct ModelRollbackCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rollback",
        abstract: "Give a pipeline the model back that it had before.",
        discussion: """
            The broker keeps the model before the present one (lcp model list --pipeline names it). It is pushed again under \
            a new number, and workers and aggregators change over as for any other; the present one becomes the one before, so \
            that a second rollback undoes the first.

            Examples:
              lcp model rollback --pipeline kitchen --broker mqtt://broker.local
              lcp model rollback --config kitchen.yaml --sign kitchen.key
            """)

    @OptionGroup var role: RoleOptions

    @OptionGroup var push: PushOptions

    func run() async throws {
        try await push.push("the model before", with: role) {
            try await ModelPush.rollback($0, key: $1, patience: $2, progress: $3)
        }
    }
}
