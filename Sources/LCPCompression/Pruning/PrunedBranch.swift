import LCPModels

/// A branch of which some channels are taken out.
struct PrunedBranch {
    private(set) var layers: [Layer]
    var parameters: BranchParameters
    /// Of the input, and of what each layer makes, the channels that stayed.
    let channels: [[Int]]

    /// - Parameter kept: for groups that something is taken out of, the channels that stay, ascending.
    /// - Throws: ``NetworkError`` where the layers do not fit.
    init(
        _ layers: [Layer], _ parameters: BranchParameters, input: FeatureMapShape, groups: ChannelGroups,
        kept: [Int: [Int]]
    ) throws(NetworkError) {
        self.layers = layers
        self.parameters = parameters
        let shapes = try Layer.shapes(of: layers, input: input)
        /// The channels of a value that stay.
        func channels(_ value: Int) -> [Int] {
            var (result, offset): ([Int], Int) = ([], 0)
            for segment in groups.segments(of: value) {
                result += (kept[segment.group] ?? Array(0..<segment.width)).map { $0 + offset }
                offset += segment.width
            }
            return result
        }
        self.channels = (0...layers.count).map(channels)
        for (index, layer) in layers.enumerated() {
            guard var values = parameters[index] else { continue }
            let (from, inputs, outputs) = (shapes[index], self.channels[index], self.channels[index + 1])
            switch layer {
            case .convolution(_, let window, let parts, _):
                guard parts == 1 else { continue }
                let taps = window.taps
                values.weight = outputs.flatMap { output in
                    inputs.flatMap { input in
                        let start = (output * from.channels + input) * taps
                        return values.weight[start..<start + taps]
                    }
                }
                self.layers[index] = layer.withWidth(outputs.count, inputs: inputs.count)
            case .depthwiseConvolution(let window, _):
                values.weight = outputs.flatMap { values.weight[$0 * window.taps..<($0 + 1) * window.taps] }
            case .prelu: values.weight = outputs.map { values.weight[$0] }
            case .batchNormalization:
                values.weight = outputs.map { values.weight[$0] }
                values.runningMean = outputs.map { values.runningMean[$0] }
                values.runningVariance = outputs.map { values.runningVariance[$0] }
            case .fullyConnected:
                let area = from.height * from.width
                let length = from.elementCount
                values.weight = outputs.flatMap { output in
                    inputs.flatMap { input in
                        let start = output * length + input * area
                        return values.weight[start..<start + area]
                    }
                }
            default: continue
            }
            if !values.bias.isEmpty { values.bias = outputs.map { values.bias[$0] } }
            self.parameters[index] = values
        }
    }
}
