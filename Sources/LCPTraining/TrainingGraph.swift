import CTrainingKernels
import LCPModels
import Synchronization

/// A branched network for a batch of fixed size: forward, loss, backward, and one long vector of parameters.
final class TrainingGraph {
    /// What is trained besides the branches and the classification layer.
    struct Extras {
        /// A classification layer of its own for every branch.
        var hasAuxiliaryHeads = false
        /// Every branch sees images of its own.
        var hasViews = false
        /// Branches can be left out, image by image.
        var hasMasks = false
        /// Nothing is trained: no gradients are kept.
        var isFrozen = false
        /// For each branch, by layer, the numbers of eight bits that come out; weights are rounded to eight bits, too.
        var rounding: [[Int: Quantization]]?
    }

    let network: BranchedNetwork
    /// Images in a batch.
    let batch: Int
    let blocks: Int
    let team: Team
    /// What the branches see: one for all, or one for each.
    let images: [Volume]
    /// Weights that decay first, then everything else.
    let parameters: Buffer
    /// The gradient of each parameter, by the loss.
    let gradients: Buffer
    /// How many parameters are weights of convolutions and fully connected layers.
    let decayingCount: Int
    /// Weights that mix channels within a branch, each group of a convolution by itself: where they lie, and their rows.
    let matrices: [(range: Range<Int>, rows: Int)]
    /// [batch, classes], and the slope of the loss.
    let logits: Value
    /// The same for the head of each branch, where there are any.
    let auxiliaryLogits: [Value]
    /// The pre-final activations of each branch.
    let features: [Value]
    /// Which branches are there for which image, where branches can be left out.
    private(set) var masks: [MaskLayer] = []
    private var layers: [any TrainingLayer] = []
    /// How many of the layers belong to branches; heads and the join come behind them.
    private var branchLayerCount = 0
    private var pieces: [(layer: Int, piece: Int)] = []
    private let nextPiece = Atomic<Int>(0)
    /// For every layer with parameters: the branch (the number of branches for the classification layer), its place.
    private var places: [(branch: Int, layer: Int, weight: Range<Int>, bias: Range<Int>)] = []
    private var normalizations: [[Int: BatchNormalizationLayer]] = []
    /// Where branches compute with rounded weights: all parameters again, and what of them is rounded.
    private let rounded: Buffer
    private var roundedWeights: [RoundedWeights] = []

