import CLinux
import Glibc
import Platform

/// What a proxy's thread owns: the connections and their sockets.
struct ProxyState {
    var machine: FaultMachine
    /// The clients that are held; nil for none, empty for all.
    var paused: [String]?

    private let listener: Int32
    private let wake: Int32
    private let targets: [Sockets.Address]
    private let options: ChaosProxy.Options
    private let start = ContinuousClock.now
    private var counters = ChaosCounters()
    private var connections: [UInt32: Connection] = [:]
    private var nextNumber: UInt32 = 1
    /// Where descriptors have run out, the listener rests.
    private var restsUntil = Duration.zero
    private var chunk = [UInt8](repeating: 0, count: 256 << 10)

    /// Lives on the proxy's thread only.
    private final class Connection: @unchecked Sendable {
        let number: UInt32
        var client: Socket
        var broker = Socket(descriptor: -1)
        var isConnected = false
        /// Which of the broker's addresses is tried.
        var target = 0
        var faulted: FaultedConnection

        init(_ number: UInt32, client: Int32, maximumPacketBytes: Int) {
            self.number = number
            self.client = Socket(descriptor: client)
            faulted = FaultedConnection(maximumPacketBytes: maximumPacketBytes)
        }
    }

    private struct Socket {
        var descriptor: Int32
        /// What it is waited for; 0 for nothing, not even errors, which would be told over and over.
        var interest: Int16 = 0
        /// Nothing more comes from here.
        var isAtEnd = false
        /// Nothing more can be sent there.
        var isDead = false
        /// Its buffer is full: wait until the system says that there is room.
        var isFull = false
        var hasSentEnd = false
    }

    private enum Side {
        case client
        case broker

        var socket: ReferenceWritableKeyPath<Connection, Socket> { self == .client ? \.client : \.broker }
        /// Where what comes from this side goes.
        var direction: Direction { self == .client ? .toBroker : .fromBroker }
    }

    init(
        listener: Int32, wake: Int32, targets: [Sockets.Address], machine: FaultMachine,
        options: ChaosProxy.Options
    ) {
        self.listener = listener
        self.wake = wake
        self.targets = targets
        self.machine = machine
        self.options = options
    }

    private var now: Duration { ContinuousClock.now - start }

    var allCounters: ChaosCounters {
        var sum = counters
        sum.open = UInt64(connections.count)
        for connection in connections.values { Self.add(connection.faulted, to: &sum) }
        return sum
    }

    private static func add(_ connection: FaultedConnection, to sum: inout ChaosCounters) {
        sum.toBroker += connection.counters(.toBroker)
        sum.fromBroker += connection.counters(.fromBroker)
        if connection.isOpaque { sum.opaque += 1 }
    }

    // MARK: The loop

    /// Sends what can be sent, ends what is over.
    ///
    /// - Returns: how long to wait for something to happen; nil for ever.
    mutating func work() -> Duration? {
        let now = now
        cut { [machine] in machine.partition(of: $0, at: now) == .cut }
        var next = machine.nextPartitionChange(after: now)
        for connection in Array(connections.values) {
            let isHeld = isHeld(connection.faulted.client, now)
            if !isHeld, connection.isConnected {
                flush(connection, .toBroker, to: .broker, now)
                flush(connection, .fromBroker, to: .client, now)
                finish(connection)
            }
            guard connections[connection.number] != nil else { continue }
            watch(connection)
            guard !isHeld, connection.isConnected else { continue }
            for (direction, socket) in [(Direction.toBroker, connection.broker), (.fromBroker, connection.client)]
            where !socket.isFull && !socket.isDead {
                if let time = connection.faulted.nextSend(direction, bandwidth: machine.bandwidth) {
                    next = min(next ?? time, time)
                }
            }
        }
        if now < restsUntil { next = min(next ?? restsUntil, restsUntil) }
        return next.map { max(.zero, $0 - now) }
    }

