import Glibc
import Platform

/// Takes the room on a file system until only a little is left, and gives it back when it goes.
///
/// The file has no name: it is gone with this process, however that ends.
public final class DiskFill: Sendable {
    public struct Options: Sendable, Hashable {
        public var folder: String
        /// The bytes that stay free.
        public var leave: Int
        /// The most bytes that are taken.
        public var most: Int
        /// Whether the folder may lie on the system's own disk.
        public var allowsSystemDisk = false

        public init(folder: String, leave: Int, most: Int = 1 << 30) {
            self.folder = folder
            self.leave = leave
            self.most = most
        }
    }

    /// The bytes that are taken.
    public let bytes: Int
    private let descriptor: Int32

    /// Fills the file system; stops at the next 64 MiB where the task is cancelled.
    ///
    /// - Throws: ``ChaosError`` where the folder cannot be used, lies on the system's disk, or more than ``Options/most`` would
    ///   have to be taken; `CancellationError`.
    public init(_ options: Options) throws {
        guard options.leave >= 0, options.most > 0 else {
            throw ChaosError("what is left is 0 bytes or more, and what is taken at most is more than 0")
        }
        guard FileIO.isFolder(options.folder) else { throw ChaosError("there is no folder \(options.folder)") }
        guard options.allowsSystemDisk || Self.device(options.folder) != Self.device("/") else {
            throw ChaosError(
                "\(options.folder) lies on the system's own disk, and a full one harms every program: --system-disk allows it, or "
                    + "take a folder on another file system")
        }
        let descriptor = Self.makeFile(options.folder)
        guard descriptor >= 0 else { throw Sockets.failure("make a file in \(options.folder)") }
        do {
            let free = try Self.freeBytes(descriptor, options.folder)
            let wanted = free - options.leave
            guard wanted <= options.most else {
                throw ChaosError(
                    "\(options.folder) has \(free) free bytes: leaving \(options.leave) would take more than the "
                        + "\(options.most) allowed")
            }
            bytes = try Self.fill(descriptor, max(0, wanted), options.folder)
            self.descriptor = descriptor
        } catch {
            close(descriptor)
            throw error
        }
    }

    deinit { close(descriptor) }

    /// The bytes that a folder's file system has for this user.
    public static func freeBytes(_ folder: String) throws -> Int {
        let descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Sockets.failure("open \(folder)") }
        defer { close(descriptor) }
        return try freeBytes(descriptor, folder)
    }

    private static func freeBytes(_ descriptor: Int32, _ folder: String) throws(ChaosError) -> Int {
        var status = statvfs()
        guard fstatvfs(descriptor, &status) == 0 else { throw Sockets.failure("ask how full \(folder) is") }
        return Int(clamping: status.f_bavail.multipliedReportingOverflow(by: status.f_frsize).partialValue)
    }

    private static func device(_ path: String) -> dev_t? {
        var status = stat()
        return stat(path, &status) == 0 ? status.st_dev : nil
    }

    private static func makeFile(_ folder: String) -> Int32 {
        let descriptor = open(folder, Int32(O_RDWR) | Int32(__O_TMPFILE) | O_DIRECTORY | O_CLOEXEC, 0o600)
        if descriptor >= 0 || errno == EACCES || errno == EROFS { return descriptor }
        // A file system that has no files without a name: take the name away at once.
        var template = Array("\(folder)/.lcp-chaos-XXXXXX".utf8CString)
        let named = mkstemp(&template)
        if named >= 0 {
            unlink(template)
            _ = fcntl(named, F_SETFD, FD_CLOEXEC)
        }
        return named
    }

    private static func fill(_ descriptor: Int32, _ wanted: Int, _ folder: String) throws -> Int {
        var taken = 0
        while taken < wanted {
            try Task.checkCancellation()
            let step = min(wanted - taken, 64 << 20)
            switch posix_fallocate(descriptor, taken, step) {
            case 0: taken += step
            case EINTR: continue
            // Somebody else took the rest: it is full.
            case ENOSPC, EDQUOT: return taken
            case let code:
                throw ChaosError("cannot fill \(folder): \(String(cString: strerror(code)))")
            }
        }
        return taken
    }
}
