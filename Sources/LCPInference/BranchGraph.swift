import LCPModels

/// What a branch computes, as data: operations in the order in which they run, each with the values that it reads.
///
/// ``init(lowering:shapes:parameters:head:)`` makes one of a list of layers, ``optimized()`` makes it quicker, and
/// ``BranchEngine`` runs it. Value 0 is the input, value n is what operation n − 1 makes. Activations lie as HWC.
struct BranchGraph {
    var input: FeatureMapShape
    var nodes: [Node] = []
    /// The value that the branch is asked for.
    var output = 0
    /// The value that each layer made, as long as nothing is optimised.
    var made: [Int] = []
    /// In numbers of eight bits that of the input.
    var inputQuantization: Quantization?

    struct Node {
        var operation: Operation
        /// The values that it reads, all made before it.
        var inputs: [Int]
        /// How the first input is looked at: any shape with as many numbers as the value has.
        var from: FeatureMapShape
        var to: FeatureMapShape
        /// The result is clamped to this: what is left of a ReLU behind the operation.
        var bounds = Bounds.none
        /// Frames that a fully connected layer computes together, one row of numbers each.
        var rows = 1
        /// In numbers of eight bits what the operation needs besides; its weights are whole numbers then, and its biases lie here.
        var integer: Integer?
    }

    struct Integer: Hashable {
        /// Of the result; nil where sums become real numbers.
        var result: Quantization?
        /// What a weight of 1 stands for, for each output.
        var scale: [Float] = []
        var bias: [Int32] = []
        /// Of a response normalisation.
        var table: ResponseTable?
        /// Of a function of a number.
        var lookup: [Int8]?
        /// Of the sum with another value, where the operation adds that in the end.
        var sum: Quantization?

        /// The outputs so many times, one after the other.
        mutating func repeatOutputs(_ times: Int) {
            scale = Array((0..<times).map { _ in scale }.joined())
            bias = Array((0..<times).map { _ in bias }.joined())
        }
    }

    enum Operation {
        /// Weights are OHWI, [outputs, kernel height, kernel width, inputs / groups].
        case convolution(Window, groups: Int, weight: [Float], bias: [Float])
        /// Weights are [kernel height, kernel width, channels].
        case depthwiseConvolution(Window, weight: [Float], bias: [Float])
        /// Weights are [outputs, inputs], the inputs in HWC order.
        case fullyConnected(weight: [Float], bias: [Float])
        /// x · weight + bias per channel.
        case scale(weight: [Float], bias: [Float])
        case maxPool(Window)
        /// The mean over what is on the map.
        case averagePool(Window)
        case globalAveragePool
        case localResponseNormalization(size: Int, alpha: Float, beta: Float, k: Float)
        /// Over the channels of every pixel.
        case channelNormalization(weight: [Float], bias: [Float], epsilon: Float)
        /// For every channel of the result the one that it is.
        case pick([Int])
        case softmax
        case add
        /// The product of two values, or of one and a factor for each of its channels, which is the second.
        case multiply
        case activation(Activation)
        /// A slope for every channel.
        case prelu(slopes: [Float])
        /// The channels of all inputs, one behind the other.
        case concatenate
        /// Nothing but the bounds.
        case clamp
    }

    typealias Window = LCPModels.Window

    /// The least and the greatest number that leaves an operation.
    struct Bounds: Hashable {
        var minimum: Float
        var maximum: Float

        static let none = Bounds(minimum: -.infinity, maximum: .infinity)

        /// These bounds, and others behind them.
        func then(_ next: Bounds) -> Bounds {
            Bounds(
                minimum: min(max(minimum, next.minimum), next.maximum),
                maximum: min(max(maximum, next.minimum), next.maximum))
        }
    }

    /// The shape in which a value was made.
    func shape(of value: Int) -> FeatureMapShape { value == 0 ? input : nodes[value - 1].to }

    /// In numbers of eight bits how a value's stand for real ones.
    func quantization(of value: Int) -> Quantization? {
        guard value > 0 else { return inputQuantization }
        return nodes[value - 1].integer.flatMap { $0.sum ?? $0.result }
    }

    /// How often each value is read; being the output counts.
    var readers: [Int] {
        var counts = [Int](repeating: 0, count: nodes.count + 1)
        for node in nodes { for value in node.inputs { counts[value] += 1 } }
        counts[output] += 1
        return counts
    }
}