    /// Waits until a socket is ready or the time is over, and does what there is to do.
    mutating func wait(_ timeout: Duration?) {
        var descriptors = [pollfd(fd: wake, events: Int16(POLLIN), revents: 0)]
        descriptors.append(pollfd(fd: now >= restsUntil ? listener : -1, events: Int16(POLLIN), revents: 0))
        var owners: [(Connection, Side)] = []
        for connection in connections.values {
            for side in [Side.client, .broker] where connection[keyPath: side.socket].interest != 0 {
                let socket = connection[keyPath: side.socket]
                descriptors.append(pollfd(fd: socket.descriptor, events: socket.interest, revents: 0))
                owners.append((connection, side))
            }
        }
        let nanoseconds = timeout.map { Int(min($0.seconds, 1e6) * 1e9) + 1 } ?? -1
        guard linux_poll(&descriptors, UInt(descriptors.count), nanoseconds) > 0 else { return }
        if descriptors[0].revents != 0 {
            var bytes = [UInt8](repeating: 0, count: 256)
            _ = read(wake, &bytes, bytes.count)
        }
        for (index, (connection, side)) in owners.enumerated() where descriptors[index + 2].revents != 0 {
            // One that was closed in this round is over.
            if connections[connection.number] != nil { ready(connection, side, descriptors[index + 2].revents) }
        }
        if descriptors[1].revents != 0 { accept() }
    }

    /// Whether what a client says and hears has to wait.
    private func isHeld(_ client: String, _ now: Duration) -> Bool {
        if let paused, Fault.matches(paused, client) { return true }
        return machine.partition(of: client, at: now) == .hold
    }

    // MARK: New connections

    private mutating func accept() {
        for _ in 0..<64 {
            let descriptor = Sockets.accept(listener)
            guard descriptor >= 0 else {
                if errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS {
                    restsUntil = now + .milliseconds(100)
                }
                return
            }
            counters.connections += 1
            guard connections.count < options.maximumConnections, !machine.refusesEverybody(at: now) else {
                counters.refused += 1
                Sockets.reset(descriptor)
                continue
            }
            // Not for a Unix socket, where the call fails and nothing is lost.
            Sockets.sendAtOnce(descriptor)
            let connection = Connection(
                nextNumber, client: descriptor, maximumPacketBytes: options.maximumPacketBytes)
            connections[nextNumber] = connection
            nextNumber &+= 1
            connect(connection)
        }
    }

    /// Tries the broker's addresses, one after the other.
    private mutating func connect(_ connection: Connection) {
        while connection.target < targets.count {
            let descriptor = Sockets.connect(targets[connection.target])
            if descriptor >= 0 {
                connection.broker = Socket(descriptor: descriptor)
                return
            }
            connection.target += 1
        }
        counters.refused += 1
        close(connection, Sockets.reset)
    }

    // MARK: Sockets

    private mutating func ready(_ connection: Connection, _ side: Side, _ events: Int16) {
        guard connection.isConnected else {
            if side == .broker { connectionMade(connection) }
            return
        }
        if events & Int16(POLLOUT) != 0 { connection[keyPath: side.socket].isFull = false }
        if connection[keyPath: side.socket].interest & Int16(POLLIN) != 0 {
            if events & ~Int16(POLLOUT) != 0 { receive(connection, side) }
        } else if events & Int16(POLLERR) != 0 {
            fail(connection, side)
        }
    }

    private mutating func connectionMade(_ connection: Connection) {
        if Sockets.pendingError(connection.broker.descriptor) == 0 {
            connection.isConnected = true
        } else {
            Glibc.close(connection.broker.descriptor)
            connection.broker = Socket(descriptor: -1)
            connection.target += 1
            connect(connection)
        }
    }

