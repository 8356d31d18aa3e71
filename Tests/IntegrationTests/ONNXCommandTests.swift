import Foundation
import LCPModels
import Platform
import Testing

@Suite struct ONNXCommandTests {
    static let fixtures = Repository.root.appendingPathComponent("Tests/Fixtures/onnx").path

    /// The numbers that a bundle gives for each file.
    private static func logits(_ bundle: String, _ files: [String]) async throws -> [[Double]] {
        struct Report: Decodable { let logits: [Double] }
        let outcome = try await run(Repository.lcp, ["predict", bundle] + files + ["--json"])
        try #require(outcome.status == 0, "\(outcome.errors)")
        return try outcome.output.split(separator: "\n").map {
            try JSONDecoder().decode(Report.self, from: Data($0.utf8)).logits
        }
    }

    @Test("What has no arithmetic in eight bits is neither costed nor made in it")
    func noIntegers() async throws {
        let folder = ModelCommandTests.Folder()
        try FileManager.default.createDirectory(atPath: folder.path, withIntermediateDirectories: true)
        let network = try Network(
            name: "smooth", input: .init(height: 28, width: 28, channels: 1),
            layers: [.convolution(outputs: 2, kernel: 3), .prelu, .globalAveragePool], classes: 10,
            merge: .concat
        ).split(into: 1)
        var random = SeededGenerator(seed: 1)
        let path = "\(folder.path)/smooth"
        try ModelBundle.write(
            name: "smooth", network: network, parameters: ModelParameters.random(for: network, using: &random),
            preprocessing: .init(mean: [0], standardDeviation: [1]), labels: (0..<10).map { "\($0)" }, to: path)
        let costed = try await ModelCommandTests.model(["cost", path, "--int8"])
        #expect(
            costed.status == 1 && costed.errors.contains("PReLU has no arithmetic in eight bits"), "\(costed.errors)")
        let made = try await run(
            Repository.lcp, ["quantize", path, "--data", "drawn:20", "--out", "\(folder.path)/eight"])
        #expect(made.status == 1 && made.errors.contains("keep the model in single precision"), "\(made.errors)")
        let page = try await run(
            Repository.lcp, ["evaluate", path, "--data", "drawn:20", "--html", folder.path])
        #expect(page.status == 1 && page.errors.contains("is no file's name"), "\(page.errors)")
    }

    @Test("--check tells in a line that a file can be read, writes nothing, and tells all reasons why one cannot")
    func check() async throws {
        let fine = try await ModelCommandTests.model(["import", "\(Self.fixtures)/lenet.onnx", "--check"])
        #expect(fine.status == 0 && fine.output.contains("lenet.onnx can be read: "), "\(fine.errors)")
        #expect(fine.output.split(separator: "\n").count == 1)
        let both = try await ModelCommandTests.model([
            "import", "\(Self.fixtures)/lenet.onnx", "--check", "--out", "never",
        ])
        #expect(both.status != 0 && both.errors.contains("give one of them"))
        let folder = ModelCommandTests.Folder()
        try FileManager.default.createDirectory(atPath: folder.path, withIntermediateDirectories: true)
        let file = "\(folder.path)/odd.onnx"
        var bytes = Array(try Data(contentsOf: URL(fileURLWithPath: "\(Self.fixtures)/lenet.onnx")))
        // Two operators that nobody has, by names as long as those that were there.
        func replace(_ old: String, _ new: String) {
            let (old, new) = (Array(old.utf8), Array(new.utf8))
            let place = (0...bytes.count - old.count).first { bytes[$0..<$0 + old.count].elementsEqual(old) }
            if let place { bytes.replaceSubrange(place..<place + old.count, with: new) }
        }
        replace("\u{22}\u{04}Conv", "\u{22}\u{04}Konv")
        replace("\u{22}\u{04}Gemm", "\u{22}\u{04}Jemm")
        try Data(bytes).write(to: URL(fileURLWithPath: file))
        let odd = try await ModelCommandTests.model(["import", file, "--check"])
        #expect(odd.status == 1 && odd.errors.contains("2 kinds of nodes that cannot be layers"), "\(odd.errors)")
        #expect(odd.errors.contains("(Konv)") && odd.errors.contains("(Jemm)"))
    }

    @Test("A network that takes blue first becomes one that takes red first, and gives the same numbers")
    func blueFirst() async throws {
        let folder = ModelCommandTests.Folder()
        try FileManager.default.createDirectory(atPath: folder.path, withIntermediateDirectories: true)
        let numbers = ["--mean", "0.1,0.2,0.3", "--std", "0.2,0.3,0.4"]
        let (plain, turned) = ("\(folder.path)/plain", "\(folder.path)/turned")
        _ = try await ModelCommandTests.json(["import", "\(Self.fixtures)/cifarnet.onnx", "--out", plain] + numbers)
        _ = try await ModelCommandTests.json(
            ["import", "\(Self.fixtures)/cifarnet.onnx", "--channels", "bgr", "--out", turned] + numbers)
        #expect(try ModelBundle(path: turned).manifest.preprocessing.mean == [0.3, 0.2, 0.1])
        #expect(try ModelBundle(path: turned).manifest.training?.command.contains("--channels bgr") == true)
        let pixels = (0..<3072).map { UInt8(truncatingIfNeeded: $0 &* 2_654_435_761 >> 9) }
        let swapped = stride(from: 0, to: 3072, by: 3).flatMap { [pixels[$0 + 2], pixels[$0 + 1], pixels[$0]] }
        try Data(pixels).write(to: URL(fileURLWithPath: "\(folder.path)/red.bin"))
        try Data(swapped).write(to: URL(fileURLWithPath: "\(folder.path)/blue.bin"))
        let wanted = try await Self.logits(plain, ["\(folder.path)/blue.bin"])[0]
        let found = try await Self.logits(turned, ["\(folder.path)/red.bin"])[0]
        #expect(zip(wanted, found).allSatisfy { abs($0 - $1) < 1e-4 } && wanted.count == 10, "\(wanted) \(found)")
        let told = ["import", "\(Self.fixtures)/cifarnet.onnx", "--mean", "123.7,116.3,103.5", "--std", "58"]
        #expect(try await ModelCommandTests.model(told).errors.contains("--scale 1"))
        #expect(try await ModelCommandTests.model(told + ["--scale", "1"]).errors.isEmpty)
        let grey = try await ModelCommandTests.model(["import", "\(Self.fixtures)/lenet.onnx", "--channels", "bgr"])
        #expect(grey.status == 1 && grey.errors.contains("1 channels"))
    }

    @Test("A network that was trained on the middle of pictures gets that, also in its branches and what they teach")
    func middle() async throws {
        let folder = ModelCommandTests.Folder()
        try FileManager.default.createDirectory(atPath: folder.path, withIntermediateDirectories: true)
        let net = "\(folder.path)/net"
        _ = try await ModelCommandTests.json(
            ["import", "\(Self.fixtures)/cifarnet.onnx", "--resize", "40", "--crop", "32", "--out", net])
        let manifest = try ModelBundle(path: net).manifest
        #expect(manifest.format == 2 && manifest.preprocessing.resize == .crop(shorter: 40))
        let shown = try await ModelCommandTests.model(["show", net])
        #expect(shown.output.contains("the shorter side becomes 40 pixels"), "\(shown.output)")
        // What Pillow cuts out of the same picture.
        let pictures = Repository.root.appendingPathComponent("Tests/Fixtures/pictures").path
        let cut = "\(folder.path)/cut.bin"
        try FileManager.default.copyItem(atPath: "\(pictures)/fit-wide.crop", toPath: cut)
        let split = "\(folder.path)/split"
        _ = try await ModelCommandTests.json(["split", net, "--branches", "2", "--out", split])
        for bundle in [net, split] {
            #expect(try ModelBundle(path: bundle).manifest.preprocessing.resize == .crop(shorter: 40))
            let logits = try await Self.logits(bundle, ["\(pictures)/fit-wide.png", cut])
            #expect(zip(logits[0], logits[1]).allSatisfy { abs($0 - $1) < 0.02 }, "\(logits)")
        }
        for arguments in [
            ["--resize", "20"], ["--resize", "40", "--crop", "30"], ["--resize", "40", "--letterbox"],
            ["--crop", "32"],
        ] {
            let refused = try await ModelCommandTests.model(["import", "\(Self.fixtures)/cifarnet.onnx"] + arguments)
            #expect(
                refused.status != 0 && refused.errors.contains(arguments.last { $0.hasPrefix("--") }!),
                "\(arguments): \(refused.errors)")
        }
    }

    @Test("A folder with some of a model's classes is judged by their names, and one with others is refused by name")
    func classesByName() async throws {
        let folder = ModelCommandTests.Folder()
        let photos = "\(folder.path)/photos"
        let pictures = Repository.root.appendingPathComponent("Tests/Fixtures/images").path
        let outcome = try await run(Repository.lcp, ["predict", "lenet-split4", "\(pictures)/grey.png", "--json"])
        struct Report: Decodable { let label: String }
        let label = try JSONDecoder().decode(Report.self, from: Data(outcome.output.utf8)).label
        // The model's own answer is the truth of one class; of the other it is none.
        for name in [label, label == "9" ? "8" : "9"] {
            try FileManager.default.createDirectory(atPath: "\(photos)/\(name)", withIntermediateDirectories: true)
            try FileManager.default.copyItem(atPath: "\(pictures)/grey.png", toPath: "\(photos)/\(name)/1.png")
        }
        try Data([1, 2]).write(to: URL(fileURLWithPath: "\(photos)/\(label)/damaged.png"))
        let judged = try await run(
            Repository.lcp, ["evaluate", "lenet-split4", "--data", "folder:\(photos)", "--json"])
        #expect(judged.status == 0 && judged.output.contains("\"accuracy\":0.5,"), "\(judged.output)\(judged.errors)")
        #expect(judged.errors.contains("1 picture cannot be read") && judged.errors.contains("damaged.png"))
        let shown = try await run(Repository.lcp, ["data", "show", "folder:\(photos)"])
        #expect(shown.status == 0 && shown.output.contains("90×120") && shown.output.contains("damaged.png"))
        try FileManager.default.moveItem(atPath: "\(photos)/\(label)", toPath: "\(photos)/zebra")
        let refused = try await run(Repository.lcp, ["evaluate", "lenet-split4", "--data", "folder:\(photos)"])
        #expect(refused.status == 1 && refused.errors.contains("the class zebra"), "\(refused.errors)")
    }

    @Test("A file of labels may have a byte-order mark, Windows' line ends, numbers before the names and a background")
    func labelFiles() async throws {
        let folder = ModelCommandTests.Folder()
        try FileManager.default.createDirectory(atPath: folder.path, withIntermediateDirectories: true)
        let names = ["cat", "7 of 9", "dog", "ant", "bee", "cow", "elk", "fox", "gnu", "hen"]
        let numbered = names.enumerated().map { "\($0) \($1)" }
        for (lines, wanted) in [
            (names, names), (numbered, names), (names.enumerated().map { "\($0 + 1): \($1)" }, names),
            (["background"] + names, names), (["0 background"] + names.enumerated().map { "\($0 + 1) \($1)" }, names),
            (names.enumerated().map { "\($0)\t \($1) " }, names),
            // Numbers that tell the names apart are part of them.
            ((1...10).map { "\($0) stars" }, (1...10).map { "\($0) stars" }),
            // Digits are names.
            ((0..<10).map { "\($0)" }, (0..<10).map { "\($0)" }),
        ] {
            let file = "\(folder.path)/labels.txt"
            try Data(("\u{FEFF}" + lines.joined(separator: "\r\n") + "\r\n").utf8).write(to: URL(fileURLWithPath: file))
            let report = try await ModelCommandTests.json(["import", "\(Self.fixtures)/lenet.onnx", "--labels", file])
            #expect(report["labels"] as? [String] == wanted, "\(lines)")
        }
    }

    /// From a file to a bundle, through every command that takes a network, and out again.
    @Test func aNetworkGoesInAndOut() async throws {
        let folder = ModelCommandTests.Folder()
        try FileManager.default.createDirectory(atPath: folder.path, withIntermediateDirectories: true)
        let net = "\(folder.path)/net"
        let report = try await ModelCommandTests.json(
            ["import", "\(Self.fixtures)/lenet.onnx", "--mean", "0.1307", "--std", "0.3081", "--out", net])
        let bundle = try ModelBundle(path: net)
        #expect(report["model_hash"] as? String == bundle.hash.description)
        #expect(bundle.manifest.name == "lenet" && bundle.manifest.preprocessing.mean == [0.1307])
        #expect(bundle.manifest.training?.command.contains(folder.path) == false)
        let shown = try await ModelCommandTests.model(["show", net])
        #expect(shown.output.contains("imported     from lenet.onnx (pytorch"))
        for arguments in [
            ["model", "cost", net, "--branches", "2"], ["model", "fit", net, "--memory", "20KB"],
            ["model", "split", net, "--branches", "2", "--out", "\(folder.path)/split"],
            ["bench", "branch", "--network", net, "--branches", "2", "--runs", "3"],
            ["bench", "branch", "--model", net, "--runs", "3"],
            [
                "train", net, "--branches", "2", "--data", "drawn:200", "--teacher", net, "--set",
                "initialization=teacher", "--set", "epochs=1", "--out", "\(folder.path)/taught",
            ],
            ["evaluate", net, "--data", "drawn:50"], ["evaluate", "\(folder.path)/taught", "--data", "drawn:50"],
        ] {
            let outcome = try await run(Repository.lcp, arguments, limit: .seconds(120))
            #expect(outcome.status == 0, "\(arguments): \(outcome.errors)")
        }
        let out = "\(folder.path)/onnx"
        let export = try await ModelCommandTests.json(["export", "\(folder.path)/taught", "--out", out])
        let files = try #require(export["files"] as? [[String: Any]])
        #expect(
            files.compactMap { $0["name"] as? String } == [
                "branch-0.onnx", "branch-1.onnx", "merge.onnx", "model.onnx",
            ])
        let again = try await ModelCommandTests.json(["import", "\(out)/model.onnx"])
        #expect(again["classes"] as? Int == 10 && again["path"] == nil)
        let refused = try await ModelCommandTests.model(["export", net, "--out", out])
        #expect(refused.status == 1 && refused.errors.contains("--force"))
        let replaced = try await ModelCommandTests.model(["export", net, "--out", out, "--force", "--normalized"])
        #expect(replaced.status == 0, "\(replaced.errors)")
        #expect(try Set(ModelCommandTests.contents(out).keys) == ["branch-0.onnx", "merge.onnx", "model.onnx"])
    }

    /// One sentence, an exit code, and nothing in the folder.
    @Test func whatCannotBeImportedLeavesNothing() async throws {
        let folder = ModelCommandTests.Folder()
        try FileManager.default.createDirectory(atPath: folder.path, withIntermediateDirectories: true)
        let good = "\(Self.fixtures)/lenet.onnx"
        let bytes = try #require(FileManager.default.contents(atPath: good))
        try bytes.prefix(4000).write(to: URL(fileURLWithPath: "\(folder.path)/cut.onnx"))
        try Data("pixels".utf8).write(to: URL(fileURLWithPath: "\(folder.path)/other.onnx"))
        try Data("one\ntwo\n".utf8).write(to: URL(fileURLWithPath: "\(folder.path)/labels.txt"))
        let before = try ModelCommandTests.contents(folder.path)
        for (arguments, words) in [
            (["\(folder.path)/cut.onnx"], "cut short"), (["\(folder.path)/other.onnx"], "no ONNX model"),
            (["\(folder.path)/missing.onnx"], "No such file"), ([good, "--mean", "1,2"], "--mean has 2 numbers"),
            ([good, "--labels", "\(folder.path)/labels.txt"], "has 2 lines"),
            ([good, "--input", "32x32x3"], "leave it out"),
            (["\(Self.fixtures)/vector.onnx", "--input", "99999999x99999999x99999999"], "is not possible"),
        ] {
            let outcome = try await ModelCommandTests.model(["import"] + arguments + ["--out", "\(folder.path)/net"])
            #expect(outcome.status == 1 && outcome.errors.contains(words), "\(arguments): \(outcome.errors)")
            #expect(outcome.errors.split(separator: "\n").count == 1)
            #expect(try ModelCommandTests.contents(folder.path) == before)
        }
        // Other things in the folder stay, whatever is asked for.
        let full = try await ModelCommandTests.model(["import", good, "--out", folder.path, "--force"])
        #expect(full.status == 1 && full.errors.contains("other things"))
        #expect(try ModelCommandTests.contents(folder.path) == before)
    }

    /// What is stopped while it writes leaves neither a half nor its beginnings beside it.
    @Test(arguments: [SIGINT, SIGTERM])
    func anExportThatIsStoppedLeavesNothing(signal: Int32) async throws {
        let folder = ModelCommandTests.Folder()
        try FileManager.default.createDirectory(atPath: folder.path, withIntermediateDirectories: true)
        let export = try Spawned(
            Repository.lcp, ["model", "export", "cifarnet-bn-split8-f75", "--out", "\(folder.path)/onnx"])
        let limit = ContinuousClock.now + .seconds(60)
        while try FileManager.default.contentsOfDirectory(atPath: folder.path).isEmpty, .now < limit {
            await Task.yield()
        }
        kill(export.identifier, signal)
        let status = await export.wait()
        let left = try FileManager.default.contentsOfDirectory(atPath: folder.path)
        // It may have been done just then.
        #expect(
            left.isEmpty && status == 128 + signal || left == ["onnx"] && [0, 128 + signal].contains(status),
            "\(status) \(left)")
    }
}
