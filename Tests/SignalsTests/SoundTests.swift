import Foundation
import Signals
import Testing

@Suite("Sound")
struct SoundTests {
    private struct Golden: Decodable {
        var sound: LogMel
        var frames: [[Float]]
    }

    @Test("Frames of sound are those of torchaudio, within 1e-4, also where samples come in pieces")
    func goldens() throws {
        let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("../Fixtures/signals/log-mel.json").standardized
        let goldens = try JSONDecoder().decode([Golden].self, from: Data(contentsOf: file))
        #expect(goldens.count == 3)
        let samples = (0..<4000).map { index in
            let place = Double(index)
            return Float(0.5 * sin(0.05 * place) + 0.3 * sin(0.31 * place + 1e-4 * place * place))
        }
        for golden in goldens {
            var stream = LogMelStream(golden.sound)
            var frames: [[Float]] = []
            for start in stride(from: 0, to: samples.count, by: 333) {
                stream.add(samples[start..<min(samples.count, start + 333)])
                while let frame = stream.next() { frames.append(frame) }
            }
            #expect(frames.count == golden.frames.count)
            let largest = zip(frames.joined(), golden.frames.joined()).map { abs($0 - $1) }.max() ?? .infinity
            #expect(largest <= 1e-4, "\(largest)")
        }
    }

    /// A WAV file.
    static func wav(
        _ data: [UInt8], bits: Int, channels: Int = 1, rate: Int = 16_000, tag: Int = 1, size: Int? = nil
    ) -> [UInt8] {
        func number(_ value: Int, _ bytes: Int) -> [UInt8] {
            (0..<bytes).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
        }
        let format =
            number(tag, 2) + number(channels, 2) + number(rate, 4) + number(rate * channels * bits / 8, 4)
            + number(channels * bits / 8, 2) + number(bits, 2)
        return Array("RIFF".utf8) + number(data.count + 36, 4) + Array("WAVELIST".utf8) + number(3, 4) + [1, 2, 3, 0]
            + Array("fmt ".utf8) + number(16, 4) + format + Array("data".utf8) + number(size ?? data.count, 4) + data
    }

    private static func samples(_ file: [UInt8], rate: Int = 16_000, piece: Int) throws -> [Float] {
        var decoder = SoundDecoder(.wav, rate: rate)
        var samples: [Float] = []
        for start in stride(from: 0, to: file.count, by: piece) {
            decoder.add(file[start..<min(file.count, start + piece)])
            samples += try decoder.samples(isEnd: false)
        }
        return samples + (try decoder.samples(isEnd: true))
    }

    @Test(
        "WAV files of 8 to 32 bits, of several channels and of unknown length are read, whatever pieces they come in",
        arguments: [
            (wav([0, 128, 192], bits: 8), [-1, 0, 0.5]), (wav([0, 0x80, 0, 0x40], bits: 16), [-1, 0.5]),
            (wav([0, 0, 0x80, 0, 0, 0x20], bits: 24), [-1, 0.25]),
            (wav([0, 0, 0, 0xC0], bits: 32), [-0.5]), (wav([0, 0, 0x40, 0x3F], bits: 32, tag: 3), [0.75]),
            (wav([0, 0, 0x80, 0x7F], bits: 32, tag: 3), [0]),
            (wav([0, 0x80, 0, 0x40], bits: 16, channels: 2), [-0.25]),
            (wav([0, 0x40, 0, 0x20], bits: 16, size: 0xFFFF_FFFF), [0.5, 0.25]),
            (wav([0, 0x40, 9, 9], bits: 16, size: 2), [0.5]),
        ] as [([UInt8], [Float])])
    func formats(file: [UInt8], expected: [Float]) throws {
        for piece in [1, 7, 1000] { #expect(try Self.samples(file, piece: piece) == expected) }
    }

    @Test("What is no WAV file, is compressed, has another rate or is cut short is refused")
    func refusals() {
        let good = Self.wav([0, 0], bits: 16)
        for (file, reason) in [
            (Array("RIFFxxxxAVI ".utf8), "bad_sound"), (Array(good.prefix(11)), "bad_sound"),
            (Array(good.prefix(40)), "bad_sound"), (Self.wav([0, 0], bits: 16, rate: 44_100), "wrong_rate"),
            (Self.wav([0, 0], bits: 16, tag: 85), "bad_sound"), (Self.wav([0, 0], bits: 12), "bad_sound"),
            (Self.wav([0, 0], bits: 16, channels: 0), "bad_sound"),
            (Array(good.prefix(24)) + good.suffix(10), "bad_sound"),
        ] {
            let error = #expect(throws: SignalError.self) { try Self.samples(file, piece: 5) }
            #expect(error?.reason == reason)
        }
    }
}
