import ArgumentParser
import LCPModels
import LCPWire
import Platform

struct ModelCostCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cost",
        abstract: "What a split costs, by branch and layer, beside other ways to use several devices.",
        usage: "lcp model cost <network> [<options>]",
        discussion: """
            Bytes are what is received for one image: the image itself as pixels, everything else in FP32. Weights and \
            activations are FP32, or with --int8, and for models that lcp quantize made, in eight bits. A connected pair is one branch that has to send something to another for one image. All of these are counts; lcp bench measures.

            Examples:
              lcp model cost alexnet --branches 8
              lcp model cost alexnet --branches 8 --fatten 40 --layers
              lcp model cost cifarnet-bn --branches 4 --fatten 50,0
              lcp model cost alexnet --branches 8 --svg alexnet-split8.svg
              lcp model cost lenet --shares 2,1,1 --json
              lcp model cost lenet-split4
            """)

    @OptionGroup var options: NetworkOptions
    @OptionGroup var splitOptions: SplitOptions

    @Flag(name: .customLong("int8"), help: "Weights and activations in eight bits.")
    var isInteger = false

    @Flag(help: "Also every layer of every branch, exactly.")
    var layers = false

    @Option(
        help: ArgumentHelp("Also draw the ways to use several devices as an SVG file.", valueName: "file"),
        completion: .file())
    var svg: String?

    @Flag(help: "Print one JSON object.")
    var json = false

    func run() throws {
        let (network, original, arithmetic) = try networks()
        if isInteger, let layer = network.branches.joined().first(where: { !$0.hasIntegerArithmetic }) {
            throw CommandError(
                "\(layer) has no arithmetic in eight bits, so that nothing can be costed in it: leave out --int8")
        }
        let cost = try NetworkCost(network, original: original, arithmetic: isInteger ? .int8 : arithmetic)
        if let svg {
            guard network.branches.count > 1 else {
                throw CommandError("a figure compares several devices: give --branches or --shares")
            }
            guard original != nil else {
                throw CommandError(
                    "\(cost.network) is no network of the zoo, so there is nothing to draw beside the split: leave out --svg"
                )
            }
            let fat = splitOptions.fatten.phrase.map { ", \($0)" } ?? ""
            let figure = cost.figure("lcp in \(branchCount(network.branches.count))\(fat)")
            try FileIO.write(Array(figure.utf8), to: svg)
        }
        if json { return writeLine(try jsonLine(cost)) }
        writeLine(Self.summary(network, cost, fattening: splitOptions.fatten))
        if layers {
            for group in network.groups {
                let layers = cost.branches[group.lowerBound].layers
                writeLine(
                    "\n\(network.groupName(group)):\n\n" + layerTable(layers, merge: nil, classes: network.classes))
            }
        }
        if network.branches.count > 1, cost.methods.count > 1 { writeLine("\n" + Self.methods(cost)) }
        for note in original?.paperNotes ?? [] { writeLine("\n" + note) }
    }

    /// What is costed, and what it came from.
    private func networks() throws -> (BranchedNetwork, Network?, ModelManifest.Arithmetic?) {
        if case .bundle(let bundle) = try options.chosen(), bundle.network.branches.count > 1 || !isChanged {
            guard !isChanged else {
                throw CommandError(
                    "\(bundle.manifest.name) is in \(bundle.network.branches.count) branches already and costed as it is: leave "
                        + "out --branches, --shares, --shape, --fatten, --classes, --input and --merge, or name \(bundle.network.base)"
                )
            }
            return (bundle.network, bundle.network.original, bundle.manifest.arithmetic)
        }
        let whole = try options.whole().network
        return (try splitOptions.split(whole, merge: options.merge), whole, nil)
    }

    private var isChanged: Bool { splitOptions.isGiven || !options.changes.isEmpty }

    private static func summary(_ network: BranchedNetwork, _ cost: NetworkCost, fattening: Fattening) -> String {
        var table = Table(
            ["", "parameters", "MACs", "weights", "peak activations", "memory", "receives", "sends"],
            rightAligned: Set(1...7))
        for group in network.groups {
            let branch = cost.branches[group.lowerBound]
            table.add([
                network.groupName(group), amount(branch.parameters), amount(branch.macs),
                byteAmount(branch.weightBytes), byteAmount(branch.peakActivationBytes), byteAmount(branch.memoryBytes),
                byteAmount(branch.inputBytes), byteAmount(branch.outputBytes),
            ])
        }
        table.add([
            "classification layer", amount(cost.merge.parameters), amount(cost.merge.macs),
            byteAmount(cost.merge.weightBytes), "", "", "", "",
        ])
        table.add([
            "all", amount(cost.parameters), amount(cost.macs), byteAmount(cost.weightBytes), "", "",
            byteAmount(cost.branches.reduce(0) { $0 + $1.inputBytes }),
            byteAmount(cost.branches.reduce(0) { $0 + $1.outputBytes }),
        ])
        let head =
            "\(cost.network) in \(branchCount(network.branches.count))"
            + (fattening.phrase.map { ", \($0)" } ?? "")
            + (cost.arithmetic == .int8 ? ", in eight bits" : "")
            + ", joined by \(network.merge.rawValue): \(exact(cost.parameters)) parameters, \(exact(cost.macs)) MACs"
        return "\(head)\n\n\(table.text)"
    }

    private static func methods(_ cost: NetworkCost) -> String {
        var table = Table(
            ["for one image", "devices", "parameters", "largest", "MACs", "busiest", "bytes", "pairs"],
            rightAligned: Set(1...7))
        for method in cost.methods {
            table.add([
                method.method.title, "\(method.devices)", amount(method.parameters), amount(method.largestParameters),
                amount(method.macs), amount(method.largestMACs), byteAmount(method.bytes), "\(method.connectedPairs)",
            ])
        }
        guard !cost.methods.contains(where: { $0.method == .splitNet }) else { return table.text }
        return table.text
            + "\n\n  SplitNet's tree is left out: it needs 2, 4, 8, 16, … devices, no more than there are classes, and enough "
            + "layers to part at."
    }
}

extension SpreadingCost.Method {
    /// For people.
    var title: String {
        switch self {
        case .single: "one device"
        case .lcp: "lcp"
        case .dataParallel: "data parallelism"
        case .modelParallelByOutput: "model parallelism by output"
        case .modelParallelByInput: "model parallelism by input"
        case .splitNet: "SplitNet's tree"
        }
    }
}
