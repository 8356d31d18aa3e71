import LCPModels

/// What a layer does to numbers of 16 bits, 13 of them behind the point. Feature maps lie HWC.
struct FixedPointLayer {
    let layer: Layer
    private let input: FeatureMapShape
    private let output: FeatureMapShape
    /// Of each output kernel rows of kernel columns of the input's channels; empty where there are none.
    private let weight: [Int16]
    private let bias: [Int16]
    private let table: ResponseTable?
    /// 6, where the layer is a ReLU6.
    private let six: Int16

    /// - Parameters:
    ///   - weights: laid as in PyTorch.
    ///   - scale: what a number is multiplied by to become a real one.
    init(
        _ layer: Layer, input: FeatureMapShape, output: FeatureMapShape, weights: FixedPointWeights?,
        table: ResponseTable?, scale: Double
    ) {
        self.layer = layer
        self.input = input
        self.output = output
        self.table = table
        bias = weights?.bias ?? []
        six = FixedPoint.number(of: 6 / scale)
        // [outputs, channels, places] becomes [outputs, places, channels].
        let dimensions = layer.weightDimensions(input: input) ?? []
        let channels = dimensions.count == 4 ? dimensions[1] : input.channels
        let old = weights?.weight ?? []
        let places = old.isEmpty ? 1 : old.count / dimensions[0] / channels
        weight = old.indices.map { index in
            let (place, channel) = (index / channels % places, index % channels)
            return old[(index / (channels * places) * channels + channel) * places + place]
        }
    }

    func run(_ numbers: [Int16], others: [[Int16]]) -> [Int16] {
        switch layer {
        case .convolution(_, let window, let groups, _):
            let (kernel, stride, padding) = window.square ?? (1, 1, 0)
            return convolution(numbers, kernel, stride, padding, groups)
        case .depthwiseConvolution(let window, _):
            let (kernel, stride, padding) = window.square ?? (1, 1, 0)
            return convolution(numbers, kernel, stride, padding, input.channels)
        case .fullyConnected(let outputs):
            return numbers.withUnsafeBufferPointer { numbers in
                weight.withUnsafeBufferPointer { weight in
                    (0..<outputs).map { output in
                        let row = UnsafeBufferPointer(
                            rebasing: weight[output * numbers.count..<(output + 1) * numbers.count])
                        return Self.rounded(Self.start(bias[output]) + Self.products(row, numbers))
                    }
                }
            }
        case .maxPool(let window):
            let (size, stride, padding) = window.square ?? (1, 1, 0)
            return windows(size, size, stride, padding) { places, channel in
                places.reduce(Int16.min) { max($0, numbers[$1 + channel]) }
            }
        case .averagePool(let window, _):
            return mean(numbers, window.height, window.width, window.strideDown)
        case .globalAveragePool: return mean(numbers, input.height, input.width, 1)
        case .localResponseNormalization(let size, _, _, _): return normalized(numbers, size)
        case .relu: return numbers.map { max($0, 0) }
        case .relu6: return numbers.map { min(max($0, 0), six) }
        case .output: return others[0]
        case .add: return zip(numbers, others[0]).map { Self.saturated(Int($0) + Int($1)) }
        case .concatenate:
            let sources = [numbers] + others
            let pixels = output.height * output.width
            return (0..<pixels).flatMap { pixel in
                sources.flatMap { source in
                    let channels = source.count / pixels
                    return source[pixel * channels..<(pixel + 1) * channels]
                }
            }
        case .dropout, .batchNormalization, .softmax, .activation, .prelu, .multiply, .channelNormalization, .slice,
            .shuffle:
            return numbers
        }
    }

