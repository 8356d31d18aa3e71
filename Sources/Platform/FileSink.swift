import Glibc

/// A file that is written a piece at a time, and is there whole or not at all: it has a temporary name beside its place until
/// ``commit()``, which syncs and renames it. What is not committed is taken away.
package final class FileSink {
    private let path: String
    private let temporary: String
    private var descriptor: Int32

    /// - Parameter isSecret: whether only its owner may read it.
    package init(_ path: String, isSecret: Bool = false) throws(FileError) {
        self.path = path
        temporary = "\(path).\(getpid()).part"
        descriptor = -1
        // A rename would put a file in the place of a device or a pipe.
        var there = stat()
        if stat(path, &there) == 0, there.st_mode & S_IFMT != S_IFREG {
            throw FileError(description: "cannot write \(path): it is there and not an ordinary file")
        }
        descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, isSecret ? 0o600 : 0o644)
        guard descriptor >= 0 else { throw .failed("write", path, errno) }
    }

    deinit {
        guard descriptor >= 0 else { return }
        close(descriptor)
        unlink(temporary)
    }

    package func append(_ bytes: UnsafeRawBufferPointer) throws(FileError) {
        var written = 0
        while written < bytes.count {
            let count = Glibc.write(descriptor, bytes.baseAddress! + written, bytes.count - written)
            if count < 0 {
                if errno == EINTR { continue }
                throw .failed("write", path, errno)
            }
            written += count
        }
    }

    package func commit() throws(FileError) {
        var failure = fsync(descriptor) == 0 ? 0 : errno
        if close(descriptor) != 0, failure == 0 { failure = errno }
        descriptor = -1
        if failure == 0, rename(temporary, path) != 0 { failure = errno }
        guard failure != 0 else { return }
        unlink(temporary)
        throw .failed("write", path, failure)
    }
}
