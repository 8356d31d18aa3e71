import CLinux
import Glibc

/// A child process that ends with its parent: its standard input is a pipe from here, and the pipe's end tells it to stop,
/// also where this process is killed.
package final class ChildProcess: @unchecked Sendable {
    package let processID: Int32

    /// Where what it writes goes.
    package enum Output {
        /// To where this process's own goes.
        case inherited
        case discarded
        /// To a file, pipe or socket of this process.
        case descriptor(Int32)
    }

    /// The end of its standard input that is here; −1 where that is something else.
    private let inputPipe: Int32
    private var status: Int32?
    private var isAsked = false

    /// Starts a program.
    ///
    /// - Parameters:
    ///   - executable: its path.
    ///   - input: what it reads as its standard input, and closes that with; −1 for a pipe that ends with this process.
    ///   - inherited: a descriptor that the child gets as its number 3, −1 for none.
    ///   - output: where its standard output goes.
    ///   - errorOutput: where its standard error goes.
    ///   - hiding: variables of this process's environment that the child does not get.
    /// - Throws: ``ProcessError``.
    package init(
        executable: String, arguments: [String], input: Int32 = -1, inherited: Int32 = -1, output: Output = .discarded,
        errorOutput: Output = .inherited, hiding: [String] = []
    ) throws(ProcessError) {
        var ends: [Int32] = [-1, -1]
        guard input >= 0 || pipe(&ends) == 0 else {
            throw ProcessError("cannot make a pipe: \(String(cString: strerror(errno)))")
        }
        for end in ends where end >= 0 { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }

        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, input < 0 ? ends[0] : input, STDIN_FILENO)
        for (stream, place) in [(STDOUT_FILENO, output), (STDERR_FILENO, errorOutput)] {
            switch place {
            case .inherited: break
            case .discarded: posix_spawn_file_actions_addopen(&actions, stream, "/dev/null", O_WRONLY, 0)
            case .descriptor(let descriptor): posix_spawn_file_actions_adddup2(&actions, descriptor, stream)
            }
        }
        if inherited >= 0 { posix_spawn_file_actions_adddup2(&actions, inherited, 3) }
        // A socket that another thread has just opened may not be marked to be closed yet.
        posix_spawn_file_actions_addclosefrom_np(&actions, inherited >= 0 ? 4 : 3)

        // A process group of its own: Ctrl-C reaches the parent only, which then stops the children in order.
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        sigemptyset(&none)
        var pipeSignal = sigset_t()
        sigemptyset(&pipeSignal)
        sigaddset(&pipeSignal, SIGPIPE)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &pipeSignal)
        posix_spawnattr_setpgroup(&attributes, 0)
        posix_spawnattr_setflags(
            &attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP))

        var pointers = ([executable] + arguments).map { strdup($0) }
        pointers.append(nil)
        defer { for pointer in pointers { free(pointer) } }
        var variables: [UnsafeMutablePointer<CChar>?] = []
        var next = environ
        while let variable = next.pointee {
            if !hiding.contains(where: { String(cString: variable).hasPrefix("\($0)=") }) { variables.append(variable) }
            next += 1
        }
        variables.append(nil)
        var pid = pid_t()
        let result = posix_spawn(&pid, executable, &actions, &attributes, pointers, variables)
        close(ends[0])
        guard result == 0 else {
            close(ends[1])
            throw ProcessError("cannot start \(executable): \(String(cString: strerror(result)))")
        }
        processID = pid
        inputPipe = ends[1]
    }

    deinit {
        close(inputPipe)
        if status == nil { stop() }
    }

    /// The exit status if it has ended (128 + signal where a signal ended it), nil while it runs.
    package func poll() -> Int32? {
        if let status { return status }
        var raw: Int32 = 0
        guard waitpid(processID, &raw, WNOHANG) == processID else { return nil }
        status = Self.exitStatus(raw)
        return status
    }

    /// Asks it to end, once: programs take a second signal for impatience, and leave their own children behind.
    package func ask() {
        guard !isAsked, poll() == nil else { return }
        isAsked = true
        kill(processID, SIGTERM)
    }

    /// Asks it to end, waits, and after `patience` ends it by force.
    @discardableResult
    package func stop(patience: Duration = .seconds(3)) -> Int32 {
        ask()
        let deadline = ContinuousClock.now + patience
        while ContinuousClock.now < deadline {
            if let status = poll() { return status }
            usleep(2000)
        }
        kill(processID, SIGKILL)
        var raw: Int32 = 0
        while waitpid(processID, &raw, 0) < 0, errno == EINTR {}
        let result = Self.exitStatus(raw)
        status = result
        return result
    }

    /// Sets the most bytes that its files may have from now on: 0 makes every disk full to it.
    ///
    /// - Throws: ``ProcessError`` where the system refuses.
    package func limitFiles(to bytes: UInt64) throws(ProcessError) {
        guard linux_limit_files(processID, bytes) == 0 else {
            throw ProcessError("cannot limit the files of process \(processID): \(String(cString: strerror(errno)))")
        }
    }

    private static func exitStatus(_ raw: Int32) -> Int32 { raw & 0x7F == 0 ? (raw >> 8) & 0xFF : 128 + (raw & 0x7F) }

    /// The path of a program in `PATH` or in the folders where Debian puts servers.
    package static func find(_ name: String) -> String? {
        let path = getenv("PATH").map { String(cString: $0) } ?? ""
        let folders =
            path.split(separator: ":").map(String.init) + [
                "/usr/sbin", "/usr/local/sbin", "/usr/local/bin", "/usr/bin",
            ]
        return folders.map { "\($0)/\(name)" }.first { access($0, X_OK) == 0 }
    }
}

/// A program that could not be started: one sentence.
package struct ProcessError: Error, Hashable, CustomStringConvertible {
    package let description: String
    init(_ description: String) { self.description = description }
}
