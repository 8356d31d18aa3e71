import CLinux
import Glibc
import Platform
import Synchronization

/// The thread of a proxy, its descriptors, and the connections that live on it.
final class ProxyThread: Sendable {
    private struct Orders {
        var waiting: [@Sendable (inout ProxyState) -> Void] = []
        var isStopping = false
        var counters = ChaosCounters()
    }

    private let orders = Mutex(Orders())
    /// A byte for the thread: there is something to do.
    private let wake: (reader: Int32, writer: Int32)
    private let ended = Semaphore()

    /// Starts the thread, which from then on owns `listener`.
    init(
        listener: Int32, targets: [Sockets.Address], machine: FaultMachine, options: ChaosProxy.Options
    ) throws(ChaosError) {
        guard let wake = Self.makePipe() else { throw Sockets.failure("start a proxy") }
        self.wake = wake
        let state = ProxyState(
            listener: listener, wake: wake.reader, targets: targets, machine: machine, options: options)
        do {
            try startThread(name: "chaos", stackSize: 1 << 20) { [self] in run(state) }
        } catch {
            throw ChaosError("\(error)")
        }
    }

    deinit {
        for descriptor in [wake.reader, wake.writer] { close(descriptor) }
    }

    var counters: ChaosCounters { orders.withLock { $0.counters } }

    /// Does something on the thread, and returns when it is done; nothing where the thread has ended.
    func order(_ body: @escaping @Sendable (inout ProxyState) -> Void) {
        let done = Semaphore()
        let isRunning = orders.withLock { orders in
            guard !orders.isStopping else { return false }
            orders.waiting.append { state in
                body(&state)
                done.signal()
            }
            return true
        }
        guard isRunning else { return }
        Self.signal(wake.writer)
        // The thread waits for nothing but its descriptors, so this is short.
        done.wait()
    }

    /// Ends the thread and returns when it has ended.
    ///
    /// - Returns: false where that was asked for before.
    func stop() -> Bool {
        let isFirst = orders.withLock { orders in
            defer { orders.isStopping = true }
            return !orders.isStopping
        }
        guard isFirst else { return false }
        Self.signal(wake.writer)
        ended.wait()
        return true
    }

    private static func signal(_ descriptor: Int32) {
        var one: UInt8 = 1
        _ = write(descriptor, &one, 1)
    }

    private static func makePipe() -> (reader: Int32, writer: Int32)? {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { return nil }
        for end in ends {
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
        }
        // A full pipe has woken the thread already.
        _ = fcntl(ends[1], F_SETFL, O_NONBLOCK)
        return (ends[0], ends[1])
    }

    private func run(_ initial: consuming ProxyState) {
        // So that a delay of a fifth of a millisecond is one.
        linux_set_timer_slack(1)
        var state = initial
        while true {
            let (waiting, isStopping) = orders.withLock { orders in
                defer { orders.waiting.removeAll() }
                return (orders.waiting, orders.isStopping)
            }
            for order in waiting { order(&state) }
            if isStopping { break }
            let timeout = state.work()
            let counters = state.allCounters
            orders.withLock { $0.counters = counters }
            state.wait(timeout)
        }
        state.closeAll()
        let counters = state.allCounters
        orders.withLock { $0.counters = counters }
        ended.signal()
    }
}
