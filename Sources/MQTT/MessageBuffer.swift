import DequeModule
import Synchronization

/// What a subscription holds for a consumer that is slower than the broker, and what happens when that is full.
public struct MQTTBufferPolicy: Sendable, Hashable {
    /// What happens to a message that no longer fits.
    public enum Overflow: Sendable, Hashable {
        /// The oldest message is dropped and counted: for inputs and everything else that is worthless when it is late.
        case dropOldest
        /// Nothing more is read from the socket until the consumer has taken half of what is held, at most for half the
        /// keepalive; then the oldest is dropped and counted. The broker queues meanwhile, for all subscriptions of this client.
        case stopReading
        /// The new message is dropped and counted: what waits already is answered.
        case dropNewest
    }

    public var maximumMessages: Int
    /// Bytes of topics and payloads. One message is always held, however large.
    public var maximumBytes: Int
    public var overflow: Overflow
    /// A new message takes the place of one that waits with the same topic, which is dropped and counted.
    public var keepsNewestOfTopic: Bool

    public init(
        maximumMessages: Int = 1000, maximumBytes: Int = 32 << 20, overflow: Overflow = .dropOldest,
        keepsNewestOfTopic: Bool = false
    ) {
        self.maximumMessages = max(1, maximumMessages)
        self.maximumBytes = maximumBytes
        self.overflow = overflow
        self.keepsNewestOfTopic = keepsNewestOfTopic
    }
}

/// The queue between the event loop, which delivers, and one consumer, who waits.
final class MessageBuffer: Sendable {
    /// What the event loop does after a delivery.
    enum Delivery { case accepted, full }

    private struct State {
        var messages = Deque<MQTTMessage>()
        var bytes = 0
        var dropped: UInt64 = 0
        var waiting: CheckedContinuation<MQTTMessage?, any Error>?
        var isFinished = false
        var failure: MQTTError?
        /// The event loop stopped reading and wants to hear when there is room.
        var wantsRoom = false
    }

    let policy: MQTTBufferPolicy
    /// Called on the event loop in place of keeping the message, where there is one.
    let handler: (@Sendable (MQTTMessageView) -> Void)?
    /// Called on the event loop; what it says no to is not kept.
    let accepts: (@Sendable (MQTTMessageView) -> Bool)?
    private let state = Mutex(State())
    /// Called, on any thread, when half of a full buffer was taken.
    let onRoom: @Sendable () -> Void

    init(
        policy: MQTTBufferPolicy, handler: (@Sendable (MQTTMessageView) -> Void)? = nil,
        accepts: (@Sendable (MQTTMessageView) -> Bool)? = nil, onRoom: @escaping @Sendable () -> Void
    ) {
        self.policy = policy
        self.handler = handler
        self.accepts = accepts
        self.onRoom = onRoom
    }

    var droppedCount: UInt64 { state.withLock(\.dropped) }

    private static func size(_ message: MQTTMessage) -> Int { message.payload.count + message.topic.utf8.count }

    var isFinished: Bool { state.withLock(\.isFinished) }

    /// Hands a message to the consumer, or keeps it.
    ///
    /// - Parameter mayStopReading: false once reading was stopped for as long as the keepalive allows.
    func deliver(_ message: MQTTMessage, mayStopReading: Bool) -> Delivery {
        let (consumer, delivery) = state.withLock {
            state -> (CheckedContinuation<MQTTMessage?, any Error>?, Delivery) in
            if state.isFinished { return (nil, .accepted) }
            if let waiting = state.waiting {
                state.waiting = nil
                return (waiting, .accepted)
            }
            if policy.keepsNewestOfTopic, let place = state.messages.firstIndex(where: { $0.topic == message.topic }) {
                state.bytes += Self.size(message) - Self.size(state.messages[place])
                state.messages[place] = message
                state.dropped += 1
                return (nil, .accepted)
            }
            if policy.overflow == .dropNewest, !state.messages.isEmpty,
                state.messages.count >= policy.maximumMessages
                    || state.bytes + Self.size(message) > policy.maximumBytes
            {
                state.dropped += 1
                return (nil, .accepted)
            }
            state.messages.append(message)
            state.bytes += Self.size(message)
            let isFull = state.messages.count >= policy.maximumMessages || state.bytes >= policy.maximumBytes
            guard isFull else { return (nil, .accepted) }
            if policy.overflow == .stopReading, mayStopReading {
                state.wantsRoom = true
                return (nil, .full)
            }
            while state.messages.count > policy.maximumMessages || state.bytes > policy.maximumBytes,
                state.messages.count > 1, let oldest = state.messages.popFirst()
            {
                state.bytes -= Self.size(oldest)
                state.dropped += 1
            }
            return (nil, .accepted)
        }
        consumer?.resume(returning: message)
        return delivery
    }

    /// Ends the sequence after what is held.
    func finish(_ error: MQTTError?) {
        let waiting = state.withLock { state in
            defer { state.waiting = nil }
            if !state.isFinished {
                state.isFinished = true
                state.failure = error
            }
            return state.waiting
        }
        if let error { waiting?.resume(throwing: error) } else { waiting?.resume(returning: nil) }
    }

    func next(isolation: isolated (any Actor)?) async throws(MQTTError) -> MQTTMessage? {
        if let message = try take() { return message }
        do {
            return try await withTaskCancellationHandler {
                try await withCheckedThrowingContinuation(isolation: isolation) { continuation in
                    wait(continuation)
                }
            } onCancel: {
                cancel()
            }
        } catch {
            guard let error = error as? MQTTError else { return nil }
            throw error
        }
    }

    func take() throws(MQTTError) -> MQTTMessage? {
        let (message, hasRoom) = state.withLock { state -> (MQTTMessage?, Bool) in
            guard let message = state.messages.popFirst() else { return (nil, false) }
            state.bytes -= Self.size(message)
            let hasRoom =
                state.wantsRoom && state.messages.count * 2 <= policy.maximumMessages
                && state.bytes * 2 <= policy.maximumBytes
            if hasRoom || state.messages.isEmpty && state.wantsRoom {
                state.wantsRoom = false
                return (message, true)
            }
            return (message, false)
        }
        if hasRoom { onRoom() }
        return message
    }

    private func wait(_ continuation: CheckedContinuation<MQTTMessage?, any Error>) {
        enum Outcome { case wait, message(MQTTMessage), finished(MQTTError?), second }
        let outcome = state.withLock { state -> Outcome in
            if let message = state.messages.popFirst() {
                state.bytes -= Self.size(message)
                return .message(message)
            }
            // The flag is set before the handler below is called, and both look under the lock: a cancellation is not missed.
            if state.isFinished || Task.isCancelled { return .finished(state.failure) }
            if state.waiting != nil { return .second }
            state.waiting = continuation
            return .wait
        }
        switch outcome {
        case .wait: break
        case .message(let message): continuation.resume(returning: message)
        case .finished(let error):
            if let error { continuation.resume(throwing: error) } else { continuation.resume(returning: nil) }
        case .second:
            continuation.resume(throwing: MQTTError(.invalidConfiguration, "a subscription has one consumer, not two"))
        }
    }

    private func cancel() {
        let waiting = state.withLock { state in
            defer { state.waiting = nil }
            return state.waiting
        }
        waiting?.resume(returning: nil)
    }
}
