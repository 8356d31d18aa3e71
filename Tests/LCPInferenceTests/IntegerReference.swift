import Foundation
import LCPModels

/// The arithmetic of Documentation/integer-arithmetic.md straight from its definitions, layer by layer, on CHW numbers in `Int`.
enum IntegerReference {
    struct Map {
        var shape: FeatureMapShape
        var numbers: [Int]
        var quantization: Quantization
        var zero: Int { Int(quantization.zero) }

        subscript(_ channel: Int, _ row: Int, _ column: Int) -> Int {
            numbers[(channel * shape.height + row) * shape.width + column]
        }
    }

    /// What the network's layers make of normalised numbers, CHW.
    static func run(
        _ layers: [Layer], _ shapes: [FeatureMapShape], _ branch: IntegerBranch, input: [Float]
    ) -> Map {
        let inverse = 1 / branch.values[0].scale
        var map = Map(
            shape: shapes[0],
            numbers: input.map {
                clamp(Int(($0 * inverse).rounded(.toNearestOrEven)) + Int(branch.values[0].zero))
            }, quantization: branch.values[0])
        var made: [Map] = []
        for (index, layer) in layers.enumerated() {
            map = apply(
                layer, map, shapes[index + 1], branch, index, others: layer.references.map { made[$0] })
            made.append(map)
        }
        return map
    }

    /// The real numbers of a branch's output: its features, or the share of the logits.
    static func output(_ map: Map, head: IntegerWeights?) -> [Float] {
        guard let head else { return map.numbers.map { Float($0 - map.zero) * map.quantization.scale } }
        return head.scale.enumerated().map { output, scale in
            var sum = 0
            for (index, number) in map.numbers.enumerated() {
                sum += Int(head.weight[output * map.numbers.count + index]) * (number - map.zero)
            }
            return Float(sum) * (map.quantization.scale * scale)
        }
    }

    private static func clamp(_ number: Int, _ low: Int = -128, _ high: Int = 127) -> Int {
        max(low, min(high, number))
    }

    /// A division by 2^bits, rounded, halves up.
    private static func shifted(_ number: Int, _ bits: Int) -> Int {
        Int((Double(number) / pow(2, Double(bits)) + 0.5).rounded(.down))
    }

    private static func rescaled(_ sum: Int, _ ratio: Double, zero: Int) -> Int {
        let rescaling = Rescaling(ratio)!
        let first = clamp(shifted(sum, Int(rescaling.shift)), -32_768, 32_767)
        return clamp(shifted(shifted(first * Int(rescaling.multiplier), 15), 6) + zero)
    }

    private static func summed(_ terms: [(distance: Int, from: Quantization)], _ to: Quantization) -> Int {
        let weights = SumWeights(from: terms.map(\.from), to: to)!
        let sum = zip(terms, weights.factors).reduce(0) { $0 + $1.0.distance * $1.1 }
        return clamp(shifted(sum, weights.shift) + Int(to.zero))
    }

