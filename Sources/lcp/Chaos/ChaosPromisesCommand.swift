import ArgumentParser
import LCPWire
import ResilienceTrials

extension ChaosCommand {
    struct Promises: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "promises",
            abstract: "Put pipelines on this machine through every fault, and see whether lcp keeps what it promises.",
            usage: "lcp chaos promises [<options>]",
            discussion: """
                Each trial starts a mosquitto and real processes of its own and leaves nothing behind. What is promised stands \
                beside what was seen; Documentation/promises.md has what we saw. In full it takes eight minutes without \
                stream and cluster, which last an hour each.

                Examples:
                  lcp chaos promises --list
                  lcp chaos promises --only kill --only pause
                  lcp chaos promises --scale 0.2             a quick look
                  lcp chaos promises --only stream --stream 600
                """)

        @Option(
            help: ArgumentHelp("Only this trial; may be given several times.", valueName: "trial"),
            transform: { name in
                guard let trial = Trial(rawValue: name) else {
                    throw ValidationError(
                        "there is no trial \(name.debugDescription), only \(Trial.allCases.map(\.rawValue).joined(separator: ", "))"
                    )
                }
                return trial
            })
        var only: [Trial] = []

        @Option(help: ArgumentHelp("Shorten the trials: 1 is their full length.", valueName: "factor"))
        var scale = 1.0

        @Option(help: ArgumentHelp("How long stream and cluster last.", valueName: "seconds"))
        var stream: Double?

        @Flag(help: "Only say which trials there are.")
        var list = false

        @Flag(help: "Print one JSON object.")
        var json = false

        func validate() throws {
            guard (0.1...1).contains(scale) else { throw ValidationError("--scale is 0.1 to 1") }
            if let stream, !(10...86_400).contains(stream) {
                throw ValidationError("--stream is 10 to 86,400 seconds")
            }
        }

        private struct Report: Encodable { var results: [TrialResult] }

        func run() async throws {
            if list {
                var table = Table(["trial", "fault"])
                for trial in Trial.allCases { table.add([trial.rawValue, trial.fault]) }
                return writeLine(table.text)
            }
            let runner = try TrialRunner(scale: scale, streamSeconds: stream)
            let (trials, json) = (only.isEmpty ? Trial.allCases : only, json)
            try await untilStopped {
                var report = Report(results: [])
                for trial in trials {
                    if !json { writeLine("\(trial.rawValue): \(trial.fault)") }
                    let result: TrialResult
                    do { result = try await runner.run(trial) } catch let error as PipelineError
                        where error.code == .unsuitableBroker && only.isEmpty
                    {
                        writeErrorLine("left out: \(error)")
                        continue
                    }
                    report.results.append(result)
                    if !json { writeLine(Self.table(result) + "\n") }
                }
                if json { writeLine(try jsonLine(report)) }
                let broken = report.results.filter { !$0.isKept }.map(\.trial.rawValue)
                if !broken.isEmpty {
                    throw CommandError("not kept on this machine: \(broken.joined(separator: ", "))")
                }
            }
        }

        private static func table(_ result: TrialResult) -> String {
            var table = Table(["figure", "seen", "promised", ""], rightAligned: [1, 2])
            for figure in result.figures {
                let promise =
                    figure.atMost.map { "≤ \(number($0))" } ?? figure.atLeast.map { "≥ \(number($0))" } ?? ""
                table.add([
                    figure.name.split(separator: "_").joined(separator: " "), number(figure.value), promise,
                    figure.isKept ? "" : "not kept",
                ])
            }
            return table.text
        }

        private static func number(_ value: Double) -> String {
            value == value.rounded() ? fixed(value, digits: 0) : fixed(value, digits: 2)
        }
    }
}
