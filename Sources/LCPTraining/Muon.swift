import CTrainingKernels

/// Muon (Jordan et al., 2024): steps whose matrix is, as far as a few rounds come, orthogonal.
///
/// Of a matrix's gradient with Nesterov's momentum, all singular values become about 1 (five rounds of Newton and Schulz with
/// Jordan's factors bring them to 0.7…1.2). So what few examples ask for is learned as fast as what all do, which narrow
/// branches need most. A step is 0.2 · √(longer side) times as long as that, about as long as Adam's, so that learning rate
/// and decay mean the same for both (Liu et al., 2025).
///
/// A round multiplies X by a polynomial P of G = X Xᵀ, and makes P² G of G. So the rounds need G only, which is small, and X is
/// multiplied once, by all polynomials together. All matrices go through the rounds together, and every thread has its rows of
/// each, so that threads wait for each other twice a round and not for every matrix.
final class Muon {
    private let kernels: UnsafePointer<lcp_kernels>
    private let team: Team
    private let matrices: [Matrix]
    private let momentum: Buffer

    private static let rounds = 5
    private static let (first, third, fifth): (Float, Float, Float) = (3.4445, -4.775, 2.0315)

    /// What is needed for one matrix; it lies on its side where it has more rows than columns.
    private final class Matrix {
        let range: Range<Int>
        let rows: Int
        let columns: Int
        /// The shorter side and the longer one, and the latter up to whole vectors.
        let (short, long, stride): (Int, Int, Int)
        let gramStride: Int
        /// [short, stride]: X before the rounds, and after them.
        let start: Buffer
        let result: Buffer
        /// [short, gramStride] each. G and the product of the polynomials so far, from round to round in the other one.
        let grams: [Buffer]
        let products: [Buffer]
        /// P, and P G.
        let polynomial: Buffer
        let half: Buffer
        /// The sum of squares of each of the `rows`.
        let squares: Buffer

        /// Where an element of the matrix lies in `start` and `result`.
        func place(_ row: Int, _ column: Int) -> Int {
            rows > columns ? column * stride + row : row * stride + column
        }

        init(_ range: Range<Int>, rows: Int) {
            func whole(_ count: Int) -> Int { (count + 15) / 16 * 16 }
            self.range = range
            self.rows = rows
            columns = range.count / rows
            (short, long) = (min(rows, columns), max(rows, columns))
            (stride, gramStride) = (whole(long), whole(short))
            (start, result) = (Buffer(short * stride), Buffer(short * stride))
            let size = short * gramStride
            (grams, products) = ([Buffer(size), Buffer(size)], [Buffer(size), Buffer(size)])
            (polynomial, half) = (Buffer(size), Buffer(size))
            squares = Buffer(rows)
        }
    }

    /// - Parameters:
    ///   - matrices: where each lies among the parameters, and its rows.
    ///   - momentum: as long as the parameters.
    init(
        matrices: [(range: Range<Int>, rows: Int)], momentum: Buffer, kernels: UnsafePointer<lcp_kernels>, team: Team
    ) {
        self.matrices = matrices.map { Matrix($0.range, rows: $0.rows) }
        self.momentum = momentum
        self.kernels = kernels
        self.team = team
    }

    /// A thread's part of a step; all threads of the team call it.
    func update(
        _ parameters: Buffer, _ gradients: Buffer, thread: Int, rate: Float, momentum factor: Float, decay: Float
    ) {
        func mine(_ count: Int) -> Range<Int> { team.part(of: count, thread: thread) }
        for matrix in matrices { gather(matrix, mine(matrix.rows), gradients, factor) }
        team.barrier()
        for matrix in matrices { normalize(matrix, mine(matrix.short)) }
        team.barrier()
        for matrix in matrices {
            let rows = mine(matrix.short)
            kernels.pointee.gram(
                matrix.start.pointer, Int64(matrix.stride), Int32(matrix.short), Int32(matrix.stride),
                matrix.grams[0].pointer, Int64(matrix.gramStride), Int32(rows.lowerBound), Int32(rows.count))
        }
        for round in 0..<Self.rounds {
            team.barrier()
            for matrix in matrices { form(matrix, mine(matrix.short), round) }
            team.barrier()
            for matrix in matrices { apply(matrix, mine(matrix.short), round) }
        }
        team.barrier()
        for matrix in matrices {
            multiply(
                matrix, mine(matrix.short), matrix.products[(Self.rounds - 1) % 2], matrix.start, matrix.result,
                columns: matrix.stride)
        }
        team.barrier()
        for matrix in matrices {
            step(matrix, mine(matrix.rows), parameters, rate: rate, decay: decay)
        }
    }

