import LCPModels

/// Lowers a branch to the array's commands.
struct ArrayCompiler {
    private let layers: [Layer]
    /// Of the input, and of what each layer makes.
    private let shapes: [FeatureMapShape]
    private let arithmetic: any BranchArithmetic
    private var builder: ArrayBuilder
    /// Where what a layer makes lies, by the layer; that of the input is −1.
    private var maps: [Int: ArrayMap] = [:]
    /// The layers whose output is read as this layer's.
    private var lastReader: [Int: Int] = [:]

    init(
        _ shape: ArrayShape, _ layers: [Layer], _ shapes: [FeatureMapShape], _ arithmetic: any BranchArithmetic
    ) {
        (self.layers, self.shapes, self.arithmetic) = (layers, shapes, arithmetic)
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
            case _ where handsOn(layer): break
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
        let output = try builder.add(pass, from: last)
        return builder.finish(output, isRaw: pass.isRaw)
    }

    /// Whether a layer leaves its numbers as they are: a dropout, and where only the time counts what is in the weights before it, or is
    /// not done by the array.
    private func handsOn(_ layer: Layer) -> Bool {
        switch layer {
        case .dropout: true
        case .batchNormalization, .localResponseNormalization, .softmax: !arithmetic.hasWeights
        default: false
        }
    }

