import ArgumentParser
import LCPCompression
import LCPDatasets
import LCPHardware
import LCPInference
import LCPModels
import Platform

struct HardwareCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "hardware",
        abstract: "The systolic array of Hardware/: compile a branch for it, and compare it with this processor.",
        subcommands: [HardwareCompileCommand.self, HardwareTableCommand.self, HardwareCheckCommand.self])
}

struct HardwareCheckCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Run a model's branches on the simulated array and here: every bit has to be the same.",
        discussion: """
            The pictures are random, or the first of --data's test set. Where a number differs, the first layer in which one does is named.

            Examples:
              make -C Hardware simulation WORD=16
              lcp hardware check lenet-split4 \\
                  --simulation Hardware/build/16-32x64/lcp-rtl
              lcp hardware check lenet-split4-int8 \\
                  --simulation Hardware/build/8-32x64/lcp-rtl
            """)

    @Argument(help: "A model bundle: a folder, or the name of one that came with lcp.", completion: .bundle)
    var model: String?

    @Option(
        name: .customLong("random"),
        help: ArgumentHelp(
            "In place of a model: branches of random layers of odd sizes, in eight bits.", valueName: "n"))
    var randomCount: Int?

    @Option(
        help: ArgumentHelp("The program that make -C Hardware simulation makes.", valueName: "path"),
        completion: .file())
    var simulation: String

    @Option(help: ArgumentHelp("This branch of the model alone.", valueName: "k"))
    var branch: Int?

    @Option(help: ArgumentHelp("Pictures for each branch.", valueName: "n"))
    var pictures = 3

    @Option(help: ArgumentHelp("Of the pictures, and of how slow the memories are.", valueName: "seed"))
    var seed: UInt32 = 1

    @Option(
        help: ArgumentHelp("Take pictures of a test set: \(DataSpecification.forms).", valueName: "data"),
        completion: .data)
    var data: String?

    @Flag(help: "Make the memories slow at random.")
    var slow = false

    func validate() throws {
        guard (model == nil) != (randomCount == nil), randomCount ?? 1 > 0 else {
            throw ValidationError("give a model, or --random and how many branches")
        }
        guard data == nil || model != nil else { throw ValidationError("--data is for a model's pictures: name one") }
        guard branch == nil || model != nil else { throw ValidationError("--branch is one of a model: name one") }
        guard (1...1_000_000).contains(pictures) else {
            throw ValidationError("--pictures is 1 to 1,000,000, not \(pictures)")
        }
        guard seed > 0 else { throw ValidationError("--seed is at least 1") }
    }

    func run() async throws {
        let command = self
        try await untilStopped { try command.check() }
    }

    private func check() throws {
        let array = try RTLSimulation(program: simulation)
        var random = SeededGenerator(seed: UInt64(seed))
        for index in 0..<(randomCount ?? 0) {
            let branch = try RandomBranch(using: &random)
            let preprocessing = branch.preprocessing
            let hardware = try HardwareBranch(
                network: branch.network, branch: 0, integers: branch.integers, preprocessing: preprocessing,
                shape: array.shape)
            let engine = try BranchEngine(
                network: branch.network, branch: 0, integers: branch.integers, preprocessing: preprocessing)
            try compare("branch \(index)", hardware, engine, on: array, nil, &random)
        }
        guard let model else { return }
        let bundle = try ModelBundle.find(model)
        let converter = try array.shape.word == .int8 ? nil : self.converter(bundle)
        let examples = (0..<20 * bundle.network.input.elementCount).map { _ in UInt8.random(in: 0...255, using: &random)
        }
        let set = try data.map { try testSet($0, bundle.manifest) }
        if let branch { try bundle.network.check(branch: branch) }
        for index in bundle.network.branches.indices where index == branch ?? index {
            let (branch, engine) = try both(bundle, index, array.shape, converter, examples)
            try compare("branch \(index)", branch, engine, on: array, set, &random)
        }
    }

    /// The pictures of a test set.
    private func testSet(_ data: String, _ manifest: ModelManifest) throws -> LabeledImages {
        let specification = try DataSpecification(data, defaultDrawnCount: pictures)
        let set = try specification.evaluationSet(
            seed: UInt64(seed), size: manifest.network.input.imageSize(manifest.preprocessing),
            signal: manifest.preprocessing.signal)
        guard set.count >= pictures else {
            throw CommandError("\(specification.name) has \(set.count) pictures, and --pictures asks for \(pictures)")
        }
        return set
    }

    private func compare(
        _ name: String, _ branch: HardwareBranch, _ engine: BranchEngine, on array: RTLSimulation,
        _ set: LabeledImages?, _ random: inout SeededGenerator
    ) throws {
        let seed = slow ? seed : 0
        try array.load(branch)
        var clocks: Set<Int> = []
        var clipped = 0
        for picture in 0..<pictures {
            if Task.isCancelled { throw CancellationError() }
            let count = engine.input.elementCount
            let pixels =
                set.map { Array($0.pixels[picture * count..<(picture + 1) * count]) }
                ?? (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
            try pixels.withUnsafeBytes { try engine.run(pixels: $0) }
            let numbers = branch.numbers(pixels: pixels)
            let run = try array.run(numbers, seed: seed)
            clocks.insert(run.clocks)
            clipped += run.clipped
            guard zip(engine.output, run.output).allSatisfy({ $0.bitPattern == $1.bitPattern }) else {
                let reason = try array.firstDifference(numbers, seed: seed)
                throw CommandError(
                    "\(name) differs on the array: \(reason ?? "its commands do not compute what it is")")
            }
        }
        let modelled = branch.program.clocks()
        if !slow, clocks != [modelled] {
            let told = clocks.sorted().map(String.init).joined(separator: ", ")
            throw CommandError(
                "\(name) takes \(told) clocks, and \(modelled) by the model, whose memories answer after 3 clocks: a simulation that "
                    + "was made with another LATENCY is checked with --slow")
        }
        let (least, most) = (clocks.min() ?? 0, clocks.max() ?? 0)
        writeLine(
            "\(name): \(pictures) \(set == nil ? "random " : "")picture\(pictures == 1 ? "" : "s"), the same bits; "
                + (least == most ? "\(exact(least)) clocks" : "\(exact(least)) to \(exact(most)) clocks")
                + (clipped == 0 ? "" : "; \(exact(clipped)) number\(clipped == 1 ? "" : "s") beyond a word"))
    }

    private func converter(_ bundle: ModelBundle) throws -> FixedPointConverter {
        guard bundle.manifest.arithmetic != .int8 else {
            throw CommandError(
                "\(bundle.manifest.name) is in eight bits, and this array in fixed point: name the model it was made of"
            )
        }
        return try FixedPointConverter(
            network: bundle.network, parameters: bundle.parameters(), preprocessing: bundle.manifest.preprocessing)
    }

    /// A branch for the array and for this processor, in the array's arithmetic.
    private func both(
        _ bundle: ModelBundle, _ index: Int, _ shape: ArrayShape, _ converter: FixedPointConverter?, _ examples: [UInt8]
    ) throws -> (HardwareBranch, BranchEngine) {
        guard let converter else {
            return (
                try HardwareBranch(bundle: bundle, branch: index, shape: shape),
                try BranchEngine(bundle: bundle, branch: index)
            )
        }
        let preprocessing = bundle.manifest.preprocessing
        let fixed = try converter.branch(index, pixels: examples)
        return (
            try HardwareBranch(
                network: converter.network, branch: index, fixedPoint: fixed, preprocessing: preprocessing, shape: shape
            ),
            try BranchEngine(
                network: converter.network, branch: index, fixedPoint: fixed, preprocessing: preprocessing)
        )
    }
}
