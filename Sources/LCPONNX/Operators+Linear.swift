import LCPModels
import ONNX

/// What scikit-learn's exporter writes in the domain ai.onnx.ml.
extension GraphImporter {
    /// (x − offset) · scale, field by field, in front of the first layer.
    func scaler(_ node: ONNXNodeProto, _ attributes: ONNXAttributes) throws -> Value {
        guard case .feature(let feature) = try value(node, 0), feature.layer < 0 else {
            throw Problem("scales what a layer makes, and it is possible in front of the first one only")
        }
        let channels = feature.shape.channels
        func numbers(_ name: String, _ missing: Float) throws -> [Double] {
            let numbers = (attributes.floats(name) ?? [missing]).map(Double.init)
            guard numbers.count == 1 || numbers.count == channels, numbers.allSatisfy(\.isFinite) else {
                throw Problem("has \(numbers.count) numbers as its \(name) for \(channels) fields")
            }
            return numbers.count == channels ? numbers : Array(repeating: numbers[0], count: channels)
        }
        let (offset, scale) = (try numbers("offset", 0), try numbers("scale", 1))
        guard scale.allSatisfy({ $0 > 0 }) else { throw Problem("turns fields over or makes nothing of them") }
        return try normalized(feature, factor: scale, offset: zip(offset, scale).map { -$0 * $1 })
    }

    /// A fully connected layer with a row for each class; its first output, the class, is computed by whoever reads the second.
    mutating func linearClassifier(_ node: ONNXNodeProto, _ attributes: ONNXAttributes) throws -> Value {
        let feature = try feature(node)
        guard feature.isFlat || feature.shape.height * feature.shape.width == 1 else {
            throw Problem("multiplies a feature map that is not flattened, which is not possible")
        }
        var coefficients = attributes.floats("coefficients") ?? []
        let inputs = feature.shape.elementCount
        guard !coefficients.isEmpty, coefficients.count % inputs == 0 else {
            throw Problem("has \(coefficients.count) coefficients for \(inputs) fields")
        }
        let rows = coefficients.count / inputs
        var intercepts = attributes.floats("intercepts") ?? Array(repeating: 0, count: rows)
        guard intercepts.count == rows else { throw Problem("has \(intercepts.count) intercepts for \(rows) classes") }
        let ending = attributes.string("post_transform", "NONE")
        switch ending {
        case "NONE", "SOFTMAX": break
        case "LOGISTIC":
            // Of two classes with z and −z the logistic function is a softmax of half of each.
            let areOpposite =
                rows == 2 && intercepts[0] == -intercepts[1]
                && (0..<inputs).allSatisfy { coefficients[$0] == -coefficients[inputs + $0] }
            guard areOpposite else {
                throw Problem("has a logistic function for each class by itself, which no softmax is equal to")
            }
            coefficients = coefficients.map { $0 / 2 }
            intercepts = intercepts.map { $0 / 2 }
        default: throw Problem("ends with \(ending.quoted), which is not possible")
        }
        guard (coefficients + intercepts).allSatisfy(\.isFinite) else {
            throw Problem("holds numbers that are not finite")
        }
        let weights = LayerWeights(weight: WeightStream(coefficients), bias: WeightStream(intercepts))
        var result = try append(.fullyConnected(outputs: rows), on: feature, weights: weights, isFlat: true)
        if ending != "NONE" { result = try append(.softmax, on: result) }
        return .several([.unknown, .feature(result)])
    }

    /// Probabilities that are made to sum up to 1, which a softmax's do already.
    mutating func normalizer(_ node: ONNXNodeProto, _ attributes: ONNXAttributes) throws -> Value {
        let norm = attributes.string("norm", "MAX")
        if norm == "L1", case .feature(let feature) = try value(node, 0), feature.layer >= 0,
            layers[feature.layer] == .softmax
        {
            return .feature(feature)
        }
        throw Problem("divides records by their \(norm.printable) norm, which is possible behind a softmax only")
    }

    /// Two numbers, 1 − sigmoid(z) and sigmoid(z), as the network's end: a network with the one output z; nil for anything else.
    func yesNo(_ node: ONNXNodeProto) throws -> Feature? {
        guard node.input.count == 2, leadsOut(node), case .formula(let no) = try value(node, 0),
            case .formula(let yes) = try value(node, 1), no.base == yes.base, yes.base.shape.elementCount == 1,
            yes.layer == .activation(.sigmoid)
        else { return nil }
        let isRest = stride(from: -8.0, through: 8, by: 0.5).allSatisfy { abs(no($0) + yes($0) - 1) < 1e-9 }
        return isRest ? yes.base : nil
    }
}
