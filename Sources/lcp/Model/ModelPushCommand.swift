import ArgumentParser
import LCPModels
import LCPPipeline
import Platform

struct ModelPushCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "push",
        abstract: "Give a pipeline a model, or another one while it runs.",
        discussion: """
            The model is kept by the broker, and every worker and aggregator of the pipeline gets it from there. Those that \
            run take it beside the old one and change over together: no frame is lost, and none is joined from two models. The \
            command waits until all of them run it, and says who does not.

            Examples:
              lcp model push lenet-split4 --broker mqtt://broker.local --pipeline kitchen
              lcp model push my-lenet --pipeline kitchen --chunk 65536
                                               for a broker that limits packets
              lcp model push my-lenet --config kitchen.yaml --sign kitchen.key
            """)

    @Argument(help: "A model bundle: a folder, or the name of one that came with lcp.")
    var model: String

    @OptionGroup var role: RoleOptions

    @Option(help: ArgumentHelp("The most bytes of the model in one message.", valueName: "bytes"))
    var chunk = ModelPush.defaultChunkBytes

    @Option(
        help: ArgumentHelp(
            "Sign the model with this private key, as a pipeline with a model_key wants it (lcp model keygen).",
            valueName: "file"))
    var sign: String?

    @Option(
        help: ArgumentHelp("How long the pipeline's roles may take to run it; 0 not to wait.", valueName: "seconds"))
    var wait = 60.0

    @Flag(help: "Print one JSON object.")
    var json = false

    private struct Report: Encodable {
        var name: String
        var model: String
        var bytes: Int
        var messages: Int
        var removed_messages: Int
        var running: [String]
        var missing: [String]
        var with_other_model: [String]
    }

    func validate() throws {
        guard (0...86_400).contains(wait) else { throw ValidationError("--wait has 0 to 86,400 seconds") }
    }

    func run() async throws {
        let bundle = try ModelBundle.find(model)
        let configuration = try role.settings().configuration()
        let key = try sign.map { path in
            do { return try SigningKey(pem: FileIO.read(path, limit: 65_536)) } catch let error as KeyError {
                throw CommandError("--sign \(path) \(error)")
            }
        }
        let (chunk, json, wait) = (chunk, json, wait)
        try await role.run(.cutShort) {
            let line = ProgressLine()
            defer { line.clear() }
            let result = try await ModelPush.push(
                bundle, configuration, chunkBytes: chunk, key: key, patience: .seconds(wait)
            ) {
                line.show($0, "\(bundle.manifest.name): \(percent($0, digits: 0))")
            }
            line.clear()
            let input = bundle.network.input
            if let before = result.before, before.input != input {
                writeErrorLine(
                    "note: \(before.name.printable) took \(before.input), and \(result.name) takes \(input): workers refuse frames of another size, so sensors must send these now; JPEG and PNG pictures are fitted"
                )
            }
            if json {
                writeLine(
                    try jsonLine(
                        Report(
                            name: result.name, model: result.model, bytes: result.bytes, messages: result.messages,
                            removed_messages: result.removed, running: result.running, missing: result.missing,
                            with_other_model: result.fixed)))
                guard result.missing.isEmpty else { throw ExitCode.failure }
                return
            }
            writeLine(
                "pushed \(result.name), model \(result.model), to \(configuration.prefix)/\(configuration.pipeline): \(result.bytes) bytes in \(result.messages) messages"
            )
            guard wait > 0 else { return }
            if !result.fixed.isEmpty {
                writeLine("not for \(Self.list(result.fixed)): started with --model")
            }
            guard result.missing.isEmpty else {
                throw CommandError(
                    "\(Self.list(result.missing)) did not run it within \(fixed(wait, digits: 0)) s: look into the log there"
                )
            }
            if result.running.isEmpty, !result.fixed.isEmpty { return }
            writeLine(
                result.running.isEmpty
                    ? "nobody is there yet: who starts gets it"
                        + RoleSession.dotHint("\(configuration.prefix)/\(configuration.pipeline)")
                    : "run by \(Self.list(result.running))")
        }
    }
    /// Some names, and how many more there are.
    private static func list(_ names: [String]) -> String {
        names.prefix(8).joined(separator: ", ") + (names.count > 8 ? " and \(names.count - 8) more" : "")
    }
}
