import CBranchKernels
import LCPModels

/// An activation or a product of every number by itself, or what every pixel makes of its own channels.
final class ElementwiseKernel {
    private enum Kind {
        case activation(lcp_activation, Float, Float)
        case prelu
        case multiply
        case normalization(Float)
        case pick([Int32])
    }

    private let kind: Kind
    private let lanes: Int
    private let input: UnsafePointer<Float>
    /// Of a product: for each channel one.
    private let factors: UnsafePointer<Float>?
    /// The slopes of a PReLU, or the weights of a normalisation and its biases.
    private let slopes: [Float]
    private let biases: [Float]
    private let output: UnsafeMutablePointer<Float>
    private let pixels: Int
    private let channels: Int
    private let sharing: Sharing

    /// - Parameter factors: the shape of a product's second value.
    init(
        _ node: BranchGraph.Node, lanes: Int, factors shape: FeatureMapShape?, inputs: [UnsafeMutablePointer<Float>],
        output: UnsafeMutablePointer<Float>, sharing: Sharing
    ) {
        self.lanes = lanes
        self.output = output
        self.sharing = sharing
        input = UnsafePointer(inputs[0])
        factors = inputs.count > 1 ? UnsafePointer(inputs[1]) : nil
        var (pixels, channels) = (node.from.height * node.from.width, node.from.channels)
        var biases: [Float] = []
        switch node.operation {
        case .activation(let function):
            let (first, second) = function.constants
            (kind, slopes) = (.activation(lcp_activation(function.kernelNumber), first, second), [])
        case .prelu(let slopes):
            (kind, self.slopes) = (.prelu, slopes)
        case .channelNormalization(let weight, let bias, let epsilon):
            (kind, slopes) = (.normalization(epsilon), weight)
            biases = bias
        case .pick(let channels):
            (kind, slopes) = (.pick(channels.map(Int32.init)), [])
        default:
            (kind, slopes) = (.multiply, [])
            // As many numbers on both sides: a row for each.
            if let shape, shape.elementCount == node.from.elementCount, pixels > 1 {
                (pixels, channels) = (1, node.from.elementCount)
            }
        }
        (self.pixels, self.channels, self.biases) = (pixels, channels, biases)
    }

    func run() {
        switch kind {
        case .activation(let function, let first, let second):
            // In runs that begin a cache line.
            let (count, run) = (pixels * channels, 64)
            sharing.run((count + run - 1) / run) { part, _ in
                let begin = part.lowerBound * run
                lcp_activate(
                    lanes, function, first, second, input + begin, output + begin,
                    min(count, part.upperBound * run) - begin)
            }
        case .prelu:
            sharing.run(pixels) { part, _ in
                let begin = part.lowerBound * channels
                slopes.withUnsafeBufferPointer {
                    lcp_prelu(lanes, input + begin, $0.baseAddress, output + begin, part.count, channels)
                }
            }
        case .normalization(let epsilon):
            sharing.run(pixels) { part, _ in
                let begin = part.lowerBound * channels
                lcp_normalize_channels(
                    lanes, input + begin, slopes, biases, epsilon, output + begin, part.count, channels)
            }
        case .pick(let table):
            sharing.run(pixels) { part, _ in
                lcp_pick(
                    input + part.lowerBound * channels, channels, table, table.count,
                    output + part.lowerBound * table.count, part.count)
            }
        case .multiply:
            sharing.run(pixels) { part, _ in
                let begin = part.lowerBound * channels
                lcp_multiply(lanes, input + begin, factors, output + begin, part.count, channels)
            }
        }
    }
}
