import ArgumentParser

struct ModelCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "model",
        abstract: "Look at networks and models, split them, and see what a split costs.",
        discussion: """
            Examples:
              lcp model list
              lcp model show lenet-split4
              lcp model fit alexnet --memory 64MB --macs 200M
              lcp model cost alexnet --branches 8
              lcp model split alexnet --branches 8 --fatten 40 --out alexnet-split8-f40
            """,
        subcommands: [
            ModelListCommand.self, ModelShowCommand.self, ModelFitCommand.self, ModelCostCommand.self,
            ModelSplitCommand.self, ModelPushCommand.self,
        ])
}
