import ArgumentParser
import LCPDatasets
import LCPModels
import LCPONNX
import LCPWire
import ONNX
import Platform
import Signals

struct ModelImportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import",
        abstract:
            "Take a network of yours, with its weights, from an ONNX file; with --out write it as a model bundle.",
        usage: "lcp model import <net.onnx> [<options>]",
        discussion: """
            The network is one of convolutions, pooling, normalisations, fully connected layers, activations, sums, products and \
            concatenations that ends with a fully connected layer or with the mean over a map for each class, with or without a \
            softmax; one output says no or yes, with or without a sigmoid. What lcp does not know of a file it tells by node and \
            operator, all at once; --check tells nothing else. The bundle has one branch: it runs as it is, and every command that takes a network takes \
            it, to split it, to train its branches, and as their teacher.

            A pixel from 0 to 255 goes into the network as (pixel × scale − mean) / std. Without these options a file that lcp \
            exported says it itself; otherwise the scale is 1/255, or 1 where the graph divides its input by more than 16, the \
            mean is 0 and std 1. What comes of it is printed; check it, because wrong pixels make wrong answers. Grey images are \
            one channel. A network that takes blue, green, red (--channels bgr; --mean and --std in that order) becomes one that \
            takes red, green, blue.

            A picture of another size is squashed or stretched to the network's. Most networks for photographs were trained on \
            the middle of the picture: --resize 256 --crop 224 scales the shorter side to 256 and cuts 224 x 224 out. Detectors \
            take all of it with grey around: --letterbox.

            A network for records or windows of them, as scikit-learn's are, takes numbers as they are: --fields names them in \
            their order.

            Examples:
              lcp model import net.onnx
              lcp model import net.onnx --check
              lcp model import net.onnx --out my-net --labels names.txt
              lcp model import net.onnx --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225
              lcp model import net.onnx --input 224x224x3 --scale 1 --out my-net
              lcp model import net.onnx --resize 256 --crop 224 --channels bgr
              lcp model import iris.onnx --fields length,width
              lcp model cost my-net --branches 4
              lcp train my-net --branches 4 --data folder:photos --out my-net4
            """)

    @Argument(help: ArgumentHelp("The ONNX file.", valueName: "net.onnx"), completion: .file())
    var file: String

    @Option(
        help: ArgumentHelp("The shape of an image, where the file leaves it open: 224x224x3.", valueName: "HxWxC"),
        transform: parseShape)
    var input: FeatureMapShape?

    @Option(
        help: ArgumentHelp("What pixels are multiplied by: 1/255, 1, 0.0078125.", valueName: "number"),
        transform: parseScale)
    var scale: Double?

    @Option(
        help: ArgumentHelp("Subtracted then: a number per channel, or one.", valueName: "numbers"),
        transform: parseNumbers)
    var mean: [Double]?

    @Option(
        help: ArgumentHelp("The divisor then: a number per channel, or one.", valueName: "numbers"),
        transform: parseNumbers)
    var std: [Double]?

    @Option(
        help: ArgumentHelp("The order of colours that the network takes: rgb (default) or bgr.", valueName: "order"),
        completion: .list(["rgb", "bgr"]),
        transform: { text in
            guard ["rgb", "bgr"].contains(text) else { throw ValidationError("--channels is rgb or bgr") }
            return text
        })
    var channels: String?

    @Option(
        help: ArgumentHelp(
            "Of a picture, the shorter side is scaled to so many pixels, and the middle is cut out.",
            valueName: "pixels"))
    var resize: Int?

    @Option(
        help: ArgumentHelp(
            "With --resize: what is cut out; the network's input by default.", valueName: "pixels"))
    var crop: Int?

    @Flag(help: "A picture is scaled by one factor, and what is left is filled with grey.")
    var letterbox = false

    @Option(
        help: ArgumentHelp(
            "The grey, 0 to 255, behind what is transparent, 255 by default, and around --letterbox, 114 by default.",
            valueName: "grey"))
    var background: UInt8?

    @Option(
        help: ArgumentHelp(
            "The fields of the records that it takes, in the order of its inputs: they come as they are, and are no pixels.",
            valueName: "name,…"))
    var fields: String?

    @Option(
        help: ArgumentHelp("A text file with the name of a class in each line.", valueName: "file"), completion: .file()
    )
    var labels: String?

    @Option(help: ArgumentHelp("Which output, where the graph has several.", valueName: "name"))
    var output: String?

    @Option(
        help: ArgumentHelp("How the branches of a split are joined.", valueName: "concat|sum"),
        transform: { text in
            guard let merge = Merge(rawValue: text) else {
                throw ValidationError("branches are joined by concat or sum")
            }
            return merge
        })
    var merge = Merge.concat

    @Option(help: ArgumentHelp("What the network is called; the file's name by default.", valueName: "name"))
    var name: String?

    @Option(help: ArgumentHelp("The folder of the bundle.", valueName: "folder"), completion: .directory)
    var out: String?

    @Flag(help: "Tell in a line whether the file can be read, or all reasons why it cannot; write nothing.")
    var check = false

    @Flag(help: "Replace a bundle that is in the folder.")
    var force = false

    @Flag(help: "Print one JSON object.")
    var json = false

    private struct Report: Encodable {
        var name: String
        var source: String
        var producer: String
        var input: [Int]
        var classes: Int
        var parameters: Int
        var macs: Int
        var layers: [LayerCost]
        var preprocessing: ModelManifest.Preprocessing
        var pixels_from: ONNXImport.PixelsFrom
        var labels: [String]?
        var path: String?
        var model_hash: String?
    }

    func validate() throws {
        if let name, name.isEmpty || name.contains("/") { throw ValidationError("--name is a word without /") }
        guard !check || out == nil else {
            throw ValidationError("--check writes nothing, and --out does: give one of them")
        }
        guard resize == nil || !letterbox else {
            throw ValidationError("--resize cuts pictures and --letterbox does not: give one of them")
        }
        guard fields == nil || !letterbox && resize == nil && channels == nil && background == nil else {
            throw ValidationError(
                "--fields is for numbers, and --resize, --letterbox, --channels and --background for pictures")
        }
        guard crop == nil || resize != nil else { throw ValidationError("--crop needs --resize") }
        guard (1...65_536).contains(resize ?? 1), (1...(resize ?? 1)).contains(crop ?? 1) else {
            throw ValidationError("--resize is 1 to 65,536 pixels, and --crop not more than that")
        }
    }

    func run() async throws {
        let command = self
        try await untilStopped { try command.importNetwork() }
    }

    private func importNetwork() throws {
        if let out { try BundleFolder.checkFree(out, force: force) }
        if let out { try StagedFolder.check(out, mark: "model.json") }
        let source = String(file.split(separator: "/").last ?? "net.onnx").printable
        var options = ONNXImport.Options(
            name: name ?? (source.hasSuffix(".onnx") ? String(source.dropLast(5)) : source))
        (options.input, options.output, options.merge) = (input, output, merge)
        (options.scale, options.mean, options.standardDeviation) = (scale, mean, std)
        options.resize = letterbox ? .letterbox(grey: background ?? 114) : resize.map { .crop(shorter: $0) }
        options.background = background
        options.isBlueFirst = channels == "bgr"
        if let fields { options.signal = Signal(fields: try FieldMap(fields).names) }
        let found: ONNXImport
        do { found = try ONNXImport(ONNXModel(path: file), options: options) } catch {
            guard error.reasons.count > 1 else { throw error }
            throw CommandError(
                "\(source) has \(error.reasons.count) kinds of nodes that cannot be layers:\n"
                    + error.reasons.map { "  \($0)" }.joined(separator: "\n"))
        }
        let shape = found.network.input
        if let crop, (shape.height, shape.width) != (crop, crop) {
            throw CommandError("--crop \(crop): \(source) takes images of \(shape)")
        }
        if let resize, resize < max(shape.height, shape.width) {
            throw CommandError(
                "--resize \(resize): \(source) takes images of \(shape), which are larger: give \(max(shape.height, shape.width)) or more"
            )
        }
        let names = try labels.map { try ClassNames.read($0, classes: found.network.classes) }
        let cost = try NetworkCost(found.network.split(into: 1), original: nil)
        var report = Report(
            name: found.network.name, source: source, producer: found.producer,
            input: found.network.input.dimensions, classes: found.network.classes, parameters: cost.parameters,
            macs: cost.macs, layers: cost.branches[0].layers, preprocessing: found.preprocessing,
            pixels_from: found.pixelsFrom, labels: names ?? found.labels)
        if let out {
            let bundle = try found.write(labels: names, source: source, command: words(source), to: out)
            report.path = out
            report.model_hash = bundle.hash.description
        } else {
            try found.weights.check()
        }
        if fields == nil, let range = Self.unusualRange(found.preprocessing) {
            writeErrorLine(
                "note: with these numbers the network sees black as \(range.lowerBound) and white as \(range.upperBound): are --mean "
                    + "and --std of pixels from 0 to 255? Then give --scale 1, too; of pixels from 0 to 1, no --scale; and neither "
                    + "where the file does it itself")
        }
        if found.isOrderAssumed {
            writeErrorLine(
                "note: the file does not tell in which order the numbers of an image lie, taken for channels, height, width: where "
                    + "channels come last, as in TensorFlow, export it with fixed sizes")
        }
        if fields == nil, found.preprocessing.signal == nil, shape.channels > 1, shape.height == 1, shape.width == 1 {
            writeErrorLine(
                "note: \(shape) is no picture: tell the image's shape with --input, for example 28x28x1, or the names of its "
                    + "numbers with --fields")
        }
        if found.isYesNo {
            let names = (report.labels ?? []).map(\.quoted).joined(separator: " or ")
            writeErrorLine("note: the network has one output, so it says \(names), the second above a sigmoid of 0.5")
        }
        if json { return writeLine(try jsonLine(report)) }
        if check {
            return writeLine(
                "\(source) can be read: \(counted(cost.branches[0].layers.count, "layer")), \(exact(cost.parameters)) parameters, "
                    + "inputs of \(shape), \(found.network.classes) classes")
        }
        writeLine(Self.text(report, cost))
    }

    /// What black and white become where all pixels are nearly alike, or larger than any network takes: nil where they are usual.
    private static func unusualRange(_ preprocessing: ModelManifest.Preprocessing) -> ClosedRange<Float>? {
        for (mean, deviation) in zip(preprocessing.mean, preprocessing.standardDeviation) {
            let range = -mean / deviation...(1 - mean) / deviation
            if !(-4...5).contains(mean) || !(0.05...600).contains(1 / deviation) { return range }
        }
        return nil
    }

    private static func text(_ report: Report, _ cost: NetworkCost) -> String {
        let shape = report.input.map(String.init).joined(separator: "×")
        let head =
            "\(report.name) from \(report.source) (\(report.producer)): \(exact(report.parameters)) parameters, \(exact(report.macs)) "
            + "MACs; \(shape) in, \(report.classes) classes out"
        func list(_ values: [Float]) -> String {
            values.count > 4 && Set(values).count == 1
                ? "\(values[0])" : values.map { "\($0)" }.joined(separator: ", ")
        }
        let from =
            switch report.pixels_from {
            case .options: ""
            case .file: "    as the file says"
            case .assumed: "    assumed, for the file does not say: --scale, --mean and --std tell it"
            }
        let signal = report.preprocessing.signal
        let pixels =
            "  \(signal == nil ? "pixels       (pixel / 255" : "numbers      (number") − \(list(report.preprocessing.mean))) / "
            + list(report.preprocessing.standardDeviation)
            + (signal == nil ? from : "    " + (signal?.fields ?? []).map(\.printable).joined(separator: ", "))
        let pictures = report.preprocessing.resize.map { "\n  pictures     \($0)" } ?? ""
        var parts = [head, layerTable(report.layers, merge: cost.merge, classes: report.classes), pixels + pictures]
        if let path = report.path, let hash = report.model_hash { parts.append("wrote \(path), model \(hash)") }
        return parts.joined(separator: "\n\n")
    }

    /// The command for the bundle's record; a folder's path is this machine's business.
    private func words(_ source: String) -> String {
        func list(_ values: [Double]) -> String { values.map { "\($0)" }.joined(separator: ",") }
        var words = ["lcp model import \(source)"]
        if let input { words.append("--input \(input.height)x\(input.width)x\(input.channels)") }
        if let scale { words.append("--scale \(scale)") }
        if let mean { words.append("--mean \(list(mean))") }
        if let std { words.append("--std \(list(std))") }
        if let channels { words.append("--channels \(channels)") }
        if let resize { words.append("--resize \(resize)") }
        if let crop { words.append("--crop \(crop)") }
        if letterbox { words.append("--letterbox") }
        if let background { words.append("--background \(background)") }
        if let fields { words.append("--fields \(fields)") }
        if let output { words.append("--output \(output.printable)") }
        if merge != .concat { words.append("--merge \(merge.rawValue)") }
        return words.joined(separator: " ")
    }
}

/// Reads `1/255` or a number.
private func parseScale(_ text: String) throws -> Double {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false).map { Double($0) }
    guard (1...2).contains(parts.count), let first = parts[0], let second = parts.count == 2 ? parts[1] : 1,
        (first / second).isFinite, first / second > 0
    else { throw ValidationError("--scale is a number above 0, for example 1/255") }
    return first / second
}

/// Reads numbers with commas between them.
private func parseNumbers(_ text: String) throws -> [Double] {
    let numbers = text.split(separator: ",", omittingEmptySubsequences: false).compactMap { Double($0) }
    guard numbers.count == text.split(separator: ",", omittingEmptySubsequences: false).count,
        numbers.allSatisfy(\.isFinite)
    else { throw ValidationError("give a number for each channel, for example 0.485,0.456,0.406") }
    return numbers
}
