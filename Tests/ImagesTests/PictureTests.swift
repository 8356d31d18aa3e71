import Foundation
import Testing

@testable import Images

/// Pictures as cameras, phones and people write them: `Tests/Fixtures/make-pictures.py` says what each has to become.
@Suite("Pictures as people have them") struct PictureTests {
    static let folder = ImageTests.folder.deletingLastPathComponent().appendingPathComponent("pictures")
    static let names =
        ((try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []).filter {
            ["jpg", "png", "webp", "gif", "bmp"].contains(($0 as NSString).pathExtension)
        }.sorted()
    static let whole = names.filter { !$0.hasPrefix("bad") }
    static let bad = names.filter { $0.hasPrefix("bad") }

    static func bytes(_ name: String) throws -> [UInt8] {
        Array(try Data(contentsOf: folder.appendingPathComponent(name)))
    }

    static func decode(
        _ bytes: [UInt8], channels: Int = 3, size: WantedImageSize = .any, background: UInt8 = 255,
        limits: ImageLimits = ImageLimits()
    ) throws -> (image: Image, notes: ImageNotes) {
        try bytes.withUnsafeBytes {
            try Image.decode($0, channels: channels, size: size, background: background, limits: limits)
        }
    }

    /// What a picture has to become.
    static func expected(_ name: String) throws -> Image {
        let bytes = try bytes(name + ".rgb")
        return Image(
            height: Int(bytes[0]) | Int(bytes[1]) << 8, width: Int(bytes[2]) | Int(bytes[3]) << 8, channels: 3,
            pixels: Array(bytes[4...]))
    }

    static func largestDifference(_ left: Image, _ right: Image) -> Int {
        zip(left.pixels, right.pixels).map { abs(Int($0) - Int($1)) }.max() ?? 0
    }

    @Test("Every picture has the pixels that it should", arguments: whole)
    func pixels(name: String) throws {
        let image = try Self.decode(Self.bytes(name)).image
        let expected = try Self.expected(name)
        #expect((image.height, image.width) == (expected.height, expected.width))
        #expect(Self.largestDifference(image, expected) <= (name.hasSuffix("jpg") || name == "lossy.webp" ? 2 : 1))
    }

    @Test("In grey it has their brightness", arguments: whole)
    func grey(name: String) throws {
        let image = try Self.decode(Self.bytes(name), channels: 1).image
        // A JPEG's own brightness is rounded once less.
        #expect(Self.largestDifference(image, try Self.expected(name).grey()) <= (name.hasSuffix("jpg") ? 3 : 1))
    }

    @Test("A picture of which rows are missing is refused", arguments: bad)
    func damaged(name: String) throws {
        let error = try #require(throws: ImageError.self) { try Self.decode(Self.bytes(name)) }
        #expect(error.description.contains("damaged"), "\(error)")
    }

    @Test("What is odd about a file is noted: no end, bytes that are nobody's; what stands behind the end is not")
    func notes() throws {
        for name in Self.whole {
            let notes = try Self.decode(Self.bytes(name)).notes
            let isOdd = ["no-end.jpg", "extraneous", "progressive-no-end"].contains(where: name.hasPrefix)
            #expect(notes.contains(.odd) == isOdd, "\(name): \(notes)")
            #expect(notes.contains(.transparent) == name.contains("transparent"), "\(name)")
        }
    }

    @Test("Where a picture is transparent, the background shines through")
    func background() throws {
        let bytes = try Self.bytes("transparent-colour.png")
        let (white, black) = (
            try Self.decode(bytes).image, try Self.decode(bytes, background: 0).image
        )
        // The first column is clear.
        #expect(white.pixels[..<3] == [255, 255, 255] && black.pixels[..<3] == [0, 0, 0])
        #expect(Self.largestDifference(white, black) == 255)
    }

    @Test("A picture is stretched, cut or put into a box as Pillow and torchvision do", arguments: ["wide", "tall"])
    func fits(name: String) throws {
        let bytes = try Self.bytes("fit-\(name).png")
        for (ending, mode) in [
            ("stretch", .stretch), ("crop", .crop(shorter: 40)), ("letterbox", .letterbox(grey: 114)),
        ]
            as [(String, ImageFit.Mode)]
        {
            let image = try Self.decode(bytes, size: .fitted(.init(height: 32, width: 32, mode: mode))).image
            let wanted = Image(height: 32, width: 32, channels: 3, pixels: try Self.bytes("fit-\(name).\(ending)"))
            #expect(Self.largestDifference(image, wanted) <= 1, "\(ending)")
        }
    }

    @Test("What lies on its side is cut where it is looked at", arguments: 1...8)
    func orientedFit(orientation: Int) throws {
        let bytes = try Self.bytes("orientation-\(orientation).jpg")
        let upright = try Self.expected("orientation-\(orientation).jpg")
        for mode in [.stretch, .crop(shorter: 11), .letterbox(grey: 9)] as [ImageFit.Mode] {
            let fit = ImageFit(height: 8, width: 10, mode: mode)
            // By another way: upright first.
            let sides = fit.sides(height: upright.height, width: upright.width)
            let scaled = upright.resized(height: sides.vertical.scaled, width: sides.horizontal.scaled)
            let rows = sides.vertical.window.flatMap { row in
                sides.horizontal.window.flatMap { column in
                    scaled.pixels[(row * scaled.width + column) * 3..<(row * scaled.width + column + 1) * 3]
                }
            }
            let wanted = Image(
                height: sides.vertical.window.count, width: sides.horizontal.window.count, channels: 3, pixels: rows
            ).padded(for: fit)
            let image = try Self.decode(bytes, size: .fitted(fit)).image
            #expect(Self.largestDifference(image, wanted) <= 1, "\(mode)")
        }
    }

    @Test("A large JPEG is decoded at a fraction of its size, and comes out as if it had not been")
    func reduced() throws {
        let (height, width) = (1203, 1597)
        var pixels = [UInt8](repeating: 0, count: height * width * 3)
        for row in 0..<height {
            for column in 0..<width {
                let place = (row * width + column) * 3
                let wave = 60 * sin(Double(row) / 31) * cos(Double(column) / 43)
                pixels[place] = UInt8(128 + wave)
                pixels[place + 1] = UInt8((row * 200) / height)
                pixels[place + 2] = (row / 50 + column / 50) % 2 == 0 ? 40 : 200
            }
        }
        let whole = Image(height: height, width: width, channels: 3, pixels: pixels)
        let bytes = try whole.jpeg(quality: 95)
        let fit = ImageFit(height: 56, width: 64)
        let small = try Self.decode(bytes, size: .fitted(fit)).image
        let wanted = try Self.decode(bytes).image.resized(height: 56, width: 64)
        let differences = zip(small.pixels, wanted.pixels).map { abs(Int($0) - Int($1)) }
        #expect(Double(differences.reduce(0, +)) / Double(differences.count) < 0.5)
        #expect(differences.count { $0 > 3 } * 1000 <= differences.count)
    }

    @Test("A picture that takes more memory than it may is refused by its kind and size")
    func memory() throws {
        let limits = ImageLimits(maximumMemory: 500)
        for (name, kind) in [
            ("interlaced.png", "interlaced PNG"), ("progressive-no-end.jpg", "progressive JPEG"), ("noise.gif", "GIF"),
            ("lossless.webp", "lossless WebP"),
        ] {
            let error = try #require(throws: ImageError.self) {
                try Self.decode(
                    Self.bytes(name), size: .fitted(.init(height: 2, width: 2)), limits: limits)
            }
            #expect(error.description.contains(kind) && error.description.contains("MiB"), "\(error)")
        }
        // Before anything else is asked of it: a phone's 64 megapixels, progressive, have ten scans.
        let large = try #require(throws: ImageError.self) {
            try Self.decode(
                ImageTests.manyScans(side: 8000, scans: 9), channels: 1, size: .fitted(.init(height: 8, width: 8)))
        }
        #expect(large.description.contains("progressive JPEG of 8000 × 8000 pixels takes 12"), "\(large)")
        // A row may be all of it: five million pixels in 625 kB.
        let wide = try #require(throws: ImageError.self) {
            var bitmap = [UInt8]("BM".utf8) + [UInt8](repeating: 0, count: 60)
            for (place, value) in [(10, 62), (14, 40), (18, 5_000_000), (22, 1), (26, 1), (28, 1)] {
                for byte in 0..<(place == 26 || place == 28 ? 2 : 4) {
                    bitmap[place + byte] = UInt8(truncatingIfNeeded: value >> (8 * byte))
                }
            }
            bitmap += [UInt8](repeating: 0, count: 625_000)
            _ = try Self.decode(bitmap, size: .fitted(.init(height: 8, width: 8)))
        }
        #expect(wide.description.contains("BMP of 5000000 × 1 pixels takes"), "\(wide)")
        // Those that are read row by row take none.
        for name in ["orientation-1.jpg", "depth16-colour.png", "colour.bmp"] {
            _ = try Self.decode(Self.bytes(name), size: .fitted(.init(height: 2, width: 2)), limits: limits)
        }
    }

    @Test("A picture that is base64 or a data URL is read like the file", arguments: whole)
    func text(name: String) throws {
        let bytes = try Self.bytes(name)
        let wanted = try Self.decode(bytes).image
        let base64 = Data(bytes).base64EncodedString()
        let lines = Data(bytes).base64EncodedString(options: [.lineLength76Characters, .endLineWithCarriageReturn])
        let forAddresses = base64.map { $0 == "+" ? "-" : $0 == "/" ? "_" : $0 }.filter { $0 != "=" }
        for text in [
            base64, base64 + "\n", lines, String(forAddresses), "data:image/any;base64," + base64,
            "data:image/jpeg;charset=utf-8;base64," + base64,
        ] {
            let image = try Self.decode(Array(text.utf8)).image
            #expect(image == wanted, "\(text.prefix(60))")
        }
        for text in [
            base64 + "!", "data:image/png," + base64, "x" + base64, String(base64.dropFirst()), "{\"" + base64,
        ] {
            #expect(throws: ImageError.self, "\(text.prefix(60))") { try Self.decode(Array(text.utf8)) }
        }
    }

    @Test("Bytes that only look like base64 are no picture")
    func noText() {
        for text in ["", "/9j/", "data:image/png;base64,", "iVBORw0KGgo", "Qk", "AAAA", "////////"] {
            let format = Array(text.utf8).withUnsafeBytes { ImageFormat(of: $0) }
            #expect(format == nil || text == "/9j/" || text == "iVBORw0KGgo", "\(text)")
            #expect(throws: ImageError.self, "\(text)") { try Self.decode(Array(text.utf8)) }
        }
    }

    @Test("Damaged pictures of every kind are read or refused, and nothing else", arguments: names)
    func fuzz(name: String) throws {
        let bytes = try Self.bytes(name)
        var random = SystemRandomNumberGenerator()
        for _ in 0..<200 {
            var damaged = bytes
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                damaged[Int.random(in: 2..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            if Bool.random(using: &random) { damaged.removeLast(Int.random(in: 0..<damaged.count, using: &random)) }
            let image = try? Self.decode(
                damaged, size: .fitted(.init(height: 5, width: 7)), limits: .init(maximumPixels: 1 << 20))
            #expect(image.map { $0.image.pixels.count == 105 } ?? true)
        }
    }
}
