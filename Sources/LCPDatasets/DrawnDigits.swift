import Glibc
import Platform

/// The built-in sensor: digits that a program draws, in MNIST's format, so that the pipeline works without a data set.
///
/// Each is a few strokes along jittered control points, with random slant, rotation, scale, shift, thickness, ink, gaps, stray
/// marks and noise: 28 × 28 grey, white on black. Image `i` of a seed is always the same, whatever was drawn before.
public struct DrawnDigits: Sendable {
    public static let height = 28
    public static let width = 28
    public let seed: UInt64

    public init(seed: UInt64) { self.seed = seed }

    /// The digits of one epoch of training: far from every seed that a person would give the sensor or an evaluation.
    public init(trainingSeed seed: UInt64, epoch: Int) {
        self.seed = 0x7472_6169_6E00_0000 &+ seed &* 100_000 &+ UInt64(epoch)
    }

    /// A number of images, from index 0, with their labels.
    public func images(_ count: Int, from first: Int = 0) -> LabeledImages {
        var result = LabeledImages(height: Self.height, width: Self.width, channels: 1)
        result.pixels.reserveCapacity(count * Self.height * Self.width)
        for index in first..<first + count {
            let (pixels, label) = image(UInt64(index))
            result.pixels += pixels
            result.labels.append(UInt16(label))
        }
        return result
    }

    /// One image and its digit.
    public func image(_ index: UInt64) -> (pixels: [UInt8], label: Int) {
        var random = SeededGenerator(seed: seed, stream: index)
        let digit = random.index(10)
        let variants = Self.glyphs[digit]
        let glyph = variants[random.index(variants.count)]

        // The pen's hand: how this digit leans, how large it is, where it stands.
        let slant = random.uniform(-0.35, 0.35)
        let angle = random.uniform(-0.22, 0.22)
        let (scaleX, scaleY) = (random.uniform(10.5, 19), random.uniform(14.5, 21.5))
        let centerX = 14 + random.uniform(-2.6, 2.6), centerY = 14 + random.uniform(-2.6, 2.6)
        let jitter = random.uniform(0.01, 0.055)
        let (cosine, sine) = (cos(angle), sin(angle))

        var segments: [Segment] = []
        for stroke in glyph {
            let points = stroke.points.map { point in
                let x = (point.x + random.uniform(-jitter, jitter) - 0.5) * scaleX
                let y = (point.y + random.uniform(-jitter, jitter) - 0.5) * scaleY
                let leaning = x - slant * y
                return Point(x: centerX + cosine * leaning - sine * y, y: centerY + sine * leaning + cosine * y)
            }
            let path = stroke.isSmooth ? Self.spline(points) : points
            segments += zip(path, path.dropFirst()).map { Segment(from: $0, to: $1) }
        }
        // A pen that skips: up to two gaps, each as wide as a dot.
        let gaps = random.unit() < 0.35 ? 1 + random.index(2) : 0
        let skipped = (0..<gaps).map { _ in
            let segment = segments[random.index(segments.count)]
            return (
                Point(x: (segment.from.x + segment.to.x) / 2, y: (segment.from.y + segment.to.y) / 2),
                random.uniform(0.8, 1.7)
            )
        }
        let radius = random.uniform(0.55, 1.75)
        let ink = random.uniform(0.65, 1)

        var values = [Float](repeating: 0, count: Self.height * Self.width)
        for segment in segments { segment.draw(into: &values, radius: radius, ink: ink) }
        for (center, size) in skipped {
            Self.forEachPixel(around: center, reach: size + 1) { index, distance in
                values[index] *= max(0, min(1, distance - size + 0.5))
            }
        }
        // Dust: short strokes that belong to nothing.
        if random.unit() < 0.3 {
            for _ in 0...random.index(3) {
                let from = Point(x: random.uniform(0, 28), y: random.uniform(0, 28))
                let to = Point(x: from.x + random.uniform(-2, 2), y: from.y + random.uniform(-2, 2))
                Segment(from: from, to: to).draw(
                    into: &values, radius: random.uniform(0.2, 0.7), ink: random.uniform(0.3, 0.8))
            }
        }
        // The camera's noise: the sum of four uniform numbers is close enough to a bell.
        let noise = random.unit() < 0.5 ? random.uniform(0, 0.12) : 0
        let pixels = values.map { value in
            let grain =
                noise == 0 ? 0 : (random.unit() + random.unit() + random.unit() + random.unit() - 2) * 1.73 * noise
            return UInt8(max(0, min(255, ((value + grain) * 255).rounded())))
        }
        return (pixels, digit)
    }