    private mutating func receive(_ connection: Connection, _ side: Side) {
        let count = recv(connection[keyPath: side.socket].descriptor, &chunk, chunk.count, 0)
        if count > 0 {
            let now = now
            chunk.withUnsafeBytes {
                let bytes = UnsafeRawBufferPointer(rebasing: $0[..<count])
                connection.faulted.receive(bytes, side.direction, at: now, &machine)
            }
            if heldBytes > options.maximumHeldBytes {
                counters.cut += 1
                close(connection, Sockets.reset)
            }
        } else if count == 0 {
            connection.faulted.end(side.direction, at: now)
            connection[keyPath: side.socket].isAtEnd = true
        } else if errno != EAGAIN, errno != EINTR {
            fail(connection, side)
        }
    }

    /// One side was reset: so is the other, unless nothing reaches it at the moment.
    private mutating func fail(_ connection: Connection, _ side: Side) {
        guard isHeld(connection.faulted.client, now) else {
            close(connection, Sockets.reset)
            return
        }
        connection.faulted.end(side.direction, at: now)
        connection[keyPath: side.socket].isAtEnd = true
        connection[keyPath: side.socket].isDead = true
    }

    private var heldBytes: Int {
        connections.values.reduce(0) { $0 + $1.faulted.heldBytes(.toBroker) + $1.faulted.heldBytes(.fromBroker) }
    }

    private func flush(_ connection: Connection, _ direction: Direction, to side: Side, _ now: Duration) {
        var socket = connection[keyPath: side.socket]
        guard !socket.isFull else { return }
        let bandwidth = socket.isDead ? nil : machine.bandwidth
        let isDone = connection.faulted.send(direction, at: now, bandwidth: bandwidth) { bytes in
            // What nobody takes any more is thrown away.
            if socket.isDead { return bytes.count }
            let count = send(socket.descriptor, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL))
            if count >= 0 { return count }
            socket.isDead = errno != EAGAIN && errno != EINTR
            return socket.isDead ? bytes.count : 0
        }
        socket.isFull = !isDone
        connection[keyPath: side.socket] = socket
    }

    /// Hands an end on when everything before it is sent, and closes what is over.
    private mutating func finish(_ connection: Connection) {
        let nothingToBroker = connection.faulted.heldBytes(.toBroker) == 0
        let nothingFromBroker = connection.faulted.heldBytes(.fromBroker) == 0
        // A broker that ended hears nothing more, and a client that cannot be reached has nothing to wait for.
        if connection.broker.isAtEnd && nothingFromBroker || connection.client.isDead && nothingToBroker {
            close(connection) { Glibc.close($0) }
        } else if connection.client.isAtEnd, nothingToBroker, !connection.broker.hasSentEnd {
            shutdown(connection.broker.descriptor, Int32(SHUT_WR))
            connection.broker.hasSentEnd = true
        }
    }

    /// Says what a connection's sockets are waited for.
    private func watch(_ connection: Connection) {
        connection.client.interest = connection.isConnected ? interest(connection, .client) : 0
        connection.broker.interest = connection.isConnected ? interest(connection, .broker) : Int16(POLLOUT)
    }

    private func interest(_ connection: Connection, _ side: Side) -> Int16 {
        let socket = connection[keyPath: side.socket]
        let hasRoom = connection.faulted.queuedBytes(side.direction) < options.maximumQueuedBytes
        return (hasRoom && !socket.isAtEnd ? Int16(POLLIN) : 0) | (socket.isFull ? Int16(POLLOUT) : 0)
    }

    // MARK: Ends

    /// Resets the connections of some clients.
    mutating func cut(_ isMeant: (String) -> Bool) {
        for connection in Array(connections.values) where isMeant(connection.faulted.client) {
            counters.cut += 1
            close(connection, Sockets.reset)
        }
    }

    private mutating func close(_ connection: Connection, _ end: (Int32) -> Void) {
        guard connections.removeValue(forKey: connection.number) != nil else { return }
        for socket in [connection.client, connection.broker] where socket.descriptor >= 0 { end(socket.descriptor) }
        Self.add(connection.faulted, to: &counters)
    }

    mutating func closeAll() {
        for connection in Array(connections.values) { close(connection) { Glibc.close($0) } }
        Glibc.close(listener)
    }
}
