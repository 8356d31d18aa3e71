import Glibc
import Images
import Platform

/// Pictures with the statistics of photographs, for where there are none: contrast falls with the frequency as in nature, edges
/// stand between surfaces, colours change more slowly than light.
///
/// As JPEG of quality 80 at 224 × 224 they are as long as photographs: 9 to 16 kB, 12 kB on average.
enum SyntheticPhotographs {
    static func pictures(_ count: Int, height: Int, width: Int, channels: Int, seed: UInt64 = 1) -> [Image] {
        (0..<count).map { picture(height: height, width: width, channels: channels, seed: seed, stream: UInt64($0)) }
    }

    private static func picture(height: Int, width: Int, channels: Int, seed: UInt64, stream: UInt64) -> Image {
        var random = SeededGenerator(seed: seed, stream: stream)
        let detail = random.uniform(0.3, 1.9)
        var light = noise(height, width, largest: 128, smallest: 1, falloff: 0.42, &random).map { $0 * 60 * detail }
        addSurfaces(to: &light, height, width, &random)
        let colours = (0..<2).map { _ in noise(height, width, largest: 128, smallest: 8, falloff: 1.15, &random) }
        var pixels = [UInt8](repeating: 0, count: height * width * channels)
        for place in 0..<height * width {
            let (luma, blue, red) = (118 + light[place], colours[0][place] * 30, colours[1][place] * 30)
            let values =
                channels == 3 ? [luma + 1.4 * red, luma - 0.34 * blue - 0.71 * red, luma + 1.77 * blue] : [luma]
            for channel in 0..<channels {
                pixels[place * channels + channel] = UInt8(max(0, min(255, values[min(channel, values.count - 1)])))
            }
        }
        return Image(height: height, width: width, channels: channels, pixels: pixels)
    }

    /// Sums smooth noise of many sizes, each a power of two, its contrast as `falloff` has it.
    private static func noise(
        _ height: Int, _ width: Int, largest: Int, smallest: Int, falloff: Float, _ random: inout SeededGenerator
    ) -> [Float] {
        var result = [Float](repeating: 0, count: height * width)
        var size = largest
        while size >= smallest {
            let (rows, columns) = (height / size + 2, width / size + 2)
            let grid = (0..<rows * columns).map { _ in random.uniform(-1, 1) }
            let contrast = powf(Float(size) / Float(largest), falloff)
            for y in 0..<height {
                let (row, down) = (y / size, Float(y % size) / Float(size))
                for x in 0..<width {
                    let (column, across) = (x / size, Float(x % size) / Float(size))
                    let corner = row * columns + column
                    let top = grid[corner] + (grid[corner + 1] - grid[corner]) * across
                    let bottom = grid[corner + columns] + (grid[corner + columns + 1] - grid[corner + columns]) * across
                    result[y * width + x] += contrast * (top + (bottom - top) * down)
                }
            }
            size /= 2
        }
        return result
    }

    /// Discs of other brightness, one over the other, as things stand before each other.
    private static func addSurfaces(
        to light: inout [Float], _ height: Int, _ width: Int, _ random: inout SeededGenerator
    ) {
        for _ in 0..<40 {
            let radius = Float(height) * random.uniform(0.04, 0.32)
            let (centerY, centerX) = (random.uniform(0, Float(height)), random.uniform(0, Float(width)))
            let (stretch, change) = (random.uniform(0.4, 1), random.uniform(-46, 46))
            for y in 0..<height {
                for x in 0..<width {
                    let (down, across) = (Float(y) - centerY, (Float(x) - centerX) * stretch)
                    if down * down + across * across < radius * radius { light[y * width + x] += change }
                }
            }
        }
    }
}
