import Synchronization

/// The state of a connection for all who want to know it, on any thread.
final class ConnectionStates: Sendable {
    private struct Values {
        var current: MQTTConnectionState?
        var connectedSince: ContinuousClock.Instant?
        var limits = MQTTBrokerLimits()
        var refusedPacket: Int?
        var observers: [AsyncStream<MQTTConnectionState>.Continuation] = []
    }

    private let values = Mutex(Values())

    var isConnected: Bool { values.withLock { $0.current == .connected } }

    /// When the broker accepted the last connection, before anything came through it.
    var connectedSince: ContinuousClock.Instant? { values.withLock(\.connectedSince) }

    /// What the broker said in its last CONNACK.
    var limits: MQTTBrokerLimits {
        get { values.withLock(\.limits) }
        set { values.withLock { $0.limits = newValue } }
    }

    /// The length of a packet for which the broker ended the connection again and again.
    var refusedPacket: Int? {
        get { values.withLock(\.refusedPacket) }
        set { values.withLock { $0.refusedPacket = newValue } }
    }

    /// The state now and every later one, the newest 16 for a slow reader.
    var stream: AsyncStream<MQTTConnectionState> {
        let (stream, continuation) = AsyncStream.makeStream(
            of: MQTTConnectionState.self, bufferingPolicy: .bufferingNewest(16))
        values.withLock { values in
            if let current = values.current { continuation.yield(current) }
            if case .closed = values.current { continuation.finish() } else { values.observers.append(continuation) }
        }
        return stream
    }

    func report(_ state: MQTTConnectionState) {
        let observers = values.withLock { values in
            values.current = state
            if state == .connected { values.connectedSince = .now }
            return values.observers
        }
        for observer in observers {
            observer.yield(state)
            if case .closed = state { observer.finish() }
        }
    }
}