    private func convolution(
        _ numbers: [Int16], _ kernel: Int, _ stride: Int, _ padding: Int, _ groups: Int
    ) -> [Int16] {
        // The rows and columns around the map are 0.
        let (width, channels) = (input.width + 2 * padding, input.channels)
        var padded = [Int16](repeating: 0, count: (input.height + 2 * padding) * width * channels)
        let row = input.width * channels
        for y in 0..<input.height {
            let start = ((y + padding) * width + padding) * channels
            padded.replaceSubrange(start..<start + row, with: numbers[y * row..<(y + 1) * row])
        }
        let (ins, outs) = (channels / groups, output.channels / groups)
        // Of one group a row of the window lies in one piece.
        let (pieces, length) = groups == 1 ? (1, kernel * ins) : (kernel, ins)
        var result = [Int16](repeating: 0, count: output.elementCount)
        padded.withUnsafeBufferPointer { padded in
            weight.withUnsafeBufferPointer { weight in
                for y in 0..<output.height {
                    for x in 0..<output.width {
                        for channel in 0..<output.channels {
                            var sum = Self.start(bias[channel])
                            for down in 0..<kernel {
                                for piece in 0..<pieces {
                                    let place = (y * stride + down) * width + x * stride + piece
                                    let from = place * channels + channel / outs * ins
                                    let to = ((channel * kernel + down) * pieces + piece) * length
                                    sum += Self.products(
                                        .init(rebasing: weight[to..<to + length]),
                                        .init(rebasing: padded[from..<from + length]))
                                }
                            }
                            result[(y * output.width + x) * output.channels + channel] = Self.rounded(sum)
                        }
                    }
                }
            }
        }
        return result
    }

    private func mean(_ numbers: [Int16], _ height: Int, _ width: Int, _ stride: Int) -> [Int16] {
        windows(height, width, stride, 0) { places, channel in
            let (sum, count) = (places.reduce(0) { $0 + Int(numbers[$1 + channel]) }, places.count)
            // Rounded to the nearest, halves up.
            let (quotient, remainder) = (2 * sum + count).quotientAndRemainder(dividingBy: 2 * count)
            return Int16(remainder < 0 ? quotient - 1 : quotient)
        }
    }

    /// A number for each output, made of the first channels of the pixels of its window that lie on the map.
    private func windows(
        _ height: Int, _ width: Int, _ stride: Int, _ padding: Int, _ number: ([Int], Int) -> Int16
    ) -> [Int16] {
        var result: [Int16] = []
        result.reserveCapacity(output.elementCount)
        for y in 0..<output.height {
            let rows = max(0, y * stride - padding)..<min(input.height, y * stride - padding + height)
            for x in 0..<output.width {
                let columns = max(0, x * stride - padding)..<min(input.width, x * stride - padding + width)
                let places = rows.flatMap { row in columns.map { (row * input.width + $0) * input.channels } }
                for channel in 0..<output.channels { result.append(number(places, channel)) }
            }
        }
        return result
    }

    private func normalized(_ numbers: [Int16], _ size: Int) -> [Int16] {
        guard let table else { return numbers }
        let shift = ResponseTable.fixedPointShift(size: size)
        return numbers.indices.map { index in
            let (first, channel) = (index - index % input.channels, index % input.channels)
            let near = max(0, channel - size / 2)...min(input.channels - 1, channel + (size - 1) / 2)
            let sum = near.reduce(0) { $0 + Int(numbers[first + $1]) * Int(numbers[first + $1]) }
            let segment = sum >> shift
            let (low, high) = (Int(table.factors[segment]), Int(table.factors[segment + 1]))
            let factor = low + Self.shifted((high - low) * (sum - segment << shift), shift)
            return Self.saturated(Self.shifted(Int(numbers[index]) * factor, table.shift))
        }
    }

    // MARK: Sums

    /// A bias as the beginning of a sum of products, which have 26 bits behind the point.
    private static func start(_ bias: Int16) -> Int { Int(bias) << FixedPoint.fractionBits }

    /// A sum of products as a number.
    private static func rounded(_ sum: Int) -> Int16 { saturated(shifted(sum, FixedPoint.fractionBits)) }

    /// Divided by a power of two, rounded to the nearest, halves up.
    private static func shifted(_ number: Int, _ bits: Int) -> Int { (number + 1 << (bits - 1)) >> bits }

    private static func saturated(_ number: Int) -> Int16 { Int16(max(-32_768, min(32_767, number))) }

    /// A sum of products.
    @inline(__always)
    private static func products(_ left: UnsafeBufferPointer<Int16>, _ right: UnsafeBufferPointer<Int16>) -> Int {
        var sum = 0
        for index in 0..<left.count { sum &+= Int(Int32(left[index]) &* Int32(right[index])) }
        return sum
    }
}
