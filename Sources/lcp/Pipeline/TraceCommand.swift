import ArgumentParser
import LCPLab
import LCPPipeline
import LCPWire
import MQTT
import Platform

struct TraceCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "trace",
        abstract: "Show where the time of a live pipeline's frames goes.",
        discussion: """
            From what the messages carry: capture, encoding, the way to the broker and to each branch, queue, decoding, computing, \
            and the way back. Workers tell their times where they send --features fp16 or int8. Clocks of devices differ; by how \
            much they may, the messages limit, since none comes before it was sent, and the range is shown.

            Run it on the broker's machine, where it costs no link a copy of the frames, and where what it sees is when the broker \
            had it.

            Examples:
              lcp trace --broker mqtt://broker.local --pipeline kitchen
              lcp trace --sensor door --frames 100 --svg trace.svg
              lcp trace --json
            """)

    @OptionGroup var role: RoleOptions

    @Option(help: ArgumentHelp("Only this sensor's frames.", valueName: "id"))
    var sensor: String?

    @Option(help: "How many frames are traced; the one in the middle by its latency is shown.")
    var frames = 20

    @Option(name: .customLong("for"), help: ArgumentHelp("The longest wait for them.", valueName: "seconds"))
    var seconds = 30.0

    @Option(help: ArgumentHelp("Also write the frame as a chart, an SVG file.", valueName: "file"), completion: .file())
    var svg: String?

    @Flag(help: "Print all frames as one JSON object.")
    var json = false

    func validate() throws {
        guard (1...10_000).contains(frames) else { throw ValidationError("--frames is 1 to 10,000") }
        guard seconds > 0, seconds <= 86_400 else {
            throw ValidationError("--for is more than 0 and at most 86,400 seconds")
        }
    }

    func run() async throws {
        let configuration = try role.settings().configuration()
        let command = self
        try await role.run {
            let trace = try await PipelineTrace.collect(
                configuration, sensor: command.sensor, frames: command.frames, patience: .seconds(command.seconds))
            try command.show(trace)
        }
    }

    private func show(_ trace: PipelineTrace) throws {
        let silent = trace.silentBranches.first.map {
            "branch \($0) tells no times, because its worker sends fp32: start workers with --features fp16"
        }
        guard let frame = trace.median else {
            if let silent { throw CommandError(silent) }
            throw CommandError(
                "no frame of which all messages were seen in \(fixed(seconds, digits: 0)) s: does the pipeline run, and may this "
                    + "user read all of it? lcp status tells")
        }
        if let silent { writeErrorLine(silent) }
        if let svg {
            let chart = frame.chart(
                title: "Frame \(frame.frame) of \(frame.sensor)",
                summary: "The one in the middle of \(trace.traces.count) by its latency; \(clocks(trace))")
            do { try FileIO.write(Array(chart.svg(width: 960).utf8), to: svg) } catch {
                throw CommandError("--svg \(svg) cannot be written: \(error)")
            }
        }
        if json { return writeLine(try jsonLine(trace)) }
        let latency = frame.latencyMilliseconds.map { "\(fixed($0, digits: 1)) ms" } ?? "of unknown latency"
        writeLine(
            "frame \(frame.frame.printable) of \(frame.sensor.printable), \(latency), the one in the middle of "
                + "\(trace.traces.count); milliseconds since its capture\n")
        var table = Table(["", "from", "to", "took", ""], rightAligned: [1, 2, 3])
        let end = frame.lanes.flatMap(\.spans).map(\.end).max() ?? 0
        for lane in frame.lanes {
            for span in lane.spans where span.end - span.begin >= 0.005 {
                table.add([
                    "\(lane.name) \(span.kind.rawValue)", fixed(span.begin, digits: 2), fixed(span.end, digits: 2),
                    fixed(span.end - span.begin, digits: 2), Self.bar(span.begin, span.end, of: end),
                ])
            }
        }
        writeLine(table.text)
        writeLine("\n" + clocks(trace))
    }

    private func clocks(_ trace: PipelineTrace) -> String {
        func number(_ value: Double) -> String { value.isFinite ? fixed(value, digits: 1) : "…" }
        let words = trace.clocks.map {
            "\($0.device) \(number($0.estimate)) (\(number($0.lowest)) to \(number($0.highest)))"
        }
        return "clocks ahead of the sensor's, ms: \(words.joined(separator: ", "))"
    }

    /// Where a span lies, in 30 columns.
    private static func bar(_ begin: Double, _ end: Double, of total: Double) -> String {
        guard total > 0 else { return "" }
        let from = max(0, min(29, Int(begin / total * 30)))
        let to = max(from + 1, min(30, Int((end / total * 30).rounded())))
        return String(repeating: "·", count: from) + String(repeating: "█", count: to - from)
    }
}
