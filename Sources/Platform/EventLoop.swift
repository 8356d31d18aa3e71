import CLinux
import Glibc
import Synchronization

/// One thread that waits on a socket and runs Swift jobs in between: a client's I/O thread, and an executor.
///
/// An actor whose `unownedExecutor` is a client's event loop, or a task that prefers it, is resumed on the thread that read the
/// message, and what it sends is written on that thread at once: no wake-up lies between a message and its answer. Work that
/// takes longer than a few milliseconds belongs elsewhere, because nothing is read meanwhile: for example on an event loop of its
/// own, which is a plain thread with a queue.
public final class EventLoop: SerialExecutor, TaskExecutor {
    package let core: EventLoopCore

    /// Starts the thread. It ends when the last reference goes.
    ///
    /// - Parameter name: what tools call the thread; at most 15 bytes are kept.
    public init(name: String) throws(SystemError) {
        core = try EventLoopCore()
        try core.start(name: name, serial: asUnownedSerialExecutor(), task: asUnownedTaskExecutor())
    }

    deinit { core.stop() }

    public func enqueue(_ job: consuming ExecutorJob) { core.submit(.job(UnownedJob(job))) }

    public func asUnownedSerialExecutor() -> UnownedSerialExecutor { UnownedSerialExecutor(ordinary: self) }

    public func asUnownedTaskExecutor() -> UnownedTaskExecutor { UnownedTaskExecutor(ordinary: self) }

    public func checkIsolated() { precondition(isCurrent, "this code runs on the event loop's thread only") }

    public func isIsolatingCurrentContext() -> Bool? { isCurrent }

    /// Whether the caller runs on the event loop's thread.
    public var isCurrent: Bool { core.isCurrent }

    /// Runs `body` on the event loop's thread: later, also when called on that thread.
    public func execute(_ body: @escaping @Sendable () -> Void) { core.submit(.work(body)) }

    /// Runs `body` on the event loop's thread after `delay`, to a millisecond.
    @discardableResult
    public func schedule(after delay: Duration, _ body: @escaping @Sendable () -> Void) -> EventLoopTimer {
        if isCurrent { return core.schedule(after: delay, body) }
        let timer = EventLoopTimer(deadline: .now + delay, body)
        core.submit(.work { [core] in core.add(timer) })
        return timer
    }
}

/// A call that an event loop will make, unless it is cancelled first.
public final class EventLoopTimer: Sendable {
    let deadline: ContinuousClock.Instant
    private let body: @Sendable () -> Void
    private let isDone = Atomic<Bool>(false)

    init(deadline: ContinuousClock.Instant, _ body: @escaping @Sendable () -> Void) {
        self.deadline = deadline
        self.body = body
    }

    /// Makes that the call is never made. One that is being made is not interrupted.
    public func cancel() { isDone.store(true, ordering: .relaxed) }

    var isCancelled: Bool { isDone.load(ordering: .relaxed) }

    func fire() {
        if !isDone.exchange(true, ordering: .relaxed) { body() }
    }
}

/// What an event loop waits for besides jobs: a socket that may come, go and change.
package protocol EventLoopSource: AnyObject {
    /// The socket has something to read, to write, or an error (`EPOLLIN`, `EPOLLOUT`, `EPOLLERR`, `EPOLLHUP`).
    func socketReady(_ events: UInt32)
    /// Called before the thread sleeps: the moment to say what the socket is waited for.
    func willSleep()
}

