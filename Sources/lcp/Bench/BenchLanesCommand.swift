import ArgumentParser
import LCPLocal
import LCPModels

extension BenchCommand {
    struct Lanes: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "lanes",
            abstract: "What dealing frames to lanes costs, beside the broker's shared subscriptions.",
            discussion: """
                The same workers and the same aggregator answer frames that come to them in the one way and the other, in turns. \
                A latency ratio below 1 and a frames ratio above 1 mean that lanes are faster.

                Examples:
                  lcp bench lanes
                  lcp bench lanes --rounds 15 --json
                """)

        @Option(help: "How often each way is measured, in turns.")
        var rounds = 7

        @Option(help: "Frames of one measurement.")
        var frames = 2000

        @Flag(help: "Print one JSON object.")
        var json = false

        func validate() throws {
            guard rounds > 0, frames >= 100 else {
                throw ValidationError("--rounds is at least 1, --frames at least 100")
            }
        }

        private struct Report: Encodable {
            var results: [LaneBenchmark.Result]
        }

        private static let cases: [(test: MessageBenchmark.Case, replicas: Int)] = {
            let large = FeatureMapShape(height: 224, width: 224, channels: 3)
            return [Network.lenet.input, large].flatMap { input in
                [1, 32].flatMap { window in
                    [1, 2].map { (.init(branches: 4, input: input, window: window), $0) }
                }
            }
        }()

        func run() async throws {
            let benchmark = try LaneBenchmark(rounds: rounds, frames: frames)
            let (rounds, json) = (rounds, json)
            try await untilStopped {
                var report = Report(results: [])
                var table = Table(
                    [
                        "branches", "workers each", "input", "in flight", "lanes µs", "shared µs", "ratio",
                        "lanes frames/s", "shared frames/s", "ratio",
                    ], rightAligned: Set(0...9))
                let line = ProgressLine()
                for (index, (test, replicas)) in Self.cases.enumerated() {
                    let result = try await benchmark.run(test, replicas: replicas) { round in
                        let fraction =
                            (Double(index) + Double(round) / Double(rounds + 1)) / Double(Self.cases.count)
                        line.show(fraction, "case \(index + 1) of \(Self.cases.count), round \(round)")
                    }
                    report.results.append(result)
                    table.add([
                        "\(result.branches)", "\(result.replicas)", "\(result.inputBytes) B", "\(result.inFlight)",
                        fixed(result.lanesLatencyMicroseconds, digits: 1),
                        fixed(result.sharedLatencyMicroseconds, digits: 1), fixed(result.latencyRatio, digits: 3),
                        fixed(result.lanesFramesPerSecond, digits: 0), fixed(result.sharedFramesPerSecond, digits: 0),
                        fixed(result.framesRatio, digits: 3),
                    ])
                }
                line.clear()
                writeLine(json ? try jsonLine(report) : table.text)
            }
        }
    }
}
