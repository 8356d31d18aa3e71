import ArgumentParser
import LCPModels
import LCPTraining
import Platform

extension BenchCommand {
    struct Train: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "train",
            abstract: "How long a step of training takes on this machine.",
            usage: "lcp bench train <network> [<options>]",
            discussion: """
                A step loads a batch, runs it forward and backward through all branches, and updates the weights. Benchmarks/ \
                measures PyTorch beside it.

                Examples:
                  lcp bench train lenet --branches 8
                  lcp bench train cifarnet --branches 4 --batch 128 --json
                """)

        @OptionGroup var options: NetworkOptions
        @OptionGroup var splitting: SplitOptions

        @Option(help: "Images per step.")
        var batch = 64

        @Option(
            help: "sgd, adam, adamw or muon.",
            transform: { text in
                guard let optimizer = TrainingRecipe.Optimizer(rawValue: text) else {
                    throw ValidationError("an optimizer is sgd, adam, adamw or muon")
                }
                return optimizer
            })
        var optimizer = TrainingRecipe.Optimizer.adam

        @Option(help: "Threads; the processor's cores by default.")
        var threads: Int?

        @Option(help: "How long to measure.")
        var seconds = 2.0

        @Flag(help: "Print one JSON object.")
        var json = false

        private struct Report: Encodable {
            var network: String
            var branches: Int
            var batch: Int
            var steps: Int
            var median_ms: Double
            var fastest_ms: Double
            var images_per_s: Double
        }

        func validate() throws {
            guard batch > 0, seconds > 0, seconds <= 3600 else {
                throw ValidationError("--batch is at least 1, --seconds more than 0")
            }
        }

        func run() async throws {
            let command = self
            try await untilStopped { try command.measure() }
        }

        private func measure() throws {
            let (base, _) = try options.whole()
            let network = try splitting.split(base, merge: options.merge)
            let benchmark = try StepBenchmark(
                network: network, batch: batch, optimizer: optimizer, threads: threads)
            let times = try benchmark.run(for: .milliseconds(Int(seconds * 1000))).map(\.milliseconds).sorted()
            let median = times[times.count / 2]
            let report = Report(
                network: base.name, branches: network.branches.count, batch: batch, steps: times.count,
                median_ms: median, fastest_ms: times[0], images_per_s: Double(batch) / median * 1000)
            if json { return writeLine(try jsonLine(report)) }
            writeLine(
                "\(base.name) in \(network.branches.count) branches, \(batch) images: \(fixed(median, digits: 2)) ms a step (median of "
                    + "\(times.count)), \(fixed(times[0], digits: 2)) ms (fastest), \(fixed(report.images_per_s, digits: 0)) images/s"
            )
        }
    }
}

extension Duration {
    fileprivate var milliseconds: Double {
        Double(components.seconds) * 1000 + Double(components.attoseconds) * 1e-15
    }
}
