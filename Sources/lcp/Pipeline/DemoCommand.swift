import ArgumentParser
import Glibc
import LCPLocal
import LCPModels
import LCPPipeline
import LCPWire
import Platform
import Synchronization

struct DemoCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "demo",
        abstract: "Watch a whole pipeline work on this machine.",
        usage: "lcp demo [<options>]",
        discussion: """
            It starts a broker on a free port, one process for each branch, an aggregator and a sensor that draws digits or \
            shows pictures. They talk through the broker only. Nothing is left behind.

            Pictures in a folder for each class, named like the model's labels, show how often it is right.

            Examples:
              lcp demo
              lcp demo --branches 8 --rate 100 --frames 1000
              lcp demo --model my-cifarnet --source cifar10:FOLDER
              lcp demo --model my-flowers --source dir:pictures --rate 2
              lcp demo --aggregators 2 --frames 1000
              lcp demo --json | tail -n 1
            """)

    @Option(help: "Branches of the LeNet that comes with lcp, and so worker processes: 1, 2, 4 or 8; 4 by default.")
    var branches: Int?

    @Option(help: "A model bundle in its place: a folder, or the name of one that came with lcp.", completion: .bundle)
    var model: String?

    @Option(
        help: "Where frames come from: drawn, dir:FOLDER, or any other source of lcp sensor but stdin.",
        completion: .source)
    var source = "drawn"

    @Option(help: "The most frames that the sensor sends.")
    var frames = 300

    @Option(help: ArgumentHelp("Frames per second.", valueName: "hz"))
    var rate = 30.0

    @Option(
        help: ArgumentHelp("How long the aggregator waits for the other branches, in milliseconds.", valueName: "ms"))
    var deadline = 100.0

    @Option(help: ArgumentHelp("How many aggregators share the sensors; with several at QoS 1.", valueName: "n"))
    var aggregators = 1

    @Flag(help: "Print one JSON object as the last line, and nothing live.")
    var json = false

    func validate() throws {
        if let branches {
            guard model == nil else {
                throw ValidationError("give --branches or --model: a bundle has branches of its own")
            }
            guard [1, 2, 4, 8].contains(branches) else {
                throw ValidationError("--branches is 1, 2, 4 or 8: those models come with lcp")
            }
        }
        guard (1...8).contains(aggregators) else { throw ValidationError("--aggregators is 1 to 8") }
        guard frames > 0 else { throw ValidationError("--frames is at least 1") }
        guard rate > 0, rate <= 100_000 else { throw ValidationError("--rate is more than 0 and at most 100,000") }
        guard deadline > 0, deadline <= 3_600_000 else {
            throw ValidationError("--deadline is more than 0 and at most 3,600,000 ms")
        }
    }

    func run() async throws {
        var options = Demo.Options()
        options.model = model ?? "lenet-split\(branches ?? 4)"
        options.source = source
        options.frames = frames
        options.rate = rate
        options.deadline = deadline
        options.aggregators = aggregators
        let demo = try Demo(options: options)
        let json = json
        let view = Mutex(DemoView(demo.model, isLive: !json && takesColours(STDOUT_FILENO), isQuiet: json))
        try await untilStopped(.usual) {
            defer { view.withLock { $0.end() } }
            let summary = try await demo.run { event in view.withLock { $0.show(event) } }
            view.withLock { $0.end() }
            if json { writeLine(try jsonLine(summary)) } else { writeLine(Self.text(summary)) }
            if let complaint = summary.complaint { throw CommandError("the sensor: \(complaint)") }
        }
    }

    private static func text(_ summary: DemoSummary) -> String {
        """

        \(summary.model.printable): \(summary.frames) frames, \(summary.predictions) predictions, \(summary.incomplete) incomplete, \(summary.lost) lost, \
        \(summary.accuracy.map { "\(percent($0)) right, " } ?? "")in \(summary.branches) \
        branch\(summary.branches == 1 ? "" : "es")
        latency \(fixed(summary.latencyP50, digits: 2)) ms (median), \(fixed(summary.latencyP99, digits: 2)) ms (99th percentile); \
        \(fixed(summary.framesPerSecond, digits: 1)) frames per second
        """
    }
}

