import ArgumentParser
import FoundationEssentials
import Glibc
import LCPHardware
import LCPLab
import LCPLocal
import LCPModels
import Platform

/// Runs experiments of the kind `speedup`.
struct SpeedupCommand {
    var file: String
    var out: String
    var only: [String]
    var pictures: String?
    var engines: String?
    var json: Bool

    func run() async throws {
        let experiment = try SpeedupExperiment(path: file)
        let engines = try engines.map { try EngineTimes(path: $0) } ?? EngineTimes()
        try ExperimentCommand.check(only, among: experiment.runs.map(\.name))
        try FileIO.makeFolder(out)
        let runner = SpeedupRunner(experiment, folder: out, lcp: try ownProgram(), pictures: pictures, engines: engines)
        {
            let shape = try ArrayShape(rows: $1.rows, columns: $1.columns)
            return Duration(clocks: try $0.slowestProgram(on: shape).clocks, megahertz: $1.megahertz)
        }
        if Lab.obstacle != nil {
            writeErrorLine("without root the devices are plain processes, without links and memory of their own")
        }
        if engines.isEmpty {
            writeErrorLine("originals are timed with lcp alone: --engines adds ONNX Runtime and OpenVINO")
        }
        let command = self
        try await ExperimentCommand.untilStopped { try await command.measure(experiment, runner, engines) }
    }

    private func measure(
        _ experiment: SpeedupExperiment, _ runner: SpeedupRunner, _ engines: EngineTimes
    ) async throws {
        let (line, begin) = (ProgressLine(), ContinuousClock.now)
        var first: Int?
        let refusals = try await runner.run(only: only) { progress in
            first = first ?? progress.done
            let measured = progress.done - (first ?? 0)
            if !isTerminal(STDERR_FILENO) {
                writeErrorLine("\(progress.done + 1)/\(progress.total) \(progress.setting), \(progress.run)")
            }
            let elapsed = (ContinuousClock.now - begin).milliseconds / 1000
            let left =
                measured > 0
                ? "\(duration(elapsed / Double(measured) * Double(progress.total - progress.done))) left" : ""
            line.show(
                Double(progress.done) / Double(max(1, progress.total)), "\(progress.setting), \(progress.run)", left
            )
        } refused: { refusal in
            line.clear()
            writeErrorLine("\(refusal.setting), \(refusal.run): \(refusal.reason)")
        }
        let compute = !only.isEmpty ? [] : try compute(experiment, engines) { line.show(1, "compute alone, \($0)") }
        line.clear()
        var results = SpeedupResults(experiment, runner.records, compute: compute)
        results.rows.removeAll { !only.isEmpty && !only.contains($0.record.run.name) }
        try report(experiment, results, refusals)
    }

    /// Measured once, and kept.
    private func compute(
        _ experiment: SpeedupExperiment, _ engines: EngineTimes, progress: (String) -> Void
    ) throws -> [ComputeRatio] {
        guard let networks = experiment.compute else { return [] }
        let file = "\(out)/compute.json"
        if let bytes = try? FileIO.read(file, limit: 1 << 20),
            let kept = try? JSONDecoder().decode([ComputeRatio].self, from: Data(bytes))
        {
            return kept
        }
        let measured = try ComputeRatio.measure(networks, engines, progress: progress)
        try FileIO.write(Array(try jsonLine(measured).utf8) + [10], to: file)
        return measured
    }

    private func report(
        _ experiment: SpeedupExperiment, _ results: SpeedupResults, _ refusals: Int
    ) throws {
        if only.isEmpty {
            try FileIO.write(Array(try jsonLine(results).utf8) + [10], to: "\(out)/results.json")
            try FileIO.write(Array(SpeedupReport(experiment, results).html.utf8), to: "\(out)/index.html")
        }
        if json { writeLine(try jsonLine(results)) } else { show(experiment, results) }
        guard refusals == 0 else {
            throw CommandError("\(refusals) of the runs were not measured: the same command again tries them")
        }
    }

    private func show(_ experiment: SpeedupExperiment, _ results: SpeedupResults) {
        for setting in experiment.settings {
            let rows = results.rows(of: setting.name)
            guard let first = rows.first else { continue }
            writeLine("\(setting.name): \(setting.about); \(first.record.label)\n")
            var table = Table(
                ["run", "mean ms", "p50", "p99", "faster", "paper", "bound ms", "p50/bound", "p99/bound", "frames/s"],
                rightAligned: Set(1...9), optional: [9, 8, 3, 2])
            for row in rows {
                let record = row.record
                func text(_ value: Double?, _ digits: Int = 1) -> String {
                    value.map { fixed($0, digits: digits) } ?? ""
                }
                table.add([
                    record.run.name, text(record.latency.mean), text(record.latency.p50), text(record.latency.p99),
                    text(row.speedup), text(row.paperSpeedup), text(record.boundMilliseconds),
                    text(record.overBoundP50, 2), text(record.overBoundP99, 2), text(record.framesPerSecond),
                ])
            }
            writeLine(table.text + "\n")
        }
        if results.planned.of > 0 {
            writeLine(
                "lcp plan was within 15 % of the measured latency in \(results.planned.within) of \(results.planned.of) "
                    + "runs\n")
        }
        if !results.compute.isEmpty {
            let ratios = results.compute.map(\.ratio)
            writeLine(
                "compute alone: geometric mean \(fixed(ratios.geometricMean, digits: 2)), highest "
                    + "\(fixed(ratios.max() ?? 0, digits: 1))\n")
        }
        if only.isEmpty { writeLine("charts: \(out)/index.html") }
    }
}
