import ArgumentParser
import LCPPipeline
import Platform

/// What the commands have in common that give a pipeline a model.
struct PushOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Sign the model with this private key, as a pipeline with a model_key wants it (lcp model keygen).",
            valueName: "file"), completion: .file())
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
        var tried_no_more: String?
        var still_tried: String?
        var running: [String]
        var missing: [String]
        var with_other_model: [String]
    }

    func validate() throws {
        guard (0...86_400).contains(wait) else { throw ValidationError("--wait has 0 to 86,400 seconds") }
    }

    /// The key to sign with.
    func key() throws -> SigningKey? {
        try sign.map { path in
            do { return try SigningKey(pem: FileIO.read(path, limit: 65_536)) } catch let error as KeyError {
                throw CommandError("--sign \(path) \(error)")
            }
        }
    }

    /// Pushes what the broker has kept, and tells how far that is, what was pushed and who runs it.
    ///
    /// - Parameters:
    ///   - what: what is pushed, for people.
    ///   - body: gets the pipeline, the key to sign with, how long its roles are waited for, and whom to tell the progress.
    func push(
        _ what: String, with role: RoleOptions,
        _ body:
            @escaping @Sendable (PipelineConfiguration, SigningKey?, Duration, (Double) -> Void) async throws ->
            ModelPush.Result
    ) async throws {
        let configuration = try role.settings().configuration()
        let key = try key()
        try await role.run(.cutShort) {
            let line = ProgressLine()
            defer { line.clear() }
            let result = try await body(configuration, key, .seconds(wait)) {
                line.show($0, "\(what): \(percent($0, digits: 0))")
            }
            line.clear()
            try tell(result, configuration)
        }
    }

    /// Tells what was pushed and who runs it.
    ///
    /// - Throws: where some do not.
    func tell(
        _ result: ModelPush.Result, _ configuration: PipelineConfiguration, isTried: Bool = false
    ) throws {
        if let before = result.before, before.input != result.input {
            writeErrorLine(
                "note: \(before.name.printable) took \(before.input), and \(result.name) takes \(result.input): workers refuse frames of another size, so sensors must send these now; JPEG and PNG pictures are fitted"
            )
        }
        if json {
            writeLine(
                try jsonLine(
                    Report(
                        name: result.name, model: result.model, bytes: result.bytes, messages: result.messages,
                        removed_messages: result.removed, tried_no_more: result.triedNoMore,
                        still_tried: result.stillTried, running: result.running, missing: result.missing,
                        with_other_model: result.fixed)))
            guard result.missing.isEmpty else { throw ExitCode.failure }
            return
        }
        writeLine(
            "pushed \(result.name), model \(result.model), to \(configuration.prefix)/\(configuration.pipeline): \(result.bytes) bytes in \(result.messages) messages"
        )
        if let name = result.triedNoMore {
            let reason = isTried ? "this one is tried in its place" : "it has other branches or takes other images"
            writeLine("\(name.printable) is tried no more: \(reason)")
        }
        if let name = result.stillTried {
            writeLine("\(name.printable) is still tried, beside this one now: lcp model abort ends that")
        }
        guard wait > 0 else { return }
        if !result.fixed.isEmpty {
            writeLine("not for \(Self.list(result.fixed)): started with --model")
        }
        guard result.missing.isEmpty else {
            throw CommandError(
                "\(Self.list(result.missing)) did not \(isTried ? "try" : "run") it within \(fixed(wait, digits: 0)) s: look into the log there"
            )
        }
        if result.running.isEmpty, !result.fixed.isEmpty { return }
        writeLine(
            result.running.isEmpty
                ? "nobody is there yet: who starts gets it"
                    + RoleSession.dotHint("\(configuration.prefix)/\(configuration.pipeline)")
                : "\(isTried ? "tried" : "run") by \(Self.list(result.running))")
    }

    /// Some names, and how many more there are.
    private static func list(_ names: [String]) -> String {
        names.prefix(8).joined(separator: ", ") + (names.count > 8 ? " and \(names.count - 8) more" : "")
    }
}
