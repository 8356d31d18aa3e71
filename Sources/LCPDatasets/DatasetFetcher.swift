import Glibc
import Platform

/// Brings a data set onto this machine: downloads, checks and unpacks its archives.
///
/// Every file is there whole or not at all. A download that was interrupted goes on where it stopped, and what was fetched
/// before, and is still as it was, is not fetched again.
public struct DatasetFetcher: Sendable {
    /// How far it is.
    public struct Progress: Sendable, Hashable {
        /// The archive that is on its way.
        public var archive: String
        /// The bytes that are there, of all archives that have to come.
        public var received: Int
        public var total: Int
        public var bytesPerSecond: Double

        public var fraction: Double { total > 0 ? Double(received) / Double(total) : 1 }
        /// Seconds until all is there, as far as one can tell.
        public var remaining: Double { bytesPerSecond > 0 ? Double(total - received) / bytesPerSecond : .infinity }
    }

    /// What was done.
    public struct Summary: Sendable, Hashable {
        /// The archives that were fetched and unpacked.
        public var fetched: [String] = []
        /// The archives whose files were there already.
        public var kept: [String] = []
    }

    let source: DatasetSource
    let base: String
    let folder: String
    /// How long the first new attempt waits after a connection broke.
    package var retryDelay: Duration = .seconds(1)

    /// The most bytes that an archive unpacks to.
    private static let maximumUnpackedBytes = 1 << 30

    /// - Parameters:
    ///   - base: an address in front of the archives' names, in place of the source's own.
    ///   - folder: where the files go; it is made where it is missing.
    /// - Throws: ``DatasetError`` where `base` is no address.
    public init(source: DatasetSource, from base: String? = nil, to folder: String) throws(DatasetError) {
        var base = base ?? source.home
        while base.hasSuffix("/") { base.removeLast() }
        guard ["http://", "https://", "file:///"].contains(where: { base.hasPrefix($0) && base.count > $0.count }),
            !base.contains(where: { $0.isWhitespace || $0.isNewline })
        else {
            throw DatasetError(
                "\(base.debugDescription) is no address to fetch from: write for example http://SERVER/\(source.name)")
        }
        self.source = source
        self.base = base
        self.folder = folder
    }

    /// Fetches what is missing.
    ///
    /// - Throws: ``DatasetError``; `CancellationError` where the task is cancelled. No program goes on in the background then.
    public func run(progress: (Progress) -> Void = { _ in }) async throws -> Summary {
        let lock = try takeFolder()
        defer { lock.unlock() }
        // Where nothing came at all, nothing stays.
        defer { FileIO.removeEmptyFolder(folder) }
        var record = FetchRecord(folder: folder)
        var summary = Summary()
        var missing: [DatasetSource.Archive] = []
        for archive in source.archives {
            if record.confirms(archive, in: folder) {
                summary.kept.append(archive.name)
                continue
            }
            for file in archive.files
            where record.hasFile(file, fromOtherThan: archive) && FileIO.exists("\(folder)/\(file)") {
                throw DatasetError("\(folder)/\(file) is another data set's that was fetched: name another folder")
            }
            missing.append(archive)
        }
        guard !missing.isEmpty else { return summary }
        guard let curl = ChildProcess.find("curl") else {
            throw DatasetError("there is no curl on this machine: install it with `sudo apt install curl`")
        }

        let total = missing.reduce(0) { $0 + $1.byteCount }
        var done = 0
        var meter = Meter()
        for archive in missing {
            let part = "\(folder)/\(archive.name).part"
            if try !isWhole(part, archive) {
                let download = Download(
                    curl: curl, url: "\(base)/\(archive.name)", path: part, byteCount: archive.byteCount,
                    lock: lock.descriptor, retryDelay: retryDelay)
                meter.start(at: done + FileIO.size(part))
                try await download.run { bytes in
                    let received = done + bytes
                    progress(
                        Progress(
                            archive: archive.name, received: received, total: total,
                            bytesPerSecond: meter.rate(at: received)))
                }
                guard try digest(part) == archive.md5 else {
                    FileIO.remove(part)
                    throw DatasetError(
                        "\(base)/\(archive.name) is not the file that was published, its MD5 digest is another: run the command again, or name a mirror with --from"
                    )
                }
            }
            try Task.checkCancellation()
            try unpack(part, archive, &record)
            done += archive.byteCount
            summary.fetched.append(archive.name)
        }
        return summary
    }

