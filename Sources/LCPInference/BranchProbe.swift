package import LCPModels

/// A branch in single precision that shows what each of its layers makes.
///
/// Nothing is optimised: it is slower than a ``BranchEngine``.
package final class BranchProbe {
    /// The input of every layer, and the output behind them.
    package let shapes: [FeatureMapShape]

    private let program: FloatProgram
    /// Of the input and of every layer.
    private let values: [Int]

    /// - Throws: ``InferenceError``, or a ``NetworkError``.
    package init(
        network: BranchedNetwork, branch: Int, parameters: BranchParameters, preprocessing: ModelManifest.Preprocessing
    ) throws {
        shapes = try network.shapes(of: branch)
        let graph = try BranchGraph(
            lowering: network.branches[branch], shapes: shapes, parameters: parameters, head: nil)
        values = [0] + graph.made
        program = try FloatProgram(graph, pixels: PixelScale(preprocessing), kernels: .usual, keepsAll: true)
    }

    /// Bytes of an input.
    package var inputSize: Int { shapes[0].elementCount * program.elementSize }

    /// Runs the branch on raw pixels, or a signal's numbers: UINT8 or FP32, HWC, as many as the input has numbers.
    package func run(pixels: UnsafeRawBufferPointer) throws(InferenceError) {
        guard pixels.count == inputSize else { throw .inputSize(pixels.count, expected: inputSize) }
        program.load(pixels: pixels)
        for index in program.operations.indices { try program.run(operation: index) }
    }

    /// Runs the branch on one of several pictures, which lie one behind the other.
    package func run(_ picture: Int, of pixels: [UInt8]) throws {
        let size = inputSize
        try pixels[picture * size..<(picture + 1) * size].withUnsafeBytes { try run(pixels: $0) }
    }

    /// What a layer made in the last run, HWC; the input for 0, layer i's for i + 1. Valid until the next run.
    package func numbers(of value: Int) -> UnsafeBufferPointer<Float> {
        UnsafeBufferPointer(start: program.numbers(of: values[value]), count: shapes[value].elementCount)
    }
}
