import ArgumentParser

struct ModelCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "model",
        abstract: "Look at networks and models, split them, see what a split costs; ONNX in and out.",
        discussion: """
            Examples:
              lcp model list
              lcp model show lenet-split4
              lcp model fit alexnet --memory 64MB --macs 200M
              lcp model cost alexnet --branches 8
              lcp model split alexnet --branches 8 --fatten 40 --out alexnet-split8-f40
              lcp model import net.onnx --out my-net
              lcp model export lenet-split4 --out lenet-onnx
              lcp model push lenet-split4 --pipeline kitchen
              lcp model rollback --pipeline kitchen
            """,
        subcommands: [
            ModelListCommand.self, ModelShowCommand.self, ModelFitCommand.self, ModelCostCommand.self,
            ModelSplitCommand.self, ModelImportCommand.self, ModelExportCommand.self, ModelPushCommand.self,
            ModelRollbackCommand.self, ModelPromoteCommand.self, ModelAbortCommand.self, ModelKeygenCommand.self,
        ])
}