    /// The layer that made what a layer hands on.
    private func handsOn(_ layer: Int) -> Int {
        var layer = layer
        while layer >= 0 {
            switch layers[layer] {
            case let other where handsOn(other): layer -= 1
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
        case .convolution(_, let window, let groups, _):
            let (kernel, stride, padding) = try square(window, layer, index)
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
        case .depthwiseConvolution(let window, _):
            let (kernel, stride, padding) = try square(window, layer, index)
            pass.structure = .diagonal
            (pass.kernelHeight, pass.kernelWidth, pass.stride, pass.padding) = (kernel, kernel, stride, padding)
            pass.multiplications = to.elementCount * kernel * kernel
            try arithmetic.products(&pass, layer: index, reading: from, dimensions: [to.channels, 1, kernel, kernel])
        case .averagePool(let window, _):
            let (size, stride, padding) = try square(window, layer, index)
            guard padding == 0 else { throw HardwareError("the array has no \(layer) (layer \(index))") }
            pass.structure = .diagonal
            (pass.kernelHeight, pass.kernelWidth, pass.stride) = (size, size, stride)
            try arithmetic.mean(&pass, layer: index, reading: from, count: size * size)
        case .globalAveragePool:
            pass.structure = .diagonal
            (pass.kernelHeight, pass.kernelWidth) = (input.height, input.width)
            try arithmetic.mean(&pass, layer: index, reading: from, count: input.height * input.width)
        case .maxPool(let window):
            let (size, stride, padding) = try square(window, layer, index)
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
        case _ where handsOn(layer): return index + 1
        case .output: return index + 1
        case .dropout, .batchNormalization, .localResponseNormalization, .softmax, .concatenate, .multiply,
            .channelNormalization, .slice,
            .shuffle, .activation, .prelu:
            throw HardwareError("the array has no \(layer) (layer \(index))")
        }
        let (last, next) = absorb(&pass, behind: index)
        if let second {
            maps[last] = try add(pass, from, second)
        } else {
            let map = try from == -1 ? readInput(&pass) : self.map(of: from)
            maps[last] = try builder.add(pass, from: map)
        }
        return next
    }

    /// The sum of what two layers made, both of the same form.
    private mutating func add(_ pass: ArrayPass, _ one: Int, _ other: Int) throws(HardwareError) -> ArrayMap {
        var operands: [ArrayMap] = []
        for layer in [one, other] {
            if layer == -1, maps[-1] == nil {
                var identity = self.identity(layer)
                operands.append(try readInput(&identity))
            } else {
                operands.append(try map(of: layer))
            }
        }
        var made: [ArrayMap] = []
        if !operands[0].hasForm(of: operands[1]) {
            for (index, layer) in [one, other].enumerated() {
                var pass = identity(layer).dense
                pass.name = "another layout"
                pass.isWide = true
                operands[index] = try builder.add(pass, from: operands[index])
                made.append(operands[index])
            }
        }
        let sum = try builder.add(pass, from: operands[0], second: operands[1])
        for map in made { builder.free(map) }
        return sum
    }

    /// What a layer makes, as it is.
    private func identity(_ layer: Int) -> ArrayPass {
        let shape = shapes[layer + 1]
        var pass = ArrayPass(
            name: "input", structure: .diagonal, height: shape.height, width: shape.width, outputs: shape.channels)
        (pass.least, pass.most) = (arithmetic.least, arithmetic.most)
        pass.pad = arithmetic.zero(behind: layer)
        arithmetic.identity(&pass, reading: layer)
        return pass
    }

    private func map(of layer: Int) throws(HardwareError) -> ArrayMap {
        guard let map = maps[layer] else { throw HardwareError("what layer \(layer) makes is not kept") }
        return map
    }

    private func clamp(_ pass: inout ArrayPass, _ layer: Layer, behind index: Int) {
        pass.least = arithmetic.zero(behind: index)
        if case .relu6 = layer { pass.most = min(pass.most, arithmetic.six(behind: index)) }
    }

    /// The size, stride and padding of a square window.
    private func square(
        _ window: Window, _ layer: Layer, _ index: Int
    ) throws(HardwareError) -> (Int, Int, Int) {
        guard let square = window.square else {
            throw HardwareError(
                "the array has square windows with the same padding on all sides only (layer \(index), \(layer))")
        }
        return square
    }

    /// Does ReLU, dropout and pooling with the pass before them, where nothing else reads what lies between.
    ///
    /// - Returns: the layer whose output the pass makes, and the first one that is not done.
    private func absorb(_ pass: inout ArrayPass, behind index: Int) -> (last: Int, next: Int) {
        var (last, next) = (index, index + 1)
        while next < layers.count {
            if handsOn(layers[next]) {
                next += 1
                continue
            }
            guard lastReader[last] == next, arithmetic.isSame(last, next) else { break }
            switch layers[next] {
            case .relu, .relu6: clamp(&pass, layers[next], behind: next)
            case .maxPool(let window)
            where window.square?.size == window.strideDown && window.square?.padding == 0 && pass.poolSize == 1
                && pass.structure == .dense
                && window.taps <= builder.shape.entries:
                (pass.poolSize, pass.poolStride) = (window.height, window.height)
            default: return (last, next)
            }
            (last, next) = (next, next + 1)
        }
        return (last, next)
    }

    /// Lays the input so that the first pass takes the fewest clocks.
    private mutating func readInput(_ pass: inout ArrayPass) throws(HardwareError) -> ArrayMap {
        var best: (pass: ArrayPass, layout: ArrayProgram.InputLayout, clocks: Int)?
        var failure: HardwareError?
        for layout in ArrayProgram.InputLayout.allCases {
            guard let candidate = laid(pass, layout) else { continue }
            do throws(HardwareError) {
                let clocks = try builder.planned(candidate, inputMap(candidate, layout, line: 0)).plan.clocks
                if best.map({ clocks < $0.clocks }) ?? true { best = (candidate, layout, clocks) }
            } catch { failure = failure ?? error }
        }
        guard let best else { throw failure ?? HardwareError("the input of \(pass.name) cannot be laid") }
        let form = inputMap(best.pass, best.layout, line: 0)
        let map = builder.map(height: form.height, width: form.width, pixel: form.pixel, places: form.places)
        builder.setInput(
            map, best.layout, kernel: pass.kernelHeight, stride: pass.stride, padding: pass.padding, pad: pass.pad)
        pass = best.pass
        maps[-1] = map
        return map
    }

    /// The pass over an input that is laid so; nil where that is for nothing.
    private func laid(_ pass: ArrayPass, _ layout: ArrayProgram.InputLayout) -> ArrayPass? {
        var pass = pass
        let (kernel, channels, weight) = (pass.kernelWidth, shapes[0].channels, pass.weight)
        switch layout {
        case .plain: return pass
        case .columns, .windows:
            guard pass.structure == .dense, pass.kernelHeight == kernel, kernel > 1, pass.height > 1 else { return nil }
        }
        (pass.kernelHeight, pass.strideDown, pass.paddingDown) = (1, 1, 0)
        if layout == .columns {
            pass.weight = Self.relaid(weight) { word, x in (word / channels, x, word % channels) }
        } else {
            (pass.kernelWidth, pass.stride, pass.padding) = (1, 1, 0)
            pass.weight = Self.relaid(weight) { word, _ in
                (word / (channels * kernel), word / channels % kernel, word % channels)
            }
        }
        return pass
    }

    /// Weights of words that stand for other places of the window.
    private static func relaid(
        _ weight: ArrayPass.Weight?, _ place: @escaping @Sendable (Int, Int) -> (y: Int, x: Int, channel: Int)
    ) -> ArrayPass.Weight? {
        guard let weight else { return nil }
        return { (plane: Int, operand: Int, output: Int, _: Int, x: Int, word: Int) -> Int in
            let (y, x, channel) = place(word, x)
            return weight(plane, operand, output, y, x, channel)
        }
    }

    /// The input's map for a pass over it.
    private func inputMap(_ pass: ArrayPass, _ layout: ArrayProgram.InputLayout, line: Int) -> ArrayMap {
        let (shape, rows) = (shapes[0], builder.shape.rows)
        var map = ArrayMap(
            line: line, height: shape.height, width: shape.width, pixel: shape.channels, rowLines: 1, places: [])
        switch layout {
        case .plain:
            // What is done channel by channel needs pixels as the array writes them.
            if pass.structure == .diagonal { map.pixel = builder.pixelWords(shape.channels) }
        case .columns:
            map.height = pass.height
            map.pixel = shape.channels * inputKernel
        case .windows:
            (map.height, map.width) = (pass.height, pass.width)
            map.pixel = shape.channels * inputKernel * inputKernel
        }
        map.rowLines = (map.words + rows - 1) / rows
        map.places = Array(0..<(layout == .plain ? shape.channels : map.pixel))
        return map
    }

    /// Of the first layer.
    private var inputKernel: Int {
        if case .convolution(_, let window, _, _) = layers[0] { window.height } else { 1 }
    }
}
