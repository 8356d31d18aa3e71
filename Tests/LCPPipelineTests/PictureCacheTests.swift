import Images
import LCPModels
import LCPPictures
import LCPWire
import Platform
import Synchronization
import Tensors
import Testing

@testable import LCPPipeline

@Suite struct PictureCacheTests {
    static let shape = FeatureMapShape(height: 8, width: 8, channels: 1)

    static func request(_ shape: FeatureMapShape = shape, isExact: Bool = true) -> PictureCache.Request {
        .init(size: ImageSize(shape, nil), isExact: isExact, limits: .init())
    }

    /// A PNG whose pixels all have a value.
    static func png(_ value: UInt8, size: Int = 8) throws -> [UInt8] {
        try Image(height: size, width: size, channels: 1, pixels: [UInt8](repeating: value, count: size * size)).png()
    }

    @Test("A picture that was decoded for one branch is there for the others, and no other picture is taken for it")
    func picturesAreToldApart() throws {
        let cache = PictureCache(maximumCount: 4)
        for round in 0..<20 as Range<UInt8> {
            let bytes = try Self.png(round / 2)
            let pixels = try bytes.withUnsafeBytes { try cache.pixels(of: $0, Self.request()).pixels }
            #expect(pixels == [UInt8](repeating: round / 2, count: 64))
            let small = FeatureMapShape(height: 4, width: 4, channels: 1)
            let resized = try bytes.withUnsafeBytes {
                try cache.pixels(of: $0, Self.request(small, isExact: false)).pixels
            }
            #expect(resized == [UInt8](repeating: round / 2, count: 16))
        }
        #expect(cache.decodedCount == 20, "each of ten pictures, at two sizes, once")
    }

    @Test("Threads that ask for one picture at once decode it once")
    func threadsShareTheWork() throws {
        let cache = PictureCache()
        let bytes = try Self.png(9, size: 512)
        let right = Atomic<Int>(0)
        let large = FeatureMapShape(height: 512, width: 512, channels: 1)
        let threads = (0..<8).compactMap { _ in
            JoinedThread {
                let pixels = bytes.withUnsafeBytes { try? cache.pixels(of: $0, Self.request(large)).pixels }
                if pixels == [UInt8](repeating: 9, count: 512 * 512) { right.add(1, ordering: .relaxed) }
            }
        }
        for thread in threads { thread.join() }
        #expect(right.load(ordering: .relaxed) == 8 && cache.decodedCount == 1)
    }

    @Test("What is kept is bounded in number and in bytes")
    func roomIsBounded() throws {
        let cache = PictureCache(maximumCount: 3, maximumBytes: 400)
        for value in 0..<9 as Range<UInt8> {
            let bytes = try Self.png(value)
            _ = try bytes.withUnsafeBytes { try cache.pixels(of: $0, Self.request()).pixels }
            #expect(cache.count <= 3 && cache.byteCount <= 400)
        }
        #expect(cache.count > 1)
    }

    @Test("A picture that cannot be decoded fails for all who ask, and is tried once")
    func failuresAreKept() throws {
        let cache = PictureCache()
        let bytes = Array(try Self.png(1).dropLast(20))
        for _ in 0..<3 {
            #expect(throws: ImageError.self) { try bytes.withUnsafeBytes { try cache.pixels(of: $0, Self.request()) } }
        }
        #expect(cache.decodedCount == 1)
    }
}
