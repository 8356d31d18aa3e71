import Synchronization

/// The bytes that may be on their way to the broker at once, and the callers that wait for some of them.
///
/// Any thread reserves; the event loop's thread releases. A caller that cannot wait takes the room that there is. Those that
/// wait get theirs in the order in which they asked, so that a large message is not passed for ever by small ones that wait, too.
final class ByteBudget: Sendable {
    /// A place in the queue, numbered from the first to the last.
    typealias Ticket = UInt64
    typealias Granted = @Sendable ((any Error)?) -> Void

    private struct Waiter {
        let bytes: Int
        /// Nil until the caller is ready to be called back; it keeps its place meanwhile.
        var granted: Granted?
    }

    private struct Queue {
        var waiters: [Ticket: Waiter] = [:]
        /// Nobody waits with a ticket below this one.
        var head: Ticket = 0
        var next: Ticket = 0
        var closed: MQTTError?

        /// The one that waits longest. Tickets of those that left are skipped, each once.
        mutating func first() -> Waiter? {
            while head < next {
                if let waiter = waiters[head] { return waiter }
                head += 1
            }
            return nil
        }
    }

    private let limit: Int
    private let used = Atomic<Int>(0)
    private let waiterCount = Atomic<Int>(0)
    private let queue = Mutex(Queue())

    init(limit: Int) { self.limit = limit }

    /// Bytes that are reserved.
    var reserved: Int { used.load(ordering: .relaxed) }

    /// Takes `bytes`, or returns false where they do not fit. A message larger than the whole budget passes alone.
    @inline(__always)
    func reserve(_ bytes: Int) -> Bool {
        // A sum that is taken back would be seen by others as room that is not there, and nobody would tell them.
        var before = used.load(ordering: .sequentiallyConsistent)
        while before + bytes <= limit || before == 0 {
            let (exchanged, original) = used.weakCompareExchange(
                expected: before, desired: before + bytes, ordering: .sequentiallyConsistent)
            if exchanged { return true }
            before = original
        }
        return false
    }

    /// Gives `bytes` back, to those that wait first.
    @inline(__always)
    func release(_ bytes: Int) {
        let before = used.subtract(bytes, ordering: .sequentiallyConsistent).oldValue
        assert(before >= bytes, "\(bytes) bytes were released, and only \(before) were reserved")
        // A waiter is counted before it looks at what is used, and here what is used changes before the waiters are counted.
        // So one of the two sees the other, whatever the order (hence sequentially consistent).
        if waiterCount.load(ordering: .sequentiallyConsistent) > 0 { grant() }
    }

    /// Reserves `bytes` when there is room, behind all that wait already.
    ///
    /// - Throws: `CancellationError` where the task is cancelled first, the error of ``close(_:)`` where that comes first.
    func waitForRoom(_ bytes: Int) async throws {
        if waiterCount.load(ordering: .relaxed) == 0, reserve(bytes) { return }
        let ticket = queueUp(bytes)
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
                wait(ticket) { error in
                    if let error { continuation.resume(throwing: error) } else { continuation.resume() }
                }
            }
        } onCancel: {
            cancel(ticket)
        }
    }

    /// Takes a place in the queue. ``wait(_:_:)`` follows.
    func queueUp(_ bytes: Int) -> Ticket {
        queue.withLock { queue in
            let ticket = queue.next
            queue.next += 1
            queue.waiters[ticket] = Waiter(bytes: bytes)
            waiterCount.add(1, ordering: .sequentiallyConsistent)
            return ticket
        }
    }

    /// Calls `granted` once, on any thread: without an error when the bytes are reserved.
    func wait(_ ticket: Ticket, _ granted: @escaping Granted) {
        let failure = queue.withLock { queue -> (any Error)? in
            if let closed = queue.closed {
                remove(ticket, &queue)
                return closed
            }
            guard queue.waiters[ticket] != nil else { return CancellationError() }
            queue.waiters[ticket]?.granted = granted
            return nil
        }
        if let failure { return granted(failure) }
        // There may have been room since the caller looked.
        grant()
    }

    /// Leaves the queue; the waiter gets a `CancellationError`, now or as soon as it waits.
    func cancel(_ ticket: Ticket) {
        let waiter = queue.withLock { remove(ticket, &$0) }
        guard let waiter else { return }
        waiter.granted?(CancellationError())
        // What waited behind it may be smaller.
        grant()
    }

    /// Refuses those that wait, and all that would wait later.
    func close(_ error: MQTTError) {
        let waiting = queue.withLock { queue in
            queue.closed = error
            let waiting = queue.waiters.filter { $0.value.granted != nil }.sorted { $0.key < $1.key }
            for (ticket, _) in waiting { remove(ticket, &queue) }
            return waiting
        }
        for (_, waiter) in waiting { waiter.granted?(error) }
    }

    /// Reserves for those at the head of the queue, as far as there is room.
    private func grant() {
        while true {
            let granted = queue.withLock { queue -> Granted? in
                guard let waiter = queue.first(), let granted = waiter.granted, reserve(waiter.bytes) else {
                    return nil
                }
                remove(queue.head, &queue)
                return granted
            }
            guard let granted else { return }
            granted(nil)
        }
    }

    @discardableResult
    private func remove(_ ticket: Ticket, _ queue: inout Queue) -> Waiter? {
        let waiter = queue.waiters.removeValue(forKey: ticket)
        if waiter != nil { waiterCount.subtract(1, ordering: .sequentiallyConsistent) }
        return waiter
    }
}
