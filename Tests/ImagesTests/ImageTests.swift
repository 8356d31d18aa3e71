import CZlib
import Foundation
import Images
import Testing

@Suite struct ImageTests {
    static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("Fixtures/images")

    static func bytes(_ name: String) throws -> [UInt8] {
        Array(try Data(contentsOf: folder.appendingPathComponent(name)))
    }

    static func decode(_ bytes: [UInt8], limits: ImageLimits = ImageLimits()) throws -> Image {
        try bytes.withUnsafeBytes {
            try Image(decoding: $0, channels: 1, size: .fitted(.init(height: 28, width: 28)), limits: limits)
        }
    }

    @Test(arguments: [
        "colour.png", "grey.png", "palette.png", "alpha.png", "colour.jpg", "grey.jpg", "progressive.jpg",
    ])
    func imagesBecomeWhatPillowMakesOfThem(name: String) throws {
        let image = try Self.decode(Self.bytes(name))
        let expected = try Self.bytes(name + ".grey28")
        #expect(image.pixels.count == 784)
        let differences = zip(image.pixels, expected).map { abs(Int($0) - Int($1)) }
        #expect(differences.reduce(0, +) <= 784, "\(differences.max() ?? 0)")
        #expect(differences.max() ?? 0 <= 2)
    }

