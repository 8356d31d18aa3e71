extension BranchGraph.Operation {
    /// Weights and biases; empty where there are none.
    var constants: (weight: [Float], bias: [Float]) {
        switch self {
        case .convolution(_, _, let weight, let bias), .depthwiseConvolution(_, let weight, let bias),
            .fullyConnected(let weight, let bias), .scale(let weight, let bias):
            (weight, bias)
        default: ([], [])
        }
    }

    /// The window of what has one.
    var window: BranchGraph.Window? {
        switch self {
        case .convolution(let window, _, _, _), .depthwiseConvolution(let window, _, _), .maxPool(let window),
            .averagePool(let window):
            window
        default: nil
        }
    }

    /// For messages.
    var name: String {
        switch self {
        case .convolution: "a convolution"
        case .depthwiseConvolution: "a depthwise convolution"
        case .fullyConnected: "a fully connected layer"
        case .scale: "a batch normalisation"
        case .maxPool: "a max pooling"
        case .averagePool: "an average pooling"
        case .globalAveragePool: "a global average pooling"
        case .localResponseNormalization: "a local response normalisation"
        case .channelNormalization: "a normalisation over channels"
        case .pick: "a choice of channels"
        case .softmax: "a softmax"
        case .add: "an addition"
        case .multiply: "a multiplication"
        case .activation(let function): "the activation \(function)"
        case .prelu: "a PReLU"
        case .concatenate: "a concatenation"
        case .clamp: "a clamp"
        }
    }
}

extension BranchGraph.Node: CustomStringConvertible {
    /// For example `a convolution 3×3/1 of 14×14×64 to 14×14×64`.
    var description: String {
        let size = operation.window.map { " \($0.height)×\($0.width)/\($0.strideDown)" } ?? ""
        return "\(operation.name)\(size) of \(from) to \(to)"
    }
}
