import LCPModels

/// Lowers a branch to the array's commands.
struct ArrayCompiler {
    private let layers: [Layer]
    /// Of the input, and of what each layer makes.
    private let shapes: [FeatureMapShape]
    private let arithmetic: any BranchArithmetic
    private let hasWeights: Bool
    private var builder: ArrayBuilder
    /// Where what a layer makes lies, by the layer; that of the input is −1.
    private var maps: [Int: ArrayMap] = [:]
    /// The layers whose output is read as this layer's.
    private var lastReader: [Int: Int] = [:]

    init(
        _ shape: ArrayShape, _ layers: [Layer], _ shapes: [FeatureMapShape], _ arithmetic: any BranchArithmetic,
        hasWeights: Bool
    ) {
        (self.layers, self.shapes, self.arithmetic, self.hasWeights) = (layers, shapes, arithmetic, hasWeights)
        builder = ArrayBuilder(shape, input: shapes[0])
    }

    /// - Throws: ``HardwareError`` for a layer that the array cannot do.
    mutating func compile() throws(HardwareError) -> ArrayProgram {
        // What each layer reads: layers that change nothing hand on what they read.
        var source = [Int](repeating: -1, count: layers.count + 1)
        var made = -1
        for (index, layer) in layers.enumerated() {
            source[index] = made
            switch layer {
            case .dropout: break
            case .output(let of): made = handsOn(of)
            default: made = index
            }
        }
        source[layers.count] = made
        for (index, layer) in layers.enumerated() {
            lastReader[source[index]] = index
            for other in layer.references { lastReader[handsOn(other)] = index }
        }
        lastReader[made] = layers.count

        var index = 0
        while index < layers.count {
            index = try lower(index, source)
            for (layer, map) in maps where (lastReader[layer] ?? layer) < index && layer != made {
                builder.free(map)
                maps[layer] = nil
            }
        }
        guard let last = maps[made] else { throw HardwareError("a branch without a layer has nothing to compute") }
        guard arithmetic.classes != nil else { return builder.finish(last, isRaw: false) }
        var pass = product("the classification layer", shapes[layers.count], outputs: arithmetic.classes ?? 0)
        pass.multiplications = (arithmetic.classes ?? 0) * shapes[layers.count].elementCount
        try arithmetic.head(&pass, reading: made, shape: shapes[layers.count])
        if !hasWeights { pass.weight = nil }
        let output = try builder.add(pass, from: last)
        return builder.finish(output, isRaw: pass.isRaw)
    }

    /// The layer that made what a layer hands on.
    private func handsOn(_ layer: Int) -> Int {
        var layer = layer
        while layer >= 0 {
            switch layers[layer] {
            case .dropout: layer -= 1
            case .output(let of): layer = of
            default: return layer
            }
        }
        return layer
    }

    /// A fully connected layer: a window as large as the map.
    private func product(_ name: String, _ input: FeatureMapShape, outputs: Int) -> ArrayPass {
        var pass = ArrayPass(name: name, height: 1, width: 1, outputs: outputs)
        (pass.kernelHeight, pass.kernelWidth) = (input.height, input.width)
        (pass.least, pass.most) = (arithmetic.least, arithmetic.most)
        return pass
    }

