import ArgumentParser
import Glibc
import LCPWire
import MQTT
import Platform
import Synchronization

/// The end of a pipe that the signal handler writes to; a handler can reach nothing but globals.
private let signalPipe = Atomic<Int32>(-1)
/// Whether ``requestStop()`` was called: a second byte would end the process at once.
private let stopRequested = Atomic<Bool>(false)
/// The first signal that came.
private let stopSignal = Atomic<Int32>(0)

/// What it means that a signal stopped something.
enum Stop {
    /// The result is not there: the status is 128 and the signal's number, so that a script does not go on without it.
    case cutShort
    /// That is how it ends.
    case usual
}

/// Runs `body` until it returns, and cancels it at SIGINT, SIGTERM or SIGHUP. A second signal ends the process at once.
///
/// - Parameter atEOF: whether the end of standard input cancels it, too: how a child notices that its parent was killed.
func untilStopped(
    _ stop: Stop = .cutShort, atEOF: Bool = false, _ body: @escaping @Sendable () async throws -> Void
) async throws {
    var ends: [Int32] = [-1, -1]
    guard pipe(&ends) == 0 else { throw CommandError("cannot make a pipe: \(String(cString: strerror(errno)))") }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    signalPipe.store(ends[1], ordering: .relaxed)
    // Before anything is made that a signal must not leave behind: one that comes before the thread waits in the pipe.
    for number in [SIGINT, SIGTERM, SIGHUP] {
        var action = sigaction()
        action.__sigaction_handler.sa_handler = { number in
            let saved = errno
            var byte = UInt8(truncatingIfNeeded: number)
            _ = write(signalPipe.load(ordering: .relaxed), &byte, 1)
            errno = saved
        }
        sigaction(number, &action, nil)
    }
    let task = Task { try await body() }
    let reader = ends[0]
    try startThread(name: "signals", stackSize: 256 << 10) {
        var signals = 0
        while true {
            var descriptors = [pollfd(fd: reader, events: Int16(POLLIN), revents: 0)]
            if atEOF, signals == 0 { descriptors.append(pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0)) }
            guard poll(&descriptors, UInt(descriptors.count), -1) > 0 else { continue }
            if descriptors[0].revents != 0 {
                var number: UInt8 = 0
                guard read(reader, &number, 1) == 1, number != 0 else { return }
                signals += 1
                if signals > 1 { _exit(128 + Int32(number)) }
                stopSignal.store(Int32(number), ordering: .relaxed)
                task.cancel()
            } else if descriptors.count > 1, descriptors[1].revents != 0 {
                var bytes = [UInt8](repeating: 0, count: 256)
                guard read(STDIN_FILENO, &bytes, bytes.count) <= 0 else { continue }
                signals += 1
                task.cancel()
            }
        }
    }
    let result = await task.result
    // The thread ends with this byte; the signals go back to what they were.
    for number in [SIGINT, SIGTERM, SIGHUP] { signal(number, SIG_DFL) }
    var zero: UInt8 = 0
    _ = write(ends[1], &zero, 1)
    signalPipe.store(-1, ordering: .relaxed)
    do { try result.get() } catch {
        let signal = stopSignal.load(ordering: .relaxed)
        // What a signal cuts short may say so in its own words, as a connection that it closed does.
        let isStopped = signal != 0 && (stop == .cutShort && !(error is ExitCode) || error is MQTTError)
        guard error is CancellationError || isStopped else { throw error }
        guard !outputFailed.load(ordering: .relaxed) else { throw ExitCode.failure }
        if stop == .cutShort { throw signal == 0 ? ExitCode.failure : ExitCode(128 + signal) }
    }
    if outputFailed.load(ordering: .relaxed) { throw ExitCode.failure }
}

/// Asks ``untilStopped(_:atEOF:_:)`` to stop, as SIGTERM would, and not as late as a signal that another thread takes.
///
/// - Returns: false where nothing is running that could be asked.
func requestStop() -> Bool {
    let end = signalPipe.load(ordering: .relaxed)
    guard end >= 0 else { return false }
    guard !stopRequested.exchange(true, ordering: .relaxed) else { return true }
    var byte = UInt8(SIGTERM)
    return write(end, &byte, 1) == 1
}
