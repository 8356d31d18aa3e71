import ArgumentParser
import FoundationEssentials
import LCPEvaluation
import LCPLab
import LCPModels
import LCPTraining
import LCPWire
import Platform

struct ExperimentCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "experiment",
        abstract: "Train or measure what an experiment's file describes, and print a table.",
        usage: "lcp experiment <file> --out <folder> [--data <folder>] [<options>]",
        discussion: """
            A file of the kind "speedup" measures networks on emulated devices (lcp lab), others train. What is finished is \
            not done again, and what was cut short goes on: the same command again continues. Every training leaves a bundle in a folder of its own, and results.json and results.md hold what the test sets say. With \
            --only or --seed the part is only printed. A speedup writes results.json and index.html.

            Examples:
              lcp data fetch mnist --to data/mnist
              lcp experiment Configs/experiments/mnist.json --data data --out results/mnist
              lcp experiment Configs/experiments/mnist.json --data data \\
                  --out results/mnist --only lenet-split4 --seed 1
              sudo lcp experiment Configs/experiments/speedup.json --out speedup
            """)

    @Argument(help: "The experiment's file.", completion: .file())
    var file: String

    @Option(
        help: ArgumentHelp("The folder with a folder for each data set: mnist, cifar10, …", valueName: "folder"),
        completion: .directory)
    var data: String?

    @Option(help: ArgumentHelp("The folder of the results.", valueName: "folder"), completion: .directory)
    var out: String

    @Option(help: ArgumentHelp("Only this run, and its teacher; may be given several times.", valueName: "run"))
    var only: [String] = []

    @Option(help: ArgumentHelp("Only this seed; may be given several times.", valueName: "seed"))
    var seed: [UInt64] = []

    @Option(help: "Threads; the processor's cores by default. The result does not depend on it.")
    var threads: Int?

    @Flag(help: "Print the results as one JSON object.")
    var json = false

    @Option(
        help: ArgumentHelp(
            "Of a speedup: a folder of pictures that sensors send; synthetic photographs by default.",
            valueName: "folder"), completion: .directory)
    var pictures: String?

    @Option(
        help: ArgumentHelp(
            "Of a speedup: what Benchmarks/engines/compare.py --json wrote, so that originals get the fastest engine's time.",
            valueName: "file"), completion: .file())
    var engines: String?

    func validate() throws {
        guard Set(seed).count == seed.count else { throw ValidationError("a --seed is given twice") }
    }

    private struct Report: Codable {
        var experiment: String
        var results: [ExperimentResult]
    }

    func run() async throws {
        if SpeedupExperiment.isOne(file) {
            guard seed.isEmpty, threads == nil, data == nil else {
                throw CommandError("--seed, --threads and --data are for trainings; \(file) is a speedup")
            }
            return try await SpeedupCommand(
                file: file, out: out, only: only, pictures: pictures, engines: engines, json: json
            ).run()
        }
        guard pictures == nil, engines == nil else {
            throw CommandError("--pictures and --engines are for speedups; \(file) is a training")
        }
        let experiment = try Experiment(path: file)
        guard let data else { throw CommandError("give --data with the folder of the data sets") }
        try Self.check(only, among: experiment.runs.map(\.name))
        let command = self
        try await Self.untilStopped { try command.perform(experiment, data) }
    }

    /// - Throws: ``CommandError`` where a run of `--only` is not in the experiment.
    static func check(_ only: [String], among names: [String]) throws {
        for name in only where !names.contains(name) {
            throw CommandError("there is no run \(name): there are \(names.joined(separator: ", "))")
        }
    }

    /// Runs an experiment, and says where it is stopped that nothing is lost.
    static func untilStopped(_ body: @escaping @Sendable () async throws -> Void) async throws {
        try await lcp.untilStopped {
            do { try await body() } catch let stop as CancellationError {
                writeErrorLine("stopped: the same command again goes on")
                throw stop
            }
        }
    }

    private func perform(_ experiment: Experiment, _ data: String) throws {
        var wanted = Set(only)
        for run in experiment.runs.reversed() where wanted.contains(run.name) {
            if let teacher = run.teacher { wanted.insert(teacher) }
        }
        let runs = experiment.runs.filter { only.isEmpty || wanted.contains($0.name) }
        for run in runs { try experiment.check(run, data: data) }
        let seeds = seed.isEmpty ? experiment.seeds : seed
        let trainings = experiment.trainings(of: runs, seeds: seeds)
        for (index, (run, seed)) in trainings.enumerated() {
            var training = try experiment.training(run, seed: seed, data: data, folder: out)
            guard try !training.isFinished() else { continue }
            writeLine("\(index + 1)/\(trainings.count) \(run.name), seed \(seed)")
            training.threads = threads
            defer { FileIO.removeEmptyFolder("\(out)/\(run.name)") }
            let reporter = TrainingReporter(prefix: "  ")
            let bundle = try training.run(existing: .resume) { event in
                reporter.show(event)
                return !Task.isCancelled
            }
            try TrainingFigure.write(bundle, to: "\(training.folder)/training.svg")
        }
        let report = Report(
            experiment: experiment.name,
            results: try runs.flatMap { try evaluate(experiment, $0, seeds: seeds, data) })
        let table = Self.markdown(experiment, report)
        if only.isEmpty, seed.isEmpty {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
            try FileIO.write(Array(try encoder.encode(report)) + [UInt8(ascii: "\n")], to: "\(out)/results.json")
            try FileIO.write(Array(table.utf8), to: "\(out)/results.md")
        }
        writeLine(json ? try jsonLine(report) : table)
    }

    /// One result for every data set with a test set.
    private func evaluate(
        _ experiment: Experiment, _ run: Experiment.Run, seeds: [UInt64], _ data: String
    ) throws -> [ExperimentResult] {
        let line = ProgressLine()
        defer { line.clear() }
        let bundles = try seeds.map { try ModelBundle(path: Experiment.folder(run, seed: $0, in: out)) }
        let evaluators = try bundles.map { try BundleEvaluator(bundle: $0) }
        let input = bundles[0].network.input
        return try experiment.specifications(data).filter(\.hasTestSet).map { specification in
            var tested = specification
            if case .drawn = specification { tested = .drawn(count: 10_000) }
            var set = try tested.evaluationSet(
                seed: 1, size: input.imageSize(bundles[0].manifest.preprocessing),
                signal: bundles[0].manifest.preprocessing.signal)
            try set.match(
                specification.classNames(isTest: true), to: bundles[0].manifest.labels, data: specification.name,
                model: run.name)
            var options = EvaluationOptions()
            options.maximumSubsets = 64
            options.threads = threads
            let evaluations = try evaluators.map { evaluator in
                try evaluator.evaluate(pixels: set.pixels, labels: set.labels, options: options) {
                    line.show($0, "\(run.name) on \(specification.name)")
                    return !Task.isCancelled
                }
            }
            return ExperimentResult(
                run: run, data: specification.name, parameters: try bundles[0].network.parameterCount(), seeds: seeds,
                evaluations: evaluations)
        }
    }

    private static func markdown(_ experiment: Experiment, _ report: Report) -> String {
        func text(_ estimate: ExperimentResult.Estimate) -> String {
            fixed(100 * estimate.mean, digits: 2)
                + (estimate.standardError.map { " ± \(fixed(100 * $0, digits: 2))" } ?? "")
        }
        let mostMissing = min(4, (report.results.map(\.accuracy.count).max() ?? 1) - 1)
        var lines = ["# \(experiment.title)", "", experiment.about, ""]
        var header = ["run", "data", "parameters", "paper", "top-1 %"]
        if mostMissing > 0 { header += (1...mostMissing).map { "\($0) missing" } }
        lines.append("| \((header + ["calibration error %"]).joined(separator: " | ")) |")
        lines.append("|\(String(repeating: "---|", count: header.count + 1))")
        for result in report.results {
            var cells = [
                result.run, result.data, "\(result.parameters)",
                result.paper.map { fixed($0, digits: 2) } ?? "–",
            ]
            for missing in 0...mostMissing {
                cells.append(missing < result.accuracy.count ? text(result.accuracy[missing]) : "–")
            }
            lines.append("| \((cells + [text(result.calibrationError)]).joined(separator: " | ")) |")
        }
        let seeds = report.results.first?.seeds.map(String.init) ?? []
        let origin =
            seeds.count > 1
            ? "Mean over the seeds \(seeds.joined(separator: ", ")) ± its standard error" : "Seed \(seeds.joined())"
        lines += ["", "\(origin); missing branches: mean over the sets of them.", ""]
        return lines.joined(separator: "\n")
    }
}
