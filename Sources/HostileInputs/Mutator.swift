import Platform

/// Changes inputs a little, the same way for the same seed.
public struct Mutator: Sendable {
    private var random: SeededGenerator
    private let format: Format
    private let words: [[UInt8]]

    public init(_ format: Format, seed: UInt64) {
        self.format = format
        random = SeededGenerator(seed: seed)
        words = format.words.map { Array($0.utf8) }
    }

    /// One of `inputs`, changed in one to eight places, with its checksums made right again three times in four.
    public mutating func next(from inputs: [[UInt8]], limit: Int = 1 << 14) -> [UInt8] {
        var bytes = inputs[random.index(inputs.count)]
        for _ in 0..<1 << random.index(4) { change(&bytes, inputs) }
        if bytes.count > limit { bytes.removeLast(bytes.count - limit) }
        if random.index(4) > 0 { format.repair(&bytes) }
        return bytes
    }

    private mutating func change(_ bytes: inout [UInt8], _ inputs: [[UInt8]]) {
        guard !bytes.isEmpty else {
            bytes = (0..<random.index(200)).map { _ in byte() }
            return
        }
        let place = random.index(bytes.count)
        switch random.index(words.isEmpty ? 9 : 12) {
        case 0: bytes[place] ^= 1 << UInt8(random.index(8))
        case 1: bytes[place] = byte()
        case 2: bytes[place] = [0, 1, 0x7F, 0x80, 0xFE, 0xFF][random.index(6)]
        case 3, 4: number(&bytes)
        case 5: bytes.removeLast(bytes.count - place)
        case 6: bytes.removeSubrange(piece(of: bytes))
        case 7: bytes.insert(contentsOf: bytes[piece(of: bytes)], at: place)
        case 8:
            let other = inputs[random.index(inputs.count)]
            if !other.isEmpty { bytes.insert(contentsOf: other[piece(of: other)], at: place) }
        case 9: bytes.insert(contentsOf: words[random.index(words.count)], at: place)
        default: token(&bytes, from: place)
        }
    }

    /// Puts an integer that is an edge somewhere, in either byte order; at a message's fields more often than elsewhere.
    private mutating func number(_ bytes: inout [UInt8]) {
        let size = [1, 2, 4, 8][random.index(4)]
        guard bytes.count >= size else { return }
        let fields = [4, 5, 6, 7, 8, 10, 16, 24, 32, 40, 48, 50, 52, 80, 84, 88, 112, 116]
        var place = random.index(bytes.count - size + 1)
        if random.index(2) == 0 { place = min(fields[random.index(fields.count)], bytes.count - size) }
        let edges: [UInt64] = [
            0, 1, 2, 3, 8, 9, 28, 127, 128, 255, 256, 784, 32_767, 32_768, 65_535, 65_536, 0x7FFF_FFFF, 0x8000_0000,
            0xFFFF_FFFF, 0x1_0000_0000, 0x7FFF_FFFF_FFFF_FFFF, 0x8000_0000_0000_0000, .max, UInt64(bytes.count),
            UInt64(max(0, bytes.count - 128)),
        ]
        let value = edges[random.index(edges.count)]
        let isBig = random.index(2) == 0
        for index in 0..<size {
            bytes[place + index] = UInt8(truncatingIfNeeded: value >> UInt64(8 * (isBig ? size - 1 - index : index)))
        }
    }

    /// Replaces a word of text: what stands between two marks.
    private mutating func token(_ bytes: inout [UInt8], from place: Int) {
        let marks = Array("{}[],:\"\n ".utf8)
        let start = bytes[...place].lastIndex { marks.contains($0) }.map { $0 + 1 } ?? 0
        let end = bytes[max(start, place)...].firstIndex { marks.contains($0) } ?? bytes.count
        guard start <= end else { return }
        bytes.replaceSubrange(start..<end, with: words[random.index(words.count)])
    }

    private mutating func piece(of bytes: [UInt8]) -> Range<Int> {
        let start = random.index(bytes.count)
        return start..<start + 1 + random.index(min(64, bytes.count - start))
    }

    private mutating func byte() -> UInt8 { UInt8(truncatingIfNeeded: random.next()) }
}
