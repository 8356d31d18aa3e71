import LCPWire
import MQTT
import Platform
import Tensors
import Synchronization

/// Sends frames to a pipeline as fast as their predictions come, a number of them in flight, and measures both.
///
/// The next frame is written by the handler of the prediction before it, without a thread in between.
final class FrameLoad: Sendable {
    struct Figures: Sendable {
        /// The median from publish to prediction.
        var latencyMicroseconds: Double
        var framesPerSecond: Double
    }

    private struct State: ~Copyable {
        var message: [UInt8]
        var header: TensorMessageHeader
        /// When the frames in flight were sent, the oldest first from `received` on, modulo the window.
        var sentAt: [ContinuousClock.Instant]
        var sent = 0
        var received = 0
        var latencies: [Duration] = []
        var begin: ContinuousClock.Instant?
        var end: ContinuousClock.Instant?
        var failure: MQTTError?
    }

    private let client: MQTTClient
    /// In turn.
    private let destinations: [String]
    private let test: MessageBenchmark.Case
    private let frames: Int
    /// Frames at the beginning that are not measured.
    private let warmup: Int
    private let state: Mutex<State>
    private let done: AsyncStream<Void>
    private let finish: AsyncStream<Void>.Continuation

    private init(
        _ client: MQTTClient, topics: Topics, lanes: Int?, _ test: MessageBenchmark.Case, frames: Int
    ) throws {
        self.client = client
        self.test = test
        self.frames = frames
        destinations = lanes.map { (0..<$0).map { topics.lane($0, "bench") } } ?? [topics.input("bench")]
        warmup = frames / 10 + 1
        (done, finish) = AsyncStream.makeStream()
        let input = test.input
        guard let shape = Shape([input.height, input.width, input.channels]) else {
            throw PipelineError(.invalidConfiguration, "\(input) is no shape of a tensor")
        }
        let header = TensorMessageHeader(
            kind: .input, dtype: .uint8, shape: shape, session: .random(in: 1...UInt64.max), frame: 0)
        let count = input.elementCount + (test.isBare ? 0 : header.size)
        var state = State(
            message: (0..<count).map { UInt8(truncatingIfNeeded: $0 * 31) },
            header: header,
            sentAt: Array(repeating: .now, count: test.window))
        state.latencies.reserveCapacity(frames)
        self.state = Mutex(state)
    }

    /// Measures a pipeline whose roles are ready.
    ///
    /// - Parameter lanes: how many lanes the frames are dealt to; nil where the broker deals them.
    /// - Throws: ``PipelineError`` where no prediction comes for 10 s, ``MQTTError``, `CancellationError`.
    static func measure(
        _ client: MQTTClient, topics: Topics, lanes: Int? = nil, _ test: MessageBenchmark.Case, frames: Int
    ) async throws -> Figures {
        let load = try FrameLoad(client, topics: topics, lanes: lanes, test, frames: frames)
        let predictions = try await client.subscribe(to: topics.prediction("bench")) { load.take($0.received) }
        defer { predictions.unsubscribe() }
        client.eventLoop.execute { for _ in 0..<test.window { load.sendNext() } }
        let watchdog = Task { try await load.watch() }
        for await _ in load.done {}
        watchdog.cancel()
        try Task.checkCancellation()
        return try load.figures(isLate: (try? await watchdog.value) != nil)
    }

    /// Ends the measurement where no prediction comes for 10 s.
    private func watch() async throws {
        var seen = -1
        while true {
            let received = state.withLock { $0.received }
            if received == seen { break }
            seen = received
            try await Task.sleep(for: .seconds(10))
        }
        finish.finish()
    }

    private func figures(isLate: Bool) throws -> Figures {
        try state.withLock { state in
            if let failure = state.failure { throw failure }
            guard let begin = state.begin, let end = state.end, state.received == frames, !isLate else {
                throw PipelineError(
                    .timedOut,
                    "no prediction of \(destinations[0]) for 10 s, \(state.received) of \(frames) frames answered")
            }
            let latencies = state.latencies[warmup...].sorted()
            return Figures(
                latencyMicroseconds: latencies[latencies.count / 2].milliseconds * 1000,
                framesPerSecond: Double(frames - warmup) / ((end - begin).milliseconds / 1000))
        }
    }

    // MARK: On the event loop's thread

    private func take(_ now: ContinuousClock.Instant) {
        let isSending = state.withLock { state in
            guard state.received < frames else { return false }
            // With several frames in flight a prediction is taken for the oldest: the sum of latencies is the same.
            state.latencies.append(now - state.sentAt[state.received % test.window])
            state.received += 1
            if state.received == warmup { state.begin = now }
            if state.received == frames { state.end = now }
            return state.sent < frames
        }
        if isSending { sendNext() } else if state.withLock({ $0.received == frames }) { finish.finish() }
    }

    private func sendNext() {
        let failure = state.withLock { state -> MQTTError? in
            guard state.sent < frames else { return nil }
            state.header.frame = UInt64(state.sent)
            let (header, isBare) = (state.header, test.isBare)
            let topic = destinations[state.sent % destinations.count]
            state.sentAt[state.sent % test.window] = .now
            state.sent += 1
            return state.message.withUnsafeMutableBytes { bytes -> MQTTError? in
                if isBare {
                    // So that no two of them are alike.
                    bytes.storeBytes(of: header.frame.littleEndian, as: UInt64.self)
                } else {
                    TensorMessage.encodeHeader(header, into: bytes)
                }
                do throws(MQTTError) { try client.send(UnsafeRawBufferPointer(bytes), to: topic) } catch {
                    return error
                }
                return nil
            }
        }
        guard let failure else { return }
        state.withLock { $0.failure = failure }
        finish.finish()
    }
}
