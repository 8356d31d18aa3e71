import CLinux
import Glibc

/// A file without a name that is only in memory: what a child process gets by its descriptor, and nothing is left of it.
///
/// Unlike a pipe it is a regular file, which a program may insist on (mosquitto 2.0.21 does), and which it can read twice.
package final class MemoryFile {
    package let descriptor: Int32

    /// - Parameters:
    ///   - name: for people who look into `/proc`.
    ///   - text: what is in it.
    /// - Throws: ``FileError``.
    package init(name: String, text: String) throws(FileError) {
        descriptor = linux_memory_file(name)
        guard descriptor >= 0 else {
            throw FileError(description: "cannot make a file in memory: \(String(cString: strerror(errno)))")
        }
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else {
                throw FileError(description: "cannot write into memory: \(String(cString: strerror(errno)))")
            }
            rest = rest.dropFirst(count)
        }
    }

    /// What is in it by now: what a child wrote, too.
    ///
    /// - Throws: ``FileError``.
    package func bytes() throws(FileError) -> [UInt8] { try FileIO.read("/proc/self/fd/\(descriptor)", limit: 1 << 28) }

    deinit { if descriptor >= 0 { close(descriptor) } }
}
