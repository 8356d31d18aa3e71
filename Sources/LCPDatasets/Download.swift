import Glibc
import Platform

/// One file that the system's curl brings, taken up where an earlier download stopped.
struct Download {
    let curl: String
    let url: String
    /// Where the bytes go; what is there already is the file's beginning.
    let path: String
    /// The file's size: what comes behind it is refused.
    let byteCount: Int
    /// A descriptor that curl holds for as long as it may write, −1 for none.
    let lock: Int32
    /// How long to wait before the first new attempt; each further one waits twice as long.
    let retryDelay: Duration

    private static let attempts = 6

    /// Downloads the rest of the file. A connection that breaks is made anew, a few times.
    ///
    /// - Parameter progress: called with the bytes that are there, about ten times a second.
    /// - Throws: ``DatasetError``, `CancellationError`; curl has ended then. What came of the file stays for the next time,
    ///   but for a full disk.
    func run(progress: (Int) -> Void) async throws {
        var delay = retryDelay
        var restarted = false
        for attempt in 1... {
            let ending = try await attemptOnce(progress: progress)
            if ending.status == 0 { return }
            if ending.cannotResume, !restarted {
                // A server that knows no ranges, or another file than before: from the beginning, once.
                restarted = true
                FileIO.remove(path)
                continue
            }
            if FileIO.size(path) == 0 || ending.status == Ending.writeError { FileIO.remove(path) }
            guard ending.isTransient, attempt < Self.attempts else {
                throw DatasetError(ending.sentence(url: url, path: path))
            }
            try await Task.sleep(for: delay)
            delay *= 2
        }
    }

    private func attemptOnce(progress: (Int) -> Void) async throws -> Ending {
        let (output, errors) = (try TextPipe(), try TextPipe())
        let child: ChildProcess
        do {
            child = try ChildProcess(
                executable: curl,
                arguments: [
                    "--silent", "--show-error", "--fail", "--globoff", "--location", "--max-redirs", "5",
                    "--proto", "=http,https,file", "--proto-redir", "=http,https",
                    "--connect-timeout", "20", "--speed-limit", "100", "--speed-time", "60",
                    "--continue-at", "-", "--output", path, "--write-out", "%{http_code}", url,
                ], inherited: lock, output: .descriptor(output.writer), errorOutput: .descriptor(errors.writer))
        } catch {
            throw DatasetError("\(error)")
        }
        // Also where the task is cancelled: nobody writes any more once this has returned.
        defer { child.stop() }
        while true {
            let status = child.poll()
            let size = FileIO.size(path)
            progress(size)
            guard size <= byteCount else {
                child.stop()
                FileIO.remove(path)
                throw DatasetError("\(url) has more than the \(byteCount) bytes that are published: it is another file")
            }
            if let status {
                return Ending(status: status, httpStatus: Int(output.text()) ?? 0, message: errors.text())
            }
            try await Task.sleep(for: .milliseconds(100))
        }
    }

    /// How curl ended. The numbers are those of its manual.
    struct Ending {
        static let writeError: Int32 = 23

        var status: Int32
        var httpStatus: Int
        var message: String

        /// Whether the next attempt may well succeed.
        var isTransient: Bool {
            switch status {
            case 22: [408, 429, 500, 502, 503, 504].contains(httpStatus)
            // A file that is cut, no answer in time, none at all, trouble on the line, HTTP/2's own.
            case 18, 28, 52, 55, 56, 92: true
            default: false
            }
        }

        /// Whether the server does not give the rest of a file.
        var cannotResume: Bool { status == 33 || status == 36 || (status == 22 && httpStatus == 416) }

        func sentence(url: String, path: String) -> String {
            let host = url.split(separator: "/").dropFirst().first.map(String.init) ?? url
            switch status {
            case 5, 6: return "cannot find \(host): is there a network? Or name a mirror with --from"
            case 7:
                return
                    "nothing answers at \(host): is it up, and does a firewall let it through? Or name a mirror with --from"
            case 22 where httpStatus == 404:
                return
                    "there is no \(url): the server moved it, or the mirror does not have it; name another with --from"
            case 22:
                return
                    "\(host) answers with HTTP status \(httpStatus) to \(url): try later, or name a mirror with --from"
            case Ending.writeError: return "cannot write \(path): is the disk full?"
            case 18, 28, 52, 55, 56, 92:
                return
                    "the download of \(url) broke off again and again: run the same command later, it goes on from there"
            case 35, 51, 53, 54, 58, 59, 60, 66, 77, 80, 82, 83, 90, 91:
                return "no secure connection to \(host): \(message)"
            case 37: return "cannot read \(url): is it there?"
            default: return "curl cannot fetch \(url), status \(status): \(message)"
            }
        }
    }
}

/// A pipe that a child writes a few words into.
private final class TextPipe {
    let reader: Int32
    let writer: Int32

    init() throws(DatasetError) {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { throw DatasetError("cannot make a pipe: \(String(cString: strerror(errno)))") }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        _ = fcntl(ends[0], F_SETFL, O_NONBLOCK)
        (reader, writer) = (ends[0], ends[1])
    }

    deinit {
        close(reader)
        close(writer)
    }

    /// What was written, in one line.
    func text() -> String {
        var bytes = [UInt8](repeating: 0, count: 2048)
        let count = read(reader, &bytes, bytes.count)
        let lines = String(decoding: bytes.prefix(max(0, count)), as: UTF8.self).split(whereSeparator: \.isNewline)
        return lines.joined(separator: " ")
    }
}