    /// Lowers a layer and those behind it that are done with it.
    ///
    /// - Returns: the first layer that is not done.
    private mutating func lower(_ index: Int, _ source: [Int]) throws(HardwareError) -> Int {
        let layer = layers[index]
        let (input, from, to) = (shapes[index], source[index], shapes[index + 1])
        var pass = ArrayPass(name: "\(layer)", height: to.height, width: to.width, outputs: to.channels)
        (pass.least, pass.most) = (arithmetic.least, arithmetic.most)
        pass.pad = arithmetic.zero(behind: from)
        var second: Int?
        switch layer {
        case .convolution(_, let kernel, let stride, let padding, let groups, _):
            guard groups == 1 else {
                throw HardwareError("the array has no convolution in groups (layer \(index), \(layer))")
            }
            (pass.kernelHeight, pass.kernelWidth, pass.stride, pass.padding) = (kernel, kernel, stride, padding)
            pass.multiplications = to.elementCount * input.channels * kernel * kernel
            try arithmetic.products(
                &pass, layer: index, reading: from, dimensions: [to.channels, input.channels, kernel, kernel])
        case .fullyConnected(let outputs):
            pass = product("\(layer)", input, outputs: outputs)
            pass.multiplications = outputs * input.elementCount
            try arithmetic.products(
                &pass, layer: index, reading: from, dimensions: [outputs, input.channels, input.height, input.width])
        case .depthwiseConvolution(let kernel, let stride, let padding, _):
            pass.structure = .diagonal
            (pass.kernelHeight, pass.kernelWidth, pass.stride, pass.padding) = (kernel, kernel, stride, padding)
            pass.multiplications = to.elementCount * kernel * kernel
            try arithmetic.products(&pass, layer: index, reading: from, dimensions: [to.channels, 1, kernel, kernel])
        case .averagePool(let size, let stride):
            pass.structure = .diagonal
            (pass.kernelHeight, pass.kernelWidth, pass.stride) = (size, size, stride)
            try arithmetic.mean(&pass, layer: index, reading: from, count: size * size)
        case .globalAveragePool:
            pass.structure = .diagonal
            (pass.kernelHeight, pass.kernelWidth) = (input.height, input.width)
            try arithmetic.mean(&pass, layer: index, reading: from, count: input.height * input.width)
        case .maxPool(let size, let stride, let padding):
            pass.structure = .diagonal
            (pass.poolSize, pass.poolStride, pass.padding) = (size, stride, padding)
            (pass.height, pass.width) = (input.height + 2 * padding, input.width + 2 * padding)
            arithmetic.identity(&pass, reading: from)
            // Padding does not count.
            pass.pad = arithmetic.least
        case .relu, .relu6:
            pass.structure = .diagonal
            if arithmetic.isSame(from, index) {
                arithmetic.identity(&pass, reading: from)
            } else {
                try arithmetic.sum(&pass, layer: index, reading: [from])
            }
            clamp(&pass, layer, behind: index)
        case .add(let other):
            pass.structure = .diagonal
            second = handsOn(other)
            try arithmetic.sum(&pass, layer: index, reading: [from, handsOn(other)])
        case .dropout, .output: return index + 1
        case .batchNormalization, .localResponseNormalization, .softmax, .concatenate:
            throw HardwareError("the array has no \(layer) (layer \(index))")
        }
        let (last, next) = absorb(&pass, behind: index)
        if !hasWeights { pass.weight = nil }
        let map = try from == -1 ? readInput(&pass) : self.map(of: from)
        maps[last] = try builder.add(
            pass, from: map, second: second.map { (other) throws(HardwareError) in try self.map(of: other) })
        return next
    }

    private func map(of layer: Int) throws(HardwareError) -> ArrayMap {
        guard let map = maps[layer] else { throw HardwareError("what layer \(layer) makes is not kept") }
        return map
    }

    private func clamp(_ pass: inout ArrayPass, _ layer: Layer, behind index: Int) {
        pass.least = arithmetic.zero(behind: index)
        if case .relu6 = layer { pass.most = min(pass.most, arithmetic.six(behind: index)) }
    }

    /// Does ReLU, dropout and pooling with the pass before them, where nothing else reads what lies between.
    ///
    /// - Returns: the layer whose output the pass makes, and the first one that is not done.
    private func absorb(_ pass: inout ArrayPass, behind index: Int) -> (last: Int, next: Int) {
        var (last, next) = (index, index + 1)
        while next < layers.count {
            if case .dropout = layers[next] {
                next += 1
                continue
            }
            guard lastReader[last] == next, arithmetic.isSame(last, next) else { break }
            switch layers[next] {
            case .relu, .relu6: clamp(&pass, layers[next], behind: next)
            case .maxPool(let size, let stride, 0)
            where size == stride && pass.poolSize == 1 && pass.structure == .dense
                && size * size <= builder.shape.entries:
                (pass.poolSize, pass.poolStride) = (size, size)
            default: return (last, next)
            }
            (last, next) = (next, next + 1)
        }
        return (last, next)
    }

    /// Lays the input so that the first pass takes the fewest clocks.
    private mutating func readInput(_ pass: inout ArrayPass) throws(HardwareError) -> ArrayMap {
        let input = shapes[0]
        let map = builder.map(
            height: input.height, width: input.width, pixel: input.channels, places: Array(0..<input.channels))
        builder.setInput(map, .plain, kernel: 1, stride: 1, padding: 0, pad: pass.pad)
        maps[-1] = map
        return map
    }
}
