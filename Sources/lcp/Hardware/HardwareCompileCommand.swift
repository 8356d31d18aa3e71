import ArgumentParser
import LCPHardware
import LCPModels
import Glibc
import LCPWire
import Platform

/// How large the array is.
struct ArrayOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Cells that a column adds up: a power of two.", valueName: "n"))
    var rows = 32

    @Option(help: ArgumentHelp("Sums that are made at the same time.", valueName: "n"))
    var columns = 64

    @Option(
        help: ArgumentHelp("What a number is: int8 or q3.13.", valueName: "word"),
        completion: .list(["int8", "q3.13"]),
        transform: { text in
            guard let word = ArrayShape.Word(rawValue: text) else {
                throw ValidationError("a number is int8 or q3.13, and not \(text.debugDescription)")
            }
            return word
        })
    var word = ArrayShape.Word.int8

    @Option(help: ArgumentHelp("Sums that a column adds up in turns.", valueName: "n"))
    var entries = 64

    @Option(help: ArgumentHelp("Lines of a feature map that are read together.", valueName: "n"))
    var lines = 5

    @Option(
        help: ArgumentHelp(
            "Columns that get their weights in one clock (default: 4, or as many as a block has).", valueName: "n"))
    var together: Int?

    func shape() throws -> ArrayShape {
        try ArrayShape(
            rows: rows, columns: columns, word: word, entries: entries, lines: lines, together: together)
    }
}

struct HardwareCompileCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "compile",
        abstract: "Lower a branch to the array's commands, and tell what each layer takes.",
        usage: "lcp hardware compile <network> [<options>]",
        discussion: """
            The time is that of a model of the array that counts as its register-transfer code does, to the clock. A part of the peak \
            is the multiplications that the network asks for over those that the cells could do in that time. Of a network \
            without weights in the array's arithmetic only the time is told; response normalisations are left out then, and batch \
            normalisations are in the weights before them.

            Examples:
              lcp hardware compile lenet-split4-int8
              lcp hardware compile vgg16 --branches 8
              lcp hardware compile alexnet --branches 8 --fatten 40 --rows 16 --columns 32
            """)

    @OptionGroup var options: NetworkOptions
    @OptionGroup var splitOptions: SplitOptions
    @OptionGroup var array: ArrayOptions

    @Option(help: ArgumentHelp("The branch.", valueName: "k"))
    var branch = 0

    @Option(help: ArgumentHelp("The array's clock.", valueName: "MHz"))
    var clock = 100.0

    @Option(help: ArgumentHelp("Clocks until a memory answers.", valueName: "n"))
    var latency = 3

    @Flag(help: "Print one JSON object.")
    var json = false

    /// What `--json` prints.
    private struct Report: Encodable {
        struct Layer: Encodable {
            var name: String
            var clocks: Int
            var multiplications: Int
        }
        var network: String
        var branch: Int
        var rows: Int
        var columns: Int
        var word: String
        var clocks: Int
        var time_ms: Double
        var map_bytes: Int
        var weight_bytes: Int
        var commands: Int
        var layers: [Layer]
    }

    func validate() throws {
        guard (1...10_000).contains(clock) else { throw ValidationError("--clock is from 1 to 10000 MHz") }
        guard (1...1000).contains(latency) else { throw ValidationError("--latency is from 1 to 1000 clocks") }
    }

    func run() async throws {
        try compile()
    }

    private func compile() throws {
        let shape = try array.shape()
        let (name, program) = try program(shape)
        let (clocks, layers) = program.time(latency: latency)
        if json {
            let report = Report(
                network: name, branch: branch, rows: shape.rows, columns: shape.columns, word: shape.word.rawValue,
                clocks: clocks, time_ms: Double(clocks) / clock / 1000, map_bytes: program.bytes,
                weight_bytes: program.weightBytes, commands: program.commandCount,
                layers: zip(program.work, layers).map {
                    .init(name: $0.name, clocks: $1, multiplications: $0.multiplications)
                })
            return writeLine(try jsonLine(report))
        }
        var table = Table(["", "clocks", "multiplications", "of peak"], rightAligned: [1, 2, 3])
        func part(_ multiplications: Int, _ clocks: Int) -> String {
            multiplications == 0
                ? "" : fixed(100 * Double(multiplications) / Double(max(clocks, 1) * shape.cells), digits: 1) + " %"
        }
        for (work, clocks) in zip(program.work, layers) {
            table.add([
                work.name, exact(clocks), work.multiplications == 0 ? "" : exact(work.multiplications),
                part(work.multiplications, clocks),
            ])
        }
        let all = program.work.reduce(0) { $0 + $1.multiplications }
        table.add(["in all", exact(clocks), exact(all), part(all, clocks)])
        writeLine(
            "\(name), branch \(branch), on \(shape.rows) × \(shape.columns) cells of \(shape.word.rawValue): "
                + "\(fixed(Double(clocks) / clock / 1000, digits: 3)) ms at \(fixed(clock, digits: 0)) MHz\n")
        writeLine(table.text(columns: terminalColumns(STDOUT_FILENO) ?? .max))
        writeLine(
            "\n\(exact(program.commandCount)) commands, \(byteAmount(program.weightBytes)) of weights and constants, "
                + "\(byteAmount(program.bytes)) of feature maps")
    }

    private func program(_ shape: ArrayShape) throws -> (String, ArrayProgram) {
        if case .bundle(let bundle) = try options.chosen(), !splitOptions.isGiven {
            try bundle.network.check(branch: branch)
            if bundle.manifest.arithmetic == .int8, shape.word == .int8 {
                return (bundle.manifest.name, try HardwareBranch(bundle: bundle, branch: branch, shape: shape).program)
            }
            return (
                bundle.manifest.name, try ArrayProgram(timing: bundle.network, branch: branch, shape: shape)
            )
        }
        let (network, _) = try options.whole()
        let split = try splitOptions.split(network, merge: options.merge)
        try split.check(branch: branch)
        return (splitOptions.name(network.name), try ArrayProgram(timing: split, branch: branch, shape: shape))
    }
}

extension BranchedNetwork {
    /// - Throws: ``CommandError`` where there is no such branch.
    func check(branch: Int) throws {
        guard branches.indices.contains(branch) else {
            throw CommandError("there are branches 0 to \(branches.count - 1), and no branch \(branch)")
        }
    }
}
