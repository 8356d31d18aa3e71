import Foundation
import Testing

@testable import Platform

@Suite struct FolderLockTests {
    /// A name in the temporary folder that is gone with everything under it when the test is.
    final class Place {
        let path = NSTemporaryDirectory() + "lcp-lock-\(UUID().uuidString)"
        deinit { try? FileManager.default.removeItem(atPath: path) }
    }

    @Test("A folder that another process has is not taken, and is there as before")
    func oneAtATime() throws {
        let place = Place()
        var first = try FolderLock.making(place.path)
        #expect(first != nil)
        #expect(try FolderLock.making(place.path) == nil)
        #expect(FileIO.isFolder(place.path))
        first = nil
        #expect(try FolderLock.making(place.path) != nil)
    }

    @Test("What is no folder is told as such")
    func noFolder() throws {
        let place = Place()
        try FileIO.write([], to: place.path)
        #expect(throws: FileError.self) { try FolderLock.making(place.path) }
    }

    /// A process that ends removes its empty folder while it has the lock. Another one that opened the folder just before gets
    /// the lock of a folder that is no longer there.
    @Test("A folder that was taken is there, also where another process has just removed it")
    func removedMeanwhile() async throws {
        let place = Place()
        let path = place.path
        await withTaskGroup(of: Int.self) { group in
            for _ in 0..<2 {
                group.addTask {
                    (0..<20_000).count { _ in
                        guard let lock = try? FolderLock.making(path) else { return false }
                        defer { lock.unlock() }
                        let isMissing = !FileIO.exists(path)
                        FileIO.removeEmptyFolder(path)
                        return isMissing
                    }
                }
            }
            for await missing in group { #expect(missing == 0) }
        }
    }

    @Test("Files are not put into an empty folder that another process has")
    func stagedFolder() throws {
        let place = Place()
        let lock = try #require(try FolderLock.making(place.path))
        defer { withExtendedLifetime(lock) {} }
        let error = #expect(throws: FileError.self) {
            try StagedFolder.write(to: place.path, mark: "mark", isOurs: { _ in false }) { _ in
                Issue.record("what may take hours was begun")
            }
        }
        #expect(error?.description.hasPrefix("another process is at work in \(place.path)") == true)
        #expect(try FileIO.isEmptyFolder(place.path))
        // Neither is the folder itself exchanged for another one.
        #expect(FolderLock(place.path) == nil)
    }

    @Test("Files are not put into a folder that another process made while they were written")
    func stagedFolderLater() throws {
        let place = Place()
        var lock: FolderLock?
        defer { withExtendedLifetime(lock) {} }
        let error = #expect(throws: FileError.self) {
            try StagedFolder.write(to: place.path, mark: "mark", isOurs: { _ in false }) {
                try FileIO.write([1], to: "\($0)/mark")
                lock = try FolderLock.making(place.path)
            }
        }
        #expect(error?.description.hasPrefix("another process is at work in \(place.path)") == true)
        #expect(try FileIO.isEmptyFolder(place.path))
        #expect(FolderLock(place.path) == nil)
    }
}