    // MARK: Drawing

    private struct Point {
        var x: Float
        var y: Float
    }

    private struct Stroke {
        var points: [Point]
        var isSmooth: Bool

        static func curve(_ points: (Float, Float)...) -> Stroke {
            Stroke(points: points.map { Point(x: $0.0, y: $0.1) }, isSmooth: true)
        }
        static func line(_ points: (Float, Float)...) -> Stroke {
            Stroke(points: points.map { Point(x: $0.0, y: $0.1) }, isSmooth: false)
        }
    }

    private struct Segment {
        var from: Point
        var to: Point

        func draw(into values: inout [Float], radius: Float, ink: Float) {
            let reach = radius + 1
            let columns = DrawnDigits.range(min(from.x, to.x) - reach, max(from.x, to.x) + reach, DrawnDigits.width)
            let rows = DrawnDigits.range(min(from.y, to.y) - reach, max(from.y, to.y) + reach, DrawnDigits.height)
            let (dx, dy) = (to.x - from.x, to.y - from.y)
            let length = max(dx * dx + dy * dy, 1e-6)
            for row in rows {
                for column in columns {
                    let (px, py) = (Float(column) + 0.5 - from.x, Float(row) + 0.5 - from.y)
                    let position = max(0, min(1, (px * dx + py * dy) / length))
                    let (ex, ey) = (px - position * dx, py - position * dy)
                    let distance = (ex * ex + ey * ey).squareRoot()
                    let value = max(0, min(1, radius + 0.5 - distance)) * ink
                    let index = row * DrawnDigits.width + column
                    values[index] = max(values[index], value)
                }
            }
        }
    }

    private static func range(_ low: Float, _ high: Float, _ limit: Int) -> Range<Int> {
        let start = max(0, min(limit, Int(low.rounded(.down))))
        return start..<max(start, min(limit, Int(high.rounded(.up))))
    }

    private static func forEachPixel(around center: Point, reach: Float, _ body: (Int, Float) -> Void) {
        for row in range(center.y - reach, center.y + reach, height) {
            for column in range(center.x - reach, center.x + reach, width) {
                let (dx, dy) = (Float(column) + 0.5 - center.x, Float(row) + 0.5 - center.y)
                body(row * width + column, (dx * dx + dy * dy).squareRoot())
            }
        }
    }

    /// A Catmull-Rom spline through the points, four pieces between each two.
    private static func spline(_ points: [Point]) -> [Point] {
        guard points.count > 2 else { return points }
        var result = [points[0]]
        for index in 0..<points.count - 1 {
            let (a, b) = (points[max(0, index - 1)], points[index])
            let (c, d) = (points[index + 1], points[min(points.count - 1, index + 2)])
            for step in 1...4 {
                let t = Float(step) / 4
                func blend(_ a: Float, _ b: Float, _ c: Float, _ d: Float) -> Float {
                    let linear = (c - a) * t
                    let square = (2 * a - 5 * b + 4 * c - d) * t * t
                    let cube = (3 * b - a - 3 * c + d) * t * t * t
                    return 0.5 * (2 * b + linear + square + cube)
                }
                result.append(Point(x: blend(a.x, b.x, c.x, d.x), y: blend(a.y, b.y, c.y, d.y)))
            }
        }
        return result
    }