    /// Momentum, and the gradient with it where the rounds begin.
    private func gather(_ matrix: Matrix, _ rows: Range<Int>, _ gradients: Buffer, _ factor: Float) {
        let target = matrix.start.pointer
        for row in rows {
            let start = matrix.range.lowerBound + row * matrix.columns
            let (slopes, kept) = (gradients.pointer + start, momentum.pointer + start)
            var squares: Float = 0
            for column in 0..<matrix.columns {
                kept[column] = factor * kept[column] + (1 - factor) * slopes[column]
                let value = factor * kept[column] + (1 - factor) * slopes[column]
                squares += value * value
                target[matrix.place(row, column)] = value
            }
            matrix.squares.pointer[row] = squares
        }
    }

    /// No singular value is above 1 where their squares add up to 1.
    private func normalize(_ matrix: Matrix, _ rows: Range<Int>) {
        let sum = (0..<matrix.rows).reduce(0.0) { $0 + Double(matrix.squares.pointer[$1]) }
        let scale = Float(1 / (sum.squareRoot() + 1e-12))
        for row in rows {
            let values = matrix.start.pointer + row * matrix.stride
            for column in 0..<matrix.long { values[column] *= scale }
        }
    }

    /// P = a + b G + c G².
    private func form(_ matrix: Matrix, _ rows: Range<Int>, _ round: Int) {
        let gram = matrix.grams[round % 2]
        multiply(
            matrix, rows, gram, gram, matrix.polynomial, columns: matrix.gramStride, scale: Self.fifth,
            adding: gram, times: Self.third)
        for row in rows { matrix.polynomial.pointer[row * matrix.gramStride + row] += Self.first }
    }

    /// The product of the polynomials so far, and P G P for the next round.
    private func apply(_ matrix: Matrix, _ rows: Range<Int>, _ round: Int) {
        let (now, next, columns) = (round % 2, (round + 1) % 2, matrix.gramStride)
        let polynomial = matrix.polynomial
        if round == 0 {
            for row in rows {
                let start = row * columns
                (matrix.products[0].pointer + start).update(from: polynomial.pointer + start, count: columns)
            }
        } else {
            multiply(matrix, rows, polynomial, matrix.products[next], matrix.products[now], columns: columns)
        }
        guard round < Self.rounds - 1 else { return }
        multiply(matrix, rows, polynomial, matrix.grams[now], matrix.half, columns: columns)
        multiply(matrix, rows, matrix.half, polynomial, matrix.grams[next], columns: columns)
    }

    /// Rows of `a` times `b`, which lies as the result does.
    private func multiply(
        _ matrix: Matrix, _ rows: Range<Int>, _ a: Buffer, _ b: Buffer, _ result: Buffer, columns: Int,
        scale: Float = 1, adding other: Buffer? = nil, times own: Float = 0
    ) {
        kernels.pointee.product(
            a.pointer, Int64(matrix.gramStride), b.pointer, Int64(columns), other?.pointer, result.pointer,
            Int64(columns), Int32(rows.lowerBound), Int32(rows.count), Int32(columns), Int32(matrix.short), scale, own)
    }

    private func step(_ matrix: Matrix, _ rows: Range<Int>, _ parameters: Buffer, rate: Float, decay: Float) {
        let result = matrix.result.pointer
        let length = rate * 0.2 * Float(matrix.long).squareRoot()
        let kept = 1 - rate * decay
        for row in rows {
            let values = parameters.pointer + matrix.range.lowerBound + row * matrix.columns
            for column in 0..<matrix.columns {
                values[column] = kept * values[column] - length * result[matrix.place(row, column)]
            }
        }
    }
}
