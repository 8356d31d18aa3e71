#if Training
import Glibc
import LCPModels

/// A branched network for a batch of fixed size: forward, loss, backward, and one long vector of parameters.
final class TrainingGraph {
    let network: BranchedNetwork
    let batch: Int
    /// The images, NCHW.
    let images: Buffer
    /// All parameters, branch after branch, then the classification layer.
    let parameters: Buffer
    /// The gradient of each parameter, by the mean loss of the batch.
    let gradients: Buffer
    private let dnn: OneDNN
    private var branches: [[any TrainingLayer]] = []
    private let features: Buffer
    private let featureGradients: Buffer
    private let featureCounts: [Int]
    private let classifier: FullyConnectedLayer
    /// For every parameter tensor: the branch (the number of branches for the classification layer), its layer, its place.
    private var places: [(branch: Int, layer: Int, weight: Range<Int>, bias: Range<Int>)] = []

    init(_ network: BranchedNetwork, batch: Int) throws {
        try network.validate()
        self.network = network
        self.batch = batch
        dnn = try OneDNN()
        images = Buffer(batch * network.input.elementCount)
        parameters = Buffer(try network.parameterCount())
        gradients = Buffer(parameters.count)
        let merged = try network.mergedFeatureCount()
        features = Buffer(batch * merged)
        featureGradients = Buffer(batch * merged)
        featureCounts = try network.branches.indices.map { try network.featureCount(of: $0) }

        var offset = 0
        var places: [(Int, Int, Range<Int>, Range<Int>)] = []
        let (values, slopes) = (parameters.pointer, gradients.pointer)
        func place(_ branch: Int, _ layer: Int, weights: Int, biases: Int) -> ParameterSlice {
            let (start, middle) = (offset, offset + weights)
            offset = middle + biases
            places.append((branch, layer, start..<middle, middle..<offset))
            return ParameterSlice(
                weight: values + start, bias: values + middle, weightGradient: slopes + start,
                biasGradient: slopes + middle)
        }
        for branch in network.branches.indices {
            let shapes = try network.shapes(of: branch)
            var input = LayerInput(values: images, gradient: nil)
            var layers: [any TrainingLayer] = []
            for (index, layer) in network.branches[branch].enumerated() {
                let (from, to) = (shapes[index], shapes[index + 1])
                let made: any TrainingLayer
                switch layer {
                case .convolution(let outputs, let kernel, let stride, let padding, 1, true):
                    let slice = place(
                        branch, index, weights: outputs * from.channels * kernel * kernel, biases: outputs)
                    made = try ConvolutionLayer(
                        dnn: dnn, input: input, batch: batch, from: from, to: to, kernel: kernel, stride: stride,
                        padding: padding, parameters: slice)
                case .fullyConnected(let outputs):
                    let slice = place(branch, index, weights: outputs * from.elementCount, biases: outputs)
                    made = FullyConnectedLayer(
                        input: input, batch: batch, inputs: from.elementCount, outputs: outputs, parameters: slice)
                case .maxPool(let size, let stride, 0):
                    made = MaxPoolLayer(input: input, batch: batch, from: from, to: to, size: size, stride: stride)
                case .relu: made = ReLULayer(input: input)
                default: throw TrainingError("\(layer) cannot be trained")
                }
                layers.append(made)
                input = LayerInput(values: made.output, gradient: made.outputGradient)
            }
            branches.append(layers)
        }
        let slice = place(network.branches.count, 0, weights: network.classes * merged, biases: network.classes)
        classifier = FullyConnectedLayer(
            input: LayerInput(values: features, gradient: featureGradients), batch: batch, inputs: merged,
            outputs: network.classes, parameters: slice)
        self.places = places
    }

    /// The logits of the last forward pass, [batch, classes].
    var logits: UnsafeMutablePointer<Float> { classifier.output.pointer }

    /// Runs all branches on ``images`` and joins them.
    ///
    /// - Parameter missing: branches whose features count as zero.
    func forward(missing: Set<Int> = []) throws(TrainingError) {
        let merged = features.count / batch
        if network.merge == .sum || !missing.isEmpty { features.pointer.update(repeating: 0, count: features.count) }
        var column = 0
        for (index, layers) in branches.enumerated() {
            let count = featureCounts[index]
            if !missing.contains(index) {
                for layer in layers { try layer.forward() }
                let output = layers[layers.count - 1].output.pointer
                for row in 0..<batch {
                    let (from, to) = (output + row * count, features.pointer + row * merged + column)
                    if network.merge == .concat {
                        to.update(from: from, count: count)
                    } else {
                        for position in 0..<count { to[position] += from[position] }
                    }
                }
            }
            if network.merge == .concat { column += count }
        }
        try classifier.forward()
    }

    /// The mean cross-entropy of the last forward pass and how many it got right; leaves the gradient for ``backward()``.
    func loss(labels: [UInt8]) -> (loss: Double, correct: Int) {
        let classes = network.classes
        var loss = 0.0
        var correct = 0
        for row in 0..<batch {
            let (scores, gradient) = (logits + row * classes, classifier.outputGradient.pointer + row * classes)
            let label = Int(labels[row])
            var best = 0
            for index in 1..<classes where scores[index] > scores[best] { best = index }
            if best == label { correct += 1 }
            var sum: Float = 0
            for index in 0..<classes {
                gradient[index] = expf(scores[index] - scores[best])
                sum += gradient[index]
            }
            loss += Double(logf(sum) - scores[label] + scores[best])
            for index in 0..<classes {
                gradient[index] = (gradient[index] / sum - (index == label ? 1 : 0)) / Float(batch)
            }
        }
        return (loss / Double(batch), correct)
    }

    /// Fills ``gradients`` from what ``loss(labels:)`` left.
    func backward() throws(TrainingError) {
        try classifier.backward()
        let merged = features.count / batch
        var column = 0
        for (index, layers) in branches.enumerated() {
            let count = featureCounts[index]
            let gradient = layers[layers.count - 1].outputGradient.pointer
            for row in 0..<batch {
                (gradient + row * count).update(from: featureGradients.pointer + row * merged + column, count: count)
            }
            if network.merge == .concat { column += count }
            for layer in layers.reversed() { try layer.backward() }
        }
    }

    /// The parameters as the model bundle has them.
    var modelParameters: ModelParameters {
        get {
            func values(_ range: Range<Int>) -> [Float] {
                Array(UnsafeBufferPointer(start: parameters.pointer + range.lowerBound, count: range.count))
            }
            var result = ModelParameters(
                branches: network.branches.map { Array(repeating: nil, count: $0.count) },
                merge: LayerParameters(weight: [], bias: []))
            for place in places {
                let layer = LayerParameters(weight: values(place.weight), bias: values(place.bias))
                if place.branch == network.branches.count {
                    result.merge = layer
                } else {
                    result.branches[place.branch][place.layer] = layer
                }
            }
            return result
        }
        set {
            for place in places {
                guard
                    let layer = place.branch == network.branches.count
                        ? newValue.merge : newValue.branches[place.branch][place.layer]
                else { continue }
                (parameters.pointer + place.weight.lowerBound).update(from: layer.weight, count: place.weight.count)
                (parameters.pointer + place.bias.lowerBound).update(from: layer.bias, count: place.bias.count)
            }
        }
    }
}
#endif
