import ArgumentParser
import Glibc
import LCPHardware
import LCPModels
import LCPWire
import Platform

struct HardwareTableCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "table",
        abstract: "The paper's table of its array: five networks on one to eight devices.",
        discussion: """
            For each network and split the time of the slowest branch, behind it the least that the array's peak and its memory port \
            permit, and what the paper printed, communication included. Without it is ours, and without response normalisations.

            Examples:
              lcp hardware table
              lcp hardware table --rows 16 --columns 32 --clock 200 --json
            """)

    @OptionGroup var array: ArrayOptions

    @Option(help: ArgumentHelp("The array's clock.", valueName: "MHz"))
    var clock = 100.0

    @Flag(help: "Print a JSON object for each network and split.")
    var json = false

    /// What `--json` prints of a split.
    private struct Report: Encodable {
        var network: String
        var devices: Int
        var fattening_percent: Int
        var clocks: Int
        var time_ms: Double
        var bound_ms: Double
        var paper_ms: Double
        var multiplications: Int
        var of_peak: Double
    }

    /// Printed in the paper, milliseconds at 100 MHz on 1, 2, 4 and 8 devices, and on 8 with 40 % wider branches.
    private static let printed: [(network: String, figures: [Double])] = [
        ("cifarnet", [7.6, 2.2, 0.7, 0.2, 0.3]), ("vgg-s", [9.8, 3.2, 1.2, 0.5, 0.6]),
        ("alexnet", [9.6, 3.6, 1.5, 0.7, 0.7]), ("vgg16", [57.8, 14.8, 3.8, 1.0, 1.4]),
        ("resnet50", [14.8, 3.6, 1.2, 0.4, 0.7]),
    ]

    func validate() throws {
        guard (1...10_000).contains(clock) else { throw ValidationError("--clock is from 1 to 10000 MHz") }
    }

    func run() async throws {
        try table()
    }

    private func table() throws {
        let shape = try array.shape()
        var table = Table(["ms", "1", "2", "4", "8", "8, f40"], rightAligned: [1, 2, 3, 4, 5])
        var gains: [Double] = []
        let progress = ProgressLine()
        var done = 0
        for (name, figures) in Self.printed {
            let network = try Network.named(name)
            var row = [name]
            var first = 0
            for (index, (devices, percent)) in [(1, 0), (2, 0), (4, 0), (8, 0), (8, 40)].enumerated() {
                progress.show(Double(done) / 25, "\(name) on \(devices)")
                done += 1
                let fattening = percent == 0 ? Fattening.none : Fattening("\(percent)") ?? .none
                let split = try network.split(into: devices, fattening: fattening)
                let report = try report(split, name, devices, percent, shape, printed: figures[index])
                if index == 0 { first = report.clocks }
                if devices == 8, percent == 0 { gains.append(Double(first) / Double(report.clocks)) }
                if json { writeLine(try jsonLine(report)) }
                row.append("\(Self.short(report.time_ms)) (≥ \(Self.short(report.bound_ms)), \(figures[index]))")
            }
            table.add(row)
        }
        progress.clear()
        guard !json else { return }
        writeLine(
            "\(shape.rows) × \(shape.columns) cells of \(shape.word.rawValue) at \(fixed(clock, digits: 0)) MHz: ours without "
                + "communication (the least that peak and port permit, the paper's)\n")
        writeLine(table.text(columns: .max))
        let mean = exp(gains.reduce(0) { $0 + log($1) } / Double(gains.count))
        writeLine("\nclocks on one device over those on eight, geometric mean: \(fixed(mean, digits: 1))")
    }

    private static func short(_ value: Double) -> String {
        fixed(value, digits: value < 0.0995 ? 3 : value < 9.95 ? 2 : 1)
    }

    /// The slowest branch.
    private func report(
        _ network: BranchedNetwork, _ name: String, _ devices: Int, _ percent: Int, _ shape: ArrayShape, printed: Double
    ) throws -> Report {
        let (program, clocks) = try network.slowestProgram(on: shape)
        let multiplications = program.work.reduce(0) { $0 + $1.multiplications }
        let bound = max((multiplications + shape.cells - 1) / shape.cells, program.leastWeightClocks)
        return Report(
            network: name, devices: devices, fattening_percent: percent, clocks: clocks,
            time_ms: Double(clocks) / clock / 1000, bound_ms: Double(bound) / clock / 1000,
            paper_ms: printed, multiplications: multiplications,
            of_peak: Double(multiplications) / Double(clocks * shape.cells))
    }
}
