import Glibc

/// A folder whose files are made beside it and moved to their place when all are there: where making them fails, nothing changes.
package enum StagedFolder {
    /// - Parameters:
    ///   - path: a new or empty folder, or one that holds `mark`, which is replaced.
    ///   - mark: the file that is moved last, so that a folder that was cut short is not taken for a whole one.
    ///   - isOurs: whether a file of this name belongs to such a folder, and goes away when the new one has none.
    ///   - make: writes the files into the folder that it is given.
    /// - Throws: ``FileError``, also where another process is at work in the folder, and what `make` throws.
    package static func write(
        to path: String, mark: String, isOurs: (String) -> Bool, make: (_ folder: String) throws -> Void
    ) throws {
        var path = path
        while path.count > 1, path.hasSuffix("/") { path.removeLast() }
        try check(path, mark: mark)
        var lock = try take(path)
        defer { withExtendedLifetime(lock) {} }
        let stage = "\(path).\(getpid()).part"
        do { try FileIO.makeFolder(stage) } catch {
            throw FileError(description: error.description.replacing(stage, with: path))
        }
        do {
            try make(stage)
            try Task.checkCancellation()
            let names = try FileIO.list(stage)
            if lock == nil { lock = try take(path) }
            if try !FileIO.exists(path) || FileIO.isEmptyFolder(path) { return try FileIO.rename(stage, to: path) }
            for name in names where name != mark { try FileIO.rename("\(stage)/\(name)", to: "\(path)/\(name)") }
            try FileIO.rename("\(stage)/\(mark)", to: "\(path)/\(mark)")
            for name in try FileIO.list(path) where isOurs(name) && !names.contains(name) {
                FileIO.remove("\(path)/\(name)")
            }
            FileIO.removeEmptyFolder(stage)
        } catch {
            for name in (try? FileIO.list(stage)) ?? [] { FileIO.remove("\(stage)/\(name)") }
            FileIO.removeEmptyFolder(stage)
            throw error
        }
    }

    /// Keeps other processes out of the folder; nil where it is not there.
    private static func take(_ path: String) throws(FileError) -> FolderLock? {
        guard FileIO.exists(path) else { return nil }
        guard let lock = FolderLock(path) else {
            throw FileError(
                description: "another process is at work in \(path): wait for it, or name another folder")
        }
        return lock
    }

    /// Whether the files may go to a place.
    package static func check(_ path: String, mark: String) throws(FileError) {
        guard FileIO.exists(path) else { return }
        guard FileIO.isFolder(path) else {
            throw FileError(description: "\(path) is there and no folder: name another one")
        }
        guard FileIO.exists("\(path)/\(mark)") ? true : try FileIO.isEmptyFolder(path) else {
            throw FileError(description: "\(path) has other things in it: name a new folder")
        }
    }
}