    @Test(arguments: ["colour.png", "colour.jpg", "progressive.jpg"])
    func damageIsAnErrorAndNothingElse(name: String) throws {
        let bytes = try Self.bytes(name)
        for count in stride(from: 0, to: bytes.count - 20, by: max(1, bytes.count / 50)) {
            #expect(throws: ImageError.self, "\(count) bytes") { try Self.decode(Array(bytes.prefix(count))) }
        }
        var random = SystemRandomNumberGenerator()
        for _ in 0..<300 {
            var damaged = bytes
            for _ in 0..<3 {
                damaged[Int.random(in: 8..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            // Some damage decodes to other pixels; what counts is that nothing crashes or grows.
            if let image = try? Self.decode(damaged) { #expect(image.pixels.count <= 24_000_000) }
        }
    }

    /// A PNG whose header claims a size, with a right checksum and a few bytes of data.
    static func bomb(width: UInt32, height: UInt32) -> [UInt8] {
        func big(_ value: UInt32) -> [UInt8] { withUnsafeBytes(of: value.bigEndian) { Array($0) } }
        func chunk(_ name: String, _ data: [UInt8]) -> [UInt8] {
            let body = Array(name.utf8) + data
            return big(UInt32(data.count)) + body + big(UInt32(crc32(0, body, UInt32(body.count))))
        }
        let header = big(width) + big(height) + [8, 0, 0, 0, 0]
        return [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A] + chunk("IHDR", header)
            + chunk("IDAT", [0x78, 0x9C, 0x63, 0x60, 0, 0, 0, 1, 0, 1]) + chunk("IEND", [])
    }

    @Test func anImageOf30000By30000IsRefusedByItsHeader() throws {
        let error = #expect(throws: ImageError.self) { try Self.decode(Self.bomb(width: 30_000, height: 30_000)) }
        #expect(error?.description.contains("30000 × 30000") == true)
        // A single row of two thousand million pixels is refused before there is room for one.
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        let before = usage.ru_maxrss
        #expect(throws: ImageError.self) { try Self.decode(Self.bomb(width: 0x7FFF_FFFF, height: 1)) }
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        #expect(usage.ru_maxrss - before < 256 << 10, "KiB")
        // The same in a JPEG's frame header.
        var jpeg = try Self.bytes("colour.jpg")
        let start = try #require((0..<jpeg.count - 9).first { jpeg[$0] == 0xFF && jpeg[$0 + 1] == 0xC0 })
        for offset in [5, 7] { (jpeg[start + offset], jpeg[start + offset + 1]) = (0x75, 0x30) }
        #expect(throws: ImageError.self) { try Self.decode(jpeg) }
    }

    /// A progressive JPEG, grey, whose scans refine one coefficient each and hold nothing: the fewest bytes for the most work.
    static func manyScans(side: Int, scans: Int) -> [UInt8] {
        func segment(_ marker: UInt8, _ data: [UInt8]) -> [UInt8] {
            [0xFF, marker, UInt8((data.count + 2) >> 8), UInt8((data.count + 2) & 255)] + data
        }
        let size = [UInt8(side >> 8), UInt8(side & 255)]
        var result: [UInt8] = [0xFF, 0xD8] + segment(0xDB, [0] + [UInt8](repeating: 1, count: 64))
        result += segment(0xC2, [8] + size + size + [1, 1, 0x11, 0])
        // One code in each table: a difference of 0, and 2¹⁴ blocks or more without a coefficient.
        let code = [1] + [UInt8](repeating: 0, count: 15)
        result += segment(0xC4, [0x00] + code + [0]) + segment(0xC4, [0x10] + code + [0xE0])
        let blocks = (side / 8) * (side / 8)
        result += segment(0xDA, [1, 1, 0, 0, 0, 0]) + [UInt8](repeating: 0, count: (blocks + 7) / 8)
        var bits = "", rest = blocks
        while rest > 0 {
            let run = rest >= 65_534 ? 32_767 : rest > 32_767 ? rest / 2 : rest
            let digits = String(run - 16_384, radix: 2)
            bits += "0" + String(repeating: "0", count: 14 - digits.count) + digits
            rest -= run
        }
        bits += String(repeating: "1", count: (8 - bits.utf8.count % 8) % 8)
        let units = Array(bits.utf8)
        let data = stride(from: 0, to: units.count, by: 8).flatMap { start -> [UInt8] in
            let byte = units[start..<start + 8].reduce(UInt8(0)) { $0 << 1 | ($1 & 1) }
            return byte == 0xFF ? [0xFF, 0] : [byte]
        }
        for scan in 0..<scans {
            let (low, coefficient) = (UInt8(13 - scan / 63), UInt8(1 + scan % 63))
            let high = low == 13 ? 0 : low + 1
            result += segment(0xDA, [1, 1, 0, coefficient, coefficient, high << 4 | low]) + data
        }
        return result + [0xFF, 0xD9]
    }

    /// 67,000 bytes that take seconds to decode are refused; the same made of few scans is an image like any other.
    @Test func scansWithoutEndAreRefused() throws {
        let error = #expect(throws: ImageError.self) { try Self.decode(Self.manyScans(side: 4896, scans: 495)) }
        #expect(error?.description.contains("496 scans") == true)
        #expect(try Self.decode(Self.manyScans(side: 1024, scans: 10)).height >= 28)
    }

    /// Whichever way a stripe runs, it is resized to the same.
    @Test(arguments: [(1, 3), (3, 1), (40, 1), (28, 3)])
    func anImageOnItsSideIsResizedToTheSame(width: Int, channels: Int) throws {
        func turned(_ image: Image) -> Image {
            var pixels: [UInt8] = []
            for column in 0..<image.width {
                for row in 0..<image.height {
                    let start = (row * image.width + column) * channels
                    pixels += image.pixels[start..<start + channels]
                }
            }
            return Image(height: image.width, width: image.height, channels: channels, pixels: pixels)
        }
        let pixels = (0..<500 * width * channels).map { UInt8(truncatingIfNeeded: $0 &* 2_654_435_761 >> 7) }
        let tall = Image(height: 500, width: width, channels: channels, pixels: pixels)
        let (upright, onItsSide) = (
            tall.resized(height: 20, width: 30), turned(turned(tall).resized(height: 30, width: 20))
        )
        #expect(zip(upright.pixels, onItsSide.pixels).allSatisfy { abs(Int($0) - Int($1)) <= 1 })
        #expect(Set(upright.pixels).count > 10)
    }

    /// A PNG of a few thousand bytes can be a million pixels high: resizing it takes no more memory than it has itself.
    @Test func aStripeTakesNoMoreMemoryThanItHas() {
        func peak() -> Int {
            var usage = rusage()
            getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
            return usage.ru_maxrss << 10
        }
        let stripe = Image(
            height: 300_000, width: 1, channels: 3, pixels: [UInt8](repeating: 100, count: 900_000))
        let before = peak()
        #expect(stripe.resized(height: 28, width: 28).pixels.allSatisfy { $0 == 100 })
        #expect(peak() - before < 40 << 20)
    }

    @Test func limitsAreKept() throws {
        let bytes = try Self.bytes("colour.png")
        #expect(throws: ImageError.self) { try Self.decode(bytes, limits: .init(maximumPixels: 90 * 120 - 1)) }
        #expect(throws: ImageError.self) { try Self.decode(bytes, limits: .init(maximumBytes: bytes.count - 1)) }
        #expect(try Self.decode(bytes, limits: .init(maximumPixels: 90 * 120, maximumBytes: bytes.count)).width == 28)
    }

    @Test func whatIsNoImageIsSaidToBeNone() {
        for bytes: [UInt8] in [[], [1], [0xFF, 0xD8], Array("hello, world".utf8)] {
            #expect(throws: ImageError.self) { try Self.decode(bytes) }
        }
    }
}
