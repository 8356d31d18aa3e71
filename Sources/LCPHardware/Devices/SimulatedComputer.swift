public import LCPInference
public import LCPModels
import Platform

/// The array as a worker's device, as Verilator simulates it: the numbers come out of the register-transfer code, slowly.
public final class SimulatedComputer: BranchComputer {
    public let input: FeatureMapShape
    public let outputKind: BranchOutput
    public let outputCount: Int
    private let branch: HardwareBranch
    private let program: String
    private let patience: Duration
    private var simulation: RTLSimulation
    private let numbers: UnsafeMutableBufferPointer<Float>
    private var complaint: String?

    /// Starts a simulation, and gives it a branch.
    ///
    /// - Parameters:
    ///   - program: what `make -C Hardware simulation` makes, with numbers of eight bits.
    ///   - patience: how long it may be silent where it has nothing to compute.
    /// - Throws: ``HardwareError``, or what reading the bundle throws.
    public init(bundle: ModelBundle, branch index: Int, program: String, patience: Duration = .seconds(20)) throws {
        self.patience = patience
        simulation = try RTLSimulation(program: program, patience: patience)
        guard simulation.shape.word == .int8 else {
            throw HardwareError(
                "\(program) is an array in fixed point, and a worker's models are in eight bits: make -C Hardware simulation"
            )
        }
        branch = try HardwareBranch(bundle: bundle, branch: index, shape: simulation.shape)
        try simulation.load(branch)
        self.program = program
        input = bundle.network.input
        outputKind = try bundle.network.output(of: index)
        outputCount = try bundle.network.outputCount(of: index)
        numbers = .allocate(capacity: outputCount)
        numbers.initialize(repeating: 0)
    }

    deinit { numbers.deallocate() }

    /// Of the simulation.
    var processID: Int32 { simulation.processID }

    public var output: UnsafeBufferPointer<Float> { UnsafeBufferPointer(numbers) }

    public var note: String? {
        "simulates an array of \(simulation.shape.size) cells, slowly: \(branch.program.clocks()) of its clocks for a frame"
    }

    public func run(pixels: UnsafeRawBufferPointer) throws(InferenceError) {
        guard pixels.count == input.elementCount else {
            throw .inputSize(pixels.count, expected: input.elementCount)
        }
        try run(branch.numbers(pixels: Array(pixels)))
    }

    public func run(normalized: UnsafeRawBufferPointer) throws(InferenceError) {
        guard normalized.count == 4 * input.elementCount else {
            throw .inputSize(normalized.count, expected: 4 * input.elementCount)
        }
        try run(
            branch.numbers(
                normalized: (0..<input.elementCount).map {
                    normalized.loadUnaligned(fromByteOffset: 4 * $0, as: Float.self)
                }))
    }

    private func run(_ numbers: [Int]) throws(InferenceError) {
        do {
            let run: RTLSimulation.Run
            do { run = try simulation.run(numbers) } catch {
                // Another one does the same.
                complaint = "\(error): it is started again"
                simulation = try RTLSimulation(program: program, patience: patience)
                try simulation.load(branch)
                run = try simulation.run(numbers)
            }
            _ = self.numbers.update(fromContentsOf: run.output)
        } catch { throw InferenceError("\(error)", endsDevice: true) }
    }

    public func takeComplaint() -> String? {
        defer { complaint = nil }
        return complaint
    }

    /// One run: it takes long.
    public func measure() throws(InferenceError) -> Duration {
        let start = ContinuousClock.now
        try run([Int](repeating: 0, count: input.elementCount))
        return .now - start
    }
}
