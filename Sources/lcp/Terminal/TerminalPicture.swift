import Glibc
import Images
import LCPModels

/// A picture in characters: each is two pixels, one above the other.
struct TerminalPicture {
    /// The most characters in a line, and half as many lines.
    private static let most = 32

    let lines: [String]
    /// Characters in a line.
    let width: Int

    /// - Parameters:
    ///   - pixels: UINT8, HWC; black where there are none.
    ///   - shape: their shape. A larger picture is made smaller.
    init(_ pixels: [UInt8], _ shape: FeatureMapShape) {
        let side = max(shape.height, shape.width)
        let (height, width) = (
            max(1, shape.height * min(side, Self.most) / side), max(1, shape.width * min(side, Self.most) / side)
        )
        self.width = width
        guard shape.channels == 1 || shape.channels == 3, pixels.isEmpty || pixels.count == shape.elementCount else {
            lines = []
            return
        }
        let whole = Image(
            height: shape.height, width: shape.width, channels: shape.channels,
            pixels: pixels.isEmpty ? Array(repeating: 0, count: shape.elementCount) : pixels)
        let image = whole.resized(height: height, width: width)
        func colour(_ row: Int, _ column: Int) -> String {
            guard row < height else { return Self.colour([0]) }
            let start = (row * width + column) * shape.channels
            return Self.colour(image.pixels[start..<start + shape.channels])
        }
        lines = (0..<(height + 1) / 2).map { row in
            (0..<width).map { "\u{1B}[38;\(colour(2 * row, $0));48;\(colour(2 * row + 1, $0))m▀" }.joined()
                + "\u{1B}[0m"
        }
    }

    /// Whether the terminal says that it has all colours, and not only 256 of them.
    private static let hasAllColours =
        getenv("COLORTERM").map { ["truecolor", "24bit"].contains(String(cString: $0)) } ?? false

    /// A grey or a colour as the numbers of an escape sequence.
    private static func colour(_ pixel: some Collection<UInt8>) -> String {
        let values = pixel.map(Int.init)
        guard values.count == 3 else { return "5;\(232 + values[0] * 23 / 255)" }
        if hasAllColours { return "2;\(values[0]);\(values[1]);\(values[2])" }
        let steps = values.map { ($0 * 5 + 127) / 255 }
        return "5;\(16 + 36 * steps[0] + 6 * steps[1] + steps[2])"
    }
}
