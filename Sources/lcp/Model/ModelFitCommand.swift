import ArgumentParser
import LCPInference
import LCPModels

struct ModelFitCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "fit",
        abstract: "The fewest branches that fit a device: memory, work, or both.",
        usage: "lcp model fit <network> [<options>]",
        discussion: """
            Every width is divided by the factor until one branch fits all limits that are given (Procedure 1 of the paper). \
            Memory is what its weights and the peak of its activations take in FP32; a program needs some of its own besides.

            Examples:
              lcp model fit alexnet --memory 64MB --macs 200M
              lcp model fit vgg16 --memory 256MiB --fatten 40
              lcp model fit resnet18 --macs 500M --factor 3 --json
            """)

    @OptionGroup var options: NetworkOptions

    @Option(
        help: ArgumentHelp("What one device has for a branch: B, KB, MB, GB, KiB, MiB, GiB.", valueName: "size"),
        transform: parseBytes)
    var memory: Int?

    @Option(
        help: ArgumentHelp(
            "The multiply-accumulate operations of one branch for an image: K, M, G.", valueName: "count"),
        transform: parseOperations)
    var macs: Int?

    @Option(help: "What every width is divided by in a step.")
    var factor = 2

    @OptionGroup var fattenOption: FattenOption

    @Flag(help: "Print one JSON object.")
    var json = false

    func validate() throws {
        if memory == nil, macs == nil {
            throw ValidationError("give a limit: --memory, for example 64MB, or --macs, for example 200M, or both")
        }
    }

    private struct Report: Encodable {
        struct Limits: Encodable {
            var memory_bytes: Int?
            var macs: Int?
        }
        var network: String
        var limits: Limits
        var factor: Int
        var fattening: Fattening
        var steps: [Fit.Step]
        var branches: Int
        var widths: [Int]
        var parameters: Int
        var macs: Int
    }

    func run() throws {
        let network = try options.whole().network
        let fatten = fattenOption.fatten
        let fit = try network.fit(memory: memory, macs: macs, factor: factor, fattening: fatten)
        if json {
            let report = Report(
                network: network.name, limits: .init(memory_bytes: memory, macs: macs), factor: factor,
                fattening: fatten,
                steps: fit.steps, branches: fit.network.branches.count,
                widths: fit.network.branches[0].compactMap(\.width), parameters: try fit.network.parameterCount(),
                macs: try fit.network.macs())
            return writeLine(try jsonLine(report))
        }
        var table = Table(["branches", "memory of one", "MACs of one", "fits"], rightAligned: [0, 1, 2])
        for step in fit.steps {
            table.add([
                "\(step.branches)", byteAmount(step.memoryBytes), amount(step.macs), step.fits ? "yes" : "no",
            ])
        }
        writeLine(table.text)
        let count = fit.network.branches.count
        let name = SplitOptions.name(network.name, shares: [count], fatten: fatten)
        let words = ["lcp model split \(options.network) --branches \(count)"] + fatten.words
        let limits = [memory.map(byteAmount), macs.map { amount($0) + " MACs" }].compactMap { $0 }
        writeLine(
            """

            \(network.name) fits \(limits.joined(separator: " and ")) in \(branchCount(count)) with the widths \(fit.network.widths(0)):
              \((words + options.changes).joined(separator: " ")) --out \(name)
            """)
    }
}
