import ArgumentParser
import LCPHardware
import LCPInference
import LCPModels
import Platform

struct HardwareCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "hardware",
        abstract: "The systolic array of Hardware/: compile a branch for it, and compare it with this processor.",
        subcommands: [HardwareCompileCommand.self, HardwareCheckCommand.self])
}

struct HardwareCheckCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Run a model's branches on the simulated array and here: every bit has to be the same.",
        discussion: """
            The pictures are random. Where a number differs, the first layer in which one does is named.

            Examples:
              make -C Hardware simulation
              lcp hardware check lenet-split4-int8 \\
                  --simulation Hardware/build/8-32x64/lcp-rtl
            """)

    @Argument(help: "A model bundle: a folder, or the name of one that came with lcp.", completion: .bundle)
    var model: String

    @Option(
        help: ArgumentHelp("The program that make -C Hardware simulation makes.", valueName: "path"),
        completion: .file())
    var simulation: String

    @Option(help: ArgumentHelp("Pictures for each branch.", valueName: "n"))
    var pictures = 3

    @Option(help: ArgumentHelp("Of the pictures, and of how slow the memories are.", valueName: "seed"))
    var seed: UInt32 = 1

    @Flag(help: "Make the memories slow at random.")
    var slow = false

    func validate() throws {
        guard pictures > 0 else { throw ValidationError("--pictures is at least 1, not \(pictures)") }
        guard seed > 0 else { throw ValidationError("--seed is at least 1") }
    }

    func run() async throws {
        let command = self
        try await untilStopped { try command.check() }
    }

    private func check() throws {
        let bundle = try ModelBundle.find(model)
        let array = try RTLSimulation(program: simulation)
        let seed = slow ? seed : 0
        var random = SeededGenerator(seed: UInt64(self.seed))
        for index in bundle.network.branches.indices {
            let branch = try HardwareBranch(bundle: bundle, branch: index, shape: array.shape)
            let engine = try BranchEngine(bundle: bundle, branch: index)
            try array.load(branch)
            var clocks: Set<Int> = []
            for _ in 0..<pictures {
                let pixels = (0..<bundle.network.input.elementCount).map { _ in
                    UInt8.random(in: 0...255, using: &random)
                }
                try pixels.withUnsafeBytes { try engine.run(pixels: $0) }
                let numbers = branch.numbers(pixels: pixels)
                let run = try array.run(numbers, seed: seed)
                clocks.insert(run.clocks)
                guard zip(engine.output, run.output).allSatisfy({ $0.bitPattern == $1.bitPattern }) else {
                    let reason = try array.firstDifference(numbers, seed: seed)
                    throw CommandError(
                        "branch \(index) differs on the array: \(reason ?? "its commands do not compute what it is")")
                }
            }
            let modelled = branch.program.clocks()
            if !slow, clocks != [modelled] {
                throw CommandError(
                    "branch \(index) takes \(clocks.sorted().map(String.init).joined(separator: ", ")) clocks, and \(modelled) by the model"
                )
            }
            let least = clocks.min() ?? 0
            let most = clocks.max() ?? 0
            writeLine(
                "branch \(index): \(pictures) picture\(pictures == 1 ? "" : "s"), the same bits; "
                    + (least == most ? "\(least) clocks" : "\(least) to \(most) clocks"))
        }
    }
}
