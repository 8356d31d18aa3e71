import Foundation
import Images
import Testing

@testable import LCPPipeline

@Suite("Pictures that take long to decode") struct LargePicturesTests {
    private static func picture(_ topic: String, _ number: UInt8, bytes: Int = 1) -> LargePictures.Picture {
        .init(topic: topic, payload: [UInt8](repeating: number, count: bytes))
    }

    private static func all(_ pictures: LargePictures) -> [String] {
        var result: [String] = []
        while let next = pictures.take() { result.append("\(next.topic)\(next.payload[0])") }
        return result
    }

    @Test("Sensors take turns, and each has its newest few") func turns() {
        let pictures = LargePictures(maximumOfTopic: 3)
        for number in 0..<5 as Range<UInt8> { pictures.put(Self.picture("a", number)) }
        pictures.put(Self.picture("b", 0))
        pictures.put(Self.picture("b", 1))
        #expect(pictures.dropped == 2)
        #expect(Self.all(pictures) == ["a2", "b0", "a3", "b1", "a4"])
        #expect(pictures.take() == nil)
    }

    @Test("Where all are too many, the one that has most gives way", arguments: [(4, 1000), (100, 10)])
    func bounds(count: Int, bytes: Int) {
        let pictures = LargePictures(maximumOfTopic: 9, maximumCount: count, maximumBytes: bytes)
        pictures.put(Self.picture("small", 0, bytes: 2))
        for number in 0..<8 as Range<UInt8> { pictures.put(Self.picture("flood", number, bytes: 2)) }
        let left = Self.all(pictures)
        #expect(left.first == "small0" && left.count == min(count, bytes / 2), "\(left)")
        #expect(pictures.dropped == UInt64(9 - left.count) && left.last == "flood7")
        // One is always kept.
        pictures.put(Self.picture("huge", 1, bytes: 5000))
        #expect(Self.all(pictures) == ["huge1"])
    }

    @Test("A picture is told by what its header says, and not by its bytes") func headers() throws {
        func isLarge(_ bytes: [UInt8]) -> Bool { bytes.withUnsafeBytes { LargePictures.contains($0) } }
        let large = try Image(
            height: 1000, width: 1000, channels: 1, pixels: [UInt8](repeating: 7, count: 1_000_000)
        ).png()
        let small = try Image(
            height: 999, width: 1000, channels: 1, pixels: [UInt8](repeating: 7, count: 999_000)
        ).png()
        #expect(large.count < 20_000 && isLarge(large) && !isLarge(small))
        #expect(!isLarge(Array(large.prefix(20))) && !isLarge([]) && !isLarge(Array("text".utf8)))
        let text = Array(Data(large + [UInt8](repeating: 0, count: 300_000)).base64EncodedString().utf8)
        #expect(isLarge(text))
    }
}
