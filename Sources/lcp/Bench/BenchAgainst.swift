import LCPLocal
import LCPModels
import Platform

/// `lcp bench mqtt --against`: this program beside another lcp.
extension BenchCommand.MQTT {
    private struct Report: Encodable {
        struct Role: Encodable {
            var role: String
            var startup_ms: Double
            var against_startup_ms: Double
            var startup_ratio: PairedBenchmark.Spread
            var resident_kib: Double
            var against_resident_kib: Double
            var resident_ratio: PairedBenchmark.Spread

            init(_ result: PairedBenchmark.RoleResult) {
                role = result.role.rawValue
                (startup_ms, against_startup_ms) = (result.startupMilliseconds.this, result.startupMilliseconds.other)
                startup_ratio = result.startupMilliseconds.ratio
                (resident_kib, against_resident_kib) = (result.residentKiB.this, result.residentKiB.other)
                resident_ratio = result.residentKiB.ratio
            }
        }

        struct Case: Encodable {
            var branches: Int
            var input_bytes: Int
            var in_flight: Int
            var computes: Bool
            var latency_p50_us: Double
            var against_latency_p50_us: Double
            var latency_ratio: PairedBenchmark.Spread
            var frames_per_s: Double
            var against_frames_per_s: Double
            var frames_ratio: PairedBenchmark.Spread

            init(_ result: PairedBenchmark.Result) {
                branches = result.test.branches
                input_bytes = result.test.input.elementCount
                in_flight = result.test.window
                computes = result.test.computes
                let (latency, frames) = (result.latencyMicroseconds, result.framesPerSecond)
                (latency_p50_us, against_latency_p50_us, latency_ratio) = (latency.this, latency.other, latency.ratio)
                (frames_per_s, against_frames_per_s, frames_ratio) = (frames.this, frames.other, frames.ratio)
            }
        }

        var program: String
        var against: String
        var rounds: Int
        var frames: Int
        var roles: [Role] = []
        var results: [Case] = []
    }

    /// About how long a round takes, in no unit.
    private static func cost(_ test: MessageBenchmark.Case) -> Double {
        Double(test.branches + 2) * (1 + Double(test.input.elementCount) / 30_000)
    }

    func compare(with other: String, rounds: Int) async throws {
        let benchmark = try PairedBenchmark(program, against: other, rounds: rounds, frames: frames)
        let (cases, frames, json) = (cases, frames, json)
        let alone = MessageBenchmark.Case(branches: 1, input: Network.lenet.input, window: 1, computes: true)
        try await untilStopped {
            var report = Report(program: benchmark.program, against: other, rounds: rounds, frames: frames)
            let line = ProgressLine()
            defer { line.clear() }
            let begin = ContinuousClock.now
            let total = cases.reduce(Self.cost(alone)) { $0 + Self.cost($1) }
            var done = 0.0
            func show(_ test: MessageBenchmark.Case, _ words: String, _ round: Int) {
                let fraction = (done + Self.cost(test) * Double(round - 1) / Double(rounds)) / total
                let seconds = (ContinuousClock.now - begin).milliseconds / 1000
                let left = fraction > 0 ? ", \(duration(seconds / fraction * (1 - fraction))) left" : ""
                line.show(fraction, "\(words), round \(round) of \(rounds)\(left)")
            }
            report.roles = try await benchmark.measureRoles(alone) { show(alone, "roles", $0) }.map { .init($0) }
            done += Self.cost(alone)
            for (index, test) in cases.enumerated() {
                let result = try await benchmark.run(test) { show(test, "case \(index + 1) of \(cases.count)", $0) }
                report.results.append(.init(result))
                done += Self.cost(test)
            }
            line.clear()
            writeLine(json ? try jsonLine(report) : Self.text(report))
        }
    }

    private static func text(_ report: Report) -> String {
        func ratio(_ spread: PairedBenchmark.Spread) -> String {
            "\(fixed(spread.median, digits: 3)) (\(fixed(spread.lowerQuartile, digits: 3))–"
                + "\(fixed(spread.upperQuartile, digits: 3)))"
        }
        var roles = Table(
            ["role", "start ms", "other ms", "ratio (25–75 %)", "memory KiB", "other KiB", "ratio (25–75 %)"],
            rightAligned: Set(1...6))
        for role in report.roles {
            roles.add([
                role.role, fixed(role.startup_ms, digits: 1), fixed(role.against_startup_ms, digits: 1),
                ratio(role.startup_ratio), fixed(role.resident_kib, digits: 0),
                fixed(role.against_resident_kib, digits: 0), ratio(role.resident_ratio),
            ])
        }
        var cases = Table(
            [
                "branches", "input", "in flight", "computes", "µs", "other µs", "ratio (25–75 %)", "frames/s",
                "other frames/s", "ratio (25–75 %)",
            ],
            rightAligned: Set(0...9))
        for result in report.results {
            cases.add([
                "\(result.branches)", "\(result.input_bytes) B", "\(result.in_flight)",
                result.computes ? "LeNet" : "no", fixed(result.latency_p50_us, digits: 1),
                fixed(result.against_latency_p50_us, digits: 1), ratio(result.latency_ratio),
                fixed(result.frames_per_s, digits: 0), fixed(result.against_frames_per_s, digits: 0),
                ratio(result.frames_ratio),
            ])
        }
        return """
            \(report.program) by \(report.against), \(report.rounds) rounds of \(report.frames) frames

            \(roles.text)

            \(cases.text)
            """
    }
}
