import CBranchKernels

/// Winograd's minimal filtering F(4 × 4, 3 × 3) (Lavin and Gray, 2016): what a 3 × 3 kernel becomes, and where it is worth it.
enum Winograd {
    /// Whether a convolution is cheaper this way than straight from its definition.
    static func isWorth(_ node: BranchGraph.Node, lanes: Int) -> Bool {
        guard case .convolution(let window, 1, _, _) = node.operation, window.height == 3, window.width == 3,
            !window.isDilated,
            window.strideDown == 1, window.strideAcross == 1
        else { return false }
        func vectors(_ channels: Int) -> Int { (channels + lanes - 1) / lanes }
        let tiles = ((node.to.height + 3) / 4) * ((node.to.width + 3) / 4)
        // The transformed kernel is four times as large: that needs to stay small, and enough tiles that use it.
        guard tiles >= 8, node.from.channels >= 8, node.to.channels >= 8,
            node.from.channels * node.to.channels * 36 <= 1 << 20
        else { return false }
        let straight = node.to.height * node.to.width * 9 * node.from.channels * vectors(node.to.channels)
        let transforms = 300 * vectors(node.from.channels) + 250 * vectors(node.to.channels)
        let products = 36 * (node.from.channels + 4) * vectors(node.to.channels)
        return 5 * tiles * (products + transforms) < 4 * straight
    }

    /// How many tiles are computed together: as many as fit the second cache with their 36 transformed places, and few enough
    /// for every thread to have some.
    static func strip(_ window: lcp_window, threads: Int) -> Int {
        let tiles = Int((window.output_height + 3) / 4 * ((window.output_width + 3) / 4))
        let fitting = max(14, 600_000 / (36 * 4 * Int(window.channels + window.outputs)) / 14 * 14)
        return min((tiles + threads - 1) / threads, min(28, fitting))
    }

    /// The kernel G · g · Gᵀ: for each of the 36 places [outputs, inputs].
    ///
    /// - Parameter weight: OHWI.
    static func transformed(_ weight: [Float], inputs: Int, outputs: Int) -> [[Float]] {
        let matrix: [[Double]] = [
            [1 / 4, 0, 0], [-1 / 6, -1 / 6, -1 / 6], [-1 / 6, 1 / 6, -1 / 6], [1 / 24, 1 / 12, 1 / 6],
            [1 / 24, -1 / 12, 1 / 6], [0, 0, 1],
        ]
        return (0..<36).map { place in
            let (down, across) = (matrix[place / 6], matrix[place % 6])
            let factors = (0..<9).map { down[$0 / 3] * across[$0 % 3] }
            return [Float](unsafeUninitializedCapacity: outputs * inputs) { result, filled in
                weight.withUnsafeBufferPointer { weight in
                    for output in 0..<outputs {
                        for input in 0..<inputs {
                            var sum = 0.0
                            for tap in 0..<9 {
                                sum += factors[tap] * Double(weight[(output * 9 + tap) * inputs + input])
                            }
                            result[output * inputs + input] = Float(sum)
                        }
                    }
                }
                filled = outputs * inputs
            }
        }
    }
}
