import Glibc

/// Reading and writing whole files, with errors that say what, where and what to do.
package enum FileIO {
    /// A file's bytes.
    ///
    /// - Parameter limit: the most bytes that are read; a longer file is an error, so that nobody's memory is filled.
    package static func read(_ path: String, limit: Int = 1 << 31) throws(FileError) -> [UInt8] {
        // A pipe that nobody writes to would be waited for in open.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw .failed("read", path, errno) }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw .failed("read", path, errno) }
        guard status.st_mode & S_IFMT != S_IFDIR else { throw .failed("read", path, EISDIR) }
        guard status.st_size <= limit else {
            throw FileError(
                description: "cannot read \(path): it has \(status.st_size) bytes, more than the \(limit) allowed")
        }
        var bytes = [UInt8]()
        bytes.reserveCapacity(Int(status.st_size) + 1)
        // A device or a pipe has no size, so read until the end and watch the limit.
        var chunk = [UInt8](repeating: 0, count: max(4096, min(Int(status.st_size) + 1, 1 << 20)))
        while true {
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            if count < 0 {
                if errno == EINTR { continue }
                guard errno == EAGAIN, !Task.isCancelled else { throw .failed("read", path, errno) }
                var waiting = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
                poll(&waiting, 1, 200)
                continue
            }
            if count == 0 { return bytes }
            guard bytes.count + count <= limit else {
                throw FileError(description: "cannot read \(path): it has more than the \(limit) bytes allowed")
            }
            bytes += chunk[..<count]
        }
    }

    /// Writes a file so that it is there whole or not at all: see ``FileSink``.
    ///
    /// - Parameter isSecret: whether only its owner may read it.
    package static func write(_ bytes: [UInt8], to path: String, isSecret: Bool = false) throws(FileError) {
        let sink = try FileSink(path, isSecret: isSecret)
        do { try bytes.withUnsafeBytes { try sink.append($0) } } catch let error as FileError {
            throw error
        } catch {
            throw .failed("write", path, EIO)
        }
        try sink.commit()
    }

    /// Writes a file that is not there yet, whole or not at all.
    ///
    /// - Parameter isSecret: whether only its owner may read it.
    package static func create(_ bytes: [UInt8], at path: String, isSecret: Bool = false) throws(FileError) {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, isSecret ? 0o600 : 0o644)
        guard descriptor >= 0 else { throw .failed("create", path, errno) }
        defer { close(descriptor) }
        var done = 0
        while done < bytes.count {
            let count = bytes[done...].withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            guard count > 0 else {
                let code = errno
                unlink(path)
                throw .failed("write", path, code)
            }
            done += count
        }
    }

    /// Gives a file or folder another name; a file that has it is replaced, and so is an empty folder.
    package static func rename(_ path: String, to other: String) throws(FileError) {
        guard Glibc.rename(path, other) == 0 else { throw .failed("rename \(path) to", other, errno) }
    }

    /// Makes a folder and the folders above it, where they are missing.
    package static func makeFolder(_ path: String) throws(FileError) {
        var status = stat()
        if stat(path, &status) == 0 {
            guard status.st_mode & S_IFMT == S_IFDIR else { throw .failed("make the folder", path, ENOTDIR) }
            return
        }
        if let slash = path.lastIndex(of: "/"), slash != path.startIndex { try makeFolder(String(path[..<slash])) }
        guard mkdir(path, 0o755) != 0 else { return }
        // Another may have made it meanwhile; a link to nowhere is no folder and cannot be made one.
        guard errno == EEXIST, isFolder(path) else { throw .failed("make the folder", path, errno) }
    }

    /// Whether two paths lead to the same file or folder, which is there.
    package static func isSame(_ path: String, _ other: String) -> Bool {
        var (status, otherStatus) = (stat(), stat())
        return stat(path, &status) == 0 && stat(other, &otherStatus) == 0 && status.st_dev == otherStatus.st_dev
            && status.st_ino == otherStatus.st_ino
    }

    /// The names of what is in a folder, sorted, without itself and the folder above.
    package static func list(_ path: String) throws(FileError) -> [String] {
        guard let directory = opendir(path) else { throw .failed("read the folder", path, errno) }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    /// Whether a folder has nothing in it.
    package static func isEmptyFolder(_ path: String) throws(FileError) -> Bool { try list(path).isEmpty }

    /// Whether a folder is there.
    /// The first bytes of a regular file, fewer where it is shorter.
    ///
    /// - Throws: ``FileError`` where it is none, or cannot be read.
    package static func head(_ path: String, count: Int) throws(FileError) -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw .failed("read", path, errno) }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw .failed("read", path, EINVAL)
        }
        var bytes = [UInt8](repeating: 0, count: count)
        let read = Glibc.read(descriptor, &bytes, count)
        guard read >= 0 else { throw .failed("read", path, errno) }
        return Array(bytes.prefix(read))
    }

    /// What tells a folder or file from all others, however it is named; nil where there is none.
    package static func identity(_ path: String) -> [UInt64]? {
        var status = stat()
        return stat(path, &status) == 0 ? [UInt64(status.st_dev), UInt64(status.st_ino)] : nil
    }

    package static func isFolder(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }

    /// The bytes of a file, 0 where there is none.
    package static func size(_ path: String) -> Int {
        var status = stat()
        return stat(path, &status) == 0 ? Int(status.st_size) : 0
    }

    /// When the contents of a file or folder changed last, seconds since 1970 UTC; 0 where there is none.
    package static func modificationTime(_ path: String) -> Int {
        var status = stat()
        return stat(path, &status) == 0 ? status.st_mtim.tv_sec : 0
    }

    /// Takes a file away, where it is there.
    package static func remove(_ path: String) { unlink(path) }

    /// Takes a folder away, where it is there and has nothing in it.
    package static func removeEmptyFolder(_ path: String) { rmdir(path) }

    /// Takes the files away that a process left half written when it was killed. Only where no other can be writing there.
    package static func removeHalfWritten(in folder: String) {
        for name in (try? list(folder)) ?? [] {
            let parts = name.split(separator: ".")
            guard parts.count > 2, parts.last == "part", Int(parts[parts.count - 2]) != nil else { continue }
            remove("\(folder)/\(name)")
        }
    }

    /// Where a file can be read that only root may read: a service was given it under a name (systemd.exec(5), LoadCredential), and
    /// an empty one stands for none.
    ///
    /// - Returns: the path itself where it can be read, or nothing was given.
    package static func readable(_ path: String, credential: String) -> String {
        guard access(path, R_OK) != 0, errno == EACCES, let folder = environmentVariable("CREDENTIALS_DIRECTORY") else {
            return path
        }
        let given = "\(folder)/\(credential)"
        return size(given) > 1 ? given : path
    }

    /// Whether something is there.
    package static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }
}

/// A file that could not be read or written: one sentence with the path and the system's reason.
package struct FileError: Error, CustomStringConvertible {
    package let description: String

    package static func failed(_ action: String, _ path: String, _ code: Int32) -> Self {
        Self(description: "cannot \(action) \(path): \(String(cString: strerror(code)))")
    }
}
