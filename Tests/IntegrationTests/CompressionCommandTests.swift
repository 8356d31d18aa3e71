import Foundation
import LCPModels
import Platform
import Testing

@Suite("Models made smaller") struct CompressionCommandTests {
    private final class Folder {
        let path = NSTemporaryDirectory() + "lcp-test-\(UUID().uuidString)"
        deinit { try? FileManager.default.removeItem(atPath: path) }
    }

    private struct Report: Decodable {
        struct Result: Decodable { var top1: Double }
        var results: [Result]
    }

    private static func accuracy(_ model: String) async throws -> Double {
        let told = try await run(
            Repository.lcp, ["evaluate", model, "--data", "drawn:1000", "--missing", "0", "--json"])
        return try JSONDecoder().decode(Report.self, from: Data(told.output.utf8)).results[0].top1
    }

    @Test("A quantised model is a model: evaluated, shown, exported and run in a pipeline") func quantized()
        async throws
    {
        let folder = Folder()
        let made = try await run(
            Repository.lcp, ["quantize", "lenet-split4", "--data", "drawn", "--images", "100", "--out", folder.path])
        #expect(made.status == 0 && made.output.contains("in place of"), "\(made.errors)")
        let bundle = try ModelBundle(path: folder.path)
        #expect(bundle.manifest.arithmetic == .int8 && bundle.manifest.name == "lenet-split4-int8")
        #expect(
            try #require(bundle.manifest.training?.accuracy["drawn"]) > 0.99
                && made.output.contains("in single precision"))
        let (whole, small) = try await (Self.accuracy("lenet-split4"), Self.accuracy(folder.path))
        #expect(abs(whole - small) < 0.01, "\(whole) \(small)")

        let shown = try await run(Repository.lcp, ["model", "cost", folder.path])
        #expect(shown.output.contains("in eight bits"), "\(shown.errors)")
        let exported = try await run(Repository.lcp, ["model", "export", folder.path, "--out", "\(folder.path)/onnx"])
        #expect(exported.status == 0, "\(exported.errors)")
        let demo = try await run(
            Repository.lcp, ["demo", "--model", folder.path, "--frames", "60", "--rate", "100", "--json"])
        #expect(demo.status == 0 && demo.output.contains("\"lost\":0"), "\(demo.output) \(demo.errors)")

