import ArgumentParser
import LCPModels
import LCPWire
import Platform

struct ModelSplitCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "split",
        abstract: "Split a network into branches; with --out also write them, untrained.",
        discussion: """
            With --out, a model bundle with random weights is written, so that its speed can be measured before any training. \
            Its answers mean nothing until it is trained. With --weights every branch begins as its share of a trained network \
            in one piece, from which training gets further.

            Examples:
              lcp model split alexnet --branches 8 --fatten 40
              lcp model split cifarnet --branches 4 --classes 100 --out cifarnet-split4
              lcp model split lenet --shares 2,1,1
              lcp model split cifarnet-bn --branches 8 --weights whole --out shares
            """)

    @OptionGroup var options: NetworkOptions
    @OptionGroup var splitOptions: SplitOptions

    @Option(help: "The random weights come from it.")
    var seed: UInt64 = 1

    @Option(
        help: ArgumentHelp(
            "How random weights are spread: as He et al. have it, or normal, as the paper has it.", valueName: "spread")
    )
    var initialization = Spread.he

    @Option(
        help: ArgumentHelp(
            "A bundle of one branch with the same layers, that every branch begins as its share of.",
            valueName: "bundle"), completion: .bundle)
    var weights: String?

    @Option(help: ArgumentHelp("The folder of the bundle.", valueName: "folder"), completion: .directory)
    var out: String?

    @Flag(help: "Replace a bundle that is in the folder.")
    var force = false

    @Flag(help: "Print one JSON object.")
    var json = false

    func validate() throws {
        guard splitOptions.branches != nil || splitOptions.shares != nil || splitOptions.shape != nil else {
            throw ValidationError("give --branches, for example 4, or --shares, for example 2,1,1, or --shape")
        }
    }

    /// The initializations that need no teacher.
    enum Spread: String, ExpressibleByArgument, CaseIterable { case he, normal }

    private struct Report: Encodable {
        struct Branch: Encodable {
            var widths: [Int]
            var parameters: Int
            var macs: Int
        }
        struct Whole: Encodable {
            var widths: [Int]
            var parameters: Int
            var macs: Int
        }
        var name: String
        var network: String
        var merge: Merge
        var parameters: Int
        var macs: Int
        var branches: [Branch]
        var original: Whole
        var path: String?
        var model_hash: String?
    }

    func run() throws {
        let (whole, bundle) = try options.whole()
        let network = try splitOptions.split(whole, merge: options.merge)
        let original = try whole.split(into: 1)
        let name = splitOptions.name(whole.name)
        var report = Report(
            name: name, network: whole.name, merge: network.merge, parameters: try network.parameterCount(),
            macs: try network.macs(),
            branches: try network.branches.indices.map {
                .init(
                    widths: network.branches[$0].compactMap(\.width), parameters: try network.parameterCount(of: $0),
                    macs: try network.macs(of: $0))
            },
            original: .init(
                widths: whole.layers.compactMap(\.width), parameters: try original.parameterCount(),
                macs: try original.macs()))
        if let out {
            let written = try write(network, name: name, from: bundle, to: out)
            report.path = out
            report.model_hash = written.hash.description
        }
        if json { return writeLine(try jsonLine(report)) }
        writeLine(Self.text(report, network, original))
        if let out, let hash = report.model_hash {
            writeLine(
                "\nwrote \(out), model \(hash): untrained, "
                    + (weights.map { "its branches are shares of \($0), to go on from" }
                        ?? "its weights are random (seed \(seed)), for measuring speed and not for answers"))
        }
    }

    private static func text(_ report: Report, _ network: BranchedNetwork, _ original: BranchedNetwork) -> String {
        var lines = [
            "\(report.network) in \(branchCount(network.branches.count)), joined by \(network.merge.rawValue)", "",
        ]
        var widths = Table(["", "widths"])
        widths.add(["whole", original.widths(0)])
        for group in network.groups { widths.add([network.groupName(group), network.widths(group.lowerBound)]) }
        var table = Table(["", "parameters", "MACs"], rightAligned: [1, 2])
        table.add(["whole", exact(report.original.parameters), exact(report.original.macs)])
        table.add(["all branches and the merge", exact(report.parameters), exact(report.macs)])
        table.add([
            "less than whole by", times(report.original.parameters, report.parameters),
            times(report.original.macs, report.macs),
        ])
        for group in network.groups {
            let branch = report.branches[group.lowerBound]
            table.add([network.groupName(group), exact(branch.parameters), exact(branch.macs)])
        }
        lines += [widths.text, "", table.text]
        return lines.joined(separator: "\n")
    }

    private func write(
        _ network: BranchedNetwork, name: String, from bundle: ModelBundle?, to folder: String
    ) throws -> ModelBundle {
        try BundleFolder.checkFree(folder, force: force)
        try Self.checkMemory(network, name: name)
        let teacher = try weights.map { try ModelBundle.find($0) }
        let bundle = teacher ?? bundle
        let lock = try BundleFolder.lock(folder)
        defer { withExtendedLifetime(lock) {} }
        defer { FileIO.removeEmptyFolder(folder) }
        let isSameTask = bundle?.network.classes == network.classes && bundle?.network.input == network.input
        let words = ["lcp model split \(options.network.split(separator: "/").last ?? "")"] + splitOptions.words
        let origin =
            (initialization == .he ? [] : ["--initialization \(initialization.rawValue)"])
            + (weights.map { ["--weights \($0.split(separator: "/").last ?? "BUNDLE")"] } ?? [])
        var record = ModelManifest.TrainingRecord(
            command: (words + options.changes + origin + ["--seed \(seed)", "--out \(name)"]).joined(separator: " "),
            data: "nothing: \(teacher == nil ? "random weights" : "shares of a network's weights")", epochs: 0,
            seed: seed,
            accuracy: [:])
        var random = SeededGenerator(seed: seed)
        var parameters = try ModelParameters.random(
            for: network, initialization: initialization == .he ? .he : .normal, using: &random)
        if let teacher {
            record.teachers = [teacher.hash.description]
            try parameters.inherit(from: teacher.network, try teacher.parameters(), for: network)
        }
        let written = try ModelBundle.write(
            name: name, network: network, parameters: parameters,
            preprocessing: teacher?.manifest.preprocessing
                ?? (isSameTask ? bundle?.manifest.preprocessing : nil) ?? .usual(for: network.input),
            labels: isSameTask ? bundle?.manifest.labels ?? [] : (0..<network.classes).map { "\($0)" },
            training: record, to: folder)
        // A bundle that was there may have had more branches.
        for branch in network.branches.count..<BranchedNetwork.maximumBranches {
            FileIO.remove("\(folder)/branch-\(branch).safetensors")
        }
        return written
    }

    /// All weights are in memory at once.
    private static func checkMemory(_ network: BranchedNetwork, name: String) throws {
        let needed = 4 * (try network.parameterCount())
        guard let free = SystemMemory.available, needed > free else { return }
        throw CommandError(
            "writing \(name) takes about \(byteAmount(needed)) of memory, and this machine has \(byteAmount(free)) free: "
                + "take more branches, or a machine with more")
    }
}
