/// Samples of sound from a WAV file, or from PCM without a header, as its bytes come. Several channels become their mean.
public struct SoundDecoder: Sendable {
    public enum Format: Sendable, Hashable {
        case wav
        /// 16 bits, little-endian, one channel.
        case pcm
    }

    private enum State: Hashable {
        case beginning
        /// Between two parts of a WAV file.
        case chunks
        /// So many bytes of sound are left; nil where nobody knows.
        case samples(left: Int?)
        case end
    }

    private struct Encoding: Hashable {
        var isFloat = false
        var bits = 16
        var channels = 1
    }

    private let rate: Int
    private var state: State
    private var encoding = Encoding()
    private var hasEncoding: Bool
    private var bytes: [UInt8] = []

    /// - Parameter rate: samples per second that are needed.
    public init(_ format: Format, rate: Int) {
        self.rate = rate
        state = format == .pcm ? .samples(left: nil) : .beginning
        hasEncoding = format == .pcm
    }

    public mutating func add(_ more: some Sequence<UInt8>) { bytes += more }

    /// The samples that are there whole, −1 to 1.
    ///
    /// - Parameter isEnd: whether no more bytes come.
    /// - Throws: ``SignalError`` where it is no sound that is read, or of another rate.
    public mutating func samples(isEnd: Bool) throws(SignalError) -> [Float] {
        while true {
            switch state {
            case .beginning:
                guard bytes.count >= 12 else {
                    guard !isEnd else { throw SignalError("bad_sound", "it is shorter than the header of a WAV file") }
                    return []
                }
                guard text(0) == "RIFF", text(8) == "WAVE" else {
                    throw SignalError(
                        "bad_sound", "it is no WAV file: ffmpeg -i FILE -ar \(rate) -ac 1 OUT.wav makes one")
                }
                bytes.removeFirst(12)
                state = .chunks
            case .chunks:
                guard try nextChunk(isEnd: isEnd) else { return [] }
            case .samples(let left): return decoded(left)
            case .end: return []
            }
        }
    }

    /// - Returns: whether there was a whole one.
    private mutating func nextChunk(isEnd: Bool) throws(SignalError) -> Bool {
        guard bytes.count >= 8 else {
            guard !isEnd else { throw SignalError("bad_sound", "the WAV file ends before its sound") }
            return false
        }
        let (name, size) = (text(0), Int(word(4)))
        if name == "data" {
            guard hasEncoding else {
                throw SignalError("bad_sound", "the WAV file does not say what its sound is like")
            }
            bytes.removeFirst(8)
            // Programs that write into a pipe do not know how much comes.
            state = .samples(left: size == 0 || size >= 0xFFFF_FF00 ? nil : size)
            return true
        }
        guard size <= 1 << 24 else { throw SignalError("bad_sound", "a part of the WAV file has \(size) bytes") }
        guard bytes.count >= 8 + size + size % 2 else {
            guard !isEnd else { throw SignalError("bad_sound", "the WAV file ends before its sound") }
            return false
        }
        if name == "fmt " { try readFormat(size) }
        bytes.removeFirst(8 + size + size % 2)
        return true
    }

    private mutating func readFormat(_ size: Int) throws(SignalError) {
        guard size >= 16 else { throw SignalError("bad_sound", "the WAV file's header is cut short") }
        var tag = half(8)
        // WAVE_FORMAT_EXTENSIBLE says it further behind.
        if tag == 0xFFFE, size >= 40 { tag = half(8 + 24) }
        encoding = Encoding(isFloat: tag == 3, bits: half(8 + 14), channels: half(8 + 2))
        let found = Int(word(8 + 4))
        let isRead =
            tag == 1 && [8, 16, 24, 32].contains(encoding.bits) || tag == 3 && encoding.bits == 32
        guard isRead, (1...64).contains(encoding.channels) else {
            throw SignalError(
                "bad_sound",
                "the WAV file is compressed or of \(encoding.bits) bits: ffmpeg -i FILE -ar \(rate) -ac 1 -c:a pcm_s16le OUT.wav "
                    + "makes one that is read")
        }
        guard found == rate else {
            throw SignalError(
                "wrong_rate",
                "the WAV file has \(found) samples a second, and \(rate) are needed: ffmpeg -i FILE -ar \(rate) OUT.wav changes it"
            )
        }
        hasEncoding = true
    }

    private mutating func decoded(_ left: Int?) -> [Float] {
        let step = encoding.bits / 8 * encoding.channels
        let count = min(bytes.count, left ?? .max) / step
        var result: [Float] = []
        result.reserveCapacity(count)
        let width = encoding.bits / 8
        for sample in 0..<count {
            var sum: Float = 0
            for channel in 0..<encoding.channels { sum += value(sample * step + channel * width) }
            result.append(sum / Float(encoding.channels))
        }
        bytes.removeFirst(count * step)
        if let left {
            let rest = left - count * step
            state = rest < step ? .end : .samples(left: rest)
        }
        return result
    }

    private func value(_ place: Int) -> Float {
        switch encoding.bits {
        case 8: return (Float(bytes[place]) - 128) / 128
        case 16: return Float(Int16(bitPattern: UInt16(half(place)))) / 32_768
        case 24:
            let number = Int32(bitPattern: UInt32(half(place + 1)) << 16 | UInt32(bytes[place]) << 8)
            return Float(number >> 8) / 8_388_608
        default:
            let pattern = word(place)
            guard encoding.isFloat else { return Float(Int32(bitPattern: pattern)) / 2_147_483_648 }
            let number = Float(bitPattern: pattern)
            return number.isFinite ? number : 0
        }
    }

    private func half(_ place: Int) -> Int { Int(bytes[place]) | Int(bytes[place + 1]) << 8 }
    private func word(_ place: Int) -> UInt32 { UInt32(half(place)) | UInt32(half(place + 2)) << 16 }
    private func text(_ place: Int) -> String { String(decoding: bytes[place..<place + 4], as: UTF8.self) }
}
