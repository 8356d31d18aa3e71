import ArgumentParser
import LCPLocal
import LCPModels
import Platform

struct BenchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench", abstract: "Measure this machine.",
        subcommands: [MQTT.self, Lanes.self, Growth.self, Branch.self, Train.self])

    struct MQTT: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "mqtt",
            abstract: "What the pipeline's messages cost, beside the same pattern in bare C or another lcp.",
            usage: "lcp bench mqtt [<options>]",
            discussion: """
                Both sides use the same broker, transport and payload sizes, one process for each role, in turns. A latency \
                ratio below 1 and a frames ratio above 1 mean that this lcp is faster.

                With --against the roles of both programs are started anew in every round, and their start-up and memory are \
                compared, too. The ratios stand with the range of the middle half of the rounds: what a program shows against \
                itself is no difference.

                Examples:
                  swift build -c release --package-path Benchmarks
                  lcp bench mqtt --baseline Benchmarks/.build/release/bare-mqtt
                  lcp bench mqtt --against ../old/.build/release/lcp
                  lcp bench mqtt --against ./old-lcp --program ./old-lcp --json
                """)

        @Option(help: ArgumentHelp("The program bare-mqtt of Benchmarks/.", valueName: "path"), completion: .file())
        var baseline: String?

        @Option(
            help: ArgumentHelp("Another program lcp, for example an older one.", valueName: "path"), completion: .file()
        )
        var against: String?

        @Option(
            help: ArgumentHelp(
                "With --against: the lcp whose roles are compared, in place of this one's.", valueName: "path"),
            completion: .file())
        var program: String?

        @Option(help: "How often each side is measured, in turns; 7 by default, against another lcp 15.")
        var rounds: Int?

        @Option(help: "Frames of one measurement.")
        var frames = 2000

        @Option(help: ArgumentHelp("Only cases with this many branches; may be given several times.", valueName: "n"))
        var branches: [Int] = []

        @Flag(help: "Print one JSON object.")
        var json = false

        func validate() throws {
            guard (baseline == nil) != (against == nil) else {
                throw ValidationError(
                    "give --baseline with the program bare-mqtt of Benchmarks/, or --against with another lcp")
            }
            guard program == nil || against != nil else { throw ValidationError("--program needs --against") }
            guard rounds ?? 1 > 0, frames >= 100 else {
                throw ValidationError("--rounds is at least 1, --frames at least 100")
            }
        }

        private struct Report: Encodable {
            var results: [MessageBenchmark.Result]
            /// Of one branch and small inputs; nil where they cannot be counted.
            var instructions_per_message: MessageBenchmark.Instructions?
        }

        /// All cases, or those with the chosen numbers of branches.
        var cases: [MessageBenchmark.Case] {
            let small = Network.lenet.input
            let large = FeatureMapShape(height: 224, width: 224, channels: 3)
            var cases: [MessageBenchmark.Case] = []
            for input in [small, large] {
                for window in [1, 32] {
                    for count in [1, 4, 8] { cases.append(.init(branches: count, input: input, window: window)) }
                }
            }
            cases.append(.init(branches: 4, input: small, window: 1, computes: true, isBare: true))
            return branches.isEmpty ? cases : cases.filter { branches.contains($0.branches) }
        }

        func run() async throws {
            if let against { return try await compare(with: against, rounds: rounds ?? 15) }
            guard let baseline else { return }
            let rounds = rounds ?? 7
            let benchmark = try MessageBenchmark(baseline: baseline, rounds: rounds, frames: frames)
            let (chosen, json) = (cases, json)
            try await untilStopped {
                var report = Report(results: [])
                var table = Table(
                    [
                        "branches", "input", "in flight", "computes", "lcp µs", "C µs", "ratio", "lcp frames/s",
                        "C frames/s", "ratio",
                    ],
                    rightAligned: Set(0...9))
                var costs = Table(
                    [
                        "branches", "input", "in flight", "calls", "C calls", "switches", "C switches", "run µs",
                        "C run µs",
                    ], rightAligned: Set(0...8))
                let line = ProgressLine()
                for (index, test) in chosen.enumerated() {
                    let result = try await benchmark.run(test) { round in
                        let fraction = (Double(index) + Double(round) / Double(rounds + 1)) / Double(chosen.count)
                        line.show(fraction, "case \(index + 1) of \(chosen.count), round \(round)")
                    }
                    report.results.append(result)
                    table.add([
                        "\(result.branches)", "\(result.inputBytes) B", "\(result.inFlight)",
                        result.computes ? "LeNet" : "no",
                        fixed(result.latencyMicroseconds, digits: 1),
                        fixed(result.baselineLatencyMicroseconds, digits: 1),
                        fixed(result.latencyRatio, digits: 3), fixed(result.framesPerSecond, digits: 0),
                        fixed(result.baselineFramesPerSecond, digits: 0), fixed(result.framesRatio, digits: 3),
                    ])
                    let (mine, theirs) = (result.costs, result.baselineCosts)
                    func calls(_ costs: MessageBenchmark.Costs) -> String {
                        costs.systemCalls.map { fixed($0, digits: 2) } ?? "–"
                    }
                    costs.add([
                        "\(result.branches)", "\(result.inputBytes) B", "\(result.inFlight)", calls(mine),
                        calls(theirs),
                        fixed(mine.contextSwitches, digits: 2), fixed(theirs.contextSwitches, digits: 2),
                        fixed(mine.runTimeMicroseconds, digits: 1), fixed(theirs.runTimeMicroseconds, digits: 1),
                    ])
                }
                line.show(1, "counting instructions")
                report.instructions_per_message = try await benchmark.instructions(
                    .init(branches: 1, input: Network.lenet.input, window: 1))
                line.clear()
                guard !json else { return writeLine(try jsonLine(report)) }
                writeLine(table.text)
                writeLine(
                    "\nWhat a role needs for a message that it receives: system calls (strace counts them, where it is "
                        + "installed), context switches, and the time that it runs.\n\n" + costs.text)
                guard let counts = report.instructions_per_message else {
                    return writeLine("\nInstructions are counted where valgrind and strip (binutils) are installed.")
                }
                writeLine(
                    "\nInstructions for a message, one branch and 784 B, by callgrind:\n\n" + Self.table(counts).text)
            }
        }

        private static func table(_ counts: MessageBenchmark.Instructions) -> Table {
            let columns = [counts.worker, counts.baselineWorker, counts.aggregator, counts.baselineAggregator]
            var table = Table(["for", "worker", "C worker", "aggregator", "C aggregator"], rightAligned: [1, 2, 3, 4])
            func add(_ name: String, _ number: (InstructionCount) -> Double) {
                table.add([name] + columns.map { fixed(number($0), digits: 0) })
            }
            for cause in InstructionCount.Cause.allCases { add(cause.name) { $0.causes[cause] ?? 0 } }
            add("in all", \.total)
            return table
        }
    }
}

extension InstructionCount.Cause {
    fileprivate var name: String {
        switch self {
        case .libmosquitto: "libmosquitto"
        case .memory: "memory"
        case .copying: "copying bytes"
        case .swift: "Swift's library"
        case .role: "the role itself"
        case .system: "other libraries"
        }
    }
}
