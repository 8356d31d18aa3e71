import FoundationEssentials

extension Seeds {
    package static func images(_ fixtures: Fixtures) -> [[UInt8]] {
        fixtures.files("images", ".jpg") + fixtures.files("images", ".png") + jpegs(fixtures) + pngs
    }

    /// Pictures as base64 and as data URLs.
    package static func textPictures(_ fixtures: Fixtures) -> [[UInt8]] {
        [".jpg", ".png", ".gif", ".bmp"].compactMap { fixtures.files("pictures", $0).first }.flatMap { picture in
            let text = Array(Data(picture).base64EncodedString().utf8)
            return [text, Array("data:image/png;base64,".utf8) + text]
        }
    }

    /// Good files cut short, and with a frame that claims other sizes.
    package static func jpegs(_ fixtures: Fixtures) -> [[UInt8]] {
        var result = common + [[0xFF, 0xD8, 0xFF], [0xFF, 0xD8, 0xFF, 0xD9], [0xFF, 0xD8, 0xFF, 0xE0, 0, 0]]
        for good in fixtures.files("images", ".jpg") {
            result += [Array(good.prefix(good.count / 2)), Array(good.dropLast(2))]
            let frame = (0..<max(0, good.count - 9)).first {
                good[$0] == 0xFF && (good[$0 + 1] == 0xC0 || good[$0 + 1] == 0xC2)
            }
            guard let frame else { continue }
            for size: [UInt8] in [
                [0xFF, 0xFF, 0xFF, 0xFF], [0, 0, 0, 0], [0, 1, 0, 1], [0, 128, 0, 128], [0, 1, 0xFF, 0xFF],
                [0x75, 0x30, 0x75, 0x30],
            ] {
                var bomb = good
                bomb.replaceSubrange(frame + 5..<frame + 9, with: size)
                result.append(bomb)
            }
        }
        return result
    }

    package static let pngs: [[UInt8]] = {
        // A row begins with its filter.
        let pixels = (0..<72).map { (index: Int) -> UInt8 in UInt8(index % 9 == 0 ? index / 9 % 5 : index) }
        let good = png(width: 8, height: 8, data: compressed(pixels))
        let bomb = compressed([UInt8](repeating: 0, count: 3 << 20))
        let framed: [[UInt8]] = [
            good, Array(good.prefix(33)), Array(good.prefix(8)), Array(good.dropLast(12)), good + [0],
            png(width: 30_000, height: 30_000, data: compressed([0])), png(width: .max, height: .max, data: []),
            png(width: 0, height: 8, data: compressed(pixels)), png(width: 128, height: 128, data: bomb),
            png(width: 1, height: 1 << 14, data: bomb), png(width: 8, height: 8, data: bomb),
            png(width: 8, height: 8, interlace: 1, data: compressed(pixels)),
            png(width: 8, height: 8, colour: 6, data: compressed(pixels)),
            png(width: 8, height: 8, colour: 3, data: compressed(pixels)),
            png(width: 8, height: 8, depth: 16, data: compressed(pixels)),
        ]
        var result = common + framed
        for name in ["iCCP", "zTXt", "tRNS", "gAMA", "PLTE", "sBIT", "\u{1B}[3m"] {
            let data = Array("a\0\0".utf8) + bomb
            result.append(Array(good.prefix(33)) + chunk(name, data) + Array(good.dropFirst(33)))
        }
        return result
    }()

    static func png(
        width: UInt32, height: UInt32, depth: UInt8 = 8, colour: UInt8 = 0, interlace: UInt8 = 0, data: [UInt8]
    ) -> [UInt8] {
        let header = big(width) + big(height) + [depth, colour, 0, 0, interlace]
        let signature: [UInt8] = [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]
        return signature + chunk("IHDR", header) + chunk("IDAT", data) + chunk("IEND", [])
    }

    private static func chunk(_ name: String, _ data: [UInt8]) -> [UInt8] {
        let body = Array(name.utf8) + data
        return big(UInt32(data.count)) + body + big(Format.checksum(body[...]))
    }

    private static func big(_ value: UInt32) -> [UInt8] { withUnsafeBytes(of: value.bigEndian) { Array($0) } }
}
