public import LCPInference
public import LCPModels
import Platform

/// The array as a worker's device, in real time: this processor computes the numbers, which are the same, and a frame takes as long as
/// the array does by its cycle model.
public final class ArrayComputer: BranchComputer {
    /// The clocks that a frame takes.
    public let clocks: Int
    /// The time that a frame takes.
    public let time: Duration
    private let engine: BranchEngine
    /// What this processor takes to make the numbers.
    private let here: Duration
    private let array: String

    /// Prepares a branch.
    ///
    /// - Throws: ``HardwareError``, or what reading the bundle throws.
    public init(bundle: ModelBundle, branch: Int, shape: ArrayShape, megahertz: Double, latency: Int = 3) throws {
        clocks = try HardwareBranch(bundle: bundle, branch: branch, shape: shape).program.clocks(latency: latency)
        engine = try BranchEngine(bundle: bundle, branch: branch)
        time = Duration(clocks: clocks, megahertz: megahertz)
        here = try engine.measure()
        array = "stands for an array of \(shape.size) cells: \(clocks) clocks and \(time.text) ms for a frame"
    }

    public var note: String? {
        here <= time ? array : "\(array); this processor takes longer to make the numbers, \(here.text) ms"
    }

    public var input: FeatureMapShape { engine.input }
    public var outputKind: BranchOutput { engine.outputKind }
    public var outputCount: Int { engine.outputCount }
    public var output: UnsafeBufferPointer<Float> { engine.output }

    public func run(pixels: UnsafeRawBufferPointer) throws(InferenceError) {
        let due = ContinuousClock.now + time
        try engine.run(pixels: pixels)
        sleepThread(until: due)
    }

    public func run(normalized: UnsafeRawBufferPointer) throws(InferenceError) {
        let due = ContinuousClock.now + time
        try engine.run(normalized: normalized)
        sleepThread(until: due)
    }

    public func measure() throws(InferenceError) -> Duration { max(here, time) }
}