    init(
        _ network: BranchedNetwork, batch: Int, team: Team, extras: Extras = Extras(),
        kernels: UnsafePointer<lcp_kernels> = lcp_kernels_best()
    ) throws {
        try network.validate()
        self.network = network
        self.batch = batch
        self.team = team
        blocks = (batch + Volume.lanes - 1) / Volume.lanes
        let (blocks, isTrainable) = (blocks, !extras.isFrozen)
        let branchCount = network.branches.count
        let merged = try network.mergedFeatureCount()

        // Room for the parameters: weights that decay, then normalisations and biases.
        var (decaying, others) = (network.classes * merged, network.classes)
        for branch in network.branches.indices {
            for (layer, shape) in zip(network.branches[branch], try network.shapes(of: branch)) {
                guard let dimensions = layer.weightDimensions(input: shape) else { continue }
                let weights = dimensions.reduce(1, *)
                if layer.hasStatistics { others += weights } else { decaying += weights }
                if layer.hasBias { others += dimensions[0] }
            }
            if extras.hasAuxiliaryHeads {
                decaying += network.classes * (try network.featureCount(of: branch))
                others += network.classes
            }
        }
        decayingCount = decaying
        parameters = Buffer(decaying + others)
        gradients = Buffer(isTrainable ? decaying + others : 0)
        let rounded = Buffer(extras.rounding == nil ? 0 : decaying)
        self.rounded = rounded
        let (values, slopes) = (parameters.pointer, gradients.pointer)
        var (nextDecaying, nextOther) = (0, decaying)
        func take(_ count: Int, decays: Bool) -> Range<Int> {
            let start = decays ? nextDecaying : nextOther
            if decays { nextDecaying += count } else { nextOther += count }
            return start..<start + count
        }
        func slice(_ weight: Range<Int>, _ bias: Range<Int>) -> ParameterSlice {
            ParameterSlice(
                weight: values + weight.lowerBound, bias: bias.isEmpty ? nil : values + bias.lowerBound,
                weightGradient: slopes + weight.lowerBound,
                biasGradient: bias.isEmpty ? nil : slopes + bias.lowerBound)
        }

        // The images have the widest halo that any first layer wants.
        var halo = 0
        for branch in network.branches.indices {
            let plan = StoragePlan(network.branches[branch], try network.shapes(of: branch))
            halo = max(halo, plan.halo[0, default: 0])
        }
        images = (0..<(extras.hasViews ? branchCount : 1)).map { _ in
            Volume(network.input, blocks: blocks, halo: halo)
        }

        var matrices: [(range: Range<Int>, rows: Int)] = []
        var places: [(branch: Int, layer: Int, weight: Range<Int>, bias: Range<Int>)] = []
        var features: [Value] = []
        var roundedWeights: [RoundedWeights] = []
        for branch in network.branches.indices {
            var found: [Int: BatchNormalizationLayer] = [:]
            let graph = try BranchGraph(
                network.branches[branch], input: images[extras.hasViews ? branch : 0], blocks: blocks,
                isTrainable: isTrainable, kernels: kernels, normalizations: &found,
                rounding: extras.rounding?[branch] ?? [:]
            ) { index, layer, input in
                let dimensions = layer.weightDimensions(input: input)!
                let weight = take(dimensions.reduce(1, *), decays: !layer.hasStatistics)
                let bias = take(layer.hasBias ? dimensions[0] : 0, decays: false)
                places.append((branch, index, weight, bias))
                var parameters = slice(weight, bias)
                guard !layer.hasStatistics else { return parameters }
                matrices += layer.matrices(weight, outputs: dimensions[0])
                guard extras.rounding != nil else { return parameters }
                let place = rounded.pointer + weight.lowerBound
                roundedWeights.append(
                    RoundedWeights(
                        weights: parameters.weight, rounded: place, outputs: dimensions[0],
                        length: weight.count / dimensions[0]))
                parameters.weight = place
                return parameters
            }
            layers += graph.layers
            features.append(graph.features)
            normalizations.append(found)
        }
        self.features = features
        self.roundedWeights = roundedWeights
        branchLayerCount = layers.count

        func value(_ shape: FeatureMapShape) -> Value {
            Value(
                values: Volume(shape, blocks: blocks), gradient: isTrainable ? Volume(shape, blocks: blocks) : nil)
        }
        // The heads read the features first and so, going backward, come last: they add to what the join has left.
        var auxiliary: [Value] = []
        if extras.hasAuxiliaryHeads {
            for branch in network.branches.indices {
                let count = features[branch].values.shape.elementCount
                let output = value(.init(features: network.classes))
                let (weight, bias) = (
                    take(network.classes * count, decays: true), take(network.classes, decays: false)
                )
                layers.append(
                    try FullyConnectedLayer(
                        kernels: kernels, input: LayerInput(value: features[branch], accumulates: true),
                        output: output, parameters: slice(weight, bias), row: count))
                auxiliary.append(output)
                places.append((branchCount + 1, branch, weight, bias))
            }
        }
        auxiliaryLogits = auxiliary

        var joined = features
        if extras.hasMasks {
            for branch in network.branches.indices {
                let output = value(features[branch].values.shape)
                let mask = MaskLayer(
                    kernels: kernels, input: LayerInput(value: features[branch], accumulates: false), output: output)
                masks.append(mask)
                layers.append(mask)
                joined[branch] = output
            }
        }
        if network.merge == .sum, branchCount > 1 {
            let sum = value(features[0].values.shape)
            layers.append(
                JoinLayer(
                    kernels: kernels, inputs: joined.map { LayerInput(value: $0, accumulates: false) }, output: sum,
                    concatenates: false))
            joined = [sum]
        }
        logits = value(.init(features: network.classes))
        let (weight, bias) = (take(network.classes * merged, decays: true), take(network.classes, decays: false))
        places.append((branchCount, 0, weight, bias))
        var column = weight.lowerBound
        for (index, input) in joined.enumerated() {
            let count = input.values.shape.elementCount
            layers.append(
                try FullyConnectedLayer(
                    kernels: kernels, input: LayerInput(value: input, accumulates: false), output: logits,
                    parameters: slice(column..<column + count, index == 0 ? bias : 0..<0), row: merged,
                    accumulatesOutput: index > 0))
            column += count
        }
        self.places = places
        self.matrices = matrices
        guard isTrainable else { return }
        for (index, layer) in layers.enumerated() {
            for piece in 0..<layer.gradientPieces { pieces.append((index, piece)) }
        }
    }

    /// The blocks of images that a thread works on.
    func blocks(of thread: Int) -> Range<Int> { team.part(of: blocks, thread: thread) }

    /// One thread's part of a forward pass; all threads of the team call it.
    func forward(_ pass: Pass, thread: Int) {
        let mine = blocks(of: thread)
        if !roundedWeights.isEmpty {
            for index in stride(from: thread, to: roundedWeights.count, by: team.threads) {
                roundedWeights[index].round()
            }
            team.barrier()
        }
        for index in stride(from: thread, to: layers.count, by: team.threads) { layers[index].prepare() }
        team.barrier()
        for layer in layers {
            for phase in 0..<layer.forwardPhases {
                if phase > 0 { team.barrier() }
                layer.forward(phase: phase, blocks: mine, pass: pass)
            }
        }
    }

