import Glibc
public import MQTT
import Synchronization

/// Stands between clients and a broker and makes the faults of a plan: messages dropped, duplicated, reordered, damaged and
/// delayed, connections slowed down, held and cut.
///
/// It reads MQTT 3.1.1 and 5. What is no MQTT, and TLS, passes as bytes: there the bandwidth, partitions and cuts are all that
/// works. Everything is done on one thread, and everything is bounded: a connection whose buffer is full is not read until there
/// is room. What is changed while it runs holds for every byte that is sent after the call has returned.
public final class ChaosProxy: Sendable {
    public struct Options: Sendable {
        /// The most connections at once; more are turned away.
        public var maximumConnections = 256
        /// The most bytes that wait in one direction of a connection before its reading stops; one packet more is kept.
        public var maximumQueuedBytes = 16 << 20
        /// The most bytes that wait in all connections; one that goes above is cut.
        public var maximumHeldBytes = 512 << 20
        /// The longest packet that faults are made of; a longer one passes as it is.
        public var maximumPacketBytes = 32 << 20

        public init() {}
    }

    /// A fault that was added while the proxy ran.
    public struct FaultID: Sendable, Hashable {
        let number: Int
    }

    /// Where clients connect to, with the port that was chosen.
    public let address: MQTTAddress
    private let core: ProxyThread
    private let nextFault: Atomic<Int>

    /// Starts to listen and to forward.
    ///
    /// - Parameters:
    ///   - broker: where connections go. Its name is resolved once, now; it need not run yet.
    ///   - listen: port 0 for any free one. Only a Unix socket that nobody listens on is replaced.
    /// - Throws: ``ChaosError`` where the plan makes no sense, or the address cannot be used.
    public init(
        broker: MQTTAddress, listen: MQTTAddress = .tcp(host: "127.0.0.1", port: 0), plan: FaultPlan = FaultPlan(),
        options: Options = Options()
    ) throws(ChaosError) {
        try plan.validate()
        if case .tls = listen {
            throw ChaosError(
                "a proxy has no certificate: let it listen on TCP; the TLS of its clients passes through it")
        }
        let targets = try Sockets.resolve(broker)
        let listener = try Sockets.listen(listen)
        address =
            switch listen {
            case .tcp(let host, _): .tcp(host: host, port: Sockets.port(listener))
            default: listen
            }
        nextFault = Atomic(plan.faults.count)
        do {
            core = try ProxyThread(listener: listener, targets: targets, machine: FaultMachine(plan), options: options)
        } catch {
            Sockets.forget(listener, listen)
            throw error
        }
    }

    deinit { close() }

    /// The address as clients take it.
    public var url: String { address.description }

    /// What happened so far.
    public var counters: ChaosCounters { core.counters }

    /// Begins to make a fault.
    ///
    /// - Throws: ``ChaosError`` where it makes no sense.
    public func start(_ fault: Fault) throws(ChaosError) -> FaultID {
        try fault.validate()
        let id = nextFault.add(1, ordering: .relaxed).newValue
        core.order { $0.machine.add(fault, id: id) }
        return FaultID(number: id)
    }

    /// Ends a fault; what it holds goes on when its time has come.
    public func stop(_ fault: FaultID) { core.order { $0.machine.remove(fault.number) } }

    /// Holds what clients and the broker say, until ``resume()``.
    ///
    /// - Parameter clients: as in ``Fault/clients``.
    public func pause(clients: [String] = []) { core.order { $0.paused = clients } }

    /// Lets everything that was held go on.
    public func resume() { core.order { $0.paused = nil } }

    /// Resets connections; clients may connect again at once.
    ///
    /// - Parameter clients: as in ``Fault/clients``.
    public func cut(clients: [String] = []) { core.order { $0.cut { Fault.matches(clients, $0) } } }

    /// Ends all connections and stops listening; returns when that is done. A second time it does nothing.
    public func close() {
        guard core.stop() else { return }
        if case .unix(let path) = address { unlink(path) }
    }
}

extension Sockets {
    /// Closes a listener and takes its file away.
    fileprivate static func forget(_ listener: Int32, _ address: MQTTAddress) {
        Glibc.close(listener)
        if case .unix(let path) = address { unlink(path) }
    }
}