    /// Keeps two fetches out of one folder. A curl that outlives its parent keeps the lock until it ends.
    private func takeFolder() throws(DatasetError) -> FolderLock {
        let lock: FolderLock?
        do { lock = try FolderLock.making(folder) } catch { throw DatasetError("\(error)") }
        guard let lock else {
            throw DatasetError("another lcp data fetch is still at work in \(folder): wait for it, or end it")
        }
        return lock
    }

    /// Whether a download came to its end before, and only the unpacking did not.
    private func isWhole(_ part: String, _ archive: DatasetSource.Archive) throws(DatasetError) -> Bool {
        guard FileIO.size(part) >= archive.byteCount else { return false }
        if try digest(part) == archive.md5 { return true }
        FileIO.remove(part)
        return false
    }

    private func digest(_ path: String) throws(DatasetError) -> String {
        do {
            guard let digest = MD5.hex(try FileIO.read(path)) else {
                throw DatasetError("cannot check \(path): this machine's libcrypto is set up without MD5")
            }
            return digest
        } catch let error as DatasetError {
            throw error
        } catch {
            throw DatasetError("\(error)")
        }
    }

    /// Writes the files of a whole archive, and takes the archive away.
    private func unpack(
        _ part: String, _ archive: DatasetSource.Archive, _ record: inout FetchRecord
    ) throws(DatasetError) {
        do {
            let unpacked = try Gzip.decompress(
                try FileIO.read(part), limit: Self.maximumUnpackedBytes, name: archive.name)
            var digests: [String: String] = [:]
            for (file, range) in try contents(of: unpacked, archive) {
                let (path, bytes) = ("\(folder)/\(file)", Array(unpacked[range]))
                digests[file] = SHA256.hex(bytes)
                // Somebody's own file is nobody's to replace.
                if FileIO.exists(path), !record.hasFile(file, from: archive) {
                    guard try FileIO.read(path) == bytes else {
                        FileIO.remove(part)
                        throw DatasetError(
                            "\(path) is there and is not \(source.name)'s: move it away, or name another folder")
                    }
                } else {
                    try FileIO.write(bytes, to: path)
                }
            }
            record.add(archive, digests: digests)
            try record.write(folder: folder)
            FileIO.remove(part)
        } catch let error as DatasetError {
            throw error
        } catch {
            throw DatasetError("\(error)")
        }
    }

    /// Where the wanted files lie, once it is clear that all are there.
    private func contents(
        of bytes: [UInt8], _ archive: DatasetSource.Archive
    ) throws(DatasetError) -> [(file: String, range: Range<Int>)] {
        guard archive.format == .compressedTar else { return [(archive.files[0], 0..<bytes.count)] }
        let entries = try Tar.files(in: bytes, name: archive.name)
        var result: [(file: String, range: Range<Int>)] = []
        for file in archive.files {
            let found = entries.filter { $0.name == file }
            guard found.count == 1 else {
                throw DatasetError("\(archive.name) has \(found.count) files \(file) where one is needed")
            }
            result.append((file, found[0].range))
        }
        return result
    }
}

/// Measures how fast bytes come.
private struct Meter {
    private var begin = ContinuousClock.now
    private var elapsed = Duration.zero
    private var received = 0
    private var mark = 0

    /// Begins anew where `position` bytes are there already, which cost no time.
    mutating func start(at position: Int) {
        begin = ContinuousClock.now
        mark = position
    }

    mutating func rate(at position: Int) -> Double {
        let now = ContinuousClock.now
        elapsed += now - begin
        begin = now
        received += max(0, position - mark)
        mark = position
        let (seconds, attoseconds) = elapsed.components
        let time = Double(seconds) + Double(attoseconds) * 1e-18
        return time > 0 ? Double(received) / time : 0
    }
}
