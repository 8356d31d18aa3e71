import Platform

/// The messages of one subscription, for one consumer.
///
/// The broker is told to stop when the subscription is closed or let go. It comes back by itself after a reconnect. The
/// sequence ends when the client is closed, and throws where the broker refuses the subscription after a reconnect.
public final class MQTTSubscription: AsyncSequence, Sendable {
    public typealias Element = MQTTMessage
    public typealias Failure = MQTTError

    /// The topic filter, as it was given.
    public let filter: String
    let buffer: MessageBuffer
    private let connection: MQTTConnection
    private let eventLoop: EventLoop

    init(filter: String, buffer: MessageBuffer, connection: MQTTConnection, eventLoop: EventLoop) {
        self.filter = filter
        self.buffer = buffer
        self.connection = connection
        self.eventLoop = eventLoop
    }

    deinit { unsubscribe() }

    /// Messages that were dropped because the buffer was full.
    public var droppedCount: UInt64 { buffer.droppedCount }

    /// Ends the sequence, and tells the broker.
    public func unsubscribe() {
        buffer.finish(nil)
        eventLoop.execute { [connection, buffer] in connection.remove(buffer) }
    }

    /// Ends the subscription without losing what is on its way: the broker is told, everything that it has sent until it
    /// acknowledges that is still delivered, and then the sequence ends. Returns when the broker has acknowledged, or the
    /// connection is gone.
    ///
    /// - Parameter limit: how long the broker is waited for; nil for as long as the connection holds.
    public func end(within limit: Duration? = nil) async {
        await withCheckedContinuation { continuation in
            eventLoop.execute { [connection, buffer] in
                connection.end(buffer, within: limit) { continuation.resume() }
            }
        }
    }

    public func makeAsyncIterator() -> Iterator { Iterator(subscription: self) }

    public struct Iterator: AsyncIteratorProtocol {
        // Holds the subscription, so that it stays for as long as somebody iterates.
        let subscription: MQTTSubscription

        public mutating func next() async throws(MQTTError) -> MQTTMessage? {
            try await subscription.buffer.next(isolation: nil)
        }

        /// Resumes on `actor`'s executor. On an actor that lives on the client's event loop that is no thread hop.
        public mutating func next(isolation actor: isolated (any Actor)?) async throws(MQTTError) -> MQTTMessage? {
            try await subscription.buffer.next(isolation: actor)
        }
    }
}
