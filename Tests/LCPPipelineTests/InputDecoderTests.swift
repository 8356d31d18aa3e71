import LCPWire
import Platform
import Tensors
import Testing

@testable import LCPPipeline

@Suite struct InputDecoderTests {
    let decoder = InputDecoder(shape: .init(height: 28, width: 28, channels: 1))

    func decode(_ bytes: [UInt8]) throws -> (FrameIdentity, InputDecoder.Input) {
        try bytes.withUnsafeBytes { try decoder.decode($0) }
    }

    func message(_ shape: Shape, _ dtype: DType = .uint8, kind: TensorMessageHeader.Kind = .input) throws -> [UInt8] {
        let count = try #require(shape.elementCount) * dtype.size
        let tensor = try Tensor(dtype: dtype, shape: shape, bytes: [UInt8](repeating: 0, count: count))
        return TensorMessage.encode(
            .init(
                kind: kind, dtype: dtype, shape: shape, session: 9, frame: 8, captureTime: 7,
                branchCount: kind == .input ? 0 : 1,
                label: 6), tensor)
    }

    @Test func tensorMessagesKeepTheirIdentity() throws {
        for shape: Shape in [[28, 28, 1], [28, 28]] {
            let (identity, input) = try decode(message(shape))
            #expect(identity == FrameIdentity(session: 9, frame: 8, captureTime: 7, label: 6))
            guard case .pixels(let range) = input else {
                Issue.record("not pixels")
                return
            }
            #expect(range == 128..<912)
        }
        guard case .normalized = try decode(message([28, 28, 1], .fp32)).1 else {
            Issue.record("not normalised")
            return
        }
    }

    @Test func bareBytesAreNamedByTheirHash() throws {
        let bytes = [UInt8](repeating: 3, count: 784)
        let (first, _) = try decode(bytes)
        #expect(first.session == 0 && first.label == -1)
        #expect(try decode(bytes).0 == first)
        var other = bytes
        other[783] = 4
        #expect(try decode(other).0 != first)
        // XXH64 with seed 0, by the reference implementation: xxh64sum of 784 zero bytes.
        #expect(try decode([UInt8](repeating: 0, count: 784)).0.frame == 9_885_240_904_286_595_353)
    }

    @Test func everythingElseIsCountedByItsReason() throws {
        func reason(_ bytes: [UInt8]) -> String? {
            do {
                _ = try decode(bytes)
                return nil
            } catch { return (error as? InputError)?.reason }
        }
        #expect(reason([]) == "wrong_size")
        #expect(reason([1]) == "wrong_size")
        #expect(reason([UInt8](repeating: 0, count: 783)) == "wrong_size")
        #expect(reason([UInt8](repeating: 0, count: 1 << 20)) == "wrong_size")
        #expect(reason(Array("LCPT".utf8)) == "too_short")
        #expect(try reason(message([28, 27, 1])) == "wrong_shape")
        #expect(try reason(message([1, 28, 28, 1])) == "wrong_shape")
        #expect(try reason(message([28, 28, 1], .int8)) == "wrong_type")
        #expect(try reason(message([28, 28, 1], kind: .features)) == "wrong_kind")
        #expect(reason([0xFF, 0xD8, 0xFF] + [UInt8](repeating: 0, count: 781)) == "bad_jpeg")
        #expect(reason([0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]) == "bad_png")
        var infinite = try message([28, 28, 1], .fp32)
        infinite.replaceSubrange(200..<204, with: [0, 0, 0x80, 0x7F])
        #expect(reason(infinite) == "not_finite")
    }
}

@Suite struct DropsTests {
    @Test func aFloodIsCountedWholeAndLoggedSeldom() {
        var drops = Drops()
        let start = ContinuousClock.now
        var lines: [String] = []
        for index in 0..<10_000 {
            if let line = drops.add("late", "late", now: start + .milliseconds(3 * index)) { lines.append(line) }
        }
        #expect(drops.counts == ["late": 10_000])
        #expect(lines.count == 3)
        #expect(lines[0] == "late")
        #expect(lines[1].contains("times"))
    }

    @Test func strangersTextCannotDriveATerminal() {
        #expect(Log.printable("a\u{1B}[31mb\u{7}\u{9B}c") == "a\u{FFFD}[31mb\u{FFFD}\u{FFFD}c")
        #expect(Log.printable("küche 1") == "küche 1")
    }
}
