/// The life of a connection as a pure state machine: it takes events and returns what is to be done. No I/O, no clock.
struct ConnectionMachine {
    enum Event {
        case connect
        /// The TCP, TLS or Unix connection stands, and CONNECT was sent.
        case opened
        /// The broker's CONNACK said yes.
        case accepted
        /// The broker does not take this version of the protocol, and another one is to be tried.
        case versionRefused
        /// The connection could not be made, was refused, or is gone.
        case failed(MQTTError)
        /// The wait before a new try, or for CONNACK, is over; or a connection has lasted.
        case timerFired
        case close
        /// What was in flight is done, or its time is up.
        case drained
    }

    enum Action: Equatable {
        case openConnection
        /// The next connection is made to the cluster's next node.
        case takeNextNode
        /// Forget the socket; QoS 0 messages that were not written yet are lost.
        case dropConnection
        case startTimer(Duration)
        case cancelTimer
        /// Subscriptions first, then what waited for a connection.
        case resume
        /// Wait until nothing is in flight, at most the close timeout.
        case drain
        case sendDisconnect
        case report(MQTTConnectionState)
        /// The first connection came to nothing, and `connect()` throws this.
        case failConnect(MQTTError)
        /// The first connection stands, and `connect()` returns.
        case succeedConnect
        case finish
    }

    enum State: Equatable {
        case idle
        case opening(first: Bool)
        case handshaking(first: Bool)
        case connected
        case waiting(first: Bool)
        case draining
        /// Asked to close while another thread is still opening the connection.
        case abandoned
        case closed
    }

    static let closedEarly = MQTTError(.closed, "the client was closed before it was connected")

    private(set) var state = State.idle
    private var backoff: Backoff
    private let connectTimeout: Duration
    private let unanswered: MQTTError
    private let waitsForBroker: Bool
    private let nodes: Int
    /// Nodes that were not tried since the last wait.
    private var untried: Int

    /// - Parameters:
    ///   - unanswered: what is reported where the broker does not answer CONNECT within `connectTimeout`.
    ///   - waitsForBroker: whether the first connection is tried until there is a broker.
    ///   - nodes: of a cluster, all of which are tried before a wait; 1 for a broker alone.
    init(
        backoff: Backoff, connectTimeout: Duration, unanswered: MQTTError, waitsForBroker: Bool = false, nodes: Int = 1
    ) {
        self.backoff = backoff
        self.connectTimeout = connectTimeout
        self.unanswered = unanswered
        self.waitsForBroker = waitsForBroker
        self.nodes = nodes
        untried = nodes - 1
    }

    mutating func handle(_ event: Event) -> [Action] {
        switch (state, event) {
        case (.idle, .connect):
            state = .opening(first: true)
            // Who waits for the broker waits for the thread that looks for it, too.
            return [.report(.connecting)] + (waitsForBroker ? [] : [.startTimer(connectTimeout)]) + [.openConnection]
        case (.opening(let first), .opened):
            state = .handshaking(first: first)
            return [.cancelTimer, .startTimer(connectTimeout)]
        case (.opening(first: true), .timerFired):
            // The thread that opens the connection cannot be stopped, but nobody has to wait for it.
            state = .abandoned
            return [.report(.closed(unanswered)), .failConnect(unanswered)]
        case (.handshaking(let first), .accepted):
            state = .connected
            untried = nodes - 1
            // Only a connection that lasts makes the next loss a first one: a broker that takes clients and throws them out
            // at once, or two clients with one identifier, would otherwise go round without a pause.
            return [.cancelTimer, .startTimer(backoff.longest), .report(.connected), .resume]
                + (first ? [.succeedConnect] : [])
        case (.handshaking(let first), .versionRefused):
            state = .opening(first: first)
            return [.cancelTimer, .dropConnection, .startTimer(connectTimeout), .openConnection]
        case (.connected, .timerFired):
            backoff.reset()
            return []
        case (.opening(let first), .failed) where untried > 0,
            (.handshaking(let first), .failed) where untried > 0,
            (.handshaking(let first), .timerFired) where untried > 0:
            untried -= 1
            state = .opening(first: first)
            return [.cancelTimer, .dropConnection, .takeNextNode]
                + (first && !waitsForBroker ? [.startTimer(connectTimeout)] : []) + [.openConnection]
        case (.opening(first: true), .failed(let error)) where waitsForBroker && error.code == .unreachable,
            (.handshaking(first: true), .failed(let error)) where waitsForBroker && error.code == .unavailable:
            return wait(error, first: true)
        case (.opening(let first), .failed(let error)), (.handshaking(let first), .failed(let error)):
            return fail(error, first: first)
        case (.handshaking(let first), .timerFired):
            return fail(unanswered, first: first)
        case (.connected, .failed(let error)):
            return fail(error, first: false)
        case (.waiting(let first), .timerFired):
            state = .opening(first: first)
            return [.report(.connecting), .openConnection]
        case (.idle, .close):
            state = .closed
            return [.report(.closed(nil)), .finish]
        case (.opening(let first), .close):
            state = .abandoned
            return [.cancelTimer, .report(.closed(nil))] + (first ? [.failConnect(Self.closedEarly)] : [])
        case (.abandoned, .opened), (.abandoned, .failed):
            state = .closed
            return [.dropConnection, .finish]
        case (.handshaking(first: true), .close):
            state = .closed
            return [.cancelTimer, .dropConnection, .report(.closed(nil)), .failConnect(Self.closedEarly), .finish]
        case (.waiting(first: true), .close):
            state = .closed
            return [.cancelTimer, .report(.closed(nil)), .failConnect(Self.closedEarly), .finish]
        case (.handshaking, .close), (.waiting, .close):
            state = .closed
            return [.cancelTimer, .dropConnection, .report(.closed(nil)), .finish]
        case (.connected, .close):
            state = .draining
            return [.cancelTimer, .drain]
        case (.draining, .drained):
            state = .closed
            return [.sendDisconnect, .dropConnection, .report(.closed(nil)), .finish]
        case (.draining, .failed):
            state = .closed
            return [.dropConnection, .report(.closed(nil)), .finish]
        default:
            return []
        }
    }

    private mutating func fail(_ error: MQTTError, first: Bool) -> [Action] {
        if first {
            state = .closed
            return [.cancelTimer, .dropConnection, .report(.closed(error)), .failConnect(error), .finish]
        }
        return wait(error, first: false)
    }

    private mutating func wait(_ error: MQTTError, first: Bool) -> [Action] {
        state = .waiting(first: first)
        let delay = backoff.next()
        untried = nodes - 1
        return [.cancelTimer, .dropConnection] + (nodes > 1 ? [.takeNextNode] : [])
            + [.report(.waiting(error, retry: delay)), .startTimer(delay)]
    }
}

/// Waits that double from the first to the longest, each random between half of it and the whole, so that many clients of a
/// restarted broker do not come back at the same instant.
struct Backoff {
    private let range: ClosedRange<Duration>
    private var generator: any RandomNumberGenerator
    private var delay: Duration

    init(_ range: ClosedRange<Duration>, generator: any RandomNumberGenerator = SystemRandomNumberGenerator()) {
        self.range = range
        self.generator = generator
        delay = range.lowerBound
    }

    mutating func next() -> Duration {
        let factor = Double.random(in: 0.5...1, using: &generator)
        defer { delay = min(delay * 2, range.upperBound) }
        return delay * factor
    }

    var longest: Duration { range.upperBound }

    mutating func reset() { delay = range.lowerBound }
}
