import CZlib
import Platform
import Testing

@testable import LCPDatasets

@Suite struct ArchiveTests {
    // MARK: gzip

    static func gzip(_ bytes: [UInt8]) -> [UInt8] {
        var stream = z_stream()
        deflateInit2_(
            &stream, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION,
            Int32(MemoryLayout<z_stream>.size))
        defer { deflateEnd(&stream) }
        var (input, output) = (bytes, [UInt8](repeating: 0, count: bytes.count + 1000))
        input.withUnsafeMutableBufferPointer { input in
            output.withUnsafeMutableBufferPointer { output in
                (stream.next_in, stream.avail_in) = (input.baseAddress, UInt32(input.count))
                (stream.next_out, stream.avail_out) = (output.baseAddress, UInt32(output.count))
                #expect(deflate(&stream, Z_FINISH) == Z_STREAM_END)
            }
        }
        return Array(output.prefix(Int(stream.total_out)))
    }

    static func text(_ body: () throws -> Void) -> String {
        #expect(throws: DatasetError.self, performing: body)?.description ?? ""
    }

    @Test(arguments: [0, 1, 1000, 262_144, 700_000]) func aGzipFileIsDecompressed(count: Int) throws {
        var random = SeededGenerator(seed: 1)
        let bytes = (0..<count).map { _ in UInt8(random.index(7)) }
        #expect(try Gzip.decompress(Self.gzip(bytes), limit: count, name: "x.gz") == bytes)
        if count > 0 {
            #expect(
                Self.text { _ = try Gzip.decompress(Self.gzip(bytes), limit: count - 1, name: "x.gz") }
                    == "x.gz unpacks to more than the \(count - 1) bytes allowed")
        }
    }

    @Test func aDamagedGzipFileIsRefused() {
        let whole = Self.gzip([UInt8](repeating: 5, count: 5000))
        for (bytes, words) in [
            ([], "truncated"), (Array(whole.dropLast()), "truncated"), (whole + [0], "behind its end"),
            ([1, 2, 3, 4], "no gzip file"), (Array(whole.prefix(10)), "truncated"),
        ] {
            let text = Self.text { _ = try Gzip.decompress(bytes, limit: 1 << 20, name: "x.gz") }
            #expect(text.contains(words) && text.contains("x.gz"), "\(text)")
        }
    }

    @Test func whateverIsDecompressedIsWhatWasCompressed() {
        var random = SeededGenerator(seed: 3)
        let original = (0..<5000).map { _ in UInt8(random.index(20)) }
        let whole = Self.gzip(original)
        for _ in 0..<2000 {
            var bytes = whole
            for _ in 0...random.index(3) { bytes[10 + random.index(bytes.count - 10)] ^= UInt8(1 << random.index(8)) }
            guard let result = try? Gzip.decompress(bytes, limit: 1 << 16, name: "fuzz") else { continue }
            #expect(result == original)
        }
    }

    // MARK: tar

    static func header(_ path: String, size: Int, kind: Character = "0", prefix: String = "") -> [UInt8] {
        var block = [UInt8](repeating: 0, count: 512)
        func put(_ text: String, _ position: Int) {
            block.replaceSubrange(position..<position + text.utf8.count, with: text.utf8)
        }
        put(path, 0)
        put("0000644\0", 100)
        let digits = String(size, radix: 8)
        put(String(repeating: "0", count: 11 - digits.count) + digits, 124)
        put("        ", 148)
        put(String(kind), 156)
        put("ustar\0" + "00", 257)
        put(prefix, 345)
        let sum = String(block.reduce(0) { $0 + Int($1) }, radix: 8)
        put(String(repeating: "0", count: 6 - sum.count) + sum + "\0 ", 148)
        return block
    }

    static func entry(_ path: String, _ bytes: [UInt8], kind: Character = "0", prefix: String = "") -> [UInt8] {
        header(path, size: bytes.count, kind: kind, prefix: prefix) + bytes
            + [UInt8](repeating: 0, count: (512 - bytes.count % 512) % 512)
    }

    static let end = [UInt8](repeating: 0, count: 1024)

    static let archive =
        entry("set/", [], kind: "5") + entry("set/a.bin", [1, 2, 3]) + entry("pax", [9], kind: "x")
        + entry("b.bin", [UInt8](repeating: 4, count: 1024), prefix: "../../etc") + entry("link", [], kind: "2")
        + entry("empty", []) + end

    @Test func onlyRegularFilesAreFound() throws {
        let entries = try Tar.files(in: Self.archive, name: "x.tar")
        #expect(entries.map(\.path) == ["set/a.bin", "../../etc/b.bin", "empty"])
        #expect(entries.map(\.name) == ["a.bin", "b.bin", "empty"])
        #expect(Array(Self.archive[entries[0].range]) == [1, 2, 3])
        #expect(entries[1].range.count == 1024 && entries[2].range.isEmpty)
        #expect(try Tar.files(in: Self.end, name: "x").isEmpty)
    }

    @Test func aDamagedArchiveIsRefused() {
        var wrongSum = Self.archive
        wrongSum[512] ^= 1
        var binarySize = Self.header("a", size: 0)
        binarySize[124] = 0x80
        for (bytes, words) in [
            ([], "truncated"), (Array(Self.archive.dropLast(1024)), "truncated"), (wrongSum, "damaged, at byte 512"),
            (Array(Self.entry("a", [1]).prefix(512)), "truncated"),
            (Self.header("a", size: 0o77777777777), "truncated"),
            (binarySize + Self.end, "damaged"), ([UInt8](repeating: 65, count: 2048), "no tar archive"),
        ] {
            let text = Self.text { _ = try Tar.files(in: bytes, name: "x.tar") }
            #expect(text.contains(words) && text.contains("x.tar"), "\(text)")
        }
    }

    @Test func whateverIsReadLiesInTheArchive() {
        var random = SeededGenerator(seed: 2)
        for _ in 0..<3000 {
            var bytes = Self.archive
            for _ in 0...random.index(3) { bytes[random.index(bytes.count)] = UInt8(random.index(256)) }
            if random.index(3) == 0 { bytes.removeLast(random.index(bytes.count)) }
            guard let entries = try? Tar.files(in: bytes, name: "fuzz") else { continue }
            for entry in entries { #expect(entry.range.lowerBound >= 512 && entry.range.upperBound <= bytes.count) }
            for (entry, following) in zip(entries, entries.dropFirst()) {
                #expect(entry.range.upperBound <= following.range.lowerBound)
            }
        }
    }

    // MARK: The record and the source

    @Test func aRecordReadsWhatItWrote() {
        let archive = DatasetSource.mnist.archives[0]
        let digest = SHA256.hex([1])
        var record = FetchRecord("")
        record.add(archive, digests: [archive.files[0]: digest])
        record.add(DatasetSource.cifar100.archives[0], digests: ["train.bin": digest, "test.bin": digest])
        let again = FetchRecord(record.text)
        #expect(again == record)
        #expect(again.hasFile(archive.files[0], from: archive))
        #expect(again.hasFile(archive.files[0], fromOtherThan: DatasetSource.fashionMNIST.archives[0]))
        #expect(!again.confirms(archive, in: "/nowhere"))
        #expect(FetchRecord("what\n# is a b\n\(digest)  this\n").entries.isEmpty)
    }

    @Test func theKnownSourcesAreSound() throws {
        #expect(Set(DatasetSource.all.map(\.name)).count == DatasetSource.all.count)
        for source in DatasetSource.all {
            _ = try DatasetFetcher(source: source, to: "x")
            _ = try DataSpecification("\(source.name):x", defaultDrawnCount: 1)
            #expect(!source.home.hasSuffix("/"))
            for archive in source.archives {
                #expect(archive.md5.utf8.count == 32 && archive.md5 == archive.md5.lowercased())
                #expect(archive.md5.allSatisfy(\.isHexDigit) && archive.byteCount > 0 && !archive.files.isEmpty)
            }
        }
        let digests = DatasetSource.all.flatMap(\.archives).map(\.md5)
        #expect(Set(digests).count == digests.count)
    }

    @Test(arguments: ["", "x", "ftp://x", "http://", "http:// x", "-x", "file://x", "https://\n"])
    func whatIsNoAddressIsRefused(address: String) {
        #expect(throws: DatasetError.self) { try DatasetFetcher(source: .mnist, from: address, to: "x") }
    }

    @Test("A second fetch leaves the still empty folder of the first alone")
    func aFolderInUse() async throws {
        let folder = try TestFolder()
        let lock = try #require(FolderLock(folder.path))
        defer { withExtendedLifetime(lock) {} }
        let fetcher = try DatasetFetcher(source: .mnist, from: "file:///nowhere", to: folder.path)
        let error = await #expect(throws: DatasetError.self) { try await fetcher.run() }
        #expect(error?.description.hasPrefix("another lcp data fetch is still at work in \(folder.path)") == true)
        #expect(FileIO.isFolder(folder.path) && FolderLock(folder.path) == nil)
    }

    @Test func everyEndingOfCurlHasASentence() {
        for (status, httpStatus, words) in [
            (6, 0, "cannot find host"), (7, 0, "nothing answers at host"), (22, 404, "there is no http://host/x"),
            (22, 403, "HTTP status 403"), (23, 0, "cannot write /p: is the disk full?"), (28, 0, "broke off"),
            (60, 0, "no secure connection to host: why"), (2, 0, "status 2: why"),
        ] as [(Int32, Int, String)] {
            let ending = Download.Ending(status: status, httpStatus: httpStatus, message: "why")
            #expect(ending.sentence(url: "http://host/x", path: "/p").contains(words))
            #expect(ending.isTransient == (status == 28))
        }
    }

    @Test func digestsAreThoseOfTheStandards() {
        // RFC 1321 and FIPS 180-2.
        #expect(MD5.hex(Array("abc".utf8)) == "900150983cd24fb0d6963f7d28e17f72")
        #expect(SHA256.hex(Array("abc".utf8)) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    }
}
