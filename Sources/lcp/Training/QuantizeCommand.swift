import ArgumentParser
import LCPCompression
import LCPDatasets
import LCPModels
import Platform

struct QuantizeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "quantize",
        abstract: "Make a model that computes with numbers of eight bits: smaller and faster.",
        usage: "lcp quantize <model> --data <data> --out <folder> [<options>]",
        discussion: """
            Weights and activations become whole numbers of eight bits. How large activations get is found with some pictures of \
            the training set; labels are not needed. The result is a model like any other: it is evaluated, pushed and run the \
            same way, by workers of this version and later. What it costs in accuracy, lcp evaluate tells of both.

            Examples:
              lcp quantize lenet-split4 --data drawn --out lenet-split4-int8
              lcp quantize my-bundle --data cifar10:FOLDER --out my-bundle-int8
              lcp quantize my-bundle --data dir:PICTURES --images 200 --out small
            """)

    @Argument(help: "A model bundle: a folder, or the name of one that came with lcp.")
    var model: String

    @Option(help: ArgumentHelp("Pictures like those that will come: \(DataSpecification.forms).", valueName: "data"))
    var data: String

    @Option(help: "How many of them, the same number of each class.")
    var images = 500

    @Option(help: "Which of them.")
    var seed: UInt64 = 1

    @Option(help: ArgumentHelp("The folder of the new bundle.", valueName: "folder"))
    var out: String

    @Flag(help: "Replace a bundle that is in the folder.")
    var force = false

    @Flag(help: "Print one JSON object.")
    var json = false

    func validate() throws {
        guard (1...100_000).contains(images) else { throw ValidationError("--images is 1 to 100,000, not \(images)") }
    }

    private struct Report: Encodable {
        var model: String
        var model_hash: String
        var path: String
        var bytes: Int
        var original_bytes: Int
    }

    func run() async throws {
        let command = self
        try await untilStopped { try command.quantize() }
    }

    private func quantize() throws {
        let bundle = try ModelBundle.find(model)
        let manifest = bundle.manifest
        guard manifest.arithmetic == nil else {
            throw CommandError("\(manifest.name) computes with numbers of eight bits already")
        }
        if FileIO.exists("\(out)/model.json"), !force {
            throw CommandError(
                "\(out) holds a model bundle already: name another folder, or give --force to replace it")
        }
        let specification = try DataSpecification(data, defaultDrawnCount: images)
        let pixels = try pictures(specification, for: manifest)
        let quantizer = try Quantizer(
            network: bundle.network, parameters: bundle.parameters(), preprocessing: manifest.preprocessing)
        let line = ProgressLine()
        defer { line.clear() }
        let count = bundle.network.branches.count
        let branches = try bundle.network.branches.indices.map { branch in
            try quantizer.branch(branch, pixels: pixels) {
                line.show((Double(branch) + $0) / Double(count), "branch \(branch)")
                return !Task.isCancelled
            }
        }
        guard let lock = try ModelBundle.prepareFolder(out) else {
            throw CommandError("another process is at work in \(out): wait for it, or name another folder")
        }
        defer { withExtendedLifetime(lock) {} }
        let written = try ModelBundle.write(
            name: "\(manifest.name)-int8", network: quantizer.network, integers: branches,
            merge: bundle.mergeParameters(), preprocessing: manifest.preprocessing, labels: manifest.labels,
            training: record(bundle, specification), missingScale: manifest.missingScale, to: out)
        line.clear()
        let report = Report(
            model: written.manifest.name, model_hash: written.hash.description, path: out, bytes: written.byteCount,
            original_bytes: bundle.byteCount)
        if json { return writeLine(try jsonLine(report)) }
        writeLine(
            """
            wrote \(out), model \(report.model_hash): \(byteAmount(report.bytes)) in place of \(byteAmount(report.original_bytes))
            What it costs in accuracy: lcp evaluate \(out) --data \(data)
            """)
    }

    private func pictures(_ specification: DataSpecification, for manifest: ModelManifest) throws -> [UInt8] {
        let set = try specification.trainingSet(
            seed: seed, size: manifest.network.input.imageSize(manifest.preprocessing))
        LeftOut.tell(set.leftOut, of: specification.name)
        LeftOut.tell(notes: set.notes, of: specification.name)
        guard set.count > images else { return set.pixels }
        return try set.split(validation: images, seed: seed).validation.pixels
    }

    /// How the original came to be, and what was done with it; its accuracy is not this one's.
    private func record(
        _ bundle: ModelBundle, _ specification: DataSpecification
    ) -> ModelManifest.TrainingRecord? {
        guard var record = bundle.manifest.training else { return nil }
        let name = bundle.manifest.name
        record.command +=
            " && lcp quantize \(name) --data \(specification.form) --images \(images) --seed \(seed) --out \(name)-int8"
        record.accuracy = [:]
        record.encodedAccuracy = nil
        return record
    }
}
