import LCPWire
import Platform
import Testing

@Suite struct FeatureEncodingTests {
    /// What comes out of a message that numbers were written to, and the scale; nil where they were refused.
    static func roundTrip(_ encoding: FeatureEncoding, _ values: [Float]) -> (values: [Float], scale: Float)? {
        var data = [UInt8](repeating: 0, count: values.count * encoding.dtype.size)
        let scale = values.withUnsafeBufferPointer { values in
            data.withUnsafeMutableBytes { encoding.encode(values, into: $0) }
        }
        guard let scale else { return nil }
        var result = [Float](repeating: .nan, count: values.count)
        result.withUnsafeMutableBufferPointer { result in
            data.withUnsafeBytes { encoding.decode($0, scale: scale, into: result) }
        }
        return (result, scale)
    }

    @Test("Numbers come back within half a step of their encoding")
    func numbersComeBack() throws {
        var random = SeededGenerator(seed: 1)
        for round in 0..<200 {
            let size = Float(1 << (round % 14))
            let values = (0..<1 + random.index(300)).map { _ in random.uniform(-size, size) }
            let exact = try #require(Self.roundTrip(.fp32, values))
            #expect(exact.values == values && exact.scale == 0)
            let half = try #require(Self.roundTrip(.fp16, values))
            // Eleven bits, rounded to the nearest.
            #expect(zip(values, half.values).allSatisfy { abs($0 - $1) <= max(abs($0) / 2048, 0x1p-25) })
            #expect(half.scale == 0)
            let integers = try #require(Self.roundTrip(.int8, values))
            let largest = values.map(abs).max() ?? 0
            #expect(abs(integers.scale - largest / 127) <= largest * 1e-6)
            #expect(zip(values, integers.values).allSatisfy { abs($0 - $1) <= integers.scale * 0.5001 })
        }
    }

    @Test("Half precision has the bits of the language's own, whatever instructions make them")
    func halvesAreExact() throws {
        // All halves that are finite, what lies between two of them, and counts that are no multiple of a vector.
        let halves = (0...UInt16.max).map(Float16.init(bitPattern:)).filter(\.isFinite).map(Float.init)
        let between = zip(halves, halves.dropFirst()).map { ($0 + $1) / 2 }
        for count in [1, 7, 8, 9, 31, halves.count] {
            for values in [Array(halves.prefix(count)), Array(between.prefix(count))] {
                let found = try #require(Self.roundTrip(.fp16, values)).values
                #expect(found == values.map { Float(Float16($0)) })
            }
        }
    }

    @Test("A number that is none is found wherever it stands", arguments: [0, 1, 15, 16, 17, 40])
    func strangersAreFound(place: Int) {
        for stranger in [Float.nan, .infinity, -.infinity] {
            var values = [Float](repeating: 1, count: 41)
            values[place] = stranger
            #expect(Self.roundTrip(.fp16, values) == nil)
        }
    }

    @Test("Numbers at the edges of an encoding stay finite", arguments: FeatureEncoding.allCases)
    func edgesStayFinite(encoding: FeatureEncoding) throws {
        let edges: [[Float]] = [
            [0, -0], [1e30, -1e30, 1], [.greatestFiniteMagnitude, -.greatestFiniteMagnitude],
            [.leastNonzeroMagnitude, 0], [65_519.99, 65_520, 1e5], [],
        ]
        for values in edges {
            let result = try #require(Self.roundTrip(encoding, values))
            #expect(!result.values.contains { !$0.isFinite })
            if encoding == .int8 { #expect(result.scale > 0 && result.scale.isFinite) }
        }
        #expect(Self.roundTrip(.fp16, [1e5, -1e5])?.values == [65_504, -65_504])
    }

    @Test("Numbers that are infinite or none are not written", arguments: FeatureEncoding.allCases)
    func notFiniteIsRefused(encoding: FeatureEncoding) {
        for value in [Float.nan, .infinity, -.infinity] {
            #expect(Self.roundTrip(encoding, [1, value, 2]) == nil)
        }
    }

    @Test("FP16 is what another implementation reads")
    func halvesAreIEEE() {
        var data = [UInt8](repeating: 0, count: 8)
        let values: [Float] = [1.5, -0.25, 65_504, 0x1p-24]
        _ = values.withUnsafeBufferPointer { values in
            data.withUnsafeMutableBytes { FeatureEncoding.fp16.encode(values, into: $0) }
        }
        // As Python's struct.pack("<4e", …) has it.
        #expect(data == [0x00, 0x3E, 0x00, 0xB4, 0xFF, 0x7B, 0x01, 0x00])
    }
}
