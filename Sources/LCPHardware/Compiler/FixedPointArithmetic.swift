import LCPModels

/// A branch in fixed point, see `Documentation/integer-arithmetic.md`.
struct FixedPointArithmetic: BranchArithmetic {
    let branch: FixedPointBranch

    private static let one = 1 << FixedPoint.fractionBits

    var least: Int { -32_768 }
    var most: Int { 32_767 }
    var hasWeights: Bool { true }
    var classes: Int? { branch.head.map { $0.bias.count } }

    func zero(behind layer: Int) -> Int { 0 }
    func isSame(_ one: Int, _ other: Int) -> Bool { branch.scales[one + 1] == branch.scales[other + 1] }
    func six(behind layer: Int) -> Int { Int(FixedPoint.number(of: 6 / branch.scales[layer + 1])) }

    func products(_ pass: inout ArrayPass, layer: Int, reading input: Int, dimensions: [Int]) throws(HardwareError) {
        guard let weights = branch.layers[layer] else { throw HardwareError("\(pass.name) lacks its weights") }
        pass.constants = weights.bias.map { .init(bias: Int($0)) }
        pass.weight = pass.places(of: weights.weight, dimensions)
    }

    func mean(_ pass: inout ArrayPass, layer: Int, reading input: Int, count: Int) throws(HardwareError) {
        // Only then is a product exactly a part of a number.
        guard count.nonzeroBitCount == 1, count <= Self.one else {
            throw HardwareError(
                "in fixed point the array takes the mean of 2, 4, 8 … 8192 numbers, and not of \(count) (\(pass.name))")
        }
        let weight = Self.one / count
        pass.constants = Array(repeating: .init(), count: pass.outputs)
        pass.weight = { _, _, _, _, _, _ in weight }
    }

    func sum(_ pass: inout ArrayPass, layer: Int, reading inputs: [Int]) throws(HardwareError) {
        guard inputs.allSatisfy({ isSame($0, layer) }) else {
            throw HardwareError("\(pass.name) has scales that do not fit each other")
        }
        identity(&pass, reading: layer)
    }

    func identity(_ pass: inout ArrayPass, reading input: Int) {
        pass.constants = Array(repeating: .init(), count: pass.outputs)
        pass.weight = { _, _, _, _, _, _ in Self.one }
    }

    func head(_ pass: inout ArrayPass, reading input: Int, shape: FeatureMapShape) throws(HardwareError) {
        guard let head = branch.head else { return }
        pass.constants = head.bias.map { .init(bias: Int($0)) }
        pass.weight = pass.places(of: head.weight, [head.bias.count, shape.channels, shape.height, shape.width])
    }
}
