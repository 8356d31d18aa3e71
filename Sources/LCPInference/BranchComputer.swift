public import LCPModels

/// What computes a branch: this processor (``BranchEngine``), or a device that is attached to it. One thread at a time may use it.
public protocol BranchComputer: AnyObject {
    /// The shape of the input, height × width × channels.
    var input: FeatureMapShape { get }
    /// What ``output`` holds.
    var outputKind: BranchOutput { get }
    /// The numbers in ``output``.
    var outputCount: Int { get }
    /// The result of the last run. Valid until the next one.
    var output: UnsafeBufferPointer<Float> { get }
    /// What people should know of it, said once.
    var note: String? { get }

    /// What went wrong and was mended, told once.
    func takeComplaint() -> String?

    /// Runs the branch on raw pixels: UINT8, HWC, exactly `input.elementCount` of them.
    func run(pixels: UnsafeRawBufferPointer) throws(InferenceError)
    /// Runs the branch on normalised numbers: FP32, little-endian, HWC, exactly `input.elementCount` of them.
    func run(normalized: UnsafeRawBufferPointer) throws(InferenceError)
    /// The time of one run, measured.
    func measure() throws(InferenceError) -> Duration
}

extension BranchComputer {
    public func takeComplaint() -> String? { nil }
}

extension BranchEngine: BranchComputer {
    public var note: String? { nil }

    public func measure() throws(InferenceError) -> Duration { try measure(runs: 5) }
}