/// The thread, its queue and its descriptors. It outlives the ``EventLoop`` by a moment, when the last reference to that
/// goes away in a job of its own.
package final class EventLoopCore: @unchecked Sendable {
    package enum Item {
        case job(UnownedJob)
        case work(@Sendable () -> Void)
    }

    private struct Queue {
        var items: [Item] = []
        var isSleeping = false
        var isStopping = false
    }

    private let epoll: Int32
    private let wake: Int32
    private let queue = Mutex(Queue())
    private let thread = Atomic<UInt>(0)

    // From here on: touched on the thread only, or before it starts.
    private var timers: [EventLoopTimer] = []
    private var local: [Item] = []
    private var batch: [Item] = []
    private weak var source: (any EventLoopSource)?
    private var socket: Int32 = -1
    private var interest: UInt32 = 0
    private var serial: UnownedSerialExecutor?
    private var task: UnownedTaskExecutor?

    /// How often jobs that beget jobs are run before the socket is looked at again.
    private static let maximumPasses = 16

    package init() throws(SystemError) {
        epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
        wake = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
        var event = epoll_event(events: EPOLLIN.rawValue, data: epoll_data_t(fd: wake))
        guard epoll >= 0, wake >= 0, epoll_ctl(epoll, EPOLL_CTL_ADD, wake, &event) == 0 else {
            let reason = String(cString: strerror(errno))
            if epoll >= 0 { close(epoll) }
            if wake >= 0 { close(wake) }
            throw SystemError("cannot start an event loop: \(reason)")
        }
    }

    deinit {
        close(epoll)
        close(wake)
    }

    package func start(name: String, serial: UnownedSerialExecutor, task: UnownedTaskExecutor) throws(SystemError) {
        self.serial = serial
        self.task = task
        // Small: it stands in every role's memory, and only as deep as jobs go.
        try startThread(name: name, stackSize: 1 << 20) { self.run() }
    }

    /// Ends the thread after what is queued.
    package func stop() {
        queue.withLock { $0.isStopping = true }
        signal()
    }

    package var isCurrent: Bool { thread.load(ordering: .relaxed) == UInt(pthread_self()) }

    package func submit(_ item: consuming Item) {
        if isCurrent {
            local.append(item)
            return
        }
        let mustWake = queue.withLock { [item] queue in
            queue.items.append(item)
            defer { queue.isSleeping = false }
            return queue.isSleeping
        }
        if mustWake { signal() }
    }

    private func signal() {
        var one: UInt64 = 1
        _ = write(wake, &one, 8)
    }

    /// Makes a call after `delay`; on the thread only.
    package func schedule(after delay: Duration, _ body: @escaping @Sendable () -> Void) -> EventLoopTimer {
        let timer = EventLoopTimer(deadline: .now + delay, body)
        add(timer)
        return timer
    }

    fileprivate func add(_ timer: EventLoopTimer) { timers.append(timer) }

    package func setSource(_ source: (any EventLoopSource)?) { self.source = source }

    /// Waits for `events` on `socket`; −1 for none. A descriptor that was closed is forgotten by the kernel itself, so a new
    /// connection under the same number must be announced with ``socketClosed()`` in between.
    package func watch(_ socket: Int32, for events: UInt32) {
        guard socket >= 0 else { return }
        if socket == self.socket, events == interest { return }
        var event = epoll_event(events: events, data: epoll_data_t(fd: socket))
        if socket == self.socket {
            if epoll_ctl(epoll, EPOLL_CTL_MOD, socket, &event) != 0 { epoll_ctl(epoll, EPOLL_CTL_ADD, socket, &event) }
        } else {
            if self.socket >= 0 { epoll_ctl(epoll, EPOLL_CTL_DEL, self.socket, nil) }
            epoll_ctl(epoll, EPOLL_CTL_ADD, socket, &event)
        }
        self.socket = socket
        interest = events
    }

    package func socketClosed() {
        if socket >= 0 { epoll_ctl(epoll, EPOLL_CTL_DEL, socket, nil) }
        socket = -1
        interest = 0
    }

    /// Runs what is queued, and what that queues on this thread, a bounded number of times.
    package func runQueued() {
        for _ in 0..<Self.maximumPasses {
            if local.isEmpty {
                queue.withLock { swap(&$0.items, &local) }
                if local.isEmpty { return }
            }
            swap(&local, &batch)
            for item in batch {
                switch item {
                case .job(let job):
                    if let serial, let task { job.runSynchronously(isolatedTo: serial, taskExecutor: task) }
                case .work(let body): body()
                }
            }
            batch.removeAll(keepingCapacity: true)
        }
    }

    private func run() {
        thread.store(UInt(pthread_self()), ordering: .relaxed)
        var events = [epoll_event](repeating: epoll_event(), count: 4)
        while true {
            runQueued()
            fireTimers()
            source?.willSleep()
            let (isStopping, mustNotSleep) = queue.withLock { queue in
                let pending = !queue.items.isEmpty || !local.isEmpty
                queue.isSleeping = !pending
                return (queue.isStopping && !pending, pending)
            }
            if isStopping { break }
            let count = epoll_wait(epoll, &events, 4, mustNotSleep ? 0 : timeout())
            queue.withLock { $0.isSleeping = false }
            guard count > 0 else { continue }
            for event in events[..<Int(count)] {
                if event.data.fd == wake {
                    var value: UInt64 = 0
                    _ = read(wake, &value, 8)
                } else if event.data.fd == socket {
                    source?.socketReady(event.events)
                }
            }
        }
        timers.removeAll()
    }

    private func timeout() -> Int32 {
        timers.removeAll(where: \.isCancelled)
        guard let next = timers.lazy.map(\.deadline).min() else { return -1 }
        let wait = next - .now
        guard wait > .zero else { return 0 }
        let (seconds, attoseconds) = wait.components
        // Rounded up, or the thread would wake a little early and spin.
        return Int32(clamping: seconds * 1000 + (attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000)
    }

    private func fireTimers() {
        guard !timers.isEmpty else { return }
        let now = ContinuousClock.now
        var index = 0
        var due: [EventLoopTimer] = []
        while index < timers.count {
            if timers[index].deadline <= now { due.append(timers.remove(at: index)) } else { index += 1 }
        }
        for timer in due.sorted(by: { $0.deadline < $1.deadline }) {
            timer.fire()
            runQueued()
        }
    }
}
