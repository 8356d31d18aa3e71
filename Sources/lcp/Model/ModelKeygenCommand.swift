import ArgumentParser
import Platform

struct ModelKeygenCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "keygen",
        abstract: "Make a key to sign models with, for a pipeline that takes no others.",
        discussion: """
            Whoever may write to a broker can give its pipelines a model. Where a pipeline file has a model_key, workers and \
            aggregators take only models that were pushed with --sign and the private key of it; all others are refused and \
            counted, and so are older models that somebody publishes again. The keys are of Ed25519, in PEM.

            Examples:
              lcp model keygen --out kitchen.key
              lcp model push lenet-split4 --config kitchen.yaml --sign kitchen.key
            """)

    @Option(
        help: ArgumentHelp("The file of the private key; the public one gets .pub behind it.", valueName: "file"),
        completion: .file())
    var out: String

    func run() throws {
        for path in [out, "\(out).pub"] where FileIO.exists(path) {
            throw CommandError("\(path) is there already, and models may be signed with it: name another file")
        }
        let key = SigningKey()
        try FileIO.write(key.pem, to: out, isSecret: true)
        try FileIO.write(key.verificationKey.pem, to: "\(out).pub")
        writeLine(
            """
            wrote \(out), which nobody else may have, and \(out).pub
            for the pipeline file of every role:

            model_key: \(key.verificationKey)
            """)
    }
}