    /// The ways to write each digit, in a box from (0, 0), top left, to (1, 1).
    private static let glyphs: [[[Stroke]]] = [
        [
            [
                .curve(
                    (0.5, 0.04), (0.24, 0.2), (0.16, 0.5), (0.26, 0.82), (0.5, 0.96), (0.76, 0.8), (0.84, 0.5),
                    (0.74, 0.18), (0.5, 0.04))
            ],
            [
                .curve(
                    (0.6, 0.08), (0.3, 0.14), (0.16, 0.5), (0.3, 0.88), (0.56, 0.95), (0.8, 0.7), (0.8, 0.35),
                    (0.62, 0.1), (0.4, 0.06))
            ],
        ],
        [
            [.line((0.5, 0.04), (0.5, 0.96))],
            [.line((0.34, 0.26), (0.54, 0.05), (0.54, 0.96))],
            [.line((0.34, 0.24), (0.52, 0.05), (0.52, 0.94)), .line((0.3, 0.95), (0.74, 0.95))],
        ],
        [
            [
                .curve((0.2, 0.28), (0.34, 0.08), (0.64, 0.06), (0.78, 0.28), (0.6, 0.56), (0.2, 0.94)),
                .line((0.2, 0.94), (0.84, 0.93)),
            ],
            [
                .curve(
                    (0.22, 0.2), (0.5, 0.05), (0.76, 0.24), (0.6, 0.58), (0.3, 0.88), (0.2, 0.8), (0.34, 0.72),
                    (0.6, 0.9), (0.86, 0.9))
            ],
        ],
        [
            [
                .curve((0.22, 0.14), (0.5, 0.04), (0.75, 0.2), (0.66, 0.42), (0.42, 0.48)),
                .curve((0.42, 0.48), (0.74, 0.56), (0.8, 0.78), (0.54, 0.96), (0.2, 0.86)),
            ],
            [
                .line((0.22, 0.07), (0.76, 0.07), (0.46, 0.42)),
                .curve((0.46, 0.42), (0.74, 0.5), (0.8, 0.76), (0.54, 0.96), (0.2, 0.86)),
            ],
        ],
        [
            [.line((0.28, 0.06), (0.2, 0.6), (0.84, 0.6)), .line((0.68, 0.3), (0.66, 0.96))],
            [.line((0.66, 0.96), (0.66, 0.05), (0.16, 0.66), (0.86, 0.66))],
            [.curve((0.24, 0.08), (0.18, 0.4), (0.34, 0.54), (0.7, 0.5)), .line((0.74, 0.08), (0.66, 0.96))],
        ],
        [
            [
                .line((0.78, 0.06), (0.3, 0.06), (0.26, 0.44)),
                .curve((0.26, 0.44), (0.55, 0.36), (0.8, 0.6), (0.66, 0.9), (0.2, 0.9)),
            ],
            [
                .curve((0.3, 0.1), (0.26, 0.42), (0.6, 0.42), (0.8, 0.66), (0.6, 0.94), (0.2, 0.88)),
                .line((0.3, 0.08), (0.82, 0.05)),
            ],
        ],
        [
            [
                .curve(
                    (0.7, 0.05), (0.4, 0.24), (0.22, 0.6), (0.34, 0.92), (0.64, 0.93), (0.77, 0.7), (0.6, 0.52),
                    (0.36, 0.58),
                    (0.24, 0.72))
            ],
            [.curve((0.4, 0.04), (0.24, 0.4), (0.22, 0.8), (0.5, 0.97), (0.76, 0.78), (0.6, 0.56), (0.24, 0.7))],
        ],
        [
            [.line((0.18, 0.08), (0.82, 0.08), (0.42, 0.96))],
            [.line((0.18, 0.08), (0.82, 0.08), (0.44, 0.96)), .line((0.34, 0.5), (0.76, 0.5))],
            [.line((0.2, 0.22), (0.2, 0.08)), .curve((0.2, 0.08), (0.8, 0.08), (0.6, 0.5), (0.5, 0.96))],
        ],
        [
            [
                .curve(
                    (0.5, 0.48), (0.26, 0.28), (0.5, 0.04), (0.74, 0.26), (0.5, 0.48), (0.22, 0.74), (0.5, 0.96),
                    (0.78, 0.74),
                    (0.5, 0.48))
            ],
            [
                .curve(
                    (0.76, 0.14), (0.5, 0.04), (0.26, 0.2), (0.5, 0.46), (0.76, 0.74), (0.5, 0.96), (0.24, 0.74),
                    (0.52, 0.46), (0.76, 0.14))
            ],
        ],
        [
            [
                .curve((0.74, 0.24), (0.52, 0.04), (0.26, 0.2), (0.4, 0.48), (0.7, 0.38), (0.74, 0.22)),
                .line((0.74, 0.22), (0.66, 0.96)),
            ],
            [
                .curve(
                    (0.74, 0.2), (0.5, 0.05), (0.24, 0.28), (0.5, 0.5), (0.74, 0.22), (0.74, 0.6), (0.6, 0.92),
                    (0.28, 0.9))
            ],
        ],
    ]
}
