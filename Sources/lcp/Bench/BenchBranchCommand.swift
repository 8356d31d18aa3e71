import ArgumentParser
import LCPCompression
import LCPInference
import LCPModels
import Platform

extension BenchCommand {
    struct Branch: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "branch",
            abstract: "How long one branch of a model takes on one core of this machine.",
            usage: "lcp bench branch [<options>]",
            discussion: """
                Examples:
                  lcp bench branch
                  lcp bench branch --model lenet-split1 --json
                  lcp bench branch --network vgg16 --branches 8 --operations
                  lcp bench branch --network resnet50 --threads 4
                  lcp bench branch --network alexnet --branches 8 --int8
                  lcp bench branch --network alexnet --branches 8 --pruned 0.5 --int8
                  lcp bench branch --network alexnet --branches 8 --threads 2 --batch 8
                """)

        @Option(help: "A model bundle: a folder, or the name of one that came with lcp.", completion: .bundle)
        var model = "lenet-split4"

        @Option(
            help: ArgumentHelp(
                "A network of the zoo, or a bundle of one branch, split and with random weights, in place of a model.",
                valueName: "name"), completion: .network)
        var network: String?

        @Option(help: "The number of branches that --network is split into.")
        var branches = 1

        @Option(help: "Which branch, counted from 0.")
        var branch = 0

        @Option(
            help:
                "How often it runs in one measurement, 2000 times or for 0.1 s; the fastest of seven is told, and their median."
        )
        var runs: Int?

        @Option(help: "How many threads compute it.")
        var threads = 1

        @Option(
            help: ArgumentHelp(
                "With --network: convolutions evenly narrower, so that this share of their weights is gone.",
                valueName: "share"))
        var pruned: Double?

        @Option(
            help: ArgumentHelp(
                "Whose kernels compute it: lcp or xnnpack; what is faster here by default.", valueName: "kernels"),
            completion: .list(["lcp", "xnnpack"]))
        var kernels: String?

        @Flag(help: "Measure it in numbers of eight bits, too, in turns with single precision.")
        var int8 = false

        @Option(
            help: ArgumentHelp(
                "Measure so many frames that are computed together, too, in turns with one at a time.",
                valueName: "frames"))
        var batch: Int?

        @Flag(help: "Tell the time of each operation, too.")
        var operations = false

        @Flag(help: "Print one JSON object.")
        var json = false

        private struct Report: Encodable {
            var model: String
            var branch: Int
            var threads: Int
            /// `lcp` or `xnnpack`; of eight bits all are lcp's.
            var kernels: String
            var fastest_us: Double
            var median_us: Double
            /// In numbers of eight bits, and the median as a share of the other.
            var int8_fastest_us: Double?
            var int8_median_us: Double?
            var int8_ratio: Double?
            /// For a frame of those that are computed together, and how many times as many frames a second that is.
            var batch: Int?
            var batch_median_us: Double?
            var batch_gain: Double?
            var input: FeatureMapShape
            var layers: [Layer]
            /// Of the classification layer's share, where the branch computes that.
            var classes: Int?
        }

        func validate() throws {
            guard kernels == nil || kernelSet != nil else { throw ValidationError("--kernels is lcp or xnnpack") }
            guard kernels == nil || batch == nil else { throw ValidationError("--kernels or --batch, not both") }
            guard (2...64).contains(batch ?? 2) else { throw ValidationError("--batch is 2 to 64 frames") }
            guard runs ?? 1 > 0 else { throw ValidationError("--runs is at least 1") }
            guard pruned == nil || network != nil else {
                throw ValidationError("--pruned is for --network: a model is pruned by lcp prune")
            }
            guard (0.001..<1).contains(pruned ?? 0.5) else { throw ValidationError("--pruned is above 0 and below 1") }
            guard (1...ThreadPool.maximumThreads).contains(threads) else {
                throw ValidationError("--threads is 1 to \(ThreadPool.maximumThreads)")
            }
        }

        private var kernelSet: KernelSet? { kernels.flatMap(KernelSet.init) }

        /// The branch's engines, and what to call its model.
        private struct Prepared {
            var name: String
            var network: BranchedNetwork
            /// In the arithmetic of the model, and in eight bits where that is asked for.
            var engines: [BranchEngine]
            var batch: BatchEngine?
        }

        private func prepared() throws -> Prepared {
            let pool = threads > 1 ? try ThreadPool(threads: threads) : nil
            guard let network else {
                let bundle = try ModelBundle.find(model)
                guard !int8 || bundle.manifest.arithmetic == nil else {
                    throw CommandError("\(bundle.manifest.name) computes with eight bits already: leave out --int8")
                }
                var engines = [try BranchEngine(bundle: bundle, branch: branch, kernels: kernelSet, pool: pool)]
                if int8 {
                    engines.append(
                        try quantized(bundle.network, bundle.parameters(), bundle.manifest.preprocessing, pool))
                }
                let together = try batch.flatMap {
                    try BatchEngine(bundle: bundle, branch: branch, capacity: $0, pool: pool)
                }
                return try checked(
                    Prepared(
                        name: bundle.manifest.name, network: bundle.network, engines: engines, batch: together))
            }
            let base = try NetworkOptions.whole(network).network
            var split = try base.split(into: branches)
            if let pruned { split = try split.evenlyPruned(share: pruned) }
            guard split.branches.indices.contains(branch) else {
                throw CommandError("\(base.name) in \(branches) branches has no branch \(branch)")
            }
            var random = SeededGenerator(seed: 1)
            let parameters = try ModelParameters.random(for: split, using: &random)
            var engines = [
                try BranchEngine(split, branch: branch, of: parameters, kernels: kernelSet, pool: pool)
            ]
            if int8 { engines.append(try quantized(split, parameters, .usual(for: split.input), pool)) }
            let name = "\(base.name)-split\(branches)" + (pruned.map { ", \(percent($0, digits: 0)) pruned" } ?? "")
            let together = try batch.flatMap {
                try BatchEngine(split, branch: branch, of: parameters, capacity: $0, pool: pool)
            }
            return try checked(Prepared(name: name, network: split, engines: engines, batch: together))
        }

        private func checked(_ prepared: Prepared) throws -> Prepared {
            guard batch == nil || prepared.batch != nil else {
                throw CommandError(
                    "\(prepared.name) has nothing that frames could share: it computes with eight bits, or does not end in fully connected layers"
                )
            }
            return prepared
        }

        /// Two pictures of noise are enough where only the time counts.
        private func quantized(
            _ network: BranchedNetwork, _ parameters: ModelParameters,
            _ preprocessing: ModelManifest.Preprocessing, _ pool: ThreadPool?
        ) throws -> BranchEngine {
            var random = SeededGenerator(seed: 2)
            let pixels = (0..<2 * network.input.elementCount).map { _ in UInt8(random.index(256)) }
            let quantizer = try Quantizer(network: network, parameters: parameters, preprocessing: preprocessing)
            return try BranchEngine(
                network: quantizer.network, branch: branch, integers: quantizer.branch(branch, pixels: pixels),
                preprocessing: preprocessing, pool: pool)
        }

        func run() async throws {
            let prepared = try prepared()
            let times = try measure(prepared)
            func median(_ index: Int) -> Double { times[index][times[index].count / 2] }
            var report = Report(
                model: prepared.name, branch: branch, threads: threads,
                kernels: prepared.engines[0].kernelSet?.rawValue ?? KernelSet.own.rawValue, fastest_us: times[0][0],
                median_us: median(0), input: prepared.network.input, layers: prepared.network.branches[branch],
                classes: prepared.engines[0].outputKind == .partialLogits ? prepared.network.classes : nil)
            if int8 {
                (report.int8_fastest_us, report.int8_median_us) = (times[1][0], median(1))
                report.int8_ratio = median(1) / median(0)
            }
            if let batch {
                report.batch = batch
                report.batch_median_us = median(times.count - 1)
                report.batch_gain = median(0) / median(times.count - 1)
            }
            if json { return writeLine(try jsonLine(report)) }
            if operations {
                for (index, engine) in prepared.engines.enumerated() {
                    try show(
                        engine, prepared.engines.count == 1 ? "" : index == 0 ? ", single precision" : ", eight bits")
                }
            }
            var words = "branch \(branch) of \(report.model): \(fixed(report.median_us, digits: 1)) µs (median), "
            words += "\(fixed(report.fastest_us, digits: 1)) µs (fastest)"
            words += report.kernels == KernelSet.own.rawValue ? "" : " by XNNPACK's kernels"
            if let median = report.int8_median_us, let ratio = report.int8_ratio {
                words += "; in eight bits \(fixed(median, digits: 1)) µs, \(fixed(ratio, digits: 2)) of that"
            }
            if let batch, let median = report.batch_median_us, let gain = report.batch_gain {
                words += "; \(batch) together \(fixed(median, digits: 1)) µs each, "
                words += "\(fixed(gain, digits: 2)) times as many frames a second"
            }
            writeLine(words)
        }

        /// Seven times for each engine, and for the frames together, in turns, each the mean of some runs, for one frame, µs, sorted.
        private func measure(_ prepared: Prepared) throws -> [[Double]] {
            var random = SeededGenerator(seed: 1)
            let values = (0..<prepared.network.input.elementCount).map { _ in random.uniform(-1, 1) }
            return try values.withUnsafeBytes { input in
                var works: [(frames: Int, run: () throws -> Void)] = prepared.engines.map { engine in
                    (1, { try engine.run(normalized: input) })
                }
                if let batch = prepared.batch {
                    let inputs = [BatchEngine.Input](repeating: .normalized(input), count: batch.capacity)
                    works.append((batch.capacity, { try batch.run(inputs) }))
                }
                let counts = try works.map { work in
                    let start = ContinuousClock.now
                    for _ in 0..<3 { try work.run() }
                    let count = runs ?? max(3, min(2000, Int(300 / (ContinuousClock.now - start).milliseconds)))
                    for _ in 0..<count { try work.run() }
                    return count
                }
                var times = [[Double]](repeating: [], count: works.count)
                for _ in 0..<7 {
                    for (index, work) in works.enumerated() {
                        let start = ContinuousClock.now
                        for _ in 0..<counts[index] { try work.run() }
                        let time = (ContinuousClock.now - start).milliseconds * 1000
                        times[index].append(time / Double(counts[index] * work.frames))
                    }
                }
                return times.map { $0.sorted() }
            }
        }

        private func show(_ engine: BranchEngine, _ arithmetic: String) throws {
            var table = Table(["operation\(arithmetic)", "µs"], rightAligned: [1])
            for (name, time) in try engine.measureOperations() {
                table.add([name, fixed(time.milliseconds * 1000, digits: 1)])
            }
            writeLine(table.text)
        }
    }
}
