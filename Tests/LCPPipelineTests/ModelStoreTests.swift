import LCPWire
import Foundation
import LCPModels
import Synchronization
import Platform
import Testing

@testable import LCPPipeline

/// Files that came over MQTT, on disk.
@Suite final class ModelStoreTests {
    let folder = NSTemporaryDirectory() + "lcp-store-\(UUID().uuidString)"
    let bundle: ModelBundle
    let offer: ModelOffer
    /// How often contents were read and hashed.
    private let hashes = HashCount()
    var cache: ModelCache
    var store: ModelStore

    private final class HashCount: Sendable {
        let count = Atomic<Int>(0)
    }

    init() throws {
        bundle = try ModelBundle.find("lenet-split2")
        offer = try ModelOffer(bundle, chunkBytes: 4096)
        cache = ModelCache(path: folder)
        cache.digest = { [hashes] in
            hashes.count.add(1, ordering: .relaxed)
            return SHA256.hex($0)
        }
        store = ModelStore(cache)
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    func contents(_ file: ModelOffer.File) throws -> [UInt8] { try FileIO.read("\(bundle.path)/\(file.name)") }

    func write(_ bytes: [UInt8], _ file: ModelOffer.File) throws { try cache.write(bytes, file, of: offer) }

    func has(_ file: ModelOffer.File) -> Bool { store.has(file, of: offer) }

    var hashCount: Int { hashes.count.load(ordering: .relaxed) }

    @Test("A file that was verified when it came is not hashed again")
    func keepsWhatCame() throws {
        for file in offer.files {
            #expect(!has(file))
            try store.keep(try contents(file), file, of: offer)
        }
        for _ in 0..<3 {
            #expect(offer.files.allSatisfy { has($0) })
            #expect(try store.open(offer).hash == bundle.hash)
        }
        #expect(hashCount == 0)
    }

    @Test("A file of an earlier process is hashed once")
    func verifiesOnce() throws {
        for file in offer.files { try write(try contents(file), file) }
        for _ in 0..<3 { #expect(offer.files.allSatisfy { has($0) }) }
        #expect(hashCount == offer.files.count)
    }

    @Test("A file with other contents is not taken, though it has the right size", arguments: [true, false])
    func otherContents(isSameSize: Bool) throws {
        let file = offer.files[1]
        var bytes = try contents(file)
        if isSameSize { bytes[bytes.count / 2] ^= 1 } else { bytes.append(0) }
        try write(bytes, file)
        #expect(!has(file) && !cache.has(file, of: offer))
        #expect(!has(file))
        // It is fetched once more.
        try store.keep(try contents(file), file, of: offer)
        #expect(has(file) && cache.has(file, of: offer))
    }

    @Test("A file that was changed, replaced or removed after it was verified is noticed", arguments: 0..<4)
    func changedAfterwards(how: Int) throws {
        let file = offer.files[1]
        let path = cache.path(of: file, offer)
        try store.keep(try contents(file), file, of: offer)
        var bytes = try contents(file)
        bytes[0] ^= 1
        switch how {
        case 0: try write(bytes, file)
        case 1:
            // In its place, with the time that it had.
            var status = stat()
            stat(path, &status)
            let handle = try #require(FileHandle(forWritingAtPath: path))
            try handle.write(contentsOf: bytes)
            try handle.close()
            // As if the clock had gone on: it is coarser than this test is slow.
            utimensat(AT_FDCWD, path, [status.st_atim, timespec(tv_sec: status.st_mtim.tv_sec + 1, tv_nsec: 0)], 0)
        case 2: #expect(truncate(path, off_t(bytes.count - 1)) == 0)
        default: try FileManager.default.removeItem(atPath: path)
        }
        #expect(!has(file))
        try store.keep(try contents(file), file, of: offer)
        #expect(has(file))
    }

    @Test("A file whose contents were changed is noticed, though its size and the time of its contents are as before")
    func changedInSecret() throws {
        let file = offer.files[1]
        let path = cache.path(of: file, offer)
        try store.keep(try contents(file), file, of: offer)
        var (before, after) = (stat(), stat())
        stat(path, &before)
        var bytes = try contents(file)
        bytes[0] ^= 1
        let handle = try #require(FileHandle(forWritingAtPath: path))
        try handle.write(contentsOf: bytes)
        try handle.close()
        // The inode's own time cannot be set: it goes on with the clock of the file system, which is a coarse one.
        repeat {
            utimensat(AT_FDCWD, path, [before.st_atim, before.st_mtim], 0)
            stat(path, &after)
        } while after.st_ctim.tv_sec == before.st_ctim.tv_sec && after.st_ctim.tv_nsec == before.st_ctim.tv_nsec
        #expect(after.st_mtim.tv_nsec == before.st_mtim.tv_nsec && after.st_size == before.st_size)
        #expect(!has(file))
    }

    @Test("Opening a model takes older ones away where there are too many, and not the one that is opened")
    func prunes() throws {
        try store.keep(try contents(offer.files[0]), offer.files[0], of: offer)
        let long = timespec(tv_sec: 1, tv_nsec: 0)
        utimensat(AT_FDCWD, cache.path(of: offer.files[0], offer), [long, long], 0)
        for number in 0..<10 {
            var other = offer
            other.model = String(format: "%032x", number)
            try cache.write(Array("{}".utf8), offer.files[0], of: other)
        }
        #expect(try store.open(offer).hash == bundle.hash)
        let left = try FileManager.default.contentsOfDirectory(atPath: folder)
        // The oldest is the one that is held: it is over and above.
        #expect(left.count == ModelCache.maximumModels + 1 && left.contains(offer.model))
    }

    @Test("Another hash for the same file is another file")
    func otherHash() throws {
        var file = offer.files[1]
        try store.keep(try contents(file), file, of: offer)
        file.sha256 = String(repeating: "0", count: 64)
        #expect(!has(file))
    }

    @Test("The model that is opened is the one that was offered")
    func opens() throws {
        #expect(throws: ModelBundleError.self) { try self.store.open(self.offer) }
        try store.keep(try contents(offer.files[0]), offer.files[0], of: offer)
        #expect(try store.open(offer).hash == bundle.hash)
        // What is said of it must fit what it is.
        var other = offer
        other.model = String(repeating: "0", count: 32)
        try store.keep(try contents(offer.files[0]), offer.files[0], of: other)
        #expect(throws: PipelineError.self) { try self.store.open(other) }
        var fewer = offer
        fewer.files.remove(at: 1)
        #expect(throws: PipelineError.self) { try ModelStore(self.cache).opened(fewer) }
        // Changed after it was opened: it is read again.
        try write(Array("{}".utf8), offer.files[0])
        #expect(throws: ModelBundleError.self) { try self.store.open(self.offer) }
    }

    @Test("The model that is run, the next one and one that is tried are held, and none before")
    func holds() throws {
        func offer(_ number: Int) throws -> ModelOffer {
            // Another name makes another model.
            let path = folder + "/bundle-\(number)"
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            try FileManager.default.copyItem(atPath: bundle.path, toPath: path)
            defer { try? FileManager.default.removeItem(atPath: path) }
            let json = String(decoding: try FileIO.read(path + "/model.json"), as: UTF8.self)
            let renamed = json.replacingOccurrences(of: "lenet-split2", with: "lenet-split2-\(number)")
            try FileIO.write(Array(renamed.utf8), to: path + "/model.json")
            let offer = try ModelOffer(try ModelBundle(path: path), chunkBytes: 4096)
            try store.keep(Array(renamed.utf8), offer.files[0], of: offer)
            return offer
        }
        func isFree(_ offer: ModelOffer) -> Bool {
            let descriptor = Glibc.open("\(cache.folder(offer))/model.json", O_RDONLY)
            defer { close(descriptor) }
            return flock(descriptor, LOCK_EX | LOCK_NB) == 0
        }
        let offers = try (1...4).map(offer)
        #expect(offers.allSatisfy(isFree))
        for offer in offers { _ = try store.open(offer) }
        _ = try store.open(offers[3])
        #expect(offers.map(isFree) == [true, false, false, false])
    }

    @Test("Offers without end are not all kept in mind")
    func isBounded() throws {
        let file = offer.files[1]
        try store.keep(try contents(file), file, of: offer)
        for number in 0..<100 {
            var other = offer
            other.model = String(format: "%032x", number)
            let isThere = store.has(file, of: other)
            #expect(!isThere)
        }
        #expect(has(file) && hashCount == 1, "it was forgotten, and is verified anew")
    }
}

extension ModelStore {
    fileprivate func opened(_ offer: ModelOffer) throws -> ModelBundle {
        var store = self
        return try store.open(offer)
    }
}
