import ArgumentParser
import LCPModels
import LCPPipeline

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
              lcp model push my-lenet --pipeline kitchen --canary 5%
                                               first compare it on a twentieth of
                                               the frames: lcp model list shows how
                                               it does, then promote or abort
            """)

    @Argument(help: "A model bundle: a folder, or the name of one that came with lcp.", completion: .bundle)
    var model: String

    @OptionGroup var role: RoleOptions

    @Option(help: ArgumentHelp("The most bytes of the model in one message.", valueName: "bytes"))
    var chunk = ModelPush.defaultChunkBytes

    @Option(
        help: ArgumentHelp(
            "Only try it on this share of the frames, beside the pipeline's model, which goes on to answer all.",
            valueName: "percent"),
        transform: { text in
            let number = text.hasSuffix("%") ? Double(text.dropLast()).map { $0 / 100 } : Double(text)
            guard let number, number >= 0.0001, number <= 1 else {
                throw ValidationError("--canary is a share of the frames, 0.01% to 100%, or 0.0001 to 1, not \(text)")
            }
            return number
        })
    var canary: Double?

    @Flag(help: "Push it unsigned, although the pipeline's model is signed.")
    var unsigned = false

    @OptionGroup var push: PushOptions

    func validate() throws {
        guard !unsigned || push.sign == nil else { throw ValidationError("--unsigned or --sign, not both") }
    }

    func run() async throws {
        let bundle = try ModelBundle.find(model)
        let configuration = try role.settings().configuration()
        let key = try push.key()
        let (chunk, push, canary, unsigned) = (chunk, push, canary, unsigned)
        try await role.run(.cutShort) {
            let line = ProgressLine()
            defer { line.clear() }
            let show = { line.show($0, "\(bundle.manifest.name): \(percent($0, digits: 0))") }
            let result =
                if let canary {
                    try await ModelPush.tryOut(
                        bundle, share: canary, configuration, chunkBytes: chunk, key: key,
                        isUnsignedOnPurpose: unsigned,
                        patience: .seconds(push.wait), progress: show)
                } else {
                    try await ModelPush.push(
                        bundle, configuration, chunkBytes: chunk, key: key, isUnsignedOnPurpose: unsigned,
                        patience: .seconds(push.wait), progress: show)
                }
            line.clear()
            try push.tell(result, configuration, isTried: canary != nil)
        }
    }
}
