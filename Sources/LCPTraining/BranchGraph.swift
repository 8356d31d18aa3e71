import CTrainingKernels
import LCPModels

/// The layers of one branch for a batch, with storage planned: a ReLU or dropout works in the place of its input where nobody
/// else needs that, every feature map has the halo that its readers need, and a gradient that several layers share is added up.
struct BranchGraph {
    let layers: [any TrainingLayer]
    /// The pre-final activations.
    let features: Value

    /// - Parameters:
    ///   - rounding: the numbers of eight bits that layers make.
    ///   - place: makes room for a layer's parameters, by the layer's index.
    init(
        _ network: [Layer], input: Volume, blocks: Int, isTrainable: Bool, kernels: UnsafePointer<lcp_kernels>,
        normalizations: inout [Int: BatchNormalizationLayer], rounding: [Int: Quantization] = [:],
        place: (Int, Layer, FeatureMapShape) -> ParameterSlice
    ) throws {
        let shapes = try Layer.shapes(of: network, input: input.shape)
        let plan = StoragePlan(network, shapes)

        // The storages, the images' first.
        var values: [Int: Value] = [0: Value(values: input, gradient: nil)]
        for storage in Set(plan.storage).sorted() where storage > 0 {
            let shape = shapes[storage]
            values[storage] = Value(
                values: Volume(shape, blocks: blocks, halo: plan.halo[storage, default: 0]),
                gradient: isTrainable
                    ? Volume(shape, blocks: blocks, halo: plan.gradientHalo[storage, default: 0]) : nil)
        }

        var layers: [any TrainingLayer] = []
        for (index, layer) in network.enumerated() {
            let (from, to) = (shapes[index], shapes[index + 1])
            func input(_ value: Int) -> LayerInput {
                LayerInput(
                    value: values[plan.storage[value]]!, accumulates: plan.accumulates.contains([index, value]))
            }
            let output = values[plan.storage[index + 1]]!
            let isFusedRelu = plan.fusedClamps.contains(index + 1) && network[index + 1] == .relu
            switch layer {
            case .convolution, .depthwiseConvolution:
                let slice = place(index, layer, from)
                let geometry = layer.geometry(from: from, to: to)!
                if plan.isFullyConnected(index) {
                    layers.append(
                        try FullyConnectedLayer(
                            kernels: kernels, input: input(index), output: output, parameters: slice,
                            row: from.elementCount, isRelu: isFusedRelu))
                } else {
                    layers.append(
                        ConvolutionLayer(
                            kernels: kernels, geometry: geometry, input: input(index), output: output,
                            parameters: slice, isRelu: isFusedRelu))
                }
            case .fullyConnected:
                layers.append(
                    try FullyConnectedLayer(
                        kernels: kernels, input: input(index), output: output, parameters: place(index, layer, from),
                        row: from.elementCount, isRelu: isFusedRelu))
            case .maxPool(let window):
                layers.append(
                    try MaxPoolLayer(
                        kernels: kernels, input: input(index), output: output, window: window,
                        isRelu: plan.passedClamps.contains(index - 1)))
            case .averagePool(let window, let countsPadding):
                layers.append(
                    AveragePoolLayer(
                        kernels: kernels, input: input(index), output: output, window: window,
                        countsPadding: countsPadding))
            case .globalAveragePool:
                layers.append(GlobalAveragePoolLayer(kernels: kernels, input: input(index), output: output))
            case .batchNormalization(let epsilon):
                let normalization = BatchNormalizationLayer(
                    kernels: kernels, input: input(index), output: output, parameters: place(index, layer, from),
                    epsilon: epsilon)
                normalizations[index] = normalization
                layers.append(normalization)
            case .channelNormalization(let epsilon):
                layers.append(
                    ChannelNormalizationLayer(
                        kernels: kernels, input: input(index), output: output, parameters: place(index, layer, from),
                        epsilon: epsilon))
            case .slice, .shuffle:
                layers.append(
                    PickLayer(
                        kernels: kernels, input: input(index), output: output,
                        channels: layer.picked(of: from.channels) ?? []))
            case .localResponseNormalization(let size, let alpha, let beta, let k):
                layers.append(
                    LocalResponseNormalizationLayer(
                        kernels: kernels, input: input(index), output: output, size: size, alpha: alpha, beta: beta,
                        k: k))
            case .relu, .relu6:
                layers.append(
                    ClampLayer(
                        kernels: kernels, input: input(index), output: output,
                        limit: layer == .relu ? .infinity : 6,
                        isFused: layer == .relu && plan.fusedClamps.contains(index),
                        isPassed: plan.passedClamps.contains(index)))
            case .activation(let function):
                layers.append(
                    ActivationLayer(kernels: kernels, input: input(index), output: output, function: function))
            case .prelu:
                layers.append(
                    PReLULayer(
                        kernels: kernels, input: input(index), output: output, parameters: place(index, layer, from)))
            case .dropout(let rate):
                layers.append(
                    DropoutLayer(
                        kernels: kernels, input: input(index), output: output, rate: rate, number: index))
            case .softmax:
                layers.append(SoftmaxLayer(kernels: kernels, input: input(index), output: output))
            case .output: break
            case .add(let other):
                layers.append(
                    JoinLayer(
                        kernels: kernels, inputs: [input(index), input(other + 1)], output: output,
                        concatenates: false))
            case .multiply(let other):
                layers.append(
                    ProductLayer(kernels: kernels, inputs: (input(index), input(other + 1)), output: output))
            case .concatenate(let others):
                layers.append(
                    JoinLayer(
                        kernels: kernels, inputs: [input(index)] + others.map { input($0 + 1) }, output: output,
                        concatenates: true))
            }
            if let quantization = rounding[index] {
                layers.append(RoundingLayer(output: output, quantization: quantization))
            }
        }
        self.layers = layers
        features = values[plan.storage[network.count]]!
    }
}

