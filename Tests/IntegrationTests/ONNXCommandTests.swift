import Foundation
import LCPModels
import Testing

@Suite struct ONNXCommandTests {
    static let fixtures = Repository.root.appendingPathComponent("Tests/Fixtures/onnx").path

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
                "train", net, "--branches", "2", "--data", "drawn:200", "--teacher", net, "--set", "distillation=0.5",
                "--set", "epochs=1", "--out", "\(folder.path)/taught",
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
        #expect(status == 128 + signal && left.isEmpty || status == 0 && left == ["onnx"], "\(status) \(left)")
    }
}
