import CImageCodecs

/// Makes an image another size, bilinear, row by row; shrinking, the triangle widens so that every pixel counts (as in Pillow).
///
/// First down and then across: a row is added to the two or three rows of the result in which it counts, and each of those is
/// shortened once. Where that would take more memory than the result, a row is shortened first.
struct Resampler {
    /// How one side is made another size.
    struct Side {
        /// Pixels that come.
        var size: Int
        /// What they stand for: a reduced image may be rounded up, and its last pixel reach beyond the edge.
        var extent: Double
        /// Pixels of the result,
        var scaled: Int
        /// of which these are wanted.
        var window: Range<Int>
    }

    /// What counts in each pixel of the result.
    private struct Weights {
        var starts: [UInt32] = []
        var counts: [UInt32] = []
        /// [pixels of the result, widest]
        var values: [Float] = []
        let widest: Int

        init(_ side: Side) {
            let scale = side.extent / Double(side.scaled)
            let support = max(scale, 1)
            widest = min(side.size, 2 * Int(support.rounded(.up)) + 1)
            for index in side.window {
                let center = (Double(index) + 0.5) * scale
                let start = min(side.size - 1, max(0, Int(center - support + 0.5)))
                let end = max(start + 1, min(side.size, Int(center + support + 0.5)))
                let weights = (start..<end).map { max(0, 1 - abs((Double($0) - center + 0.5) / support)) }
                let sum = weights.reduce(0, +)
                starts.append(UInt32(start))
                counts.append(UInt32(end - start))
                values += sum > 0 ? weights.map { Float($0 / sum) } : [1] + weights.dropFirst().map { _ in 0 }
                values += repeatElement(0, count: widest - weights.count)
            }
        }

        func end(_ index: Int) -> Int { Int(starts[index] + counts[index]) }

        /// The most pixels of the result in which one counts.
        var overlap: Int {
            var (most, first) = (1, 0)
            for index in starts.indices {
                while end(first) <= Int(starts[index]) { first += 1 }
                most = max(most, index - first + 1)
            }
            return most
        }

        func shorten(_ row: UnsafePointer<Float>, into target: UnsafeMutablePointer<Float>, channels: Int) {
            starts.withUnsafeBufferPointer { starts in
                counts.withUnsafeBufferPointer { counts in
                    values.withUnsafeBufferPointer { values in
                        var shortening = lcp_shortening(
                            count: starts.count, starts: starts.baseAddress, counts: counts.baseAddress,
                            weights: values.baseAddress, widest: widest)
                        lcp_shorten_row(target, row, &shortening, UInt32(channels))
                    }
                }
            }
        }
    }

    private let channels: Int
    private let height: Int
    private let down: Weights
    private let across: Weights
    private let isDownFirst: Bool
    /// Sums of so many rows of the result that are not complete, in turn: whole rows where it goes down first.
    private var sums: [Float]
    private let sumLength: Int
    private let slots: Int
    /// A row before and after it is made shorter.
    private var row: [Float]
    private var shortened: [Float]
    private var pixels: [UInt8]
    /// Rows that came, and rows of the result that have begun and that are complete.
    private var position = 0
    private var begun = 0
    private var done = 0

    /// The most numbers that sums of whole rows may have.
    private static let longestSums = 4 << 20

    init(vertical: Side, horizontal: Side, channels: Int) {
        self.channels = channels
        height = vertical.window.count
        down = Weights(vertical)
        across = Weights(horizontal)
        slots = down.overlap
        let (whole, short) = (horizontal.size * channels, horizontal.window.count * channels)
        isDownFirst = vertical.scaled < vertical.size && slots * whole <= Self.longestSums
        sumLength = isDownFirst ? whole : short
        sums = Array(repeating: 0, count: slots * sumLength)
        row = Array(repeating: 0, count: isDownFirst ? 0 : whole)
        shortened = Array(repeating: 0, count: short)
        pixels = Array(repeating: 0, count: height * short)
    }

    /// Takes the next row.
    mutating func add(_ bytes: UnsafeBufferPointer<UInt8>) {
        defer { position += 1 }
        guard done < height, down.starts[done] <= position else { return }
        if !isDownFirst {
            for place in row.indices { row[place] = Float(bytes[place]) }
            across.shorten(row, into: &shortened, channels: channels)
        }
        var index = done
        while index < height, down.starts[index] <= position {
            let start = index % slots * sumLength
            sums.withUnsafeMutableBufferPointer { sums in
                let sum = sums.baseAddress! + start
                if index == begun { sum.update(repeating: 0, count: sumLength) }
                let offset = position - Int(down.starts[index])
                let weight = offset < down.counts[index] ? down.values[index * down.widest + offset] : 0
                if isDownFirst {
                    lcp_add_bytes(sum, bytes.baseAddress, weight, sumLength)
                } else {
                    lcp_add_row(sum, shortened, weight, sumLength)
                }
            }
            index += 1
            begun = max(begun, index)
        }
        while done < height, position + 1 >= down.end(done) { finish() }
    }

    private mutating func finish() {
        let (start, length) = (done % slots * sumLength, shortened.count)
        sums.withUnsafeBufferPointer { sums in
            if isDownFirst {
                across.shorten(sums.baseAddress! + start, into: &shortened, channels: channels)
            } else {
                shortened.withUnsafeMutableBufferPointer {
                    $0.baseAddress!.update(from: sums.baseAddress! + start, count: length)
                }
            }
        }
        pixels.withUnsafeMutableBufferPointer { lcp_round_row($0.baseAddress! + done * length, shortened, length) }
        done += 1
    }

    /// The result, after the last row.
    func image() -> Image {
        Image(height: height, width: shortened.count / channels, channels: channels, pixels: pixels)
    }
}
