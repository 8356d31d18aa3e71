import Glibc
public import Platform
import Synchronization

/// How a subscription is made.
public struct MQTTSubscribeOptions: Sendable, Hashable {
    /// The highest quality of service at which the broker sends.
    public var qos: QoS
    /// Messages of this same client are left out (MQTT 5 only).
    public var noLocal: Bool
    /// Messages that the broker retained come first (on 3.1.1 they always do).
    public var receivesRetained: Bool

    public init(qos: QoS = .atMostOnce, noLocal: Bool = false, receivesRetained: Bool = true) {
        self.qos = qos
        self.noLocal = noLocal
        self.receivesRetained = receivesRetained
    }
}

/// An MQTT 5 or 3.1.1 client.
///
/// It connects once, and after that stays connected by itself: a lost connection is made again with jittered backoff, and all
/// subscriptions with it. One thread, its ``eventLoop``, does all input and output; nothing blocks the cooperative pool.
///
///     let client = try MQTTClient(.init(address: MQTTAddress("mqtt://broker.local")))
///     try await client.connect()
///     let messages = try await client.subscribe(to: "sensors/+")
///     for try await message in messages { print(message.topic, message.payload.count) }
///     await client.close()
public final class MQTTClient: Sendable {
    public let configuration: MQTTConfiguration
    /// The identifier that the broker knows this client by.
    public let clientID: String
    /// The client's thread, as an executor.
    public let eventLoop: EventLoop
    private let connection: MQTTConnection

    /// - Throws: ``MQTTError`` where the configuration cannot be used. Nothing is sent yet.
    public init(_ configuration: MQTTConfiguration) throws(MQTTError) {
        self.configuration = configuration
        clientID = configuration.clientID ?? "swift-" + String(UInt64.random(in: 0...UInt64.max), radix: 36)
        do { eventLoop = try EventLoop(name: "mqtt") } catch { throw MQTTError(error) }
        let core = eventLoop.core
        connection = try MQTTConnection(configuration, clientID: clientID, loop: core) { core.schedule(after: $0, $1) }
    }

    deinit { eventLoop.execute { [connection] in connection.close {} } }

    /// Connects, and returns when the broker has said yes.
    ///
    /// - Throws: ``MQTTError``: ``MQTTError/Code/unreachable``, ``MQTTError/Code/refused``, ``MQTTError/Code/tls``, or
    ///   ``MQTTError/Code/closed`` where the task is cancelled. The client is closed then. Later losses are not thrown: they are repaired, and ``connectionStates`` tells of them.
    public func connect() async throws(MQTTError) {
        let error = await withTaskCancellationHandler {
            await result { connection, completion in connection.connect(completion) }
        } onCancel: {
            eventLoop.execute { [connection] in connection.close {} }
        }
        if let error { throw error }
    }

    /// Connects, runs `body` and closes, also when it throws.
    public static func withConnection<Result: Sendable>(
        _ configuration: MQTTConfiguration, _ body: (MQTTClient) async throws -> Result
    ) async throws -> Result {
        let client = try MQTTClient(configuration)
        try await client.connect()
        do {
            let result = try await body(client)
            await client.close()
            return result
        } catch {
            await client.close()
            throw error
        }
    }

    /// Writes what is in flight, at most for `closeTimeout`, says goodbye, so that the last will is not sent, and ends all
    /// subscriptions.
    public func close() async {
        await withCheckedContinuation { continuation in
            eventLoop.execute { [connection] in connection.close { continuation.resume() } }
        }
    }

    /// The state now and every later one, up to ``MQTTConnectionState/closed(_:)``. A slow reader misses the oldest of more
    /// than 16.
    public var connectionStates: AsyncStream<MQTTConnectionState> { connection.states.stream }

    /// Where the broker is, or the node of a cluster that is used, or tried, now.
    public var address: MQTTAddress { connection.nodes.current }

    /// Whether the broker can be reached at this moment, as far as is known.
    public var isConnected: Bool { connection.states.isConnected }

    /// When the broker accepted the last connection: every message that came later came through it. Nil before the first one.
    public var connectedSince: ContinuousClock.Instant? { connection.states.connectedSince }

    /// The version that is spoken with the broker.
    public var protocolVersion: MQTTConfiguration.ProtocolVersion { connection.isV5 ? .v5 : .v311 }

    /// What the broker said in the last connection that it takes.
    public var brokerLimits: MQTTBrokerLimits { connection.states.limits }

    public var statistics: MQTTStatistics { connection.statistics.withLock { $0 } }

    /// Bytes of topics and payloads that wait to be written or acknowledged.
    public var inFlightBytes: Int { connection.budget.reserved }

    // MARK: Publishing

    /// Sends a message without waiting for anything: the way for frames. On the event loop's thread it is written to the socket
    /// before the call returns; elsewhere it is copied and handed over.
    ///
    /// At QoS 1 and 2 it waits for a connection where there is none, and is acknowledged behind the scenes.
    ///
    /// - Throws: ``MQTTError/Code/tooLarge`` or ``MQTTError/Code/unsupported`` where the broker said that it does not take such a
    ///   message, ``MQTTError/Code/notConnected`` for a QoS 0 message while there is no connection (on the event loop only;
    ///   elsewhere the message is dropped), ``MQTTError/Code/bufferFull`` at the limit of bytes in flight.
    public func send(
        _ payload: UnsafeRawBufferPointer, to topic: String, qos: QoS = .atMostOnce, retain: Bool = false,
        properties: MQTTProperties? = nil
    ) throws(MQTTError) {
        try connection.check(topic, payload.count, qos, retain, properties)
        guard connection.budget.reserve(OutgoingMessages.bytes(topic, payload.count)) else {
            throw connection.errors.bufferFull
        }
        if eventLoop.isCurrent {
            try connection.publish(topic, payload, qos, retain, properties, nil)
        } else {
            let copy = Array(payload)
            eventLoop.execute { [connection] in
                copy.withUnsafeBytes { try? connection.publish(topic, $0, qos, retain, properties, nil) }
            }
        }
    }

