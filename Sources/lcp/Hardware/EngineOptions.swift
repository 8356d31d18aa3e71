import ArgumentParser
import LCPHardware
import LCPPipeline

/// What computes a worker's branches.
struct EngineOptions: ParsableArguments {
    enum Engine: String, ExpressibleByArgument, CaseIterable {
        case processor, array, rtl
    }

    @Option(
        help: ArgumentHelp(
            "What computes the branches: this processor; array, the systolic array of Hardware/ with its time by a model to the clock "
                + "(the numbers are made here); or rtl, its register-transfer code in a simulation, slowly.",
            valueName: "engine"))
    var engine = Engine.processor

    @Option(help: ArgumentHelp("With --engine array: its size (default: 32x64).", valueName: "size"))
    var array: String?

    @Option(help: ArgumentHelp("With --engine array: its clock (default: 100).", valueName: "MHz"))
    var clock: Double?

    @Option(
        help: ArgumentHelp("With --engine rtl: the program that make -C Hardware simulation makes.", valueName: "path"),
        completion: .file())
    var simulation: String?

    func validate() throws {
        guard engine == .array || array == nil && clock == nil else {
            throw ValidationError("--array and --clock need --engine array")
        }
        guard (engine == .rtl) == (simulation != nil) else {
            throw ValidationError("--engine rtl and --simulation need each other")
        }
        guard (1...10_000).contains(clock ?? 100) else { throw ValidationError("--clock is from 1 to 10000 MHz") }
        if engine == .array { _ = try size() }
    }

    private func size() throws -> ArrayShape {
        guard let array else { return try ArrayShape() }
        let numbers = array.split(separator: "x", omittingEmptySubsequences: false).map { Int($0) }
        guard numbers.count == 2, let rows = numbers[0], let columns = numbers[1] else {
            throw ValidationError("--array is like 32x64, rows and columns, and not \(array.debugDescription)")
        }
        do { return try ArrayShape(rows: rows, columns: columns) } catch { throw ValidationError("\(error)") }
    }

    /// The device; nil for this processor.
    func device() throws -> BranchWorker.Device? {
        switch engine {
        case .processor: return nil
        case .array:
            let (shape, clock) = (try size(), clock ?? 100)
            let name = "array \(shape.rows)x\(shape.columns), \(fixed(clock, digits: 0)) MHz, by its cycle model"
            return .init(name: name) { bundle, branch in
                try ArrayComputer(bundle: bundle, branch: branch, shape: shape, megahertz: clock)
            }
        case .rtl:
            let program = simulation ?? ""
            // One that is missing is told before the pipeline is joined.
            let shape = try RTLSimulation(program: program).shape
            return .init(name: "array \(shape.rows)x\(shape.columns), simulated") { bundle, branch in
                try SimulatedComputer(bundle: bundle, branch: branch, program: program)
            }
        }
    }
}
