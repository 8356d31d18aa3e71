/// A branch, compiled: where its input goes, its operations, and what comes out.
protocol BranchProgram: AnyObject {
    /// In words, in running order.
    var operations: [String] { get }
    /// The numbers of the output, HWC.
    var output: UnsafePointer<Float> { get }

    /// Takes an input of raw pixels.
    func load(pixels: UnsafeRawBufferPointer)
    /// Takes an input of normalised numbers, FP32.
    func load(normalized: UnsafeRawBufferPointer)
    func run(operation index: Int) throws(InferenceError)
}
