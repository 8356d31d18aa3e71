import Glibc
import LCPModels

/// Every layer straight from its definition, in double precision on CHW activations, without any trick.
enum Reference {
    /// What a list of layers makes of an input.
    static func run(
        _ layers: [Layer], _ shapes: [FeatureMapShape], _ parameters: BranchParameters, input: [Double]
    ) -> [Double] {
        var made: [[Double]] = []
        var values = input
        for (index, layer) in layers.enumerated() {
            values = apply(
                layer, from: shapes[index], to: shapes[index + 1], parameters[index], values,
                layer.references.map { made[$0] })
            made.append(values)
        }
        return values
    }

    private static func apply(
        _ layer: Layer, from: FeatureMapShape, to: FeatureMapShape, _ parameters: LayerParameters?, _ values: [Double],
        _ others: [[Double]]
    ) -> [Double] {
        let area = from.height * from.width
        /// The numbers of a window that lie on the map, with their place in the window.
        func numbers(
            _ window: Window, _ channel: Int, _ row: Int, _ column: Int
        ) -> [(place: Int, value: Double)] {
            (0..<window.taps).compactMap { place in
                let r = row * window.strideDown + place / window.width * window.dilationDown - window.top
                let c = column * window.strideAcross + place % window.width * window.dilationAcross - window.left
                guard r >= 0, c >= 0, r < from.height, c < from.width else { return nil }
                return (place, values[channel * area + r * from.width + c])
            }
        }
        /// The result for every channel, row and column.
        func each(_ value: (Int, Int, Int) -> Double) -> [Double] {
            (0..<to.channels).flatMap { channel in
                (0..<to.height).flatMap { row in (0..<to.width).map { value(channel, row, $0) } }
            }
        }
        func convolution(_ window: Window, groups: Int) -> [Double] {
            let weight = parameters!.weight.map(Double.init)
            let bias = parameters!.bias.map(Double.init)
            let (ins, outs) = (from.channels / groups, to.channels / groups)
            return each { output, row, column in
                (0..<ins).reduce(bias.isEmpty ? 0 : bias[output]) { sum, input in
                    numbers(window, output / outs * ins + input, row, column).reduce(sum) {
                        $0 + weight[(output * ins + input) * window.taps + $1.place] * $1.value
                    }
                }
            }
        }
        switch layer {
        case .relu: return values.map { max(0, $0) }
        case .relu6: return values.map { min(max(0, $0), 6) }
        case .dropout: return values
        case .output: return others[0]
        case .add: return zip(values, others[0]).map { $0 + $1 }
        case .activation(let function): return values.map { function($0) }
        case .prelu:
            return values.indices.map {
                values[$0] < 0 ? values[$0] * Double(parameters!.weight[$0 / area]) : values[$0]
            }
        case .slice, .shuffle:
            return layer.picked(of: from.channels)!.flatMap { values[$0 * area..<($0 + 1) * area] }
        case .channelNormalization(let epsilon):
            return values.indices.map { index in
                let pixel = (0..<from.channels).map { values[$0 * area + index % area] }
                let mean = pixel.reduce(0, +) / Double(from.channels)
                let variance = pixel.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(from.channels)
                return (values[index] - mean) / (variance + Double(epsilon)).squareRoot()
                    * Double(parameters!.weight[index / area]) + Double(parameters!.bias[index / area])
            }
        case .multiply:
            let (small, large) = values.count < others[0].count ? (values, others[0]) : (others[0], values)
            return large.indices.map {
                large[$0] * small[small.count == large.count ? $0 : $0 / (large.count / small.count)]
            }
        case .concatenate: return others.reduce(values) { $0 + $1 }
        case .fullyConnected(let outputs):
            return (0..<outputs).map { output in
                values.indices.reduce(Double(parameters!.bias[output])) {
                    $0 + Double(parameters!.weight[output * values.count + $1]) * values[$1]
                }
            }
        case .convolution(_, let window, let groups, _): return convolution(window, groups: groups)
        case .depthwiseConvolution(let window, _): return convolution(window, groups: from.channels)
        case .maxPool(let window): return each { numbers(window, $0, $1, $2).map(\.value).max()! }
        case .averagePool(let window, let countsPadding):
            return each {
                let seen = numbers(window, $0, $1, $2)
                let count = countsPadding && window.hasPadding ? window.taps : seen.count
                return seen.reduce(0) { $0 + $1.value } / Double(count)
            }
        case .globalAveragePool:
            return (0..<from.channels).map { values[$0 * area..<($0 + 1) * area].reduce(0, +) / Double(area) }
        case .batchNormalization(let epsilon):
            return values.indices.map {
                let channel = $0 / area
                let deviation = (Double(parameters!.runningVariance[channel]) + Double(epsilon)).squareRoot()
                return (values[$0] - Double(parameters!.runningMean[channel])) / deviation
                    * Double(parameters!.weight[channel]) + Double(parameters!.bias[channel])
            }
        case .localResponseNormalization(let size, let alpha, let beta, let k):
            return values.indices.map { index in
                let channel = index / area
                let neighbours = max(0, channel - size / 2)...min(from.channels - 1, channel + (size - 1) / 2)
                let sum = neighbours.reduce(0.0) {
                    $0 + values[$1 * area + index % area] * values[$1 * area + index % area]
                }
                return values[index] / pow(Double(k) + Double(alpha) / Double(size) * sum, Double(beta))
            }
        case .softmax:
            return values.indices.map { index in
                let place = index % area
                let channels = (0..<from.channels).map { values[$0 * area + place] }
                let highest = channels.max()!
                return exp(values[index] - highest) / channels.reduce(0) { $0 + exp($1 - highest) }
            }
        }
    }
}
