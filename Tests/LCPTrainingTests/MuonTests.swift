import CTrainingKernels
import LCPModels
import Platform
import Testing

@testable import LCPTraining

/// Muon against its definition in double precision.
@Suite struct MuonTests {
    /// A matrix in rows.
    struct Matrix {
        var rows: Int
        var columns: Int
        var values: [Double]

        subscript(row: Int, column: Int) -> Double {
            get { values[row * columns + column] }
            set { values[row * columns + column] = newValue }
        }

        init(_ rows: Int, _ columns: Int, _ value: (Int, Int) -> Double) {
            (self.rows, self.columns) = (rows, columns)
            values = (0..<rows * columns).map { value($0 / columns, $0 % columns) }
        }

        var turned: Matrix { Matrix(columns, rows) { self[$1, $0] } }
        static func * (a: Matrix, b: Matrix) -> Matrix {
            Matrix(a.rows, b.columns) { row, column in
                (0..<a.columns).reduce(0) { $0 + a[row, $1] * b[$1, column] }
            }
        }
        static func * (a: Double, b: Matrix) -> Matrix { Matrix(b.rows, b.columns) { a * b[$0, $1] } }
        static func + (a: Matrix, b: Matrix) -> Matrix { Matrix(a.rows, a.columns) { a[$0, $1] + b[$0, $1] } }

        /// Five rounds of Newton and Schulz, as Jordan wrote them down.
        var orthogonalized: Matrix {
            if rows > columns { return turned.orthogonalized.turned }
            let norm = values.reduce(0) { $0 + $1 * $1 }.squareRoot()
            var x = (1 / norm) * self
            for _ in 0..<5 {
                let gram = x * x.turned
                x = 3.4445 * x + (-4.775 * gram + 2.0315 * (gram * gram)) * x
            }
            return x
        }
    }

    static let kernels = (["avx512", "avx2", "portable"] as [String]).filter { lcp_kernels_named($0) != nil }
    static let shapes = [(2, 3), (5, 3), (16, 16), (7, 75), (48, 200), (37, 18), (100, 6)]

    @Test(arguments: kernels, shapes)
    func stepsAreThoseOfTheDefinition(name: String, shape: (Int, Int)) throws {
        let (rows, columns) = shape
        let count = rows * columns
        var random = SeededGenerator(seed: 11)
        // The matrix lies behind something else, and need not begin on 64 bytes.
        let (parameters, gradients, momentum) = (Buffer(count + 9), Buffer(count + 9), Buffer(count + 9))
        for buffer in [parameters, gradients] {
            for index in 0..<buffer.count { buffer.pointer[index] = random.uniform(-1, 1) }
        }
        let untouched = Array(parameters.values[..<5] + parameters.values[(count + 5)...])
        let team = try Team(threads: 3)
        let subject = Muon(
            matrices: [(5..<count + 5, rows)], momentum: momentum, kernels: try #require(lcp_kernels_named(name)),
            team: team)
        func matrix(_ buffer: Buffer) -> Matrix {
            Matrix(rows, columns) { Double(buffer.pointer[5 + $0 * columns + $1]) }
        }
        var (expected, kept) = (matrix(parameters), 0 * matrix(gradients))
        for _ in 0..<3 {
            let slope = matrix(gradients)
            kept = 0.95 * kept + 0.05 * slope
            let step = (0.95 * kept + 0.05 * slope).orthogonalized
            expected = (1 - 0.02 * 0.1) * expected + (-0.02 * 0.2 * Double(max(rows, columns)).squareRoot()) * step
            team.run { subject.update(parameters, gradients, thread: $0, rate: 0.02, momentum: 0.95, decay: 0.1) }
            for index in 0..<gradients.count { gradients.pointer[index] = random.uniform(-1, 1) }
        }
        let distance = zip(matrix(parameters).values, expected.values).reduce(0) { max($0, abs($1.0 - $1.1)) }
        #expect(distance < 1e-4, "\(distance)")
        #expect(parameters.values[..<5] + parameters.values[(count + 5)...] == untouched[...])
    }

    @Test func aGradientOfNothingMovesNothing() throws {
        let team = try Team(threads: 1)
        let (parameters, gradients, momentum) = (Buffer(12), Buffer(12), Buffer(12))
        parameters.pointer.update(repeating: 1, count: 12)
        let subject = Muon(
            matrices: [(0..<12, 3)], momentum: momentum, kernels: lcp_kernels_best(), team: team)
        team.run { subject.update(parameters, gradients, thread: $0, rate: 0.1, momentum: 0.9, decay: 0) }
        #expect(parameters.values == Array(repeating: 1, count: 12))
    }

    /// Weights that mix channels are matrices, each group by itself; depthwise kernels, single rows and the classification
    /// layer are not.
    @Test func matricesAreTheWeightsThatMixChannels() throws {
        let network = BranchedNetwork(
            base: "test", input: .init(height: 6, width: 6, channels: 2),
            branches: [
                [
                    .convolution(outputs: 4, kernel: 3, padding: 1), .batchNormalization(), .relu,
                    .depthwiseConvolution(kernel: 3, padding: 1), .convolution(outputs: 6, kernel: 1, groups: 2),
                    .fullyConnected(outputs: 5), .fullyConnected(outputs: 1),
                ]
            ],
            classes: 3, merge: .concat)
        let graph = try TrainingGraph(network, batch: 4, team: try Team(threads: 1))
        #expect(graph.matrices.map(\.rows) == [4, 3, 3, 5])
        #expect(graph.matrices.map(\.range.count) == [4 * 18, 3 * 2, 3 * 2, 5 * 216])
        #expect(
            zip(graph.matrices, graph.matrices.dropFirst()).allSatisfy { $0.range.upperBound <= $1.range.lowerBound })
    }
}
