import Foundation
import LCPDatasets
import Platform
import Testing

@Suite struct FetchTests {
    /// A file server with a data set of the test's own: a compressed file and an archive, as MNIST's and CIFAR's are.
    final class Fixture: Sendable {
        let root: String
        let server: ChildProcess
        let address: String
        let source: DatasetSource
        let digits: [UInt8]
        let batches: [String: [UInt8]]

        var served: String { "\(root)/served" }
        var folder: String { "\(root)/data set" }

        init() async throws {
            root = NSTemporaryDirectory() + "lcp-\(UUID().uuidString)"
            let served = "\(root)/served"
            try FileManager.default.createDirectory(atPath: "\(served)/set", withIntermediateDirectories: true)
            var random = SeededGenerator(seed: 8)
            func noise(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8(random.index(256)) } }
            digits = noise(60_000)
            batches = ["one.bin": noise(40_000), "two.bin": noise(500)]
            for (name, bytes) in [("digits", digits)] + batches.map({ ("set/\($0)", $1) }) + [("set/readme", [1])] {
                try Data(bytes).write(to: URL(fileURLWithPath: "\(served)/\(name)"))
            }
            #expect(
                try await run("/bin/sh", ["-c", "cd '\(served)' && gzip digits && tar czf set.tar.gz set"]).status == 0)
            func archive(_ name: String, _ format: DatasetSource.Archive.Format, _ files: [String]) throws
                -> DatasetSource.Archive
            {
                let bytes = try FileIO.read("\(served)/\(name)")
                return .init(
                    name: name, byteCount: bytes.count, md5: try #require(MD5.hex(bytes)), format: format, files: files)
            }
            let archives = [
                try archive("digits.gz", .gzip, ["digits"]),
                try archive("set.tar.gz", .compressedTar, ["one.bin", "two.bin"]),
            ]
            let python = ["/usr/bin/python3", ChildProcess.find("python3") ?? ""].first {
                FileManager.default.isExecutableFile(atPath: $0)
            }
            server = try ChildProcess(
                executable: try #require(python, "no python3"),
                arguments: [Repository.root.appendingPathComponent("Tests/Fixtures/file-server.py").path, served])
            var port: String?
            for _ in 0..<1000 where port == nil {
                port = try? String(contentsOfFile: "\(served)/port", encoding: .utf8)
                try await Task.sleep(for: .milliseconds(10))
            }
            address = "http://127.0.0.1:\(try #require(port, "the file server did not start"))"
            source = DatasetSource(name: "test", home: address, archives: archives)
        }

        deinit {
            server.stop()
            try? FileManager.default.removeItem(atPath: root)
        }

        func fetcher(_ mode: String = "", _ change: (inout DatasetSource) -> Void = { _ in }) throws -> DatasetFetcher {
            var source = source
            change(&source)
            var fetcher = try DatasetFetcher(source: source, from: "\(address)/\(mode)", to: folder)
            fetcher.retryDelay = .milliseconds(10)
            return fetcher
        }

        /// The requests since the last time, `PATH RANGE` each.
        func requests() -> [String] {
            let path = "\(served)/requests"
            defer { FileIO.remove(path) }
            return ((try? String(contentsOfFile: path, encoding: .utf8)) ?? "").split(separator: "\n").map(String.init)
        }

        func put(_ name: String, _ bytes: some Collection<UInt8>) throws {
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            try Data(bytes).write(to: URL(fileURLWithPath: "\(folder)/\(name)"))
        }

        func archive(_ name: String) throws -> [UInt8] { try FileIO.read("\(served)/\(name)") }

