import ArgumentParser
import LCPLocal
import Platform

extension BenchCommand {
    struct Growth: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "growth",
            abstract: "What a frame costs broker, aggregator, worker and sensor, and what one of each bears.",
            discussion: """
                Processor time of each process for a frame, its messages alone: workers send zeros. "light" is where every message \
                wakes somebody up, "busy" where nobody has a pause. Then what acknowledged messages and a second aggregator cost, \
                and what roles cost without a frame. Documentation/scaling.md tells how to use the figures; lcp plan does, \
                with --costs. It takes about two minutes.

                Examples:
                  lcp bench growth
                  lcp bench growth --json > costs.json
                  lcp plan vgg16 --profile rpi4 --devices 8 --rate 5 --costs costs.json
                """)

        @Option(help: "How often each case is measured.")
        var rounds = 3

        @Option(help: "Frames of one measurement.")
        var frames = 2000

        @Option(help: "Frames a second of sixteen sensors together, where real ones send.")
        var rate = 2000.0

        @Option(
            help: ArgumentHelp("Only cases with 1, 2, 4 or 8 branches; may be given several times.", valueName: "n"))
        var branches: [Int] = []

        @Option(help: "How many pipelines run where there are many.")
        var pipelines = 20

        @Option(help: "How long real sensors are watched, seconds; statistics are sent every five.")
        var seconds = 5.0

        @Flag(help: "Print one JSON object.")
        var json = false

        func validate() throws {
            guard rounds > 0, frames >= 100 else {
                throw ValidationError("--rounds is at least 1, --frames at least 100")
            }
            guard (16...100_000).contains(rate) else { throw ValidationError("--rate is 16 to 100,000") }
            guard branches.allSatisfy([1, 2, 4, 8].contains) else {
                throw ValidationError("--branches is 1, 2, 4 or 8")
            }
            guard (1...200).contains(pipelines) else { throw ValidationError("--pipelines is 1 to 200") }
            guard (0.5...600).contains(seconds) else { throw ValidationError("--seconds is 0.5 to 600") }
        }

        func run() async throws {
            let benchmark = try GrowthBenchmark(
                machine: Processors.description, rounds: rounds, frames: frames, rate: rate, branches: branches,
                pipelines: pipelines,
                seconds: seconds)
            let json = json
            try await untilStopped {
                let line = ProgressLine()
                defer { line.clear() }
                let begin = ContinuousClock.now
                let result = try await benchmark.run { part, words in
                    let seconds = (ContinuousClock.now - begin).milliseconds / 1000
                    let left = part > 0.05 ? ", \(duration(seconds / part * (1 - part))) left" : ""
                    line.show(part, words + left)
                }
                line.clear()
                if json { writeLine(try jsonLine(result)) } else { show(result) }
            }
        }
    }
}

private func show(_ result: GrowthBenchmark.Result) {
    let costs = result.costs
    func number(_ value: Double) -> String { fixed(value, digits: 1) }
    writeLine("\(costs.machine): microseconds of a core for a frame\n")
    var seen = Table(
        ["branches", "input", "features", "prediction", "in flight", "frames/s", "broker", "aggregator", "worker"],
        rightAligned: Set(0...8))
    for row in result.seen {
        seen.add([
            "\(row.branches)", "\(row.inputBytes) B", "\(row.featureBytes) B", "\(row.predictionBytes) B",
            "\(row.inFlight)",
            fixed(row.framesPerSecond, digits: 0), number(row.brokerMicroseconds), number(row.aggregatorMicroseconds),
            number(row.workerMicroseconds),
        ])
    }
    writeLine(seen.text)
    writeLine("\nAs a sum, \(percent(result.error, digits: 0)) from these on average:\n")
    if Set(result.seen.map(\.branches)).count < 2 {
        writeLine("With one number of branches, what a frame costs and what a message cannot be told apart.\n")
    }
    var sums = Table(
        ["µs", "load", "frame", "message", "1,000 bytes", "1 M multiplications", "QoS 1"],
        rightAligned: Set(2...6))
    for (place, range) in zip(
        FrameCosts.Place.allCases, [costs.broker, costs.aggregator, costs.worker, costs.sensor])
    {
        for (load, cost) in [("light", range.light), ("busy", range.busy)] {
            sums.add([
                place.rawValue, load, number(cost.frameMicroseconds), number(cost.messageMicroseconds),
                fixed(cost.kilobyteMicroseconds, digits: 2), number(cost.millionMicroseconds),
                "× \(fixed(costs.acknowledged[place], digits: 2))",
            ])
        }
    }
    writeLine(sums.text)
    writeLine(
        "\nEach of two aggregators: \(fixed(costs.eachOfTwoAggregators, digits: 2)) of what one alone uses, at "
            + "\(fixed(result.framesPerSecond, digits: 0)) frames a second of 16 sensors.")
    let standing = costs.standing
    writeLine(
        "Without a frame, a second: broker \(number(standing.brokerMicroseconds)) µs and "
            + "\(number(standing.brokerKiB)) KiB for each role, aggregator \(number(standing.aggregatorMicroseconds)) µs, "
            + "worker \(number(standing.workerMicroseconds)) µs.")
    writeLine("\nReal sensors, which the sums know nothing of:\n")
    var checks = Table(
        ["busy", "pipelines", "frames/s", "by the sums", "seen"], rightAligned: Set(1...4))
    for check in result.checks {
        checks.add([
            check.place.rawValue, "\(check.pipelines)", fixed(check.framesPerSecond, digits: 0),
            percent(check.expected, digits: 1), percent(check.seen, digits: 1),
        ])
    }
    writeLine(checks.text)
}