extension Layer {
    /// A convolution's numbers; nil for other layers.
    func geometry(from: FeatureMapShape, to: FeatureMapShape) -> ConvolutionLayer.Geometry? {
        switch self {
        case .convolution(_, let window, let groups, _): .init(from: from, to: to, window: window, groups: groups)
        case .depthwiseConvolution(let window, _):
            .init(from: from, to: to, window: window, groups: from.channels)
        default: nil
        }
    }
}

/// Which values of a branch lie where. Value 0 is the input, value i + 1 is what layer i makes.
struct StoragePlan {
    /// The storage of every value, named by the first value that lies there.
    private(set) var storage: [Int]
    /// Columns of zeros beside a storage's values, and beside its gradient.
    private(set) var halo: [Int: Int] = [:]
    private(set) var gradientHalo: [Int: Int] = [:]
    /// ReLUs that the layer in front of them does.
    private(set) var fusedClamps: Set<Int> = []
    /// ReLUs whose gradient the pooling behind them does.
    private(set) var passedClamps: Set<Int> = []
    /// [layer, value]: the layer comes, going backward, after another one that leaves its share of the value's gradient.
    private(set) var accumulates: Set<[Int]> = []
    private let fullyConnected: Set<Int>

    init(_ layers: [Layer], _ shapes: [FeatureMapShape]) {
        // Who reads which value; what `.output(of:)` names is the value itself.
        var origin = Array(shapes.indices)
        var readers: [Int: [Int]] = [:]
        for (index, layer) in layers.enumerated() {
            if case .output(let earlier) = layer {
                origin[index + 1] = origin[earlier + 1]
                continue
            }
            readers[origin[index], default: []].append(index)
            for reference in layer.references { readers[origin[reference + 1], default: []].append(index) }
        }
        let last = origin[layers.count]

        var storage = origin
        var fullyConnected: Set<Int> = []
        for (index, layer) in layers.enumerated() {
            if case .output(let earlier) = layer {
                storage[index + 1] = storage[earlier + 1]
                continue
            }
            let (from, to) = (shapes[index], shapes[index + 1])
            if let geometry = layer.geometry(from: from, to: to), geometry.groups == 1,
                geometry.window == Window(height: from.height, width: from.width)
            {
                fullyConnected.insert(index)
            }
            let source = origin[index]
            let isOnlyReader = readers[source]?.count == 1 && source != last && source > 0
            guard isOnlyReader, index > 0, source == index else { continue }
            let before = layers[index - 1]
            switch layer {
            case .relu where before.canBeOverwritten:
                storage[index + 1] = storage[index]
                if before.width != nil { fusedClamps.insert(index) }
                if case .depthwiseConvolution = before { fusedClamps.insert(index) }
            case .relu6 where before.canBeOverwritten, .dropout where before.canBeOverwritten || before == .relu:
                storage[index + 1] = storage[index]
            default: break
            }
        }
        self.storage = storage
        for (index, layer) in layers.enumerated().dropFirst() {
            // In place and with no other reader, the clamp has nothing else to do.
            guard case .maxPool = layer, layers[index - 1] == .relu, readers[index]?.count == 1, index != last,
                storage[index] == storage[index - 1]
            else { continue }
            passedClamps.insert(index - 1)
        }

        // A convolution over its whole input is a fully connected layer, but for one whose output needs zeros beside it.
        var isChanged = true
        while isChanged {
            (halo, gradientHalo) = ([:], [:])
            for (index, layer) in layers.enumerated() {
                guard let geometry = layer.geometry(from: shapes[index], to: shapes[index + 1]),
                    !fullyConnected.contains(index)
                else { continue }
                halo[storage[index], default: 0] = max(halo[storage[index], default: 0], geometry.inputHalo)
                guard storage[index] > 0 else { continue }
                let own = storage[index + 1]
                gradientHalo[own, default: 0] = max(gradientHalo[own, default: 0], geometry.gradientHalo)
            }
            var kept: Set<Int> = []
            for index in fullyConnected where halo[storage[index + 1], default: 0] == 0 { kept.insert(index) }
            isChanged = kept != fullyConnected
            fullyConnected = kept
        }
        self.fullyConnected = fullyConnected

        // Going backward, the first that reaches a gradient writes it and the others add.
        var written: Set<Int> = [storage[layers.count]]
        for (index, layer) in layers.enumerated().reversed() {
            if case .output = layer { continue }
            for value in [index] + layer.references.map({ $0 + 1 }) {
                let place = storage[value]
                // In its own place a layer changes the gradient, it leaves no share.
                guard place != storage[index + 1] else { continue }
                if !written.insert(place).inserted { accumulates.insert([index, value]) }
            }
        }
    }

    /// Whether a convolution's kernel is as large as its input, so that it is a fully connected layer.
    func isFullyConnected(_ layer: Int) -> Bool { fullyConnected.contains(layer) }
}

extension Layer {
    /// Whether going backward this layer does without its own output.
    fileprivate var canBeOverwritten: Bool {
        switch self {
        case .convolution, .depthwiseConvolution, .fullyConnected, .maxPool, .averagePool, .globalAveragePool,
            .batchNormalization, .add, .concatenate:
            true
        default: false
        }
    }
}
