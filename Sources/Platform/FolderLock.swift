import Glibc

/// A folder that one process at a time works in: held until this goes out of use, or the process ends however it may.
package final class FolderLock {
    private let descriptor: Int32

    /// - Returns: nil where another has it. Where the file system knows no locks, everybody has it.
    package init?(_ folder: String) {
        descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0, flock(descriptor, LOCK_EX | LOCK_NB) != 0, errno == EWOULDBLOCK else { return }
        close(descriptor)
        return nil
    }

    deinit { if descriptor >= 0 { close(descriptor) } }
}
