import LCPModels

/// Where a feature map lies in the array's memory: rows from a line on, pixels in a row, words of a pixel.
struct ArrayMap: Sendable, Hashable {
    var line: Int
    var height: Int
    var width: Int
    /// Words of a pixel.
    var pixel: Int
    /// Lines from a row to the next.
    var rowLines: Int
    /// The word of each channel in its pixel. Words of no channel have no meaning.
    var places: [Int]

    /// Whether the same words of both stand for the same.
    func hasForm(of other: ArrayMap) -> Bool {
        var other = other
        other.line = line
        return self == other
    }

    var lineCount: Int { height * rowLines }
    var words: Int { width * pixel }

    /// The channel of each word of a pixel, nil where there is none.
    var channels: [Int?] {
        var result = [Int?](repeating: nil, count: pixel)
        for (channel, place) in places.enumerated() { result[place] = channel }
        return result
    }
}

/// Lines of the array's memory for feature maps: the lowest that are free.
struct MapMemory {
    private(set) var lineCount = 0
    private var taken: [Range<Int>] = []

    mutating func take(_ count: Int) -> Int {
        var line = 0
        for range in taken {
            if range.lowerBound - line >= count { break }
            line = range.upperBound
        }
        taken.append(line..<line + count)
        taken.sort { $0.lowerBound < $1.lowerBound }
        lineCount = max(lineCount, line + count)
        return line
    }

    mutating func free(_ line: Int) { taken.removeAll { $0.lowerBound == line } }
}
