import ArgumentParser
import Images
import LCPEvaluation
import LCPInference
import LCPModels
import LCPPipeline
import LCPSensor
import LCPWire
import Platform
import Signals

struct PredictCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "predict",
        abstract: "Run a model on pictures here, without a broker.",
        usage: "lcp predict <model> <file> ... [<options>]",
        discussion: """
            A file is what a pipeline takes as an input: a JPEG, a PNG, or exactly the raw pixels of the model's input, row by \
            row. For a model that takes numbers it is csv:FILE, json:FILE or wav:FILE, or - for standard input, and there is a \
            prediction for each window. With --json there is a line for each file, with the logits of all classes in full precision. A file that cannot \
            be read is told, and the others are still predicted.

            Examples:
              lcp predict lenet-split4 digit.png
              lcp predict my-cifarnet photos/*.jpg --top 5
              lcp predict lenet-split4 digit.png --missing 1,3 --json
              lcp predict my-machine csv:today.csv
              mosquitto_sub -t home/pump | lcp predict my-machine json:-
            """)

    @Argument(help: "A model bundle: a folder, or the name of one that came with lcp.", completion: .bundle)
    var model: String

    @Argument(
        help: ArgumentHelp(
            "Pictures (JPEG, PNG, WebP, GIF, BMP), raw pixels, csv:FILE, json:FILE or wav:FILE.",
            valueName: "file"),
        completion: .file())
    var files: [String]

    @Option(
        help: ArgumentHelp("Branches to leave out, for example 1,3.", valueName: "branches"),
        transform: { text in
            let numbers = text.split(separator: ",", omittingEmptySubsequences: false).map { Int($0) }
            guard numbers.allSatisfy({ $0 != nil }) else {
                throw ValidationError("give the numbers of branches, for example 1,3")
            }
            return numbers.compactMap { $0 }
        })
    var missing: [Int] = []

    @Option(help: ArgumentHelp("How many of the most probable classes are told.", valueName: "count"))
    var top = 3

    @Option(
        help: ArgumentHelp(
            "Where a model's fields are in records: ax=accel.x,ay=accel.y; by default they have their own names.",
            valueName: "name=path,…"))
    var fields: String?

    @Option(help: ArgumentHelp("The records from one window to the next; half a window by default.", valueName: "n"))
    var hop: Int?

    @Flag(help: "Print a JSON object for each file, or each window.")
    var json = false

    /// What `--json` prints of a file.
    private struct Report: Encodable {
        var file: String
        var `class`: Int
        var label: String
        var probability: Float
        var logits: [Float]
        var missing: [Int]
    }

    func validate() throws {
        guard (1...Signal.longestHop).contains(hop ?? 1) else { throw ValidationError("--hop is 1 to 1,000,000") }
        guard top > 0 else { throw ValidationError("--top is at least 1, not \(top)") }
    }

    func run() async throws {
        let command = self
        try await untilStopped { try await command.predict() }
    }

    private func predict() async throws {
        let bundle = try ModelBundle.find(model)
        let (name, branches) = (bundle.manifest.name, bundle.network.branches.count)
        if let wrong = missing.first(where: { !(0..<branches).contains($0) }) {
            throw CommandError("--missing \(wrong): \(name) has the branches 0 to \(branches - 1)")
        }
        guard Set(missing).count < branches else {
            throw CommandError("--missing leaves no branch of \(name): leave out fewer")
        }
        let evaluator = try BundleEvaluator(bundle: bundle)
        let decoder = InputDecoder(shape: bundle.network.input, preprocessing: bundle.manifest.preprocessing)
        var unread = 0
        for file in files {
            try Task.checkCancellation()
            do {
                if var source = try SignalSource(file) {
                    if let fields { source.options.fields = try FieldMap(fields) }
                    source.hop = hop ?? source.hop
                    try await predict(source, file, evaluator, bundle.manifest)
                    continue
                }
                let logits = try Self.logits(
                    of: file, evaluator, decoder, bundle.manifest.preprocessing, missing: Set(missing))
                try tell(logits, file, bundle.manifest)
            } catch {
                guard files.count > 1, !(error is CancellationError) else { throw error }
                writeErrorLine("Error: \(error)")
                unread += 1
            }
        }
        guard unread == 0 else { throw ExitCode.failure }
    }

    /// Every window of a source of numbers.
    private func predict(
        _ source: SignalSource, _ name: String, _ evaluator: BundleEvaluator, _ manifest: ModelManifest
    ) async throws {
        try FrameSource.signal(source).check(fits: manifest)
        guard let signal = manifest.preprocessing.signal else { return }
        if case .topic = source.origin {
            throw CommandError("\(name): lcp predict knows no broker: lcp sensor reads topics")
        }
        let feed = SignalFeed(source)
        feed.tell = { writeErrorLine("note: \($0)") }
        try feed.adopt(signal, manifest.network.input)
        let unit = signal.logMel == nil ? "line" : "frame"
        while let window = try await feed.next() {
            let logits = try window.values.withUnsafeBytes { try evaluator.logits(pixels: $0, missing: Set(missing)) }
            try tell(logits, "\(name), \(unit) \(window.place)", manifest)
        }
        try Task.checkCancellation()
    }

    /// Prints what logits say.
    private func tell(_ logits: [Float], _ file: String, _ manifest: ModelManifest) throws {
        guard logits.allSatisfy(\.isFinite) else {
            throw CommandError("\(file) gives numbers that are not finite: the weights of \(manifest.name) are damaged")
        }
        let softmax = logits.withUnsafeBufferPointer { Softmax($0) }
        let order = logits.indices.sorted { (logits[$1], $0) < (logits[$0], $1) }
        func probability(_ index: Int) -> Float { softmax.probability(of: logits[index]) }
        guard json else {
            let classes = order.prefix(top).map {
                "\(manifest.labels[$0].printable) (\(percent(Double(probability($0)), digits: 1)))"
            }
            return writeLine("\(file): \(classes.joined(separator: ", "))")
        }
        let report = Report(
            file: file, class: order[0], label: manifest.labels[order[0]], probability: probability(order[0]),
            logits: logits, missing: Set(missing).sorted())
        writeLine(try jsonLine(report))
    }

    private static func logits(
        of file: String, _ evaluator: BundleEvaluator, _ decoder: InputDecoder,
        _ preprocessing: ModelManifest.Preprocessing, missing: Set<Int>
    ) throws -> [Float] {
        guard !FileIO.isFolder(file) else {
            throw CommandError("\(file) is a folder: name the pictures in it, for example \(file)/*.png")
        }
        let bytes = try FileIO.read(file, limit: max(decoder.imageLimits.maximumBytes, decoder.shape.elementCount))
        return try bytes.withUnsafeBytes { bytes in
            do {
                switch try decoder.decode(bytes).1 {
                case .pixels(let range):
                    let pixels = UnsafeRawBufferPointer(rebasing: bytes[range])
                    return try evaluator.logits(pixels: pixels, missing: missing)
                case .decoded(let pixels, let notes):
                    for note in ImageNotes.all where notes.contains(note) {
                        writeErrorLine("note: \(file) is \(note.words(background: decoder.background))")
                    }
                    if Brightness.looksInverted(pixels, preprocessing) {
                        writeErrorLine("note: \(file) is \(Brightness.hint)")
                    }
                    return try pixels.withUnsafeBytes { try evaluator.logits(pixels: $0, missing: missing) }
                case .normalized(let range):
                    let numbers = UnsafeRawBufferPointer(rebasing: bytes[range])
                    return try evaluator.logits(normalized: numbers, missing: missing)
                }
            } catch let error as InputError {
                throw CommandError("cannot read \(file): \(error)")
            }
        }
    }
}
