import LCPModels

/// Lets a frame pass where it differs from the one that passed last: pure.
///
/// The measure is the mean difference of all values in a tile, in percent of their range, of the tile where it is largest. There
/// are eight tiles in each direction, so that something small that moves is not lost in a large picture that does not.
struct ChangeGate {
    /// Percent.
    let threshold: Double
    private var last: SensorFrame?
    /// How many frames did not pass.
    private(set) var held: UInt64 = 0

    static let tiles = 8

    init(threshold: Double) { self.threshold = threshold }

    mutating func passes(_ frame: SensorFrame) -> Bool {
        if let last, last.shape == frame.shape, Self.difference(last.pixels, frame.pixels, frame.shape) < threshold {
            held += 1
            return false
        }
        last = frame
        return true
    }

    /// Percent.
    static func difference(_ one: [UInt8], _ other: [UInt8], _ shape: FeatureMapShape) -> Double {
        let (height, width, channels) = (shape.height, shape.width, shape.channels)
        guard one.count == shape.elementCount, other.count == one.count, height > 0, width > 0 else { return 100 }
        let (rows, columns) = (min(tiles, height), min(tiles, width))
        var largest = 0.0
        for tileRow in 0..<rows {
            for tileColumn in 0..<columns {
                let (top, bottom) = (tileRow * height / rows, (tileRow + 1) * height / rows)
                let (left, right) = (tileColumn * width / columns, (tileColumn + 1) * width / columns)
                var sum = 0
                for row in top..<bottom {
                    let start = row * width * channels
                    for index in start + left * channels..<start + right * channels {
                        sum += abs(Int(one[index]) - Int(other[index]))
                    }
                }
                let count = (bottom - top) * (right - left) * channels
                largest = max(largest, Double(sum) / Double(count))
            }
        }
        return largest / 255 * 100
    }
}