    /// Publishes a message, and returns when it was written (QoS 0) or acknowledged by the broker (QoS 1 and 2). Waits for room,
    /// behind all calls that wait for room already, and, at QoS 1 and 2, for a connection.
    ///
    /// - Throws: ``MQTTError`` where the broker refuses it or the client is closed, `CancellationError` where the task is
    ///   cancelled first: the message may have been sent then.
    public func publish(
        _ payload: [UInt8], to topic: String, qos: QoS = .atMostOnce, retain: Bool = false,
        properties: MQTTProperties? = nil
    ) async throws {
        try connection.check(topic, payload.count, qos, retain, properties)
        try await connection.budget.waitForRoom(OutgoingMessages.bytes(topic, payload.count))
        let waiter = Waiter()
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
                waiter.set(continuation)
                eventLoop.execute { [connection] in
                    payload.withUnsafeBytes { bytes in
                        do throws(MQTTError) {
                            try connection.publish(topic, bytes, qos, retain, properties) { waiter.resume($0) }
                        } catch {
                            waiter.resume(error)
                        }
                    }
                }
            }
        } onCancel: {
            waiter.resume(CancellationError())
        }
    }

    // MARK: Subscribing

    /// Subscribes, and returns when the broker has acknowledged it.
    ///
    /// - Parameters:
    ///   - filter: a topic, perhaps with `+` and `#`; `$share/GROUP/FILTER` shares the messages with other clients.
    ///   - buffer: what is held for a slow consumer, and what happens when it is full.
    ///   - accepts: called on the event loop's thread for every message, before it is copied; one that it says no to is not
    ///     held. What it sends is written as soon as it returns. It must not block.
    /// - Throws: ``MQTTError/Code/notAuthorized`` where the broker refuses, ``MQTTError/Code/invalidConfiguration`` for a filter
    ///   that is none, ``MQTTError/Code/closed``, also where the task is cancelled.
    public func subscribe(
        to filter: String, options: MQTTSubscribeOptions = MQTTSubscribeOptions(),
        buffer: MQTTBufferPolicy = MQTTBufferPolicy(),
        where accepts: (@Sendable (MQTTMessageView) -> Bool)? = nil
    ) async throws(MQTTError) -> MQTTSubscription {
        try await subscribe(
            filter, options,
            MessageBuffer(policy: buffer, accepts: accepts) { [weak eventLoop, connection] in
                eventLoop?.execute { connection.roomIsBack() }
            })
    }

    /// Subscribes with a handler in place of a sequence: the shortest way from a message to its answer.
    ///
    /// - Parameter handler: called on the event loop's thread for every message, without a copy of it; what it sends is written
    ///   as soon as it returns. It must not block, because nothing is read meanwhile; that is all the backpressure there is,
    ///   and so there is no buffer.
    /// - Returns: a subscription that is a sequence of nothing: it ends when the subscription does.
    /// - Throws: as ``subscribe(to:options:buffer:)``.
    public func subscribe(
        to filter: String, options: MQTTSubscribeOptions = MQTTSubscribeOptions(),
        onMessage handler: @escaping @Sendable (MQTTMessageView) -> Void
    ) async throws(MQTTError) -> MQTTSubscription {
        try await subscribe(filter, options, MessageBuffer(policy: MQTTBufferPolicy(), handler: handler) {})
    }

    private func subscribe(
        _ filter: String, _ options: MQTTSubscribeOptions, _ messages: MessageBuffer
    ) async throws(MQTTError) -> MQTTSubscription {
        // One that is cancelled now would be given up before it is made.
        guard !Task.isCancelled else { throw connection.errors.closed }
        let subscription = MQTTSubscription(
            filter: filter, buffer: messages, connection: connection, eventLoop: eventLoop)
        try await subscription.add(filter, options: options)
        return subscription
    }

    /// Runs an operation on the event loop and waits for its completion.
    private func result(
        _ body: @escaping @Sendable (MQTTConnection, @escaping MQTTConnection.Completion) -> Void
    ) async -> MQTTError? {
        await withCheckedContinuation { continuation in
            eventLoop.execute { [connection] in body(connection) { continuation.resume(returning: $0) } }
        }
    }
}

/// A continuation that is resumed once, by whoever comes first: the broker, an error, or a cancellation.
private final class Waiter: Sendable {
    private struct State {
        var continuation: CheckedContinuation<Void, any Error>?
        var early: (any Error)?
    }
    private let state = Mutex(State())

    func set(_ continuation: CheckedContinuation<Void, any Error>) {
        let early = state.withLock { state in
            if state.early == nil { state.continuation = continuation }
            return state.early
        }
        if let early { continuation.resume(throwing: early) }
    }

    func resume(_ error: (any Error)?) {
        let continuation = state.withLock { state in
            defer { state.continuation = nil }
            if state.continuation == nil, let error { state.early = error }
            return state.continuation
        }
        if let error { continuation?.resume(throwing: error) } else { continuation?.resume() }
    }
}
