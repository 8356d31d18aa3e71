import ArgumentParser
import FoundationEssentials
import LCPCompression
import LCPDatasets
import LCPEvaluation
import LCPInference
import LCPModels
import LCPWire
import Platform

struct EvaluateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "evaluate",
        abstract: "Measure how often a model is right, with all branches and with some missing.",
        usage: "lcp evaluate [<model>] [<options>]",
        discussion: """
            The calibration error says how far the probabilities are from the truth: the mean distance of confidence and accuracy \
            over 15 bins of equal width (Guo et al. 2017). Every set of missing branches is tried; where there are more than \
            --subsets for one number of branches, that many are drawn from --seed, and a standard error is given.

            Examples:
              lcp evaluate lenet-split4
              lcp evaluate lenet-split4 --data mnist:FOLDER --data drawn
              lcp evaluate lenet-split8 --data mnist:FOLDER --missing 3 --svg lenet.svg
              lcp evaluate my-bundle --data cifar10:FOLDER --html mistakes.html
              lcp evaluate my-bundle --data cifar10:FOLDER --encoding jpeg:80
              lcp evaluate my-bundle --data cifar10:FOLDER --fixed-point --missing 0
              lcp evaluate my-bundle --data idx:images-idx3-ubyte,labels-idx1-ubyte --json
            """)

    @Argument(help: "A model bundle: a folder, or the name of one that came with lcp.", completion: .bundle)
    var model = "lenet-split4"

    @Option(
        help: ArgumentHelp(
            "\(DataSpecification.forms); may be given several times.", valueName: "data"), completion: .data)
    var data: [String] = ["drawn"]

    @Option(help: ArgumentHelp("The most branches to leave out; all but one by default.", valueName: "k"))
    var missing: Int?

    @Option(help: ArgumentHelp("The most sets of missing branches to try for each number of them.", valueName: "count"))
    var subsets = 256

    @Option(help: "Which digits are drawn, and which sets of missing branches. Training draws other digits.")
    var seed: UInt64 = 1

    @Option(
        help: ArgumentHelp(
            "Send the images as a sensor would: \(FrameEncoding.forms). What it costs in accuracy is told.",
            valueName: "encoding"), completion: .encoding)
    var encoding = "raw"

    @Option(
        help: ArgumentHelp(
            "Send the branches' numbers as workers would: fp32, fp16 or int8. What it costs is told.",
            valueName: "type"), completion: .features)
    var features = "fp32"

    @Flag(
        help:
            "Compute in fixed point of 16 bits, 13 of them behind the point; its scales are found with 500 training pictures of the first data. What it costs is told. It is slow."
    )
    var fixedPoint = false

    @Flag(help: "Print one JSON object.")
    var json = false

    @Option(
        help: ArgumentHelp(
            "Draw accuracy, calibration and, for up to \(EvaluationFigure.maximumClasses) classes, confusions as SVG.",
            valueName: "file"), completion: .file())
    var svg: String?

    @Option(
        help: ArgumentHelp(
            "Write a page with the pictures that it is wrong on, those that it was surest of first.", valueName: "file"),
        completion: .file())
    var html: String?

    /// What was found, as `--json` prints it.
    struct Report: Encodable {
        struct Result: Encodable {
            var data: String
            var evaluation: Evaluation
            /// In single precision, with raw frames and FP32 features, where another way was asked for.
            var plain: Evaluation?

            private enum Keys: CodingKey { case data, plain_top1 }

            func encode(to encoder: any Encoder) throws {
                try evaluation.encode(to: encoder)
                var container = encoder.container(keyedBy: Keys.self)
                try container.encode(data, forKey: .data)
                try container.encodeIfPresent(plain?.top1, forKey: .plain_top1)
            }
        }
        var model: String
        var model_hash: String
        var encoding: String
        var features: String
        /// Of the branches: fp32, int8 or 3.13.
        var arithmetic: String
        var results: [Result]
    }

    func validate() throws {
        if let missing, missing < 0 {
            throw ValidationError("--missing is the number of branches to leave out, 0 or more, not \(missing)")
        }
        guard FrameEncoding(encoding) != nil else {
            throw ValidationError(
                "--encoding is \(FrameEncoding.forms) with a quality from 1 to 100, not \(encoding.debugDescription)")
        }
        guard FeatureEncoding(rawValue: features) != nil else {
            throw ValidationError("--features is fp32, fp16 or int8, not \(features.debugDescription)")
        }
        guard subsets > 0 else { throw ValidationError("--subsets is at least 1, not \(subsets)") }
    }

    func run() async throws {
        let command = self
        try await untilStopped { try command.evaluate() }
    }

    private func evaluate() throws {
        let bundle = try ModelBundle.find(model)
        let name = bundle.manifest.name
        let branches = bundle.network.parity ?? bundle.network.branches.count
        if let missing, missing >= branches {
            throw CommandError(
                branches == 1
                    ? "--missing \(missing): \(name) has one branch, so none can be missing"
                    : "--missing \(missing): \(name) has \(branches) branches"
                        + (bundle.network.parity == nil ? "" : " and one that stands in")
                        + ", so at most \(branches - 1) can be missing"
            )
        }
        let specifications = try data.map { try DataSpecification($0, defaultDrawnCount: 10_000) }
        // A file that cannot be written is told now and not after the work.
        if let svg { try Self.checkWritable(svg, "--svg") }
        if let html { try Self.checkWritable(html, "--html") }
        var gallery = try html.map { _ in try MistakeGallery(bundle) }
        let plainEvaluator = try BundleEvaluator(bundle: bundle)
        let evaluator = fixedPoint ? try fixedPointEvaluator(bundle, specifications[0]) : plainEvaluator
        var options = EvaluationOptions()
        (options.maximumMissing, options.maximumSubsets, options.seed) = (missing, subsets, seed)
        options.encoding = FrameEncoding(encoding) ?? .raw
        options.features = FeatureEncoding(rawValue: features) ?? .fp32
        var plain = EvaluationOptions()
        (plain.maximumMissing, plain.seed) = (0, seed)
        let isPlain = options.encoding == .raw && options.features == .fp32 && !fixedPoint
        var report = Report(
            model: name, model_hash: bundle.hash.description, encoding: options.encoding.description,
            features: features,
            arithmetic: fixedPoint ? "3.13" : bundle.manifest.arithmetic?.rawValue ?? "fp32", results: [])
        for specification in specifications {
            var images = try specification.evaluationSet(
                seed: seed, size: bundle.network.input.imageSize(bundle.manifest.preprocessing),
                signal: bundle.manifest.preprocessing.signal)
            try images.match(
                specification.classNames(isTest: true), to: bundle.manifest.labels, data: specification.name,
                model: name)
            LeftOut.tell(images.leftOut, of: specification.name)
            LeftOut.tell(notes: images.notes, of: specification.name)
            let line = ProgressLine()
            defer { line.clear() }
            let result = try evaluator.evaluate(pixels: images.pixels, labels: images.labels, options: options) {
                line.show($0, "\(specification.name): \(percent($0, digits: 0))")
                return !Task.isCancelled
            }
            let compared =
                isPlain
                ? nil
                : try plainEvaluator.evaluate(pixels: images.pixels, labels: images.labels, options: plain) {
                    line.show($0, "\(specification.name), raw and fp32: \(percent($0, digits: 0))")
                    return !Task.isCancelled
                }
            report.results.append(.init(data: specification.name, evaluation: result, plain: compared))
            try gallery?.add(result, data: specification.name, pixels: images.pixels)
        }
        if json {
            writeLine(try jsonLine(report))
        } else {
            EvaluationTable.show(report, labels: bundle.manifest.labels)
        }
        if let svg {
            let figure = EvaluationFigure.figure(report, labels: bundle.manifest.labels)
            try FileIO.write(Array(figure.svg().utf8), to: svg)
        }
        if let html, let gallery { try FileIO.write(Array(gallery.html.utf8), to: html) }
    }

    /// The same model, its branches in fixed point.
    private func fixedPointEvaluator(
        _ bundle: ModelBundle, _ specification: DataSpecification
    ) throws -> BundleEvaluator {
        let manifest = bundle.manifest
        guard manifest.arithmetic == nil else {
            throw CommandError(
                "\(manifest.name) computes with numbers of eight bits: give the model that it was made of for fixed point"
            )
        }
        var pictures = specification
        if case .drawn = specification { pictures = .drawn(count: 500) }
        let pixels = try pictures.calibrationPictures(500, seed: 1, for: manifest)
        let converter = try FixedPointConverter(
            network: bundle.network, parameters: bundle.parameters(), preprocessing: manifest.preprocessing)
        let branches = try bundle.network.branches.indices.map { try converter.branch($0, pixels: pixels) }
        return try BundleEvaluator(bundle: bundle) {
            try BranchEngine(
                network: converter.network, branch: $0, fixedPoint: branches[$0],
                preprocessing: manifest.preprocessing)
        }
    }

    private static func checkWritable(_ path: String, _ option: String) throws {
        guard !path.isEmpty, !FileIO.exists("\(path)/.") else {
            throw CommandError(
                "\(option) \(path.quoted) is no file's name: name a file in a folder that exists and is yours")
        }
        let probe = "\(path).writable"
        do { try FileIO.write([], to: probe) } catch {
            throw CommandError("\(option) \(path) cannot be written: name a file in a folder that exists and is yours")
        }
        FileIO.remove(probe)
    }
}
