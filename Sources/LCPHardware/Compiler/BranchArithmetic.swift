import LCPModels

/// What the compiler has to know about a branch's numbers. Layers are named by their index; −1 is the input.
protocol BranchArithmetic: Sendable {
    /// The number that stands for 0 in what a layer makes.
    func zero(behind layer: Int) -> Int
    /// The least number there is.
    var least: Int { get }
    var most: Int { get }
    /// Whether what two layers make is in the same units.
    func isSame(_ one: Int, _ other: Int) -> Bool
    /// The number that 6 is in what a layer makes.
    func six(behind layer: Int) -> Int
    /// Weights and constants of a layer that has some.
    ///
    /// - Parameter input: the layer whose output it reads.
    func products(_ pass: inout ArrayPass, layer: Int, reading input: Int, dimensions: [Int]) throws(HardwareError)
    /// The same of a mean over `count` numbers.
    func mean(_ pass: inout ArrayPass, layer: Int, reading input: Int, count: Int) throws(HardwareError)
    /// The same of the sum of what two layers made, or of one in another scale.
    func sum(_ pass: inout ArrayPass, layer: Int, reading inputs: [Int]) throws(HardwareError)
    /// The same where the numbers stay what they are.
    func identity(_ pass: inout ArrayPass, reading input: Int)
    /// The same of the branch's columns of the classification layer; nil where it sends features.
    func head(_ pass: inout ArrayPass, reading input: Int, shape: FeatureMapShape) throws(HardwareError)
    var classes: Int? { get }
    /// Whether there are weights, or only the time counts.
    var hasWeights: Bool { get }
}

/// A branch in eight bits, see `Documentation/integer-arithmetic.md`.
struct IntegerArithmetic: BranchArithmetic {
    let branch: IntegerBranch

    var least: Int { -128 }
    var most: Int { 127 }
    var hasWeights: Bool { true }
    var classes: Int? { branch.head.map { $0.scale.count } }

    private func values(_ layer: Int) -> Quantization { branch.values[layer + 1] }

    func zero(behind layer: Int) -> Int { Int(values(layer).zero) }
    func isSame(_ one: Int, _ other: Int) -> Bool { values(one) == values(other) }
    func six(behind layer: Int) -> Int { Int(values(layer).number(of: 6)) }

    func products(_ pass: inout ArrayPass, layer: Int, reading input: Int, dimensions: [Int]) throws(HardwareError) {
        guard let weights = branch.layers[layer] else { throw HardwareError("\(pass.name) lacks its weights") }
        let count = weights.weight.count / weights.bias.count
        pass.zero = zero(behind: layer)
        pass.constants = try weights.bias.indices.map { output throws(HardwareError) in
            let ratio = Double(values(input).scale) * Double(weights.scale[output]) / Double(values(layer).scale)
            guard let rescaling = Rescaling(ratio) else {
                throw HardwareError("\(pass.name) has scales that do not fit each other")
            }
            // The array multiplies numbers, and not what they are above zero.
            let sum = weights.weight[output * count..<(output + 1) * count].reduce(0) { $0 + Int($1) }
            return .init(
                bias: Int(weights.bias[output]) - zero(behind: input) * sum, multiplier: Int(rescaling.multiplier),
                shift: Int(rescaling.shift))
        }
        pass.weight = pass.places(of: weights.weight.map { Int16($0) }, dimensions)
    }

    func mean(_ pass: inout ArrayPass, layer: Int, reading input: Int, count: Int) throws(HardwareError) {
        guard let (weight, rescaling) = Rescaling.mean(over: count, from: values(input), to: values(layer)),
            weight < (count == 1 ? 1 << 15 : 128)
        else { throw HardwareError("\(pass.name) has scales that do not fit each other") }
        pass.zero = zero(behind: layer)
        pass.constants = Array(
            repeating: .init(
                bias: -zero(behind: input) * weight * count, multiplier: Int(rescaling.multiplier),
                shift: Int(rescaling.shift)), count: pass.outputs)
        guard weight > 127 else {
            pass.weight = { _, _, _, _, _, _ in weight }
            return
        }
        pass.planes = 2
        let (high, low) = Self.planes(of: weight)
        pass.weight = { plane, _, _, _, _, _ in plane == 0 ? high : low }
    }

    /// A factor as 256 times one of eight bits and another one.
    private static func planes(of factor: Int) -> (high: Int, low: Int) {
        let low = Int(Int8(truncatingIfNeeded: factor))
        return ((factor - low) >> 8, low)
    }

    func sum(_ pass: inout ArrayPass, layer: Int, reading inputs: [Int]) throws(HardwareError) {
        guard let weights = SumWeights(from: inputs.map(values), to: values(layer)) else {
            throw HardwareError("\(pass.name) has scales that do not fit each other")
        }
        pass.isDirect = true
        pass.zero = zero(behind: layer)
        // Factors have 15 bits.
        pass.planes = 2
        let factors = weights.factors.map { Self.planes(of: $0) }
        let bias = zip(inputs, weights.factors).reduce(0) { $0 - zero(behind: $1.0) * $1.1 }
        pass.constants = Array(repeating: .init(bias: bias, shift: weights.shift), count: pass.outputs)
        pass.weight = { plane, operand, _, _, _, _ in
            plane == 0 ? factors[operand].high : factors[operand].low
        }
    }

    func identity(_ pass: inout ArrayPass, reading input: Int) {
        pass.isDirect = true
        pass.constants = Array(repeating: .init(), count: pass.outputs)
        pass.weight = { _, _, _, _, _, _ in 1 }
    }

    func head(_ pass: inout ArrayPass, reading input: Int, shape: FeatureMapShape) throws(HardwareError) {
        guard let head = branch.head else { return }
        let count = shape.elementCount
        pass.isRaw = true
        pass.constants = head.scale.indices.map { output in
            let sum = head.weight[output * count..<(output + 1) * count].reduce(0) { $0 + Int($1) }
            return .init(bias: -zero(behind: input) * sum)
        }
        pass.weight = pass.places(
            of: head.weight.map { Int16($0) }, [head.scale.count, shape.channels, shape.height, shape.width])
    }
}

extension ArrayPass {
    /// Weights that lie as in PyTorch: outputs, channels, rows and columns.
    func places(
        of weights: [Int16], _ dimensions: [Int]
    ) -> @Sendable (Int, Int, Int, Int, Int, Int) -> Int {
        let (channels, rows, columns) = (dimensions[1], dimensions[2], dimensions[3])
        let isDiagonal = structure == .diagonal
        return { _, _, output, y, x, channel in
            Int(weights[((output * channels + (isDiagonal ? 0 : channel)) * rows + y) * columns + x])
        }
    }
}