    private static func apply(
        _ layer: Layer, _ map: Map, _ shape: FeatureMapShape, _ branch: IntegerBranch, _ index: Int, others: [Map]
    ) -> Map {
        let to = branch.values[index + 1]
        let (from, weights) = (map.quantization, branch.layers[index])
        func each(_ number: (Int, Int, Int) -> Int) -> Map {
            var numbers: [Int] = []
            for channel in 0..<shape.channels {
                for row in 0..<shape.height {
                    for column in 0..<shape.width { numbers.append(number(channel, row, column)) }
                }
            }
            return Map(shape: shape, numbers: numbers, quantization: to)
        }
        /// The numbers of a channel's window that lie on the map, with their place in the window.
        func numbers(
            _ window: Window, _ channel: Int, _ row: Int, _ column: Int
        ) -> [(place: Int, number: Int)] {
            (0..<window.taps).compactMap { place in
                let y = row * window.strideDown - window.top + place / window.width
                let x = column * window.strideAcross - window.left + place % window.width
                guard (0..<map.shape.height).contains(y), (0..<map.shape.width).contains(x) else { return nil }
                return (place, map[channel, y, x])
            }
        }
        func ratio(_ output: Int) -> Double {
            Double(from.scale) * Double(weights!.scale[output]) / Double(to.scale)
        }
        func convolution(_ window: Window, _ groups: Int) -> Map {
            let (ins, outs) = (map.shape.channels / groups, shape.channels / groups)
            return each { output, row, column in
                var sum = Int(weights!.bias[output])
                for input in 0..<ins {
                    let tap = (output * ins + input) * window.taps
                    for (place, number) in numbers(window, output / outs * ins + input, row, column) {
                        sum += Int(weights!.weight[tap + place]) * (number - map.zero)
                    }
                }
                return rescaled(sum, ratio(output), zero: Int(to.zero))
            }
        }
        func mean(_ size: (height: Int, width: Int), _ stride: Int) -> Map {
            let count = size.height * size.width
            let (weight, rescaling) = Rescaling.mean(over: count, from: from, to: to)!
            return each { channel, row, column in
                var sum = 0
                for y in 0..<size.height {
                    for x in 0..<size.width { sum += map[channel, row * stride + y, column * stride + x] - map.zero }
                }
                return rescaled(sum * weight, rescaling.ratio, zero: Int(to.zero))
            }
        }
        switch layer {
        case .convolution(_, let window, let groups, _): return convolution(window, groups)
        case .depthwiseConvolution(let window, _): return convolution(window, map.shape.channels)
        case .fullyConnected:
            let length = map.numbers.count
            return each { output, _, _ in
                var sum = Int(weights!.bias[output])
                for (index, number) in map.numbers.enumerated() {
                    sum += Int(weights!.weight[output * length + index]) * (number - map.zero)
                }
                return rescaled(sum, ratio(output), zero: Int(to.zero))
            }
        case .maxPool(let window): return each { numbers(window, $0, $1, $2).map(\.number).max()! }
        case .averagePool(let window, _): return mean((window.height, window.width), window.strideDown)
        case .globalAveragePool: return mean((map.shape.height, map.shape.width), 1)
        case .localResponseNormalization(let size, _, _, _):
            let (table, bits) = (branch.tables[index]!, ResponseTable.segmentShift(size: size, zero: from.zero))
            return each { channel, row, column in
                var sum = 0
                for other in channel - size / 2...channel + (size - 1) / 2 {
                    guard (0..<map.shape.channels).contains(other) else { continue }
                    let distance = map[other, row, column] - map.zero
                    sum += distance * distance
                }
                let segment = sum >> bits
                let (low, high) = (Int(table.factors[segment]), Int(table.factors[segment + 1]))
                let factor = low + shifted((high - low) * (sum - (segment << bits)), bits)
                let product = (map[channel, row, column] - map.zero) * factor
                return clamp(shifted(product, table.shift) + Int(to.zero))
            }
        case .relu, .relu6:
            let high = layer == .relu ? 127 : Int(to.number(of: 6))
            return each { channel, row, column in
                let number = summed([(map[channel, row, column] - map.zero, from)], to)
                return clamp(number, Int(to.zero), high)
            }
        case .dropout: return map
        case .output: return others[0]
        case .add:
            return each { channel, row, column in
                summed(
                    [
                        (map[channel, row, column] - map.zero, from),
                        (others[0][channel, row, column] - others[0].zero, others[0].quantization),
                    ], to)
            }
        case .concatenate:
            var numbers: [Int] = []
            for source in [map] + others {
                numbers += source.numbers.map { summed([($0 - source.zero, source.quantization)], to) }
            }
            return Map(shape: shape, numbers: numbers, quantization: to)
        case .multiply:
            let (large, small) = map.numbers.count < others[0].numbers.count ? (others[0], map) : (map, others[0])
            let ratio = Double(from.scale) * Double(others[0].quantization.scale) / Double(to.scale)
            let isFactor = small.numbers.count < large.numbers.count
            return each { channel, row, column in
                let factor = isFactor ? small[channel, 0, 0] : small[channel, row, column]
                return rescaled(
                    (large[channel, row, column] - large.zero) * (factor - small.zero), ratio, zero: Int(to.zero))
            }
        case .activation: return each { Int(branch.lookups[index]![map[$0, $1, $2] + 128]) }
        case .slice, .shuffle:
            let picked = layer.picked(of: map.shape.channels)!
            return each { map[picked[$0], $1, $2] }
        case .batchNormalization, .softmax, .prelu, .channelNormalization:
            preconditionFailure("\(layer)")
        }
    }
}
