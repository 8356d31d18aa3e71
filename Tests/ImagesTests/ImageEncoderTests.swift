import Images
import Platform
import Testing

@Suite struct ImageEncoderTests {
    /// A picture as cameras make them: slopes, edges and a little noise.
    static func picture(height: Int, width: Int, channels: Int, seed: UInt64 = 1) -> Image {
        var random = SeededGenerator(seed: seed)
        var pixels: [UInt8] = []
        for row in 0..<height {
            for column in 0..<width {
                for channel in 0..<channels {
                    let slope = (row * (channel + 2) + column * 2) * 100 / (height + width)
                    let edge = (row / 8 + column / 8) % 2 * 60
                    pixels.append(UInt8(min(255, slope + edge + random.index(4))))
                }
            }
        }
        return Image(height: height, width: width, channels: channels, pixels: pixels)
    }

    static func decode(_ bytes: [UInt8], channels: Int, size: WantedImageSize = .any) throws -> Image {
        try bytes.withUnsafeBytes { try Image(decoding: $0, channels: channels, size: size) }
    }

    @Test("A PNG keeps every pixel", arguments: [(1, 1, 1), (1, 1, 3), (28, 28, 1), (32, 32, 3), (7, 133, 3)])
    func pngKeepsPixels(height: Int, width: Int, channels: Int) throws {
        let image = Self.picture(height: height, width: width, channels: channels)
        #expect(try Self.decode(try image.png(), channels: channels) == image)
        var random = SeededGenerator(seed: 2)
        let noise = Image(
            height: height, width: width, channels: channels, pixels: image.pixels.map { _ in UInt8(random.index(256)) }
        )
        #expect(try Self.decode(try noise.png(), channels: channels) == noise)
    }

    @Test("A JPEG is near its image, and a lower quality is smaller", arguments: [1, 3])
    func jpegIsNear(channels: Int) throws {
        let image = Self.picture(height: 64, width: 96, channels: channels)
        var sizes: [Int] = []
        for quality in [95, 80, 40] {
            let bytes = try image.jpeg(quality: quality)
            let decoded = try Self.decode(bytes, channels: channels, size: .exactly(height: 64, width: 96))
            let distance = zip(decoded.pixels, image.pixels).map { abs(Double($0) - Double($1)) }
            #expect(distance.reduce(0, +) / Double(distance.count) < 12)
            sizes.append(bytes.count)
        }
        #expect(sizes == sizes.sorted(by: >) && sizes[0] < image.pixels.count)
    }

    @Test("A file of another size than was said is refused before it is decoded")
    func otherSizesAreRefused() throws {
        let image = Self.picture(height: 16, width: 24, channels: 3)
        for bytes in [try image.png(), try image.jpeg(quality: 80)] {
            #expect(try Self.decode(bytes, channels: 3, size: .exactly(height: 16, width: 24)).width == 24)
            for (height, width) in [(24, 16), (16, 23), (17, 24)] {
                let error = #expect(throws: ImageError.self) {
                    try Self.decode(bytes, channels: 3, size: .exactly(height: height, width: width))
                }
                #expect(error?.isOtherSize == true)
            }
        }
    }
}
