import Glibc

/// A folder that one process at a time works in: held until this goes out of use, or the process ends however it may.
///
/// Whoever makes files in a folder that was named takes this first, and looks at, changes or removes the folder only then:
/// an empty folder may be one in which another process has just begun.
package final class FolderLock: Sendable {
    /// A child process that gets it holds the lock, too.
    package let descriptor: Int32

    /// Makes the folder, where it is missing, and takes it.
    ///
    /// - Returns: nil where another has it.
    /// - Throws: ``FileError`` where it is no folder, or cannot be made or read.
    package static func making(_ folder: String) throws(FileError) -> FolderLock? {
        while true {
            try FileIO.makeFolder(folder)
            let descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
            guard descriptor >= 0 else {
                if errno == ENOENT { continue }
                throw .failed("read the folder", folder, errno)
            }
            guard let lock = FolderLock(descriptor: descriptor) else { return nil }
            // Who had it may have removed it at its end, between our making it and taking it.
            if lock.isAt(folder) { return lock }
        }
    }

    /// - Returns: nil where another has it. Where the file system knows no locks, everybody has it.
    package convenience init?(_ folder: String) {
        self.init(descriptor: open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC))
    }

    private init?(descriptor: Int32) {
        self.descriptor = descriptor
        guard descriptor >= 0, flock(descriptor, LOCK_EX | LOCK_NB) != 0, errno == EWOULDBLOCK else { return }
        // The end of `self` closes it.
        return nil
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    /// Whether the folder that is locked is the one that has this path.
    private func isAt(_ path: String) -> Bool {
        var (mine, there) = (stat(), stat())
        return fstat(descriptor, &mine) == 0 && stat(path, &there) == 0 && mine.st_dev == there.st_dev
            && mine.st_ino == there.st_ino
    }

    /// Lets go of it now: closing would not be enough where a child that is just being started has a copy of the descriptor.
    package func unlock() { flock(descriptor, LOCK_UN) }
}