/// Draws the demo: in place on a terminal, a line a second elsewhere.
struct DemoView {
    private let model: ModelManifest
    private let isLive: Bool
    private let isQuiet: Bool
    private var drawnLines = 0
    private var lastLine: (time: ContinuousClock.Instant, frame: UInt64)?
    private var hasEnded = false

    init(_ model: ModelManifest, isLive: Bool, isQuiet: Bool) {
        self.model = model
        self.isLive = isLive
        self.isQuiet = isQuiet
    }

    mutating func show(_ event: Demo.Event) {
        guard !hasEnded, !isQuiet else { return }
        switch event {
        case .step(let text): writeLine(text)
        case .tick(let seen):
            if isLive { draw(seen) } else { log(seen) }
        }
    }

    mutating func end() {
        guard !hasEnded else { return }
        hasEnded = true
        if drawnLines > 0 { writeText("\u{1B}[?25h") }
    }

    private mutating func log(_ seen: DemoTracker) {
        let now = ContinuousClock.now
        guard let last = seen.last, let prediction = last.prediction else { return }
        if let lastLine, now - lastLine.time < .seconds(1) || last.number == lastLine.frame { return }
        lastLine = (now, last.number)
        writeLine("frame \(last.number): \(sentence(prediction)); \(figures(seen))")
    }

    private func sentence(_ prediction: Prediction) -> String {
        let truth = prediction.truth.map { $0 == prediction.class ? ", right" : ", but it is \(label($0))" } ?? ""
        return "it is \(Log.printable(prediction.label)) (\(percent(prediction.confidence ?? 0, digits: 1)))\(truth)"
    }

    private func label(_ index: Int) -> String {
        model.labels.indices.contains(index) ? Log.printable(model.labels[index]) : "class \(index)"
    }

    /// How often it was right, where anybody knows.
    private func accuracy(_ seen: DemoTracker) -> String {
        seen.judged > 0 ? "\(percent(seen.accuracy, digits: 1)) of \(seen.judged) right" : "truth unknown"
    }

    private func figures(_ seen: DemoTracker) -> String {
        "\(accuracy(seen)), "
            + "latency \(fixed(seen.latency(50), digits: 1)) ms, p99 \(fixed(seen.latency(99), digits: 1)) ms, "
            + "\(fixed(seen.framesPerSecond, digits: 1)) frames/s"
    }

    private mutating func draw(_ seen: DemoTracker) {
        var right = [
            "",
            seen.last?.prediction.map { "\u{1B}[1m" + sentence($0) + "\u{1B}[0m" }
                ?? "waiting for the first prediction",
            "",
            "model        \(Log.printable(model.name))",
            "frames       \(seen.frames)",
            "accuracy     \(accuracy(seen))",
            "latency      \(fixed(seen.latency(50), digits: 2)) ms median, \(fixed(seen.latency(99), digits: 2)) ms p99",
            "rate         \(fixed(seen.framesPerSecond, digits: 1)) frames per second",
            "incomplete   \(seen.incomplete)",
            "",
        ]
        for branch in model.network.branches.indices {
            let worker = seen.workers[branch]
            let state = worker?.state.rawValue ?? "starting"
            let colour = worker?.state == .ready ? 32 : 31
            let process = worker?.processID.map { "  process \($0)" } ?? ""
            right.append("branch \(branch)     \u{1B}[\(colour)m\(state)\u{1B}[0m\(process)")
        }
        let picture = TerminalPicture(seen.last?.pixels ?? [], model.network.input)
        var text = drawnLines > 0 ? "\u{1B}[\(drawnLines)A" : "\u{1B}[?25l"
        let lines = max(picture.lines.count, right.count)
        for index in 0..<lines {
            let left = index < picture.lines.count ? picture.lines[index] : String(repeating: " ", count: picture.width)
            text += "\r\u{1B}[K  \(left)   \(index < right.count ? right[index] : "")\n"
        }
        drawnLines = lines
        writeText(text)
    }
}
