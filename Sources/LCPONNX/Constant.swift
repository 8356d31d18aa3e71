import LCPModels
import ONNX
import Platform

/// A tensor of weights or constants in a graph, perhaps seen through reshapes, a transposition and a cast.
struct Constant {
    var tensor: ONNXTensor
    /// As later nodes see them.
    var dimensions: [Int]
    /// Whether the two dimensions are swapped against how the elements lie.
    var isTransposed = false

    init(_ tensor: ONNXTensor) {
        self.tensor = tensor
        dimensions = tensor.dimensions
    }

    var count: Int { tensor.count }

    /// Every element in a row-major order of ``dimensions``, few of them.
    func floats(limit: Int = 1 << 20) throws(ONNXError) -> [Float] {
        let values = try tensor.floats(limit: limit)
        guard isTransposed else { return values }
        let (rows, columns) = (dimensions[0], dimensions[1])
        return (0..<rows * columns).map { values[$0 % columns * rows + $0 / columns] }
    }

    /// The elements as a stream, checked to be finite.
    ///
    /// - Parameters:
    ///   - transposed: swaps the two dimensions once more.
    ///   - factor: what every element is multiplied by.
    ///   - minimum: what no element may be below.
    ///   - file: what errors call the model.
    func stream(
        transposed: Bool = false, factor: Float = 1, minimum: Float = -.infinity, file: String
    ) -> WeightStream {
        let tensor = tensor
        func check(_ values: UnsafeMutableBufferPointer<Float>) throws(ONNXError) {
            for index in values.indices {
                values[index] *= factor
                guard values[index].isFinite, values[index] >= minimum else {
                    throw ONNXError(
                        "\(file): the tensor \(tensor.name.quoted) holds \(values[index]), which is no usable weight: export the "
                            + "network again after a training that went well")
                }
            }
        }
        guard transposed != isTransposed, dimensions.count == 2, dimensions.allSatisfy({ $0 > 1 }) else {
            return WeightStream(count: count) { piece in
                try Self.inPieces(of: min(count, 1 << 18), count: count) { buffer, start in
                    try tensor.read(from: start, into: buffer)
                    try check(buffer)
                    try piece(UnsafeBufferPointer(buffer))
                }
            }
        }
        // As they lie: rows × columns; as they are wanted: columns × rows, some of them at a time.
        let rows = isTransposed ? dimensions[1] : dimensions[0]
        let columns = isTransposed ? dimensions[0] : dimensions[1]
        let block = max(1, min(columns, (1 << 22) / rows))
        return WeightStream(count: count) { piece in
            var line = [Float](repeating: 0, count: block)
            var result = [Float](repeating: 0, count: block * rows)
            for start in stride(from: 0, to: columns, by: block) {
                let width = min(block, columns - start)
                for row in 0..<rows {
                    try line.withUnsafeMutableBufferPointer { line in
                        try tensor.read(
                            from: row * columns + start, into: UnsafeMutableBufferPointer(rebasing: line[..<width]))
                    }
                    for column in 0..<width { result[column * rows + row] = line[column] }
                }
                try result.withUnsafeMutableBufferPointer { result in
                    let made = UnsafeMutableBufferPointer(rebasing: result[..<(width * rows)])
                    try check(made)
                    try piece(UnsafeBufferPointer(made))
                }
            }
        }
    }

    private static func inPieces(
        of size: Int, count: Int, _ body: (UnsafeMutableBufferPointer<Float>, Int) throws -> Void
    ) throws {
        guard size > 0 else { return }
        let buffer = UnsafeMutableBufferPointer<Float>.allocate(capacity: size)
        defer { buffer.deallocate() }
        for start in stride(from: 0, to: count, by: size) {
            try body(UnsafeMutableBufferPointer(rebasing: buffer[..<min(size, count - start)]), start)
        }
    }
}

extension WeightStream {
    /// One weight, so many times.
    func repeated(_ times: Int) -> WeightStream {
        WeightStream(count: times) { piece in
            try Array(repeating: values()[0], count: times).withUnsafeBufferPointer(piece)
        }
    }

    /// The weights of a fully connected layer, [outputs, inputs], whose inputs are a feature map in the order HWC, for one in the
    /// order CHW.
    func forChannelsFirst(_ shape: FeatureMapShape) -> WeightStream {
        let (inputs, area) = (shape.elementCount, shape.height * shape.width)
        let places = (0..<inputs).map { $0 % shape.channels * area + $0 / shape.channels }
        return WeightStream(count: count) { piece in
            var row = [Float](repeating: 0, count: inputs)
            var next = 0
            try read { values in
                for value in values {
                    row[places[next]] = value
                    next += 1
                    guard next == inputs else { continue }
                    try row.withUnsafeBufferPointer(piece)
                    next = 0
                }
            }
        }
    }
}
