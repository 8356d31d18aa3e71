/// A branch, compiled: where its input goes, its operations, and what comes out.
protocol BranchProgram: AnyObject {
    /// In words, in running order.
    var operations: [String] { get }
    /// The numbers of the output, HWC.
    var output: UnsafePointer<Float> { get }

    /// Bytes of a raw number: a pixel, or a signal's FP32.
    var elementSize: Int { get }
    /// Takes an input of raw pixels, or of a signal's numbers.
    func load(pixels: UnsafeRawBufferPointer)
    /// Takes an input of normalised numbers, FP32.
    func load(normalized: UnsafeRawBufferPointer)
    func run(operation index: Int) throws(InferenceError)
}
