import Images
import LCPWire
import Testing

@testable import LCPSensor

@Suite("JPEGs that follow each other") struct PictureStreamTests {
    private static func picture(_ grey: UInt8, quality: Int = 80) throws -> [UInt8] {
        try Image(
            height: 16, width: 24, channels: 1,
            pixels: (0..<384).map { UInt8(truncatingIfNeeded: $0 * $0 + Int(grey)) }
        ).jpeg(quality: quality)
    }

    /// A picture with another one inside, as cameras put their previews.
    private static func withPreview() throws -> [UInt8] {
        let (outer, inner) = (try picture(1), try picture(2))
        let length = inner.count + 2
        return Array(outer[..<2]) + [0xFF, 0xE1, UInt8(length >> 8), UInt8(length & 255)] + inner + outer[2...]
    }

    @Test("Pictures come out as they went in, in pieces of any size", arguments: [1, 2, 3, 7, 100, 100_000])
    func pieces(size: Int) throws {
        let pictures = try [
            Self.picture(0), Self.withPreview(), Self.picture(9, quality: 100), Self.picture(200, quality: 10),
        ]
        let noise: [UInt8] = [0, 0xFF, 0x0D, 0x0A] + Array("--boundary\r\nContent-Length: 7\r\n\r\n".utf8)
        let all = pictures.flatMap { noise + $0 }
        var stream = PictureStream()
        var found: [[UInt8]] = []
        for start in stride(from: 0, to: all.count, by: size) {
            stream.add(all[start..<min(start + size, all.count)])
            while let next = stream.next() { found.append(next) }
        }
        #expect(found == pictures && !stream.isInside)
    }

    @Test("Random bytes neither crash it nor fill the memory")
    func noise() {
        var random = SystemRandomNumberGenerator()
        for _ in 0..<300 {
            var stream = PictureStream()
            for _ in 0..<20 {
                let marks: [UInt8] = [0xFF, 0xD8, 0xFF, 0xD9, 0xFF, 0xDA, 0, 2]
                stream.add(
                    (0..<50).map { _ in Bool.random() ? marks.randomElement(using: &random)! : .random(in: 0...255) })
                while let next = stream.next() {
                    #expect(next.starts(with: [0xFF, 0xD8]) && next.suffix(2) == [0xFF, 0xD9])
                }
            }
        }
    }

    @Test("Standard input is JPEGs, or raw frames, or refused, by its first bytes")
    func kinds() throws {
        var pictures = StandardInput()
        pictures.add(try Self.picture(3))
        guard case .picture(let bytes)? = try pictures.take(784) else {
            Issue.record("no picture came")
            return
        }
        #expect(bytes == (try Self.picture(3)))
        var raw = StandardInput()
        raw.add([UInt8](repeating: 7, count: 30))
        for _ in 0..<2 {
            guard case .raw(let pixels)? = try raw.take(13) else {
                Issue.record("no frame came")
                return
            }
            #expect(pixels == [UInt8](repeating: 7, count: 13))
        }
        #expect(try raw.take(13) == nil)
        let mp4: [UInt8] = [0, 0, 0, 0x20] + Array("ftypisom".utf8)
        let others: [([UInt8], String)] = [
            (mp4, "MP4"), ([0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A, 0, 0, 0, 13], "PNG"),
            ([0, 0, 0, 1, 0x67, 1, 2, 3, 4, 5, 6, 7], "H.264"),
            ([0x1A, 0x45, 0xDF, 0xA3] + [UInt8](repeating: 0, count: 8), "WebM"),
        ]
        for (bytes, name) in others {
            var input = StandardInput()
            input.add(bytes)
            let error = #expect(throws: PipelineError.self) { try input.take(784) }
            #expect(error?.description.contains(name) == true)
        }
    }
}
