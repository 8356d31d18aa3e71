import CTrainingKernels

/// One layer for a batch of fixed size.
///
/// Threads share the work of a layer by blocks of images, which need nothing of each other, except where a phase ends: between
/// two phases all threads wait for each other. The gradient of the weights, a sum over all images, comes in pieces that one
/// thread each computes whole; so the result does not depend on how many threads there are, to the last bit.
protocol TrainingLayer: AnyObject {
    /// Readies what all threads read in this step; one thread does it.
    func prepare()
    var forwardPhases: Int { get }
    func forward(phase: Int, blocks: Range<Int>, pass: Pass)
    var backwardPhases: Int { get }
    /// Turns the gradient of the output into that of the input, where the input has one.
    func backward(phase: Int, blocks: Range<Int>, pass: Pass)
    /// The pieces of the gradient of the weights.
    var gradientPieces: Int { get }
    func gradient(piece: Int, pass: Pass)
    /// After a step of training; one thread does it.
    func finish(pass: Pass)
}

extension TrainingLayer {
    func prepare() {}
    var forwardPhases: Int { 1 }
    var backwardPhases: Int { 1 }
    var gradientPieces: Int { 0 }
    func gradient(piece: Int, pass: Pass) {}
    func finish(pass: Pass) {}
}

/// What the layers are told of a pass through the network.
struct Pass {
    var isTraining: Bool
    /// Anew for every step: what is random in a step follows from it.
    var seed: UInt64 = 0
    /// Images in the batch; the rest of the last block is empty.
    var images: Int

    /// How many images of a block are there.
    func lanes(of block: Int) -> Int32 { Int32(max(0, min(Volume.lanes, images - block * Volume.lanes))) }
}

/// What a layer reads, and where it leaves the gradient.
struct LayerInput {
    var value: Value
    /// Whether another layer has left its share of the gradient already.
    var accumulates: Bool

    /// Clears the gradient where this layer is the first to leave a share and can only add.
    func clearUnlessShared(_ blocks: Range<Int>) {
        if !accumulates { value.gradient?.clear(blocks) }
    }
}

/// Where a layer's weights and their gradients lie in the model's one long vector.
struct ParameterSlice {
    var weight: UnsafeMutablePointer<Float>
    /// Nil for a layer without bias.
    var bias: UnsafeMutablePointer<Float>?
    var weightGradient: UnsafeMutablePointer<Float>
    var biasGradient: UnsafeMutablePointer<Float>?
}
