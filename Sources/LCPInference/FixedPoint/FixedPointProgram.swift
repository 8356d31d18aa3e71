import LCPModels

/// A branch in fixed point, layer by layer as `Documentation/integer-arithmetic.md` defines it: a reference, not a fast one.
final class FixedPointProgram: BranchProgram {
    let operations: [String]
    var output: UnsafePointer<Float> { UnsafePointer(reals) }

    /// The head is the last of them, where there is one.
    private let layers: [FixedPointLayer]
    /// What each pixel value is, for each channel.
    private let pixels: [[Int16]]
    private let inputScale: Double
    private let outputScale: Double
    /// The input, and what each layer made in the last run, HWC.
    private var values: [[Int16]]
    private let reals: UnsafeMutablePointer<Float>

    /// - Parameter shapes: of the input, and of what each layer makes.
    /// - Throws: ``InferenceError`` for a layer that has no arithmetic in fixed point.
    init(
        _ layers: [Layer], _ shapes: [FeatureMapShape], _ branch: FixedPointBranch,
        _ preprocessing: ModelManifest.Preprocessing
    ) throws(InferenceError) {
        var (layers, shapes, weights) = (layers, shapes, branch.layers)
        if let head = branch.head {
            layers.append(.fullyConnected(outputs: head.bias.count))
            shapes.append(FeatureMapShape(features: head.bias.count))
            weights.append(head)
        }
        var made: [FixedPointLayer] = []
        for (index, layer) in layers.enumerated() {
            guard layer.hasFixedPointArithmetic, !layer.hasStatistics else {
                throw InferenceError("\(layer) has no arithmetic in fixed point")
            }
            made.append(
                FixedPointLayer(
                    layer, input: shapes[index], output: shapes[index + 1], weights: weights[index],
                    table: branch.tables[index], scale: index < branch.layers.count ? branch.scales[index + 1] : 1))
        }
        self.layers = made
        operations = layers.map { "\($0), fixed point" }
        inputScale = branch.scales[0]
        outputScale = branch.head == nil ? branch.scales[branch.layers.count] : branch.headScale
        pixels = zip(preprocessing.mean, preprocessing.standardDeviation).map { mean, deviation in
            (0...255).map {
                FixedPoint.number(of: (Double($0) / 255 - Double(mean)) / Double(deviation) / branch.scales[0])
            }
        }
        values = shapes.map { Array(repeating: 0, count: $0.elementCount) }
        let count = shapes[shapes.count - 1].elementCount
        reals = .allocate(capacity: count)
        reals.initialize(repeating: 0, count: count)
    }

    deinit { reals.deallocate() }

    var elementSize: Int { 1 }

    func load(pixels bytes: UnsafeRawBufferPointer) {
        for index in bytes.indices { values[0][index] = pixels[index % pixels.count][Int(bytes[index])] }
    }

    func load(normalized: UnsafeRawBufferPointer) {
        for index in values[0].indices {
            let real = normalized.loadUnaligned(fromByteOffset: index * 4, as: Float.self)
            values[0][index] = FixedPoint.number(of: Double(real) / inputScale)
        }
    }

    func run(operation index: Int) {
        values[index + 1] = layers[index].run(
            values[index], others: layers[index].layer.references.map { values[$0 + 1] })
        guard index + 1 == operations.count else { return }
        for (place, number) in values[index + 1].enumerated() {
            reals[place] = Float(Double(number) / 8192 * outputScale)
        }
    }
}
