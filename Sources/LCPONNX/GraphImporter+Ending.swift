import LCPModels
import ONNX

/// What a network ends with.
extension GraphImporter {
    /// A network's layers but for the last one, which classifies.
    struct Ending {
        var layers: [Layer]
        var weights: [LayerWeights?]
        var classification: LayerWeights
        var classes: Int
        /// Whether the graph has one output, which became two classes.
        var isYesNo: Bool
    }

    /// A classification layer that changes nothing, where what comes before it is one number for each class already: networks that end
    /// with the mean over a map for each class.
    private static func identity(
        behind layers: [Layer], _ shapes: [FeatureMapShape]
    ) -> (count: Int, weights: LayerWeights)? {
        guard layers.last == .globalAveragePool, let count = shapes.last?.elementCount, count <= 4096 else {
            return nil
        }
        let weight = WeightStream(count: count * count) { piece in
            for row in 0..<count {
                try (0..<count).map { $0 == row ? Float(1) : 0 }.withUnsafeBufferPointer(piece)
            }
        }
        return (count, LayerWeights(weight: weight, bias: .zeros(count)))
    }

    func ending() throws(ONNXError) -> Ending {
        guard case .feature(let output)? = values[graph.output], output.layer == layers.count - 1 else {
            throw ONNXError("\(model.name): its output \(graph.output.quoted) is not what its last layer makes")
        }
        var (layers, weights, shapes) = (layers, weights, shapes)
        func drop() {
            layers.removeLast()
            weights.removeLast()
            shapes.removeLast()
        }
        loop: while let last = layers.last {
            switch last {
            case .softmax, .dropout: drop()
            default: break loop
            }
        }
        // A 1 × 1 convolution and the mean over the map, which may change places.
        if layers.count > 1, layers.last == .globalAveragePool,
            case .convolution(let outputs, Window(size: 1), 1, _) = layers[layers.count - 2]
        {
            layers.swapAt(layers.count - 2, layers.count - 1)
            weights.swapAt(weights.count - 2, weights.count - 1)
            shapes[shapes.count - 2] = FeatureMapShape(features: shapes[shapes.count - 3].channels)
            shapes[shapes.count - 1] = FeatureMapShape(features: outputs)
        }
        let classes: Int
        if let identity = Self.identity(behind: layers, shapes) {
            layers.append(.fullyConnected(outputs: identity.count))
            weights.append(identity.weights)
            shapes.append(FeatureMapShape(features: identity.count))
        }
        switch layers.last {
        case .fullyConnected(let outputs): classes = outputs
        case .convolution(let outputs, let window, 1, _)
        where !window.hasPadding && shapes[layers.count - 1].height == window.reach.down
            && shapes[layers.count - 1].width == window.reach.across && !window.isDilated:
            classes = outputs
        default:
            throw ONNXError(
                "\(model.name) ends with \(layers.last.map { "\($0)" } ?? "nothing"), and a network has to end with a fully connected "
                    + "layer (Gemm, or MatMul and Add), perhaps with Softmax behind it")
        }
        guard var classification = weights[layers.count - 1] else {
            throw ONNXError("\(model.name): its last layer has no weights")
        }
        classification.bias = classification.bias ?? .zeros(classes)
        let isYesNo = classes == 1
        if isYesNo {
            guard self.layers.last != .softmax else {
                throw ONNXError(
                    "\(model.name) ends with a softmax over one number, which is always 1: a network that says yes or no ends with "
                        + "one output, with or without a sigmoid")
            }
            classification = classification.yesNo()
        }
        drop()
        if layers.isEmpty {
            // A branch has at least one layer.
            layers = [.dropout(rate: 0)]
            weights = [nil]
        }
        return Ending(
            layers: layers, weights: weights, classification: classification, classes: isYesNo ? 2 : classes,
            isYesNo: isYesNo)
    }
}
