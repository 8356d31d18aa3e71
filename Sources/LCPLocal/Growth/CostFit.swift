/// Costs as a sum of a few quantities times what each of them costs: the least squares of the relative errors, none of them
/// negative.
struct CostFit {
    /// What one of each quantity costs.
    private(set) var coefficients: [Double]
    /// How far the sums are from what was measured on average, as a part of it.
    private(set) var error: Double

    /// - Parameters:
    ///   - rows: the quantities of each measurement.
    ///   - values: what each was seen to cost, above 0.
    init(_ rows: [[Double]], _ values: [Double]) {
        let count = rows.first?.count ?? 0
        coefficients = Array(repeating: 0, count: count)
        // Without those that would be negative, the most negative first.
        var used = Array(0..<count)
        while !used.isEmpty {
            let solution = Self.solve(rows.map { row in used.map { row[$0] } }, values)
            guard let least = solution.indices.min(by: { solution[$0] < solution[$1] }), solution[least] < 0 else {
                for (index, value) in zip(used, solution) { coefficients[index] = value }
                break
            }
            used.remove(at: least)
        }
        let found = coefficients
        error =
            zip(rows, values).map { row, value in abs(zip(row, found).reduce(0) { $0 + $1.0 * $1.1 } / value - 1) }.mean
    }

    /// The normal equations, by Gaussian elimination. What always comes in proportion to others costs nothing by itself.
    private static func solve(_ rows: [[Double]], _ values: [Double]) -> [Double] {
        let count = rows.first?.count ?? 0
        var matrix = (0..<count).map { i in
            (0..<count).map { j in zip(rows, values).reduce(0) { $0 + $1.0[i] * $1.0[j] / ($1.1 * $1.1) } }
                + [zip(rows, values).reduce(0) { $0 + $1.0[i] / $1.1 }]
        }
        let diagonal = (0..<count).map { matrix[$0][$0] }
        // The matrix is symmetric and not negative: what is left of its diagonal is never larger than it was.
        func isFree(_ column: Int) -> Bool { matrix[column][column] > 1e-9 * diagonal[column] }
        for column in 0..<count where isFree(column) {
            for row in 0..<count where row != column {
                let factor = matrix[row][column] / matrix[column][column]
                for index in column...count { matrix[row][index] -= factor * matrix[column][index] }
            }
        }
        return (0..<count).map { isFree($0) ? matrix[$0][count] / matrix[$0][$0] : 0 }
    }
}
