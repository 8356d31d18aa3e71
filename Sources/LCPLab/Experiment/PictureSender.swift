import Images
import LCPPipeline
import LCPWire
import MQTT
import Platform
import Synchronization
import Tensors

/// The frames of a ``PictureLoad`` that are on their way. All but ``done`` and ``figures()`` happens on the event loop's thread.
final class PictureSender: Sendable {
    private struct Sent {
        var time: ContinuousClock.Instant
        var encode: Duration
        var bytes: Int
    }

    private struct State {
        var sent: [UInt64: Sent] = [:]
        var next: UInt64 = 0
        var frames: [PictureLoad.Frame] = []
        var begin: ContinuousClock.Instant?
        var lastAnswer = ContinuousClock.now
        var failure: (any Error)?
    }

    /// Ends when all frames are answered, or none will be.
    let done: AsyncStream<Void>
    private let ending: AsyncStream<Void>.Continuation
    private let load: PictureLoad
    private let images: [Image]
    private let client: MQTTClient
    private let topic: String
    private let session = UInt64.random(in: 1...UInt64.max)
    private let state = Mutex(State())

    init(_ load: PictureLoad, _ images: [Image], _ client: MQTTClient, topic: String) {
        (done, ending) = AsyncStream.makeStream()
        (self.load, self.images, self.client, self.topic) = (load, images, client, topic)
    }

    func begin() { for _ in 0..<load.window { sendNext() } }

    func finish() { ending.finish() }

    func isIdle(for time: Duration) -> Bool { state.withLock { ContinuousClock.now - $0.lastAnswer > time } }

    /// Takes a prediction, and sends the next frame.
    func take(_ time: ContinuousClock.Instant, _ json: [UInt8]) {
        guard let prediction = Prediction(json), let number = UInt64(prediction.frame) else {
            let words = String(decoding: json.prefix(200), as: UTF8.self).printable
            state.withLock {
                $0.failure = PipelineError(.invalidMessage, "a prediction cannot be read: \(words)")
            }
            return finish()
        }
        let isComplete = state.withLock { state -> Bool? in
            guard let sent = state.sent.removeValue(forKey: number) else { return nil }
            state.lastAnswer = time
            if number >= UInt64(load.warmup) {
                state.frames.append(
                    PictureLoad.Frame(
                        number: number, latencyMilliseconds: (time - sent.time).milliseconds,
                        encodeMilliseconds: sent.encode.milliseconds, bytes: sent.bytes, predictionBytes: json.count,
                        class: prediction.class,
                        missing: prediction.missing.count))
            } else {
                state.begin = time
            }
            return state.frames.count == load.frames
        }
        guard let isComplete else { return }
        if isComplete { finish() } else { sendNext() }
    }

    private func sendNext() {
        let number = state.withLock { state -> UInt64? in
            guard state.next < UInt64(load.warmup + load.frames) else { return nil }
            state.next += 1
            return state.next - 1
        }
        guard let number else { return }
        do {
            let begin = ContinuousClock.now
            let (message, encode) = try message(images[Int(number) % images.count], frame: number)
            state.withLock {
                $0.sent[number] = Sent(time: begin, encode: encode, bytes: message.count)
                if $0.begin == nil { $0.begin = begin }
            }
            try message.withUnsafeBytes { try client.send($0, to: topic) }
        } catch {
            state.withLock { $0.failure = error }
            finish()
        }
    }

    /// The frame as a sensor of lcp writes it.
    private func message(_ image: Image, frame: UInt64) throws -> (bytes: [UInt8], encode: Duration) {
        let input = load.input
        guard let shape = Shape([input.height, input.width, input.channels]) else {
            throw PipelineError(.invalidConfiguration, "\(input) is no shape of a tensor")
        }
        var header = TensorMessageHeader(
            kind: .input, dtype: .uint8, shape: shape, session: session, frame: frame,
            captureTime: wallClockNanoseconds())
        let begin = ContinuousClock.now
        let data = try image.jpeg(quality: load.quality)
        let encode = ContinuousClock.now - begin
        header.version2 = .init(encoding: .jpeg)
        header.version2?.encodeTime = UInt32(encode.milliseconds * 1000)
        header.version2?.sendTime = wallClockNanoseconds()
        return (TensorMessage.encode(header, data: data), encode)
    }

    /// - Throws: ``PipelineError`` where frames had no answer.
    func figures() throws -> PictureLoad.Figures {
        let state = state.withLock { $0 }
        if let failure = state.failure { throw failure }
        guard state.frames.count == load.frames, let begin = state.begin else {
            throw PipelineError(
                .timedOut,
                "no prediction for \(Int(load.patience.milliseconds / 1000)) s: \(state.frames.count) of \(load.frames) frames "
                    + "were answered")
        }
        return PictureLoad.Figures(
            frames: state.frames.sorted { $0.number < $1.number },
            seconds: (state.lastAnswer - begin).milliseconds / 1000,
            lateDepartures: 0)
    }
}
