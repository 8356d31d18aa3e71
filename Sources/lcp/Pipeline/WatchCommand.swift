import ArgumentParser
import FoundationEssentials
import LCPPipeline
import LCPWire
import MQTT
import Platform
import Synchronization

struct WatchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "watch",
        abstract: "Print predictions as they come.",
        discussion: """
            Examples:
              lcp watch
              lcp watch --broker mqtt://broker.local --pipeline kitchen
              lcp watch --config Configs/pipelines/kitchen.yaml
              lcp watch --json --count 100 > predictions.jsonl
            """)

    @OptionGroup var role: RoleOptions

    @Flag(help: "Print the messages as they are, one JSON object a line.")
    var json = false

    @Option(help: ArgumentHelp("Stop after so many predictions.", valueName: "n"))
    var count: Int?

    func validate() throws {
        if let count, count < 1 { throw ValidationError("--count is at least 1, not \(count)") }
    }

    func run() async throws {
        let configuration = try role.settings().configuration()
        let topics = try Topics(prefix: configuration.prefix, pipeline: configuration.pipeline)
        let (json, count) = (json, count)
        try await role.run {
            let client = try MQTTClient(configuration.mqtt)
            try await client.connect()
            let predictions = try await client.subscribe(to: topics.predictions, options: .init(qos: configuration.qos))
            Log("watch")("waiting for predictions on \(topics.predictions)")
            let watcher = Task { await Self.report(client.connectionStates) }
            let seenAny = Atomic<Bool>(false)
            let hint = client.eventLoop.schedule(after: .seconds(10)) {
                guard !seenAny.load(ordering: .relaxed) else { return }
                Log("watch")(
                    "nothing came in 10 s: do a sensor, workers and an aggregator run, and may this user read here?")
            }
            defer { hint.cancel() }
            var seen = 0
            let colours = takesColours(1)
            for try await message in predictions {
                guard let prediction = Prediction(message.payload) else {
                    Log("watch")("\(message.topic): \(message.payload.count) bytes that are no prediction")
                    continue
                }
                writeLine(
                    json
                        ? Log.printable(String(decoding: message.payload, as: UTF8.self))
                        : Self.line(prediction, colours: colours))
                seen += 1
                seenAny.store(true, ordering: .relaxed)
                if let count, seen >= count { break }
            }
            watcher.cancel()
            await client.close()
        }
    }

    private static func report(_ states: AsyncStream<MQTTConnectionState>) async {
        var isLost = false
        for await state in states {
            switch state {
            case .waiting(let error, _) where !isLost:
                isLost = true
                Log("watch")("\(error); trying again until it is back")
            case .connected where isLost:
                isLost = false
                Log("watch")("connected again")
            default: break
            }
        }
    }

    static func line(_ prediction: Prediction, colours: Bool) -> String {
        func padded(_ text: String, _ width: Int) -> String {
            text + String(repeating: " ", count: max(0, width - text.count))
        }
        func right(_ text: String, _ width: Int) -> String {
            String(repeating: " ", count: max(0, width - text.count)) + text
        }
        var line = padded(Log.printable(prediction.sensor), 12) + "  " + right(Log.printable(prediction.frame), 8)
        line += "  " + padded(Log.printable(prediction.label), 10)
        line += right(prediction.confidence.map { percent($0, digits: 1) } ?? "", 8)
        line += right(prediction.latencyMilliseconds.map { fixed($0, digits: 1) + " ms" } ?? "", 10)
        let all = prediction.branches.count + prediction.missing.count
        line += "  \(prediction.branches.count)/\(all) branches"
        if !prediction.missing.isEmpty {
            let missing = "  missing " + prediction.missing.map(String.init).joined(separator: ", ")
            line += colours ? "\u{1B}[33m\(missing)\u{1B}[0m" : missing
        }
        if let truth = prediction.truth {
            let isRight = truth == prediction.class
            let mark = isRight ? "  right" : "  wrong: it is \(truth)"
            line += colours ? "\u{1B}[\(isRight ? 32 : 31)m\(mark)\u{1B}[0m" : mark
        }
        return line
    }
}