    /// One thread's part of a backward pass, from the slopes that lie in ``logits``: fills ``gradients``.
    ///
    /// - Parameter featureTarget: what the features of all branches together should be, and the weight of the mean squared
    ///   distance from it in the loss.
    func backward(_ pass: Pass, thread: Int, featureTarget: (features: Volume, weight: Float)? = nil) {
        let mine = blocks(of: thread)
        if thread == 0 { nextPiece.store(0, ordering: .relaxed) }
        for (index, layer) in layers.enumerated().reversed() {
            if index == branchLayerCount - 1, let featureTarget {
                pull(toward: featureTarget.features, weight: featureTarget.weight, mine, pass)
            }
            for phase in 0..<layer.backwardPhases {
                if phase > 0 { team.barrier() }
                layer.backward(phase: phase, blocks: mine, pass: pass)
            }
        }
        team.barrier()
        while true {
            let next = nextPiece.wrappingAdd(1, ordering: .relaxed).oldValue
            guard next < pieces.count else { break }
            layers[pieces[next].layer].gradient(piece: pieces[next].piece, pass: pass)
        }
        team.barrier()
        for index in stride(from: thread, to: layers.count, by: team.threads) { layers[index].finish(pass: pass) }
    }

    /// Adds the slope of the mean squared distance of the joined features from a teacher's.
    private func pull(toward target: Volume, weight: Float, _ blocks: Range<Int>, _ pass: Pass) {
        let count = target.shape.elementCount
        let scale = 2 * weight / Float(pass.images * count)
        for block in blocks {
            let (wanted, lanes) = (target.block(block), Int(pass.lanes(of: block)))
            var column = 0
            for value in features {
                guard let gradient = value.gradient else { continue }
                let own = value.values.shape.elementCount
                for position in 0..<own {
                    for lane in 0..<lanes {
                        let place = position * Volume.lanes + lane
                        // Branches that are summed are pulled together, by the distance of their sum.
                        let found =
                            network.merge == .concat
                            ? value.values.block(block)[place]
                            : features.reduce(Float(0)) { $0 + $1.values.block(block)[place] }
                        gradient.block(block)[place] +=
                            scale * (found - wanted[column * Volume.lanes + place])
                    }
                }
                if network.merge == .concat { column += own }
            }
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
                var layer = LayerParameters(weight: values(place.weight), bias: values(place.bias))
                if place.branch == network.branches.count {
                    result.merge = layer
                } else if place.branch < network.branches.count {
                    if let normalization = normalizations[place.branch][place.layer] {
                        layer.runningMean = normalization.runningMean.values
                        layer.runningVariance = normalization.runningVariance.values
                    }
                    result.branches[place.branch][place.layer] = layer
                }
            }
            return result
        }
        set {
            for place in places where place.branch <= network.branches.count {
                guard
                    let layer = place.branch == network.branches.count
                        ? newValue.merge : newValue.branches[place.branch][place.layer]
                else { continue }
                (parameters.pointer + place.weight.lowerBound).update(from: layer.weight, count: place.weight.count)
                (parameters.pointer + place.bias.lowerBound).update(from: layer.bias, count: place.bias.count)
                guard place.branch < network.branches.count,
                    let normalization = normalizations[place.branch][place.layer]
                else { continue }
                normalization.runningMean.values = layer.runningMean
                normalization.runningVariance.values = layer.runningVariance
            }
        }
    }

    /// Where the weights of the auxiliary heads lie, and how many numbers each reads.
    var auxiliaryWeights: [(weight: Range<Int>, inputs: Int)] {
        places.filter { $0.branch == network.branches.count + 1 }
            .map { ($0.weight, $0.weight.count / network.classes) }
    }

    /// The running statistics of all batch normalisations, in the order of the layers.
    var statistics: [Buffer] {
        normalizations.flatMap { branch in
            branch.sorted { $0.key < $1.key }.flatMap { [$0.value.runningMean, $0.value.runningVariance] }
        }
    }
}

extension Buffer {
    var values: [Float] {
        get { Array(UnsafeBufferPointer(start: pointer, count: count)) }
        set { pointer.update(from: newValue, count: min(count, newValue.count)) }
    }
}

extension Layer {
    /// The matrices that a layer's weights are, a row for each output; none where an output has one input channel to itself.
    fileprivate func matrices(_ weight: Range<Int>, outputs: Int) -> [(range: Range<Int>, rows: Int)] {
        var groups = 1
        switch self {
        case .convolution(_, _, let count, _): groups = count
        case .fullyConnected: break
        default: return []
        }
        let (rows, size) = (outputs / groups, weight.count / groups)
        guard rows > 1, size > rows else { return [] }
        return (0..<groups).map { (weight.lowerBound + $0 * size..<weight.lowerBound + ($0 + 1) * size, rows) }
    }
}
