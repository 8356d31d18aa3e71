import Glibc
import Images
import LCPDatasets
import LCPWire
import Platform

/// Which files of a folder are new, and whole: pure. A file counts as whole when it is as it was when it was looked at before; so
/// it works on folders that other machines write, too, which tell nobody of it.
struct FolderWatch {
    /// What tells a file from the same one when it is written further, or anew.
    struct File: Hashable {
        var name: String
        var size: Int
        /// Of the last change, nanoseconds since 1970 UTC.
        var time: Int64
    }

    /// As they were when they were sent, or found at the start.
    private var done: [String: File] = [:]
    /// As they were when they were looked at before.
    private var seen: [String: File] = [:]

    /// - Parameter present: what is there at the start, and is not new.
    init(_ present: [File]) { for file in present { done[file.name] = file } }

    /// Takes what is there now.
    ///
    /// - Returns: the names of new, whole files, the oldest first.
    mutating func look(_ files: [File]) -> [String] {
        var (stillDone, nowSeen, new) = ([String: File](), [String: File](), [File]())
        for file in files {
            if done[file.name] == file {
                stillDone[file.name] = file
            } else if seen[file.name] == file, file.size > 0 {
                stillDone[file.name] = file
                new.append(file)
            } else {
                stillDone[file.name] = done[file.name]
                nowSeen[file.name] = file
            }
        }
        (done, seen) = (stillDone, nowSeen)
        return new.sorted { ($0.time, $0.name) < ($1.time, $1.name) }.map(\.name)
    }
}

/// Looks into a folder again and again, for pictures that a camera or a program puts there.
final class FolderWatcher {
    let path: String
    private var watch: FolderWatch
    private var waiting: [String] = []
    /// Between two looks; longer where a look takes long.
    private var interval = FolderWatcher.shortest
    private static let shortest = Duration.milliseconds(200)

    /// - Throws: ``DatasetError`` where the folder cannot be read.
    init(_ path: String) throws(DatasetError) {
        self.path = path
        watch = FolderWatch(try Self.files(path))
    }

    /// The next new picture; nil where the task is cancelled.
    ///
    /// - Throws: ``PipelineError`` where the folder cannot be read any more.
    func next(isolation: isolated (any Actor)? = #isolation) async throws -> String? {
        while waiting.isEmpty {
            guard !Task.isCancelled else { return nil }
            try? await ContinuousClock().sleep(for: interval)
            let begin = ContinuousClock.now
            do { waiting = watch.look(try Self.files(path)) } catch {
                throw PipelineError(.unreadableInput, "the folder that is watched is gone: \(error)")
            }
            // A folder of very many files does not keep a processor busy.
            interval = max(Self.shortest, (ContinuousClock.now - begin) * 20)
        }
        return "\(path)/\(waiting.removeFirst())"
    }

    private static func files(_ path: String) throws(DatasetError) -> [FolderWatch.File] {
        let names: [String]
        do { names = try FileIO.list(path) } catch { throw DatasetError("\(error)") }
        return names.compactMap { name in
            let small = name.lowercased()
            guard !name.hasPrefix("."), ImageFormat.endings.contains(where: small.hasSuffix) else { return nil }
            var status = stat()
            guard stat("\(path)/\(name)", &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
            let time = Int64(status.st_mtim.tv_sec) * 1_000_000_000 + Int64(status.st_mtim.tv_nsec)
            return FolderWatch.File(name: name, size: Int(status.st_size), time: time)
        }
    }
}
