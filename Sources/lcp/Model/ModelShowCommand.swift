import ArgumentParser
import LCPModels
import LCPWire
import Platform

struct ModelShowCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "The layers of a network, or everything about a model bundle.",
        usage: "lcp model show <network> [<options>]",
        discussion: """
            Examples:
              lcp model show alexnet
              lcp model show cifarnet --classes 100
              lcp model show lenet-split4 --json
            """)

    @OptionGroup var options: NetworkOptions

    @Flag(help: "Print one JSON object.")
    var json = false

    func run() throws {
        switch try options.chosen() {
        case .zoo(let network):
            let report = try NetworkReport(network)
            writeLine(json ? try jsonLine(report) : report.text)
        case .bundle(let bundle):
            guard options.changes.isEmpty else {
                throw CommandError(
                    "\(bundle.manifest.name) is a model bundle and shown as it is, without \(options.changes.joined(separator: " "))"
                )
            }
            // A damaged one is not shown as if it could be used.
            _ = try bundle.parameters()
            let report = try BundleReport(bundle)
            writeLine(json ? try jsonLine(report) : report.text)
        }
    }
}

/// A network of the zoo for people and programs.
private struct NetworkReport: Encodable {
    var kind = "network"
    var name: String
    var input: [Int]
    var classes: Int
    var merge: Merge
    var data_set: String?
    var parameters: Int
    var macs: Int
    var layers: [LayerCost]
    var classification: MergeCost
    var notes: [String]

    init(_ network: Network) throws {
        let cost = try NetworkCost(try network.split(into: 1), original: nil)
        name = network.name
        input = network.input.dimensions
        classes = network.classes
        merge = network.merge
        data_set = network.dataSet
        parameters = cost.parameters
        macs = cost.macs
        layers = cost.branches[0].layers
        classification = cost.merge
        notes = network.paperNotes
    }

    var text: String {
        let shape = input.map(String.init).joined(separator: "×")
        let head =
            "\(name): \(exact(parameters)) parameters, \(exact(macs)) MACs; \(shape) in, \(classes) classes out; branches are "
            + "joined by \(merge.rawValue)" + (data_set.map { "; made for \($0)" } ?? "")
        return ([head, layerTable(layers, merge: classification, classes: classes)] + notes).joined(separator: "\n\n")
    }
}

/// The layers of one branch, exact, the classification layer last.
func layerTable(_ layers: [LayerCost], merge: MergeCost?, classes: Int) -> String {
    var table = Table(
        ["", "layer", "output", "parameters", "MACs", "weight bytes", "activation bytes"],
        rightAligned: [0, 2, 3, 4, 5, 6])
    for (index, layer) in layers.enumerated() {
        table.add([
            "\(index)", layer.layer, layer.output.map(String.init).joined(separator: "×"), exact(layer.parameters),
            exact(layer.macs), exact(layer.weightBytes), exact(layer.activationBytes),
        ])
    }
    if let merge {
        table.add([
            "", "classification: fully connected to \(classes)", "1×1×\(classes)", exact(merge.parameters),
            exact(merge.macs), exact(merge.weightBytes), exact(4 * classes),
        ])
    }
    return table.text
}

/// A model bundle for people and programs.
private struct BundleReport: Encodable {
    struct Branch: Encodable {
        var widths: [Int]
        var parameters: Int
        var macs: Int
        var sends: BranchOutput
        var sent_numbers: Int
        var file: ModelManifest.File
    }
    var kind = "bundle"
    var name: String
    var path: String
    var model_hash: String
    var network: String
    var input: [Int]
    var classes: Int
    var merge: Merge
    var parameters: Int
    var macs: Int
    var branches: [Branch]
    var merge_file: ModelManifest.File
    var preprocessing: ModelManifest.Preprocessing
    var labels: [String]
    var training: ModelManifest.TrainingRecord?
    var notes: [String]
    private var branched: BranchedNetwork

    enum CodingKeys: CodingKey {
        case kind, name, path, model_hash, network, input, classes, merge, parameters, macs, branches, merge_file
        case preprocessing, labels, training, notes
    }

