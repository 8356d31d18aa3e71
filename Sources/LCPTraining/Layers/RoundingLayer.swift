import LCPModels

/// Makes each number the nearest that eight bits have for it, in its place; the gradient passes, except where a number lies beyond
/// them (the straight-through estimator of Bengio et al. 2013, as Jacob et al. 2018 train for integer arithmetic).
final class RoundingLayer: TrainingLayer {
    private let output: Value
    private let scale: Float
    private let low: Float
    private let high: Float

    init(output: Value, quantization: Quantization) {
        self.output = output
        scale = quantization.scale
        low = quantization.real(of: -128)
        high = quantization.real(of: 127)
    }

    func forward(phase: Int, blocks: Range<Int>, pass: Pass) {
        let inverse = 1 / scale
        for block in blocks {
            let numbers = output.values.block(block)
            for index in 0..<Int(output.values.layout.block_stride) {
                let number = min(high, max(low, numbers[index])) * inverse
                // Adding 1.5 · 2^23 rounds to a whole number, ties to even.
                numbers[index] = ((number + 12_582_912) - 12_582_912) * scale
            }
        }
    }

    func backward(phase: Int, blocks: Range<Int>, pass: Pass) {
        guard let gradient = output.gradient else { return }
        let (own, slopes) = (output.values.layout, gradient.layout)
        let row = Int(own.width) * Volume.lanes
        for block in blocks {
            let (numbers, slope) = (output.values.block(block), gradient.block(block))
            for channel in 0..<Int(own.channels) {
                for y in 0..<Int(own.height) {
                    let from = channel * Int(own.channel_stride) + y * Int(own.row_stride) + Int(own.origin)
                    let to = channel * Int(slopes.channel_stride) + y * Int(slopes.row_stride) + Int(slopes.origin)
                    for place in 0..<row {
                        let isInside = numbers[from + place] > low && numbers[from + place] < high
                        // A ReLU leaves nothing below 0, and the lowest number may be 0.
                        slope[to + place] = isInside || numbers[from + place] == 0 ? slope[to + place] : 0
                    }
                }
            }
        }
    }
}

/// The weights of a layer as eight bits have them, each output with a scale of its own.
struct RoundedWeights {
    var weights: UnsafePointer<Float>
    var rounded: UnsafeMutablePointer<Float>
    var outputs: Int
    var length: Int

    func round() {
        for output in 0..<outputs {
            let (from, to) = (weights + output * length, rounded + output * length)
            var largest: Float = 0
            for index in 0..<length { largest = max(largest, abs(from[index])) }
            guard largest >= .leastNormalMagnitude * 128 else {
                to.update(from: from, count: length)
                continue
            }
            let (scale, inverse) = (largest / 127, 127 / largest)
            for index in 0..<length { to[index] = ((from[index] * inverse + 12_582_912) - 12_582_912) * scale }
        }
    }
}
