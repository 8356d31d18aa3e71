import Platform

/// The messages of one subscription, for one consumer.
///
/// The broker is told to stop when the subscription is closed or let go. It comes back by itself after a reconnect. The
/// sequence ends when the client is closed, and throws where the broker refuses the subscription after a reconnect.
public final class MQTTSubscription: AsyncSequence, Sendable {
    public typealias Element = MQTTMessage
    public typealias Failure = MQTTError

    /// The first topic filter, as it was given.
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

    /// Has the consumer get the messages of another filter, too, and returns when the broker has acknowledged it.
    ///
    /// - Throws: as ``MQTTClient/subscribe(to:options:buffer:where:)``.
    public func add(_ filter: String, options: MQTTSubscribeOptions = MQTTSubscribeOptions()) async throws(MQTTError) {
        // One that is cancelled now would be given up before it is made.
        guard !Task.isCancelled else { throw connection.errors.closed }
        let error = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                eventLoop.execute { [connection, buffer] in
                    connection.subscribe(filter, options, buffer) { continuation.resume(returning: $0) }
                }
            }
        } onCancel: {
            // A broker may never answer.
            eventLoop.execute { [connection, buffer] in connection.abandon(buffer, filter) }
        }
        if let error { throw error }
    }

    /// Takes a filter away, and tells the broker. What it has sent by then may be lost to this consumer.
    public func remove(_ filter: String) {
        eventLoop.execute { [connection, buffer] in connection.remove(buffer, from: filter) }
    }

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

    /// A message that waits already, for who takes several at once; nil where none does. Not to be called while somebody waits for
    /// the next.
    public func takeWaiting() -> MQTTMessage? { try? buffer.take() }

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