    init(_ bundle: ModelBundle) throws {
        let manifest = bundle.manifest
        name = manifest.name
        path = bundle.path
        model_hash = bundle.hash.description
        network = bundle.network.base
        input = bundle.network.input.dimensions
        classes = bundle.network.classes
        merge = bundle.network.merge
        parameters = try bundle.network.parameterCount()
        macs = try bundle.network.macs()
        branches = try bundle.network.branches.indices.map { branch in
            Branch(
                widths: bundle.network.branches[branch].compactMap(\.width),
                parameters: try bundle.network.parameterCount(of: branch), macs: try bundle.network.macs(of: branch),
                sends: manifest.outputs[branch], sent_numbers: try bundle.network.outputCount(of: branch),
                file: manifest.files[branch])
        }
        merge_file = manifest.files[branches.count]
        preprocessing = manifest.preprocessing
        labels = manifest.labels
        training = manifest.training
        notes = bundle.network.original?.paperNotes ?? []
        branched = bundle.network
    }

    var text: String {
        let shape = input.map(String.init).joined(separator: "×")
        var lines = [
            "\(name): \(network) in \(branchCount(branched.parity ?? branches.count))"
                + (branched.parity.map { " and a parity branch, \($0), that stands in for any one of them" } ?? "")
                + ", joined by \(merge.rawValue); \(exact(parameters)) parameters, "
                + "\(exact(macs)) MACs; \(shape) in, \(classes) classes out", "",
        ]
        var table = Table(["", "widths", "parameters", "MACs", "sends", "SHA-256"], rightAligned: [2, 3])
        for (index, branch) in branches.enumerated() {
            let kind = branch.sends == .features ? "features" : "partial logits"
            table.add([
                branch.file.name, branched.widths(index), exact(branch.parameters), exact(branch.macs),
                "\(branch.sent_numbers) \(kind)", "\(branch.file.sha256.prefix(16))…",
            ])
        }
        table.add([merge_file.name, "", "", "", "", "\(merge_file.sha256.prefix(16))…"])
        lines += [table.text, "", "  folder       \(path)", "  model hash   \(model_hash)"]
        func list(_ values: [Float]) -> String { values.map { "\($0)" }.joined(separator: ", ") }
        let normalization = "− \(list(preprocessing.mean))) / \(list(preprocessing.standardDeviation))"
        if let signal = preprocessing.signal {
            lines.append("  numbers      (number \(normalization)")
            lines.append(
                signal.logMel.map { "  sound        \($0.bands) bands of \($0.sampleRate) samples a second" }
                    ?? "  fields       \(signal.fields.map(\.printable).joined(separator: ", "))")
            let width = branched.input.width
            if width > 1 {
                lines.append(
                    "  window       \(width) \(signal.logMel == nil ? "records" : "frames"), \(signal.hop(for: width)) from one to the next"
                )
            }
        } else {
            lines.append("  pixels       (pixel / 255 \(normalization)")
        }
        if let resize = preprocessing.resize { lines.append("  pictures     \(resize)") }
        if let background = preprocessing.background { lines.append("  background   grey \(background)") }
        let shown = labels.prefix(12).joined(separator: ", ")
        lines.append("  labels       \(shown)\(labels.count > 12 ? ", … (\(labels.count))" : "")")
        if let training, let source = training.importedFrom {
            lines.append("  imported     from \(source.printable)")
            lines.append("  made by      \(training.command)")
        } else if let training, training.epochs > 0 {
            lines.append(
                "  trained      \(training.epochs) epoch\(training.epochs == 1 ? "" : "s") on \(training.data), seed \(training.seed)"
            )
            for (data, accuracy) in training.accuracy.sorted(by: { $0.key < $1.key }) {
                lines.append("  right        \(percent(accuracy)) on \(data)")
            }
            lines.append("  made by      \(training.command)")
        } else {
            lines.append("  untrained    its weights are random: for measuring speed, not for answers")
            if let training { lines.append("  made by      \(training.command)") }
        }
        for note in notes { lines += ["", note] }
        return lines.joined(separator: "\n")
    }
}