        var names: [String] { ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).sorted() }

        func expectWhole() throws {
            #expect(try FileIO.read("\(folder)/digits") == digits)
            for (name, bytes) in batches { #expect(try FileIO.read("\(folder)/\(name)") == bytes) }
            #expect(names == ["digits", "lcp-fetched.sha256", "one.bin", "two.bin"])
        }
    }

    @Test func aDataSetIsFetchedOnce() async throws {
        let fixture = try await Fixture()
        var fractions: [Double] = []
        let summary = try await fixture.fetcher().run { fractions.append($0.fraction) }
        #expect(summary.fetched == ["digits.gz", "set.tar.gz"] && summary.kept.isEmpty)
        try fixture.expectWhole()
        #expect(fixture.requests() == ["/digits.gz -", "/set.tar.gz -"])
        #expect(fractions == fractions.sorted() && fractions.last == 1)
        // The record is one that sha256sum reads.
        let check = try await run("/bin/sh", ["-c", "cd '\(fixture.folder)' && sha256sum -c lcp-fetched.sha256"])
        #expect(check.status == 0 && !check.errors.contains("WARNING"), "\(check.output)\(check.errors)")

        #expect(try await fixture.fetcher().run().kept == ["digits.gz", "set.tar.gz"])
        #expect(fixture.requests().isEmpty)

        // What was damaged since, or deleted, comes again, and only that.
        try fixture.put("two.bin", [1, 2, 3])
        #expect(try await fixture.fetcher().run().fetched == ["set.tar.gz"])
        FileIO.remove("\(fixture.folder)/digits")
        #expect(try await fixture.fetcher().run().fetched == ["digits.gz"])
        try fixture.expectWhole()
    }

    @Test func aDownloadGoesOnWhereItStopped() async throws {
        let fixture = try await Fixture()
        // In one run: the server cuts each file in the middle.
        _ = try await fixture.fetcher("cut").run()
        try fixture.expectWhole()
        let requests = fixture.requests()
        let halves = try ["digits.gz", "set.tar.gz"].map { try fixture.archive($0).count / 2 }
        #expect(
            requests == [
                "/cut/digits.gz -", "/cut/digits.gz bytes=\(halves[0])-", "/cut/set.tar.gz -",
                "/cut/set.tar.gz bytes=\(halves[1])-",
            ])

        // And in the next run: a beginning is there.
        FileIO.remove("\(fixture.folder)/one.bin")
        try fixture.put("set.tar.gz.part", fixture.archive("set.tar.gz").prefix(1000))
        _ = try await fixture.fetcher().run()
        #expect(fixture.requests() == ["/set.tar.gz bytes=1000-"])
        try fixture.expectWhole()

        // Or all of it, and only the unpacking is missing.
        FileIO.remove("\(fixture.folder)/one.bin")
        try fixture.put("set.tar.gz.part", fixture.archive("set.tar.gz"))
        _ = try await fixture.fetcher().run()
        #expect(fixture.requests().isEmpty)
        try fixture.expectWhole()
    }

    @Test func aServerWithoutRangesAndABusyOneAreTakenAsTheyAre() async throws {
        let fixture = try await Fixture()
        try fixture.put("digits.gz.part", fixture.archive("digits.gz").prefix(1000))
        _ = try await fixture.fetcher("whole").run()
        try fixture.expectWhole()
        #expect(fixture.requests().count == 3)
        try FileManager.default.removeItem(atPath: fixture.folder)
        _ = try await fixture.fetcher("busy").run()
        try fixture.expectWhole()
        #expect(fixture.requests().count == 4)
    }

    /// The error of a fetch, which leaves nothing in its folder but what was there.
    func failure(_ fixture: Fixture, _ fetcher: DatasetFetcher, leaves names: [String] = []) async throws -> String {
        let error = await #expect(throws: DatasetError.self) { _ = try await fetcher.run() }
        #expect(fixture.names == names)
        return error?.description ?? ""
    }

    @Test func anotherFileThanThePublishedOneIsRefused() async throws {
        let fixture = try await Fixture()
        var text = try await failure(
            fixture, fixture.fetcher { $0.archives[0].md5 = String(repeating: "0", count: 32) })
        #expect(text.contains("/digits.gz is not the file that was published"))
        text = try await failure(fixture, fixture.fetcher { $0.archives[0].byteCount -= 1 })
        #expect(text.contains("/digits.gz has more than the"))
        // A beginning of another file does not become part of this one.
        try fixture.put("digits.gz.part", [UInt8](repeating: 7, count: 1000))
        text = try await failure(fixture, fixture.fetcher())
        #expect(text.contains("is not the file"))
        // What was longer than it may be is forgotten.
        try fixture.put("digits.gz.part", [UInt8](repeating: 7, count: 100_000))
        _ = try await fixture.fetcher().run()
        try fixture.expectWhole()
    }

    @Test func anArchiveThatIsNoneIsRefusedEvenWithTheRightDigest() async throws {
        let fixture = try await Fixture()
        func change(_ archive: inout DatasetSource.Archive, _ name: String) throws {
            let bytes = try fixture.archive(name)
            archive.name = name
            (archive.byteCount, archive.md5) = (bytes.count, try #require(MD5.hex(bytes)))
        }
        try Data([UInt8](repeating: 7, count: 5000)).write(to: URL(fileURLWithPath: "\(fixture.served)/noise.gz"))
        let noise = try fixture.fetcher { source in try? change(&source.archives[0], "noise.gz") }
        #expect(try await failure(fixture, noise, leaves: ["noise.gz.part"]).contains("noise.gz is no gzip file"))
        FileIO.remove("\(fixture.folder)/noise.gz.part")
        let flat = try fixture.fetcher { source in
            source.archives[0].format = .compressedTar
        }
        #expect(try await failure(fixture, flat, leaves: ["digits.gz.part"]).contains("digits.gz is no tar archive"))
        FileIO.remove("\(fixture.folder)/digits.gz.part")
        let missing = try fixture.fetcher { source in
            source.archives.removeFirst()
            source.archives[0].files.append("three.bin")
        }
        #expect(
            try await failure(fixture, missing, leaves: ["set.tar.gz.part"]).contains("has 0 files three.bin"))
    }

    @Test func nobodysFilesAreReplaced() async throws {
        let fixture = try await Fixture()
        try fixture.put("digits", [1, 2, 3])
        #expect(
            try await failure(fixture, fixture.fetcher(), leaves: ["digits"]).contains("digits is there and is not"))
        #expect(try FileIO.read("\(fixture.folder)/digits") == [1, 2, 3])
        // The same bytes, put there by hand, are as good as fetched.
        try fixture.put("digits", fixture.digits)
        _ = try await fixture.fetcher().run()
        try fixture.expectWhole()
        // MNIST and Fashion-MNIST have the same names.
        let other = try fixture.fetcher { $0.archives[0].md5 = String(repeating: "0", count: 32) }
        #expect(
            try await failure(fixture, other, leaves: ["digits", "lcp-fetched.sha256", "one.bin", "two.bin"])
                .contains("digits is another data set's"))
    }

    // MARK: The command

    static let images = "train-images-idx3-ubyte.gz"

    func fetch(_ fixture: Fixture, from address: String) -> [String] {
        ["data", "fetch", "mnist", "--to", fixture.folder, "--from", address]
    }

    func expectFailure(_ outcome: Outcome, _ words: String, _ fixture: Fixture) {
        #expect(outcome.status == 1 && outcome.output.isEmpty)
        #expect(outcome.errors.contains(words), "\(outcome.errors)")
        #expect(outcome.errors.split(separator: "\n").count == 1, "\(outcome.errors)")
        #expect(fixture.names.isEmpty)
    }

    @Test func theCommandSaysInOneSentenceWhyThereIsNoData() async throws {
        let fixture = try await Fixture()
        var outcome = try await run(Repository.lcp, fetch(fixture, from: fixture.address + "/"))
        expectFailure(outcome, "there is no \(fixture.address)/\(Self.images)", fixture)
        outcome = try await run(Repository.lcp, fetch(fixture, from: "http://127.0.0.1:1"))
        expectFailure(outcome, "nothing answers at 127.0.0.1:1", fixture)
        outcome = try await run(Repository.lcp, fetch(fixture, from: "http://no-such-host.invalid"))
        expectFailure(outcome, "cannot find no-such-host.invalid", fixture)
        outcome = try await run(Repository.lcp, fetch(fixture, from: "file:///nowhere"))
        expectFailure(outcome, "cannot read file:///nowhere", fixture)
        outcome = try await run(Repository.lcp, fetch(fixture, from: "ftp://127.0.0.1"))
        expectFailure(outcome, "is no address to fetch from", fixture)
        try FileManager.default.copyItem(
            atPath: "\(fixture.served)/digits.gz", toPath: "\(fixture.served)/\(Self.images)")
        outcome = try await run(Repository.lcp, fetch(fixture, from: fixture.address))
        expectFailure(outcome, "is not the file that was published", fixture)
        outcome = try await run(Repository.lcp, ["data", "fetch", "mnist", "--to", "\(fixture.served)/digits.gz/x"])
        #expect(outcome.status == 1 && outcome.errors.contains("Not a directory"), "\(outcome.errors)")
    }

    /// A limit for the size of files stands in for a full disk.
    @Test func aFullDiskLeavesNothing() async throws {
        let fixture = try await Fixture()
        let big = [UInt8](repeating: 1, count: 500_000)
        try Data(big).write(to: URL(fileURLWithPath: "\(fixture.served)/\(Self.images)"))
        let command = fetch(fixture, from: fixture.address).map { "'\($0)'" }.joined(separator: " ")
        let outcome = try await run(
            "/bin/sh", ["-c", "trap '' XFSZ; ulimit -f 100; exec '\(Repository.lcp)' \(command)"])
        expectFailure(outcome, "is the disk full?", fixture)
    }

    @Test(arguments: [SIGINT, SIGTERM, SIGKILL])
    func aFetchThatIsEndedTakesCurlAlong(signal: Int32) async throws {
        let fixture = try await Fixture()
        let big = [UInt8](repeating: 1, count: 500_000)
        try Data(big).write(to: URL(fileURLWithPath: "\(fixture.served)/\(Self.images)"))
        let part = "\(fixture.folder)/\(Self.images).part"
        let child = try ChildProcess(
            executable: Repository.lcp, arguments: fetch(fixture, from: "\(fixture.address)/slow"),
            errorOutput: .discarded)
        for _ in 0..<2000 where FileIO.size(part) == 0 { try await Task.sleep(for: .milliseconds(10)) }
        #expect(FileIO.size(part) > 0)
        let curls = CommandTests.processes(with: part).filter { $0 != child.processID }
        #expect(curls.count == 1)

        // Nobody else writes there at the same time.
        let second = try await run(Repository.lcp, fetch(fixture, from: fixture.address))
        #expect(second.status == 1 && second.errors.contains("still at work in"), "\(second.errors)")

        kill(child.processID, signal)
        for _ in 0..<1000 where child.poll() == nil { try await Task.sleep(for: .milliseconds(10)) }
        if signal == SIGKILL {
            // Nothing can stop curl then, but it still keeps everybody out until it ends.
            let third = try await run(Repository.lcp, fetch(fixture, from: fixture.address))
            #expect(third.status == 1 && third.errors.contains("still at work in"), "\(third.errors)")
            for curl in curls { kill(curl, SIGTERM) }
        } else {
            #expect(child.poll() == 128 + signal)
            #expect(CommandTests.processes(with: part).isEmpty)
        }
        for _ in 0..<500 where !CommandTests.processes(with: part).isEmpty {
            try await Task.sleep(for: .milliseconds(10))
        }

        // What came is taken up the next time.
        let size = FileIO.size(part)
        #expect(fixture.names == ["\(Self.images).part"] && size > 0)
        _ = fixture.requests()
        _ = try await run(Repository.lcp, fetch(fixture, from: fixture.address))
        #expect(fixture.requests().first == "/\(Self.images) bytes=\(size)-")
    }

    @Test func theCommandShowsWhatIsInADataSet() async throws {
        let outcome = try await run(Repository.lcp, ["data", "show", "drawn:50", "--json"])
        let summary = try #require(
            try JSONSerialization.jsonObject(with: Data(outcome.output.utf8)) as? [String: Any])
        #expect((summary["training"] as? [Int])?.reduce(0, +) == 50 && summary["size"] as? [Int] == [28, 28, 1])
        let table = try await run(Repository.lcp, ["data", "show", "drawn:50"])
        #expect(table.status == 0 && table.output.hasPrefix("drawn: 50 images, 28×28×1, 10 classes\n"))
        let missing = try await run(Repository.lcp, ["data", "show", "cifar100:/nowhere"])
        #expect(missing.status == 1 && missing.errors.contains("there is no train.bin in /nowhere"))
    }
}
