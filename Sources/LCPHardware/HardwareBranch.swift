public import LCPModels

/// A branch of a bundle for the array: its program, and how inputs and outputs become numbers.
public struct HardwareBranch: Sendable {
    public let program: ArrayProgram
    private let kind: Kind
    /// What each value of a pixel is, for each channel.
    private let pixels: [[Int]]

    private enum Kind: Sendable {
        case int8(IntegerBranch)
        /// What the input is divided by, and what a number of the output is multiplied by.
        case fixed(input: Double, output: Double)
    }

    /// Compiles a branch of a bundle in eight bits.
    ///
    /// - Throws: ``HardwareError``, or what reading the bundle throws.
    public init(bundle: ModelBundle, branch index: Int, shape: ArrayShape) throws {
        guard bundle.manifest.arithmetic == .int8, shape.word == .int8 else {
            throw HardwareError(
                "\(bundle.manifest.name) is no model in eight bits: lcp quantize makes one of it, as lenet-split4-int8 is, which came "
                    + "with lcp"
            )
        }
        try self.init(
            network: bundle.network, branch: index, integers: bundle.integerBranch(index),
            preprocessing: bundle.manifest.preprocessing, shape: shape)
    }

    /// Compiles a branch in eight bits.
    ///
    /// - Throws: ``HardwareError``, or a ``NetworkError``.
    public init(
        network: BranchedNetwork, branch index: Int, integers: IntegerBranch,
        preprocessing: ModelManifest.Preprocessing,
        shape: ArrayShape
    ) throws {
        let layers = network.branches[index]
        let shapes = try network.shapes(of: index)
        var compiler = ArrayCompiler(shape, layers, shapes, IntegerArithmetic(branch: integers))
        program = try compiler.compile()
        let input = integers.values[0]
        pixels = zip(preprocessing.mean, preprocessing.standardDeviation).map { mean, deviation in
            let (scale, offset) = (1 / (255 * deviation) / input.scale, -mean / deviation / input.scale)
            return (0...255).map { pixel in
                // Product and sum are rounded one after the other.
                let product = Float(pixel) * scale
                return Self.number(product + offset, Int(input.zero))
            }
        }
        kind = .int8(integers)
    }

    /// Compiles a branch in fixed point.
    ///
    /// - Parameter network: the one that the branch's weights are for, without batch normalisations.
    /// - Throws: ``HardwareError``, or a ``NetworkError``.
    public init(
        network: BranchedNetwork, branch index: Int, fixedPoint: FixedPointBranch,
        preprocessing: ModelManifest.Preprocessing, shape: ArrayShape
    ) throws {
        guard shape.word == .q3_13 else {
            throw HardwareError("the array's numbers have eight bits: choose --word q3.13")
        }
        let layers = network.branches[index]
        let shapes = try network.shapes(of: index)
        var compiler = ArrayCompiler(shape, layers, shapes, FixedPointArithmetic(branch: fixedPoint))
        program = try compiler.compile()
        pixels = zip(preprocessing.mean, preprocessing.standardDeviation).map { mean, deviation in
            (0...255).map {
                Int(FixedPoint.number(of: (Double($0) / 255 - Double(mean)) / Double(deviation) / fixedPoint.scales[0]))
            }
        }
        kind = .fixed(
            input: fixedPoint.scales[0],
            output: fixedPoint.head == nil ? fixedPoint.scales[layers.count] : fixedPoint.headScale)
    }

    /// Pixels, HWC, as the branch's numbers.
    public func numbers(pixels values: [UInt8]) -> [Int] {
        values.indices.map { pixels[$0 % pixels.count][Int(values[$0])] }
    }

    /// Normalised numbers, HWC, as the branch's numbers: what is no number is 0.
    public func numbers(normalized reals: [Float]) -> [Int] {
        switch kind {
        case .int8(let branch):
            let (factor, zero) = (1 / branch.values[0].scale, Int(branch.values[0].zero))
            return reals.map { real in
                let value = real * factor
                return Self.number(value.isNaN ? 0 : value, zero)
            }
        case .fixed(let scale, _): return reals.map { Int(FixedPoint.number(of: Double($0) / scale)) }
        }
    }

    /// To the nearest, ties to even; what is far outside is outside afterwards, too.
    private static func number(_ value: Float, _ zero: Int) -> Int {
        max(-128, min(127, Int(max(-1024, min(1024, value)).rounded(.toNearestOrEven)) + zero))
    }

    /// What the array wrote, in the order in which the branch sends it.
    ///
    /// - Parameter lines: the words of the output's map.
    func output(_ lines: [Int]) -> [Float] {
        let map = program.outputMap
        switch kind {
        case .int8(let branch):
            if program.isRaw {
                // A part's columns lie in as many lines as a sum has words.
                let (rows, pieces) = (program.shape.rows, program.shape.pieces)
                return map.places.map { place in
                    let first = place / rows * pieces * rows + place % rows
                    let sum = (0..<pieces).reduce(0) { $0 | (lines[first + $1 * rows] & 0xFF) << (8 * $1) }
                    let head = branch.head
                    let scale = branch.values[branch.values.count - 1].scale * (head?.scale[place] ?? 1)
                    return Float(Int32(truncatingIfNeeded: sum)) * scale
                }
            }
            let values = branch.values[branch.values.count - 1]
            return planes(lines).map { values.real(of: Int8($0)) }
        case .fixed(_, let scale): return planes(lines).map { Float(Double($0) / 8192 * scale) }
        }
    }

    /// The output's numbers, CHW.
    private func planes(_ lines: [Int]) -> [Int] {
        let map = program.outputMap
        return map.places.flatMap { place in
            (0..<map.height).flatMap { row in
                (0..<map.width).map { lines[row * map.rowLines * program.shape.rows + $0 * map.pixel + place] }
            }
        }
    }
}
