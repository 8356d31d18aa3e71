import DequeModule
import Images
import MQTT
import Synchronization

/// Pictures that take long to decode wait here, so that neither the connection nor the pictures of others wait for them. Sensors
/// take turns; of each the newest few are kept.
final class LargePictures: Sendable {
    struct Picture: Sendable {
        var topic: String
        var payload: [UInt8]
        var isRetained: Bool
        var received: ContinuousClock.Instant

        init(_ message: MQTTMessageView) {
            (topic, payload) = (message.topic, Array(message.payload))
            (isRetained, received) = (message.retained, message.received)
        }

        init(topic: String, payload: [UInt8]) {
            (self.topic, self.payload, isRetained, received) = (topic, payload, false, .now)
        }
    }

    private struct State {
        var waiting: [String: Deque<Picture>] = [:]
        /// The topics of those, in their turns.
        var turns = Deque<String>()
        var count = 0
        var bytes = 0
        var dropped: UInt64 = 0
    }

    /// Pictures of so many pixels wait; to decode fewer takes some milliseconds.
    static let leastPixels = 1_000_000
    /// A base64 text of so many bytes waits; its header is not looked at.
    static let leastTextBytes = 256 << 10

    private let state = Mutex(State())
    private let maximumOfTopic: Int
    private let maximumCount: Int
    private let maximumBytes: Int
    private let arrivals = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))

    init(maximumOfTopic: Int = 4, maximumCount: Int = 32, maximumBytes: Int = 64 << 20) {
        self.maximumOfTopic = maximumOfTopic
        self.maximumCount = maximumCount
        self.maximumBytes = maximumBytes
    }

    /// Whether a payload is a picture that takes long, by its header.
    static func contains(_ payload: UnsafeRawBufferPointer) -> Bool {
        guard ImageFormat(signatureOf: payload) != nil else {
            return payload.count >= leastTextBytes && ImageFormat(of: payload) != nil
        }
        guard let size = try? Image.dimensions(of: payload) else { return false }
        return size.height.multipliedReportingOverflow(by: size.width).partialValue >= leastPixels
    }

    /// Something waits: one element for any number of pictures, until ``close()``.
    var news: AsyncStream<Void> { arrivals.stream }

    func close() { arrivals.continuation.finish() }

    /// Pictures that were dropped because newer ones came.
    var dropped: UInt64 { state.withLock(\.dropped) }

    /// Has a picture wait. Of its sensor the oldest go where it has too many, and of the sensor that has most where all are too many.
    func put(_ picture: Picture) {
        state.withLock { state in
            if state.waiting[picture.topic] == nil { state.turns.append(picture.topic) }
            state.waiting[picture.topic, default: []].append(picture)
            state.count += 1
            state.bytes += picture.payload.count
            if state.waiting[picture.topic]!.count > maximumOfTopic { drop(picture.topic, &state) }
            while state.count > 1, state.count > maximumCount || state.bytes > maximumBytes {
                let most = state.turns.max { Self.bytes($0, state) < Self.bytes($1, state) }
                drop(most!, &state)
            }
        }
        arrivals.continuation.yield()
    }

    /// The next picture; its sensor comes again after all others.
    func take() -> Picture? {
        state.withLock { state in
            guard let topic = state.turns.popFirst(), let picture = state.waiting[topic]?.popFirst() else { return nil }
            state.count -= 1
            state.bytes -= picture.payload.count
            if state.waiting[topic]!.isEmpty { state.waiting[topic] = nil } else { state.turns.append(topic) }
            return picture
        }
    }

    private static func bytes(_ topic: String, _ state: State) -> Int {
        state.waiting[topic]!.reduce(0) { $0 + $1.payload.count }
    }

    private func drop(_ topic: String, _ state: inout State) {
        guard let oldest = state.waiting[topic]?.popFirst() else { return }
        state.count -= 1
        state.bytes -= oldest.payload.count
        state.dropped += 1
        guard state.waiting[topic]!.isEmpty else { return }
        state.waiting[topic] = nil
        state.turns.removeAll { $0 == topic }
    }
}
