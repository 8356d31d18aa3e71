import Images
import LCPModels
import LCPWire
import Tensors
import Testing

@testable import LCPPipeline

@Suite struct SnapshotTests {
    private static let shape = FeatureMapShape(height: 8, width: 8, channels: 1)
    private static let pixels = [UInt8](repeating: 200, count: 64)
    private static let image = Image(height: 8, width: 8, channels: 1, pixels: pixels)

    private static func jpeg(_ payload: [UInt8]) throws -> [UInt8]? {
        try payload.withUnsafeBytes { try Snapshot.jpeg(of: $0, shape) }
    }

    private static func message(_ encoding: TensorMessageHeader.Encoding, _ data: [UInt8]) throws -> [UInt8] {
        var header = TensorMessageHeader(
            kind: .input, dtype: .uint8, shape: try #require(Shape([8, 8, 1])), session: 1, frame: 1)
        if encoding != .raw { header.version2 = .init(encoding: encoding) }
        return TensorMessage.encode(header, data: data)
    }

    @Test("Every kind of frame becomes a JPEG of the same picture, and a JPEG stays as it is")
    func kinds() throws {
        let file = try Self.image.jpeg(quality: 50)
        #expect(try Self.jpeg(file) == file)
        #expect(try Self.jpeg(try Self.message(.jpeg, file)) == file)
        for payload in [
            Self.pixels, try Self.image.png(), try Self.message(.raw, Self.pixels),
            try Self.message(.png, try Self.image.png()),
        ] {
            let jpeg = try #require(try Self.jpeg(payload))
            let decoded = try jpeg.withUnsafeBytes { try Image(decoding: $0, channels: 1) }
            #expect((decoded.height, decoded.width) == (8, 8))
            #expect(decoded.pixels.allSatisfy { (197...203).contains($0) })
        }
    }

    @Test("What holds no pixels becomes no picture")
    func nothing() throws {
        #expect(try Self.jpeg([]) == nil && (try Self.jpeg([1, 2, 3])) == nil)
        #expect(try Self.jpeg(Array("LCPT".utf8)) == nil)
        var header = TensorMessageHeader(
            kind: .input, dtype: .fp32, shape: try #require(Shape([8, 8, 1])), session: 1, frame: 1)
        header.frame = 2
        #expect(try Self.jpeg(TensorMessage.encode(header, data: [UInt8](repeating: 0, count: 256))) == nil)
        #expect(throws: ImageError.self) { try Self.jpeg(Array(try Self.image.png().prefix(30))) }
    }

    @Test("The latest frames are kept, by number, count and size")
    func recent() {
        var recent = RecentFrames(maximumFrames: 3, maximumBytes: 10)
        #expect(recent.frame(SnapshotRequest()) == nil)
        for number in 1...4 { recent.add(UInt64(number), [UInt8(number)]) }
        #expect(recent.frame(SnapshotRequest()) == [4] && recent.frame(SnapshotRequest(frame: 2)) == [2])
        #expect(recent.frame(SnapshotRequest(frame: 1)) == nil)
        recent.add(5, [UInt8](repeating: 5, count: 9))
        #expect(recent.frame(SnapshotRequest(frame: 4)) == [4] && recent.frame(SnapshotRequest(frame: 3)) == nil)
        recent.add(6, [UInt8](repeating: 6, count: 11))
        #expect(recent.frame(SnapshotRequest())?.count == 9)
    }

    @Test("Of endless sensors with bare inputs the latest few are kept")
    func bareInputs() throws {
        let inputs = BareInputs()
        for index in 0...BareInputs.maximumSensors {
            Self.pixels.withUnsafeBytes { inputs.keep("s\(index)", 7, $0, Self.shape) }
        }
        #expect(try inputs.jpeg("s0", SnapshotRequest()) == nil)
        #expect(try inputs.jpeg("s1", SnapshotRequest(frame: 7)) != nil)
        #expect(try inputs.jpeg("s1", SnapshotRequest(frame: 8)) == nil)
    }
}
