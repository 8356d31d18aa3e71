import ArgumentParser
import Glibc
import LCPPipeline
import Synchronization

struct DemoCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "demo",
        abstract: "Watch a whole pipeline work on this machine.",
        discussion: """
            It starts a broker on a free port, one process for each branch, an aggregator and a sensor that draws digits. They \
            talk through the broker only. Nothing is left behind.

            Examples:
              lcp demo
              lcp demo --branches 8 --rate 100 --frames 1000
              lcp demo --json | tail -n 1
            """)

    @Option(help: "Branches, and so worker processes: 1, 2, 4 or 8.")
    var branches = 4

    @Option(help: "How many digits the sensor draws.")
    var frames = 300

    @Option(help: ArgumentHelp("Frames per second.", valueName: "hz"))
    var rate = 30.0

    @Flag(help: "Print one JSON object as the last line, and nothing live.")
    var json = false

    func validate() throws {
        guard [1, 2, 4, 8].contains(branches) else {
            throw ValidationError("--branches is 1, 2, 4 or 8: those models come with lcp")
        }
        guard frames > 0 else { throw ValidationError("--frames is at least 1") }
        guard rate > 0, rate <= 100_000 else { throw ValidationError("--rate is more than 0 and at most 100,000") }
    }

    func run() async throws {
        var options = Demo.Options()
        options.branches = branches
        options.frames = frames
        options.rate = rate
        let demo = try Demo(options: options)
        let json = json
        let view = Mutex(DemoView(isLive: !json && isTerminal(STDOUT_FILENO), isQuiet: json, branches: branches))
        try await untilStopped {
            defer { view.withLock { $0.end() } }
            let summary = try await demo.run { event in view.withLock { $0.show(event) } }
            view.withLock { $0.end() }
            if json { writeLine(try jsonLine(summary)) } else { writeLine(Self.text(summary)) }
        }
    }

    private static func text(_ summary: DemoSummary) -> String {
        """

        \(summary.frames) frames, \(summary.predictions) predictions, \(summary.lost) lost, \
        \(percent(summary.accuracy)) right, in \(summary.branches) branch\(summary.branches == 1 ? "" : "es")
        latency \(fixed(summary.latencyP50, digits: 2)) ms (median), \(fixed(summary.latencyP99, digits: 2)) ms (99th percentile); \
        \(fixed(summary.framesPerSecond, digits: 1)) frames per second
        """
    }
}

/// Draws the demo: in place on a terminal, a line a second elsewhere.
struct DemoView {
    private let isLive: Bool
    private let isQuiet: Bool
    private let branches: Int
    private var drawnLines = 0
    private var lastLine: ContinuousClock.Instant?
    private var hasEnded = false

    init(isLive: Bool, isQuiet: Bool, branches: Int) {
        self.isLive = isLive
        self.isQuiet = isQuiet
        self.branches = branches
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
        if let lastLine, now - lastLine < .seconds(1) { return }
        guard let last = seen.last, let prediction = last.prediction else { return }
        lastLine = now
        writeLine("frame \(last.number): \(sentence(prediction)); \(figures(seen))")
    }

    private func sentence(_ prediction: Prediction) -> String {
        let truth = prediction.truth.map { $0 == prediction.class ? ", right" : ", but it is \($0)" } ?? ""
        return "it is \(Log.printable(prediction.label)) (\(percent(prediction.confidence ?? 0, digits: 1)))\(truth)"
    }

    private func figures(_ seen: DemoTracker) -> String {
        "\(percent(seen.accuracy, digits: 1)) of \(seen.predictions) right, "
            + "latency \(fixed(seen.latency(50), digits: 1)) ms, p99 \(fixed(seen.latency(99), digits: 1)) ms, "
            + "\(fixed(seen.framesPerSecond, digits: 1)) frames/s"
    }

    private mutating func draw(_ seen: DemoTracker) {
        var right = [
            "",
            seen.last?.prediction.map { "\u{1B}[1m" + sentence($0) + "\u{1B}[0m" }
                ?? "waiting for the first prediction",
            "",
            "frames       \(seen.frames)",
            "accuracy     \(percent(seen.accuracy, digits: 1))",
            "latency      \(fixed(seen.latency(50), digits: 2)) ms median, \(fixed(seen.latency(99), digits: 2)) ms p99",
            "rate         \(fixed(seen.framesPerSecond, digits: 1)) frames per second",
            "incomplete   \(seen.incomplete)",
            "",
        ]
        for branch in 0..<branches {
            let worker = seen.workers[branch]
            let state = worker?.state.rawValue ?? "starting"
            let colour = worker?.state == .ready ? 32 : 31
            let process = worker?.processID.map { "  process \($0)" } ?? ""
            right.append("branch \(branch)     \u{1B}[\(colour)m\(state)\u{1B}[0m\(process)")
        }
        let picture = Self.picture(seen.last?.pixels ?? [UInt8](repeating: 0, count: 784))
        var text = drawnLines > 0 ? "\u{1B}[\(drawnLines)A" : "\u{1B}[?25l"
        let lines = max(picture.count, right.count)
        for index in 0..<lines {
            let left = index < picture.count ? picture[index] : String(repeating: " ", count: 28)
            text += "\r\u{1B}[K  \(left)   \(index < right.count ? right[index] : "")\n"
        }
        drawnLines = lines
        writeText(text)
    }

    /// 28 × 28 pixels as 14 lines: each character is two pixels, one above the other.
    private static func picture(_ pixels: [UInt8]) -> [String] {
        guard pixels.count == 784 else { return [] }
        return (0..<14).map { row in
            var line = ""
            for column in 0..<28 {
                let upper = 232 + Int(pixels[2 * row * 28 + column]) * 23 / 255
                let lower = 232 + Int(pixels[(2 * row + 1) * 28 + column]) * 23 / 255
                line += "\u{1B}[38;5;\(upper);48;5;\(lower)m▀"
            }
            return line + "\u{1B}[0m"
        }
    }
}
