import ArgumentParser
import LCPModels
import LCPONNX
import LCPWire
import Platform

struct ModelExportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export",
        abstract: "Write a model bundle as ONNX files, for ONNX Runtime and other tools.",
        discussion: """
            The folder gets branch-K.onnx for every branch, merge.onnx, which makes logits of what the branches send, and \
            model.onnx, which is all of them as one network. They are of operator set 17; the batch is open.

            Images go in as FP32 [N, channels, height, width] with pixels from 0 to 255, as they come from a decoder; the \
            normalisation is part of the graph. With --normalized, it is not, and the caller does it: the text in the file says \
            how. Logits come out; softmax makes probabilities of them.

            Examples:
              lcp model export lenet-split4 --out lenet-onnx
              lcp model export my-net --normalized --out my-net-onnx
            """)

    @Argument(help: "A model bundle: a folder, or the name of one that came with lcp.", completion: .bundle)
    var model: String

    @Option(help: ArgumentHelp("The folder of the ONNX files.", valueName: "folder"), completion: .directory)
    var out: String

    @Flag(help: "Leave the normalisation of pixels to the caller.")
    var normalized = false

    @Flag(help: "Replace an export that is in the folder.")
    var force = false

    @Flag(help: "Print one JSON object.")
    var json = false

    private struct Report: Encodable {
        struct File: Encodable {
            var name: String
            var bytes: Int
        }
        var name: String
        var model_hash: String
        var input: String
        var path: String
        var files: [File]
    }

    func run() async throws {
        let command = self
        try await untilStopped { try command.export() }
    }

    private func export() throws {
        let bundle = try ModelBundle.find(model)
        if FileIO.exists("\(out)/model.onnx"), !force {
            throw CommandError("\(out) holds an export already: name another folder, or give --force to replace it")
        }
        let export = try ONNXExport(bundle, input: normalized ? .normalized : .pixels)
        try export.write(to: out)
        let report = Report(
            name: bundle.manifest.name, model_hash: bundle.hash.description,
            input: export.inputName, path: out,
            files: export.fileNames.map { .init(name: $0, bytes: FileIO.size("\(out)/\($0)")) })
        if json { return writeLine(try jsonLine(report)) }
        var table = Table(["file", "size"], rightAligned: [1])
        for file in report.files { table.add([file.name, byteAmount(file.bytes)]) }
        let shape = bundle.network.input
        writeLine(
            """
            wrote \(report.name), model \(report.model_hash), to \(out)

            \(table.text)

              in    \(report.input) [N, \(shape.channels), \(shape.height), \(shape.width)]\(report.input == "pixels" ? ", 0 to 255" : "")
              out   logits [N, \(bundle.network.classes)]
            """)
    }
}
