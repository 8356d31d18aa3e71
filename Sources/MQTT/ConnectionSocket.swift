import CLinux
import Platform
import CMosquitto
import Glibc

/// A connection's socket: when it is read, when what was sent is written, and the pause where a consumer is slow.
///
/// All of it is called on the event loop's thread. What a call returns is a result of libmosquitto: a failure is the end of the
/// connection.
final class ConnectionSocket: @unchecked Sendable {
    private let handle: MosquittoHandle
    private let loop: EventLoopCore
    private let scheduler: MQTTConnection.Scheduler
    /// Reading pauses for so long at most: PINGRESP goes unread, too, so the pause must end before the keepalive does.
    private let longestPause: Duration

    // Messages that handlers sent from inside libmosquitto's callback, where nothing is written yet.
    private var unflushed = 0
    private var isInHandler = false
    private static let longestFlush = Duration.microseconds(200)

    /// Behind a message the system is asked whether there are more where there mostly are; otherwise the event loop finds out,
    /// which takes longer, but nothing where there are none.
    private var rows = RowPredictor()

    // Backpressure.
    private var isPaused = false
    private var pauseTimer: EventLoopTimer?
    private var pauseIsOver = false

    init(
        _ handle: MosquittoHandle, keepalive: Int, loop: EventLoopCore, scheduler: @escaping MQTTConnection.Scheduler
    ) {
        self.handle = handle
        self.loop = loop
        self.scheduler = scheduler
        longestPause = Duration.seconds(keepalive == 0 ? 30 : keepalive) / 2
    }

    /// Tells the event loop what the socket is waited for.
    func watch() {
        let socket = handle.socket
        guard socket >= 0 else { return }
        let reads = isPaused ? 0 : EPOLLIN.rawValue
        loop.watch(socket, for: handle.wantsToWrite ? reads | EPOLLOUT.rawValue : reads)
    }

    /// The connection is gone.
    func close() {
        resumeReading()
        loop.socketClosed()
        handle.shutDown()
        unflushed = 0
    }

    // MARK: Reading and writing

    /// Reads and writes what the socket is ready for.
    ///
    /// - Parameter isUp: whether the connection still stands; what a message sets off may end it.
    func ready(_ events: UInt32, while isUp: () -> Bool) -> Int32 {
        if events & EPOLLOUT.rawValue != 0 {
            let result = handle.write()
            guard result == MOSQ_ERR_SUCCESS.int else { return result }
        }
        guard events & ~EPOLLOUT.rawValue != 0 else { return MOSQ_ERR_SUCCESS.int }
        if isPaused, events & EPOLLIN.rawValue == 0 { return MOSQ_ERR_CONN_LOST.int }
        return readPackets(while: isUp)
    }

    private func readPackets(while isUp: () -> Bool) -> Int32 {
        // What the first message sets off runs before the second is read, and nobody waits for more than 64 of them.
        var firstAnswer: ContinuousClock.Instant?
        rows.begin(.now)
        defer { rows.end(.now) }
        for _ in 0..<64 {
            let result = handle.read()
            guard result == MOSQ_ERR_SUCCESS.int else { return result }
            loop.runQueued()
            guard isUp(), !isPaused, rows.expectsMore, hasMore() else { return flushAnswers() }
            guard unflushed > 0 else { continue }
            // While more messages lie ready, answers may travel together, but none waits long for the next.
            let now = ContinuousClock.now
            let first = firstAnswer ?? now
            firstAnswer = first
            if now - first < Self.longestFlush, unflushed < 32 { continue }
            firstAnswer = nil
            let flushed = flush()
            guard flushed == MOSQ_ERR_SUCCESS.int else { return flushed }
        }
        return flushAnswers()
    }

    private func hasMore() -> Bool {
        var available: Int32 = 0
        let hasMore = ioctl(handle.socket, UInt(FIONREAD), &available) == 0 && available > 0
        rows.saw(more: hasMore)
        return hasMore
    }

    private func flushAnswers() -> Int32 { unflushed > 0 ? flush() : MOSQ_ERR_SUCCESS.int }

    /// Writes what handlers sent from inside libmosquitto's callback, as one segment where that is several messages.
    private func flush() -> Int32 {
        let socket = handle.socket
        let isSeveral = unflushed > 1
        unflushed = 0
        if isSeveral { cork(socket, 1) }
        let result = handle.write()
        if isSeveral { cork(socket, 0) }
        return result
    }

    private func cork(_ socket: Int32, _ value: Int32) {
        var value = value
        setsockopt(socket, Int32(IPPROTO_TCP), TCP_CORK, &value, 4)
    }

    /// Calls a handler with a message. What it sends is written after libmosquitto's callback.
    func call<Result>(_ handler: @Sendable (MQTTMessageView) -> Result, _ message: MQTTMessageView) -> Result {
        isInHandler = true
        defer { isInHandler = false }
        return handler(message)
    }

    /// libmosquitto took a message.
    func didPublish() {
        if isInHandler { unflushed += 1 }
    }

    // MARK: Backpressure

    /// Whether reading may stop: not again once a pause has lasted for as long as it may, until there was room.
    var mayStopReading: Bool { !pauseIsOver }

    func stopReading() {
        guard !isPaused else { return }
        isPaused = true
        pauseTimer = scheduler(longestPause) { [weak self] in
            self?.pauseIsOver = true
            self?.resumeReading()
        }
    }

    private func resumeReading() {
        isPaused = false
        pauseTimer?.cancel()
        pauseTimer = nil
    }

    /// A consumer made room.
    func roomIsBack() {
        pauseIsOver = false
        resumeReading()
    }
}
