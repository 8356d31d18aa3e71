import LCPModels

/// A part of an operation that is an operation itself, so that XNNPACK can run it on a thread of its own.
struct Piece {
    var node: BranchGraph.Node
    /// Where its inputs begin in those of the whole, in numbers.
    var inputOffset = 0
    /// Where its output begins: in the whole's, or among outputs that lie one behind the other.
    var outputOffset = 0
}

/// An operation in pieces.
enum Pieces {
    /// Each computes a run of numbers of the output.
    case runs([Piece])
    /// Each computes some channels of the output, all pixels of them; they have to be interleaved.
    case channels([Piece])
}

extension BranchGraph.Node {
    /// Cuts an operation for so many threads.
    ///
    /// Every piece computes its numbers as the whole operation would, to the bit: XNNPACK takes several pixels and several
    /// channels at once, and other ways with few of them, so that no piece is small.
    func pieces(threads: Int) -> Pieces {
        guard threads > 1 else { return .runs([Piece(node: self)]) }
        switch operation {
        case .fullyConnected(let weight, let bias):
            let inputs = from.elementCount / rows
            let pieces = parts(of: to.channels, unit: 16, count: 2 * threads).map { outputs in
                var piece = self
                piece.operation = .fullyConnected(
                    weight: Array(weight[outputs.lowerBound * inputs..<outputs.upperBound * inputs]),
                    bias: Array(bias[outputs]))
                piece.to.channels = outputs.count
                return Piece(node: piece, outputOffset: rows * outputs.lowerBound)
            }
            return rows == 1 ? .runs(pieces) : .channels(pieces)
        case .convolution(let window, 1, let weight, let bias) where weight.count > 1 << 18:
            // In bands of rows each piece would need all weights for itself.
            let taps = window.taps * from.channels
            return .channels(
                parts(of: to.channels, unit: 16, count: threads).map { outputs in
                    var piece = self
                    piece.operation = .convolution(
                        window, groups: 1, weight: Array(weight[outputs.lowerBound * taps..<outputs.upperBound * taps]),
                        bias: Array(bias[outputs]))
                    piece.to.channels = outputs.count
                    return Piece(node: piece, outputOffset: to.height * to.width * outputs.lowerBound)
                })
        case .convolution(let window, _, _, _), .depthwiseConvolution(let window, _, _), .maxPool(let window):
            return .runs(bands(window, threads: threads))
        case .averagePool(let window) where !window.hasPadding: return .runs(bands(window, threads: threads))
        case .scale, .add, .clamp: return .runs(bands(.init(size: 1, stride: 1), threads: threads))
        case .averagePool, .globalAveragePool, .softmax, .localResponseNormalization, .concatenate,
            .multiply, .channelNormalization, .pick, .activation, .prelu:
            return .runs([Piece(node: self)])
        }
    }

    /// Bands of rows.
    private func bands(_ window: BranchGraph.Window, threads: Int) -> [Piece] {
        // So that no piece has fewer than 16 pixels.
        let unit = (16 + to.width - 1) / to.width
        return parts(of: to.height, unit: unit, count: 2 * threads).map { rows in
            let above = rows.lowerBound * window.strideDown - window.top
            let below = (rows.upperBound - 1) * window.strideDown - window.top + window.reach.down
            var part = window
            part.top = max(0, -above)
            part.bottom = max(0, below - from.height)
            let first = max(0, above)
            var piece = self
            piece.from.height = min(from.height, below) - first
            piece.to.height = rows.count
            piece.operation = operation.with(part)
            return Piece(
                node: piece, inputOffset: first * from.width * from.channels,
                outputOffset: rows.lowerBound * to.width * to.channels)
        }
    }

    /// Ranges of about the same length, all but the last a multiple of `unit`.
    private func parts(of total: Int, unit: Int, count: Int) -> [Range<Int>] {
        let units = max(1, total / unit)
        let count = min(count, units)
        return (0..<count).map { index in
            index * units / count * unit..<(index + 1 == count ? total : (index + 1) * units / count * unit)
        }
    }
}

extension BranchGraph.Operation {
    /// The same with another window, where it has one.
    fileprivate func with(_ window: BranchGraph.Window) -> Self {
        switch self {
        case .convolution(_, let groups, let weight, let bias):
            .convolution(window, groups: groups, weight: weight, bias: bias)
        case .depthwiseConvolution(_, let weight, let bias): .depthwiseConvolution(window, weight: weight, bias: bias)
        case .maxPool: .maxPool(window)
        case .averagePool: .averagePool(window)
        default: self
        }
    }
}
