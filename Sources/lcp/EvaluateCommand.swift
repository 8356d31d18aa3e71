import ArgumentParser
import FoundationEssentials
import LCPDatasets
import LCPInference
import LCPModels
import LCPPipeline

struct EvaluateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "evaluate",
        abstract: "Measure how often a model is right, with all branches and with some missing.",
        discussion: """
            Examples:
              lcp evaluate lenet-split4
              lcp evaluate lenet-split4 --data mnist:FOLDER --data drawn
              lcp evaluate my-bundle --data idx:images-idx3-ubyte,labels-idx1-ubyte --json
            """)

    @Argument(help: "A model bundle: a folder, or the name of one that came with lcp.")
    var model = "lenet-split4"

    @Option(
        help: ArgumentHelp(
            "\(DataSpecification.forms); may be given several times.", valueName: "data"))
    var data: [String] = ["drawn"]

    @Option(help: ArgumentHelp("The most branches to leave out; all but one by default.", valueName: "k"))
    var missing: Int?

    @Option(help: "Which digits are drawn. Training draws others.")
    var seed: UInt64 = 1

    @Flag(help: "Print one JSON object.")
    var json = false

    private struct Report: Encodable {
        struct Result: Encodable {
            var data: String
            var images: Int
            var accuracy: Double
            var by_missing: [Evaluation.Missing]
        }
        var model: String
        var model_hash: String
        var results: [Result]
    }

    func run() async throws {
        let bundle = try ModelBundle.find(model)
        let specifications = try data.map { try DataSpecification($0, defaultDrawnCount: 10_000) }
        let (missing, seed, json) = (missing, seed, json)
        try await untilStopped {
            let evaluator = try BundleEvaluator(bundle: bundle)
            var report = Report(model: bundle.manifest.name, model_hash: bundle.hash.description, results: [])
            for specification in specifications {
                let shape = bundle.network.input
                let images = try specification.evaluationSet(
                    seed: seed, size: ImageSize(height: shape.height, width: shape.width, channels: shape.channels))
                let line = ProgressLine()
                let result = try evaluator.evaluate(
                    pixels: images.pixels, labels: images.labels, maximumMissing: missing
                ) { fraction in
                    line.show(fraction, "\(specification.name): \(percent(fraction, digits: 0))")
                    return !Task.isCancelled
                }
                line.clear()
                report.results.append(
                    .init(
                        data: specification.name, images: result.images, accuracy: result.accuracy,
                        by_missing: result.byMissing))
            }
            if json { print(try jsonLine(report)) } else { Self.show(report) }
        }
    }

    private static func show(_ report: Report) {
        for result in report.results {
            print("\(report.model) on \(result.images) images of \(result.data): \(percent(result.accuracy)) right")
            var table = Table(["branches missing", "mean", "worst", "best", "subsets"], rightAligned: [1, 2, 3, 4])
            for entry in result.by_missing {
                table.add([
                    "\(entry.missing)", percent(entry.mean), percent(entry.worst), percent(entry.best),
                    "\(entry.subsets)",
                ])
            }
            print(table.text)
        }
    }
}