        let again = try await run(
            Repository.lcp, ["quantize", folder.path, "--data", "drawn", "--out", "\(folder.path)/more"])
        #expect(again.status == 1 && again.errors.contains("eight bits already"), "\(again.errors)")
        let over = try await run(
            Repository.lcp, ["quantize", "lenet-split4", "--data", "drawn", "--out", folder.path])
        #expect(over.status == 1 && over.errors.contains("--force"), "\(over.errors)")
        let pruned = try await run(
            Repository.lcp,
            ["prune", folder.path, "--convolutions", "0.5", "--data", "drawn", "--out", "\(folder.path)/more"])
        #expect(pruned.status == 1 && pruned.errors.contains("prune the model that it was made of"), "\(pruned.errors)")
    }

    @Test("Where eight bits cost too much, training with the rounding in the loop makes up for it") func tuned()
        async throws
    {
        struct Told: Decodable {
            struct Test: Decodable {
                var top1: Double
                var original_top1: Double
            }
            var tests: [Test]
        }
        // Half of the channels of the first convolution are so large that eight bits have nothing left for the others.
        let folder = Folder()
        let bundle = try ModelBundle.find("lenet-split1")
        var parameters = try bundle.parameters()
        let layers = parameters.branches[0].indices.filter { parameters.branches[0][$0] != nil }
        var (first, second) = try (
            #require(parameters.branches[0][layers[0]]), #require(parameters.branches[0][layers[1]])
        )
        let channels = first.bias.count
        let (taps, row) = (first.weight.count / channels, second.weight.count / second.bias.count)
        for index in 0..<channels / 2 * taps { first.weight[index] *= 100 }
        for channel in 0..<channels / 2 { first.bias[channel] *= 100 }
        for index in second.weight.indices where index % row < row / channels * (channels / 2) {
            second.weight[index] /= 100
        }
        (parameters.branches[0][layers[0]], parameters.branches[0][layers[1]]) = (first, second)
        let path = "\(folder.path)/uneven"
        _ = try ModelBundle.write(
            name: "uneven", network: bundle.network, parameters: parameters,
            preprocessing: bundle.manifest.preprocessing, labels: bundle.manifest.labels, training: nil,
            missingScale: bundle.manifest.missingScale, to: path)
        func quantized(_ words: [String]) async throws -> Told.Test {
            let made = try await run(
                Repository.lcp,
                [
                    "quantize", path, "--data", "drawn:3000", "--images", "200", "--json", "--out",
                    "\(folder.path)/small",
                ]
                    + words, limit: .seconds(120))
            #expect(made.status == 0, "\(made.errors)")
            let line = try #require(made.output.split(separator: "\n").last)
            return try #require(JSONDecoder().decode(Told.self, from: Data(line.utf8)).tests.first)
        }
        let calibrated = try await quantized([])
        let tuned = try await quantized(["--epochs", "2", "--force"])
        #expect(calibrated.original_top1 > 0.99 && calibrated.original_top1 == tuned.original_top1)
        #expect(tuned.top1 > calibrated.top1 + 0.02, "\(calibrated) \(tuned)")
        let small = try ModelBundle(path: "\(folder.path)/small")
        #expect(small.manifest.arithmetic == .int8 && small.manifest.name == "uneven-int8")
        #expect(small.manifest.training?.command.contains("--epochs 2") == true)
    }

    @Test("A training that was cut short goes on with --resume, or is given up with --force") func cutShort()
        async throws
    {
        let folder = Folder()
        let long = ["--data", "drawn:640", "--epochs", "1000", "--out", folder.path]
        for words in [
            ["quantize", "lenet-split2", "--images", "64"],
            ["prune", "lenet-split2", "--convolutions", "0.3", "--images", "64"],
        ] {
            let process = try Spawned(Repository.lcp, words + long + ["--force"])
            defer { kill(process.identifier, SIGKILL) }
            try process.waitForOutput("epoch 2/1000")
            kill(process.identifier, SIGINT)
            #expect(try process.waitForErrors("--resume goes on").contains("stopped"))
            #expect(await process.wait() == 128 + SIGINT)
            let unfinished = try await run(Repository.lcp, ["evaluate", folder.path, "--data", "drawn:10"])
            #expect(unfinished.errors.contains("go on with the command that began it and --resume"))
            let again = try await run(Repository.lcp, words + long)
            #expect(again.status == 1 && again.errors.contains("go on with --resume"), "\(again.errors)")
            let resumed = try Spawned(Repository.lcp, words + long + ["--resume"])
            defer { kill(resumed.identifier, SIGKILL) }
            try resumed.waitForOutput("going on after epoch")
            kill(resumed.identifier, SIGTERM)
            #expect(await resumed.wait() == 128 + SIGTERM)
        }
        let instead = try await run(
            Repository.lcp, ["quantize", "lenet-split2", "--data", "drawn:64", "--out", folder.path, "--force"])
        #expect(instead.status == 0 && !FileIO.exists("\(folder.path)/checkpoint.safetensors"), "\(instead.errors)")
        // Nothing of a larger bundle stays.
        let larger = try await run(
            Repository.lcp, ["quantize", "lenet-split4", "--data", "drawn:64", "--out", folder.path, "--force"])
        let smaller = try await run(
            Repository.lcp, ["quantize", "lenet-split2", "--data", "drawn:64", "--out", folder.path, "--force"])
        #expect(larger.status == 0 && smaller.status == 0)
        #expect(
            try FileIO.list(folder.path) == [
                "branch-0.safetensors", "branch-1.safetensors", "merge.safetensors", "model.json",
            ])
    }

    @Test("With --json nothing else is on standard output, also where it trains") func onlyJSON() async throws {
        let folder = Folder()
        let made = try await run(
            Repository.lcp,
            ["quantize", "lenet-split2", "--data", "drawn:256", "--images", "64", "--epochs", "1", "--json", "--out"]
                + [folder.path])
        #expect(made.status == 0 && made.output.hasPrefix("{"), "\(made.output)\(made.errors)")
        #expect(try JSONSerialization.jsonObject(with: Data(made.output.utf8)) is [String: Any])
    }

    @Test("A model is not written over itself, nor into a link to nowhere, and options for training need epochs")
    func refused() async throws {
        let folder = Folder()
        let (own, link) = ("\(folder.path)/own", "\(folder.path)/link")
        try FileIO.makeFolder(folder.path)
        let bundle = try ModelBundle.find("lenet-split2")
        try FileManager.default.copyItem(atPath: bundle.path, toPath: own)
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: "/nowhere/at/all")
        let (quantize, prune) = (
            ["quantize", own, "--data", "drawn:64"], ["prune", own, "--convolutions", "0.3", "--data", "drawn:64"]
        )
        for (words, sentence) in [
            (quantize + ["--out", own, "--force"], "holds the model that is read"),
            (prune + ["--out", "\(own)/../own", "--force"], "holds the model that is read"),
            (quantize + ["--out", link], "cannot make the folder"),
            (prune + ["--out", link], "cannot make the folder"),
            (
                [
                    "train", "lenet", "--teacher", own, "--set", "distillation=0.5", "--data", "drawn:64", "--force",
                    "--out", own,
                ],
                "is learned from, and would be written over"
            ),
            (quantize + ["--out", "x", "--epochs", "-1"], "0 or more"),
            (prune + ["--out", "x", "--epochs", "-1"], "0 or more"),
            (quantize + ["--out", "x", "--learning-rate", "0.1"], "give --epochs"),
            (quantize + ["--out", "x", "--resume"], "give --epochs"),
            (prune + ["--out", "x", "--epochs", "0", "--set", "momentum=0.5"], "give --epochs"),
        ] {
            let outcome = try await run(Repository.lcp, words, limit: .seconds(60))
            #expect(outcome.status != 0 && outcome.errors.contains(sentence), "\(words): \(outcome.errors)")
        }
        #expect(try ModelBundle(path: own).parameters() == bundle.parameters())
    }

    @Test("An evaluation in fixed point tells what it costs, and refuses a model in eight bits") func fixedPoint()
        async throws
    {
        struct Report: Decodable {
            struct Result: Decodable {
                var top1: Double
                var plain_top1: Double
            }
            var arithmetic: String
            var results: [Result]
        }
        let words = ["evaluate", "lenet-split4", "--data", "drawn:500", "--missing", "0", "--fixed-point"]
        let told = try await run(Repository.lcp, words + ["--json"])
        #expect(told.status == 0, "\(told.errors)")
        let report = try JSONDecoder().decode(Report.self, from: Data(told.output.utf8))
        #expect(report.arithmetic == "3.13" && report.results.count == 1)
        for result in report.results {
            #expect(result.top1 > 0.95 && abs(result.top1 - result.plain_top1) <= 0.002, "\(result)")
        }
        let table = try await run(Repository.lcp, words)
        #expect(
            table.output.contains("in single precision") && table.output.contains("cost of fixed point 3.13 "),
            "\(table.output)")
        let refused = try await run(Repository.lcp, ["evaluate", "lenet-split4-int8", "--fixed-point"])
        #expect(refused.status == 1 && refused.errors.contains("the model that it was made of"), "\(refused.errors)")
    }

    @Test("A pruned model learns again from the one that it was, and can be quantised") func pruned() async throws {
        let folder = Folder()
        let cut = try await run(
            Repository.lcp,
            [
                "prune", "lenet-split2", "--convolutions", "0.5", "--data", "drawn:2000", "--images", "200", "--epochs",
                "0", "--out", "\(folder.path)/cut",
            ])
        #expect(cut.status == 0 && cut.output.contains("not trained"), "\(cut.errors)")
        let tuned = try await run(
            Repository.lcp,
            [
                "prune", "lenet-split2", "--convolutions", "0.5", "--data", "drawn:2000", "--images", "200", "--epochs",
                "1", "--out", "\(folder.path)/tuned",
            ])
        #expect(tuned.status == 0 && tuned.output.contains("in place of"), "\(tuned.errors)")
        let bundle = try ModelBundle(path: "\(folder.path)/tuned")
        let original = try #require(bundle.manifest.training)
        #expect(
            original.command.hasPrefix("lcp train lenet")
                && original.command.contains(" && lcp prune lenet-split2 --convolutions 0.5 --data drawn:2000"))
        #expect(try bundle.network.parameterCount() < ModelBundle.find("lenet-split2").network.parameterCount())
        let (before, after) = try await (Self.accuracy("\(folder.path)/cut"), Self.accuracy("\(folder.path)/tuned"))
        #expect(after > before && after > 0.9, "\(before) \(after)")
        let quantized = try await run(
            Repository.lcp,
            ["quantize", "\(folder.path)/tuned", "--data", "drawn", "--images", "100", "--out", "\(folder.path)/small"])
        #expect(quantized.status == 0, "\(quantized.errors)")
        #expect(try await Self.accuracy("\(folder.path)/small") > after - 0.02)
    }

    @Test(
        "Every mistake is one sentence",
        arguments: [
            (
                ["quantize", "lenet-split4", "--data", "drawn", "--images", "0", "--out", "never"],
                "--images is 1 to 100,000"
            ),
            (["quantize", "nobody", "--data", "drawn", "--out", "never"], "there is no model"),
            (["quantize", "lenet-split4", "--data", "cifar10:/nowhere", "--out", "never"], "/nowhere"),
            (
                ["prune", "lenet-split4", "--convolutions", "1", "--data", "drawn", "--out", "never"],
                "would leave no channel"
            ),
            (
                ["prune", "lenet-split4", "--convolutions", "0", "--data", "drawn", "--out", "never"],
                "above 0 and below 1"
            ),
            (
                [
                    "prune", "lenet-split8", "--convolutions", "0.999", "--data", "drawn", "--images", "10", "--out",
                    "never",
                ],
                "% can go"
            ),
            (["bench", "branch", "--model", "/nowhere", "--int8"], "there is no model"),
            (["bench", "branch", "--model", "lenet-split4-int8", "--int8"], "computes with eight bits already"),
            (["bench", "branch", "--network", "lenet", "--branches", "2", "--branch", "9"], "has no branch 9"),
            (["forget", "a/b"], "cannot be a name"),
            (["data", "fetch", "nothing", "--to", "never"], "there is no data set"),
            (["sensor", "--source", "stdin", "--stop-at-eof"], "both want standard input"),
            (
                ["experiment", "\(Repository.root.path)/Configs/experiments/cifar10.json", "--out", "never"],
                "give --data"
            ),
            (["chaos", "proxy", "--partition", "x"], "two numbers of seconds"),
        ])
    func mistakes(arguments: [String], words: String) async throws {
        // The cases run side by side.
        let never = "/tmp/lcp-test-\(UUID().uuidString)"
        let outcome = try await run(
            Repository.lcp, arguments.map { $0 == "never" ? never : $0 }, limit: .seconds(20))
        #expect(!FileIO.exists(never))
        #expect(outcome.status != 0 && outcome.status < 128, "\(arguments): \(outcome.status)")
        #expect(outcome.errors.contains(words), "\(arguments): \(outcome.errors)")
        #expect(!outcome.errors.contains("Fatal error") && !outcome.errors.contains("lcp <subcommand>"))
    }
}
