import FaultInjection
import Foundation
import LCPModels
import Platform
import Testing

@Suite struct ModelCommandTests {
    /// A folder that is gone when the test is.
    final class Folder {
        let path = "/tmp/lcp-test-\(UUID().uuidString)"
        deinit { try? FileManager.default.removeItem(atPath: path) }
    }

    static func model(_ arguments: [String]) async throws -> Outcome {
        try await run(Repository.lcp, ["model"] + arguments, limit: .seconds(60))
    }

    static func json(_ arguments: [String]) async throws -> [String: Any] {
        let outcome = try await model(arguments + ["--json"])
        try #require(outcome.status == 0, "\(arguments): \(outcome.errors)")
        return try #require(try JSONSerialization.jsonObject(with: Data(outcome.output.utf8)) as? [String: Any])
    }

    /// The files of a folder and what is in them.
    static func contents(_ folder: String) throws -> [String: Data] {
        var result: [String: Data] = [:]
        for name in try FileManager.default.contentsOfDirectory(atPath: folder) {
            result[name] = FileManager.default.contents(atPath: "\(folder)/\(name)")
        }
        return result
    }

    /// The counts of the paper (Hadidi et al., 2023).
    @Test(
        arguments: [
            ("lenet", "1", [], 61_706), ("lenet", "2", [], 31_466), ("lenet", "4", [], 16_094),
            ("lenet", "8", [], 8_834),
            ("cifarnet", "1", ["--classes", "100"], 815_332), ("cifarnet", "2", ["--classes", "100"], 410_468),
            ("cifarnet", "4", ["--classes", "100"], 208_036), ("cifarnet", "8", ["--classes", "100"], 106_820),
            ("alexnet", "1", [], 50_303_912), ("alexnet", "8", [], 6_317_480),
            ("alexnet", "8", ["--fatten", "40"], 12_108_024), ("vgg16", "8", [], 17_307_944),
            ("vgg16", "8", ["--fatten", "40"], 33_777_712), ("resnet18", "2", [], 6_110_760),
            ("resnet18", "4", [], 3_321_384), ("resnet18", "8", [], 1_926_696),
        ] as [(String, String, [String], Int)])
    func parametersAreThePapers(name: String, branches: String, options: [String], parameters: Int) async throws {
        let cost = try await Self.json(["cost", name, "--branches", branches] + options)
        #expect(cost["parameters"] as? Int == parameters)
        let split = try await Self.json(["split", name, "--branches", branches] + options)
        #expect(split["parameters"] as? Int == parameters)
    }

    /// A training leaves its folder empty until its first epoch ends.
    @Test(
        "A model is not written into a folder that another process has, and the folder stays",
        arguments: [
            ["split", "lenet", "--branches", "2"], ["export", "lenet-split2"],
            ["import", Repository.root.appendingPathComponent("Tests/Fixtures/onnx/lenet.onnx").path],
        ])
    func aFolderInUse(arguments: [String]) async throws {
        let folder = Folder()
        let lock = try #require(try FolderLock.making(folder.path))
        defer { withExtendedLifetime(lock) {} }
        let outcome = try await Self.model(arguments + ["--out", folder.path])
        #expect(outcome.status != 0)
        #expect(outcome.errors.contains("another process is at work in \(folder.path)"))
        #expect(FolderLock(folder.path) == nil && FileIO.exists(folder.path))
        #expect(try FileIO.isEmptyFolder(folder.path))
    }

    @Test func costsAddUp() async throws {
        for arguments in [
            ["alexnet", "--branches", "8"], ["lenet", "--shares", "2,1,1"], ["lenet-split4"], ["vgg-s"],
        ] {
            let cost = try await Self.json(["cost"] + arguments)
            let branches = try #require(cost["branches"] as? [[String: Any]])
            let merge = try #require(cost["merge"] as? [String: Any])
            for key in ["parameters", "macs", "weight_bytes"] {
                let parts = try (branches + [merge]).map { try #require($0[key] as? Int) }
                #expect(cost[key] as? Int == parts.reduce(0, +), "\(key) of \(arguments)")
            }
            let layers = try #require(branches[0]["layers"] as? [[String: Any]])
            #expect(
                Set(layers[0].keys) == ["layer", "output", "parameters", "macs", "weight_bytes", "activation_bytes"])
            #expect(branches[0]["memory_bytes"] as? Int ?? 0 > 0)
            let methods = try #require(cost["methods"] as? [[String: Any]])
            #expect(methods.first?["method"] as? String == "lcp")
            for key in ["bytes", "connected_pairs", "largest_macs", "largest_parameters", "devices"] {
                #expect(methods.allSatisfy { $0[key] is Int }, "\(key) of \(arguments)")
            }
        }
        let methods = try #require(
            try await Self.json(["cost", "alexnet", "--branches", "8"])["methods"] as? [[String: Any]])
        #expect(
            methods.compactMap { $0["method"] as? String } == [
                "lcp", "single", "data_parallel", "model_parallel_by_output", "model_parallel_by_input", "splitnet",
            ])
        // Eight layers with work, eight times fewer connected pairs.
        #expect(methods.compactMap { $0["connected_pairs"] as? Int } == [16, 2, 2, 128, 118, 16])
    }

    @Test func tablesSayWhatThePaperSaysOtherwise() async throws {
        for (name, word) in [("vgg16", "17,307,944"), ("resnet50", "25,557,032"), ("mobilenet", "1,484,840")] {
            for command in ["show", "cost"] {
                let outcome = try await Self.model([command, name])
                #expect(outcome.status == 0 && outcome.output.contains(word), "\(command) \(name): \(outcome.errors)")
            }
        }
        let layers = try await Self.model(["cost", "lenet", "--branches", "4", "--layers"])
        #expect(
            layers.output.contains("each of 4 branches") && layers.output.contains("convolution 5×5/1 to 30 channels"))
    }

    @Test func aFitIsTheFewestBranches() async throws {
        let fit = try await Self.json(["fit", "alexnet", "--memory", "64MB", "--macs", "200M"])
        #expect(fit["branches"] as? Int == 4)
        #expect(fit["widths"] as? [Int] == [16, 48, 96, 96, 64, 1024, 1024])
        let steps = try #require(fit["steps"] as? [[String: Any]])
        #expect(steps.compactMap { $0["branches"] as? Int } == [1, 2, 4])
        #expect(steps.compactMap { $0["fits"] as? Bool } == [false, false, true])
        // Every unit, and none.
        for (memory, branches) in [("0.03GB", 4), ("64MiB", 2), ("1GiB", 1), ("60000 KB", 2), ("16000000", 8)] {
            #expect(
                try await Self.json(["fit", "alexnet", "--memory", memory])["branches"] as? Int == branches, "\(memory)"
            )
        }
        let thirds = try await Self.json(["fit", "alexnet", "--macs", "0.05G", "--factor", "3", "--fatten", "10"])
        #expect(thirds["branches"] as? Int == 9)
        let table = try await Self.model(["fit", "cifarnet", "--classes", "100", "--memory", "1MB"])
        #expect(table.output.contains("lcp model split cifarnet --branches 2 --classes 100 --out cifarnet-split2"))
    }

    @Test func aSplitCanBeginAsSharesOfATrainedNetwork() async throws {
        let folder = Folder()
        let whole = try ModelBundle(path: Repository.root.path + "/Models/lenet-split1")
        let words = ["split", "lenet", "--branches", "2", "--weights", whole.path, "--out", folder.path]
        #expect(try await Self.model(words).output.contains("shares of"))
        let bundle = try ModelBundle(path: folder.path)
        #expect(bundle.manifest.training?.teachers == [whole.hash.description])
        #expect(bundle.manifest.preprocessing == whole.manifest.preprocessing)
        let (wide, narrow) = (try whole.parameters().branches[0], try bundle.parameters().branches)
        // Grey images: a channel's 25 weights, channel by channel.
        let channels = try #require(wide[0]).weight
        #expect(try #require(narrow[0][0]).weight + (try #require(narrow[1][0]).weight) == channels)
        let refused = try await Self.model(["split", "lenet-fc"] + words[2...] + ["--force"])
        #expect(refused.status == 1 && refused.errors.contains("other layers"))
        let spread = try await Self.model(["split", "lenet", "--branches", "2", "--initialization", "teacher"])
        #expect(spread.status != 0)
    }

    @Test func aSplitCanBeMeasuredUntrained() async throws {
        let folder = Folder()
        let split = try await Self.json(["split", "lenet", "--branches", "4", "--fatten", "40", "--out", folder.path])
        #expect(split["name"] as? String == "lenet-split4-f40")
        let bundle = try ModelBundle(path: folder.path)
        #expect(bundle.manifest.name == "lenet-split4-f40" && bundle.manifest.training?.epochs == 0)
        #expect(bundle.hash.description == split["model_hash"] as? String)
        #expect(try bundle.network == Network.lenet.split(into: 4, fattening: 40))
        let thin = try await Self.json(["split", "cifarnet-bn", "--branches", "4", "--fatten", "75,-20"])
        #expect(thin["name"] as? String == "cifarnet-bn-split4-f75-m20" && thin["parameters"] as? Int == 316_322)
        let shown = try await Self.model(["show", folder.path])
        #expect(shown.output.contains("untrained") && shown.output.contains("--fatten 40"))
        let measured = try await run(
            Repository.lcp, ["bench", "branch", "--model", folder.path, "--runs", "5", "--json"])
        #expect(measured.status == 0, "\(measured.errors)")

        // Nothing is overwritten without --force, whatever is asked for.
        let before = try Self.contents(folder.path)
        for arguments in [
            ["lenet", "--branches", "2"], ["lenet", "--branches", "0"], ["alexnet", "--shares", "2,1"],
        ] {
            let refused = try await Self.model(["split"] + arguments + ["--out", folder.path])
            #expect(refused.status == 1)
        }
        let invalid = try await Self.model(["split", "lenet", "--branches", "99", "--force", "--out", folder.path])
        #expect(invalid.status == 1)
        #expect(try Self.contents(folder.path) == before)

        // The same seed gives the same bundle, another one does not; what had more branches leaves none behind.
        let again = Folder()
        _ = try await Self.json(["split", "lenet", "--branches", "4", "--fatten", "40", "--out", again.path])
        #expect(try Self.contents(again.path) == before)
        let seed = try await Self.model(
            ["split", "lenet", "--branches", "2", "--seed", "2", "--force", "--out", again.path])
        #expect(seed.status == 0 && seed.output.contains("untrained"), "\(seed.errors)")
        #expect(
            try Set(Self.contents(again.path).keys) == [
                "model.json", "branch-0.safetensors", "branch-1.safetensors", "merge.safetensors",
            ])
        #expect(throws: Never.self) { try ModelBundle(path: again.path).parameters() }
    }

    @Test func aBundleOfOneBranchIsSplitLikeItsNetwork() async throws {
        let folder = Folder()
        let split = try await Self.json(["split", "lenet-split1", "--branches", "4", "--out", folder.path])
        #expect(split["parameters"] as? Int == 16_094)
        let bundle = try ModelBundle(path: folder.path)
        #expect(try bundle.network == Network.lenet.split(into: 4))
        #expect(bundle.manifest.labels == (0..<10).map { "\($0)" })
        #expect(bundle.manifest.preprocessing.mean == [0.1307])
    }

    @Test func networksAndModelsAreListed() async throws {
        let list = try await Self.json(["list"])
        let networks = try #require(list["networks"] as? [[String: Any]])
        #expect(networks.compactMap { $0["name"] as? String } == Network.zoo.map(\.name))
        #expect(networks.allSatisfy { $0["data_set"] is String && $0["macs"] is Int && $0["input"] is [Int] })
        let models = try #require(list["models"] as? [[String: Any]])
        #expect(models.contains { $0["name"] as? String == "lenet-split4" && $0["parameters"] as? Int == 16_094 })
        let shown = try await Self.json(["show", "lenet-split8"])
        let branches = try #require(shown["branches"] as? [[String: Any]])
        #expect(branches.count == 8 && branches[0]["widths"] as? [Int] == [1, 2, 15, 10])
        #expect(branches[0]["sends"] as? String == "features")
        for key in ["model_hash", "preprocessing", "labels", "training", "merge_file", "network"] {
            #expect(shown[key] != nil, "\(key)")
        }
        let zoo = try await Self.json(["show", "cifarnet", "--classes", "100"])
        #expect(zoo["parameters"] as? Int == 815_332 && zoo["kind"] as? String == "network")
    }

    @Test(arguments: [
        (["show", "nowhere"], "there is no network or model nowhere"),
        (["show", "/nowhere"], "no model bundle at /nowhere"),
        (["show", "lenet-split4", "--classes", "3"], "shown as it is"),
        (["split", "lenet"], "give --branches"), (["split", "lenet", "--branches", "65"], "1 to 64 branches, not 65"),
        (["split", "lenet", "--branches", "2", "--shares", "1,1"], "not both"),
        (["split", "lenet", "--shares", "2,x"], "a whole number for each branch"),
        (["split", "alexnet", "--shares", "2,1,1"], "they need the same width"),
        (["split", "lenet", "--branches", "2", "--fatten", "2000"], "-90 to 1000 per cent, not 2000"),
        (["split", "lenet", "--branches", "2", "--fatten", "-91"], "-90 to 1000 per cent, not -91"),
        (["split", "lenet", "--branches", "2", "--fatten", "50,"], "50,0 for convolutions and fully connected layers"),
        (["split", "lenet", "--branches", "2", "--classes", "0"], "1 to 1,000,000 classes"),
        (["split", "lenet", "--branches", "2", "--input", "5x5x1"], "not for images of 5×5×1"),
        (["split", "lenet", "--branches", "2", "--input", "9999999999x9999999999x9999999999"], "is not possible"),
        (["split", "lenet", "--branches", "2", "--input", "28"], "height, width and channels"),
        (["split", "lenet", "--branches", "2", "--merge", "mean"], "concat or sum"),
        (["split", "lenet", "--branches", "2", "--out", "/etc"], "other things in it"),
        (["split", "lenet", "--branches", "2", "--out", "/etc/passwd/x"], "cannot make the folder"),
        (
            ["split", "vgg16", "--branches", "1", "--classes", "200000", "--input", "2048x2048x3", "--out", "/tmp/x"],
            "device"
        ),
        (["split", "lenet-split4", "--branches", "2"], "in 4 branches already"),
        (["fit", "lenet"], "give a limit"), (["fit", "lenet", "--memory", "64XB"], "for example 64MB"),
        (["fit", "lenet", "--memory", "0"], "for example 64MB"), (["fit", "lenet", "--macs", "-1"], "--macs"),
        (["fit", "lenet", "--macs", "99999999999999999999G"], "for example 200M"),
        (["fit", "lenet", "--memory", "1KB"], "more than 64 branches are not possible"),
        (["fit", "lenet", "--macs", "1K", "--factor", "1"], "at least 2"),
        (["fit", "lenet", "--macs", "1K", "--factor", "9223372036854775807"], "does not fit"),
        (["fit", "lenet-split8", "--macs", "1K"], "in 8 branches already"),
        (["cost", "lenet-split4", "--branches", "2"], "costed as it is"),
    ])
    func everyMistakeIsOneSentence(arguments: [String], words: String) async throws {
        let outcome = try await Self.model(arguments)
        #expect(outcome.status != 0 && outcome.status < 128, "\(arguments): \(outcome.status)")
        #expect(outcome.errors.contains(words), "\(arguments): \(outcome.errors)")
        #expect(outcome.output.isEmpty && !outcome.errors.contains("Fatal error"), "\(arguments): \(outcome.errors)")
    }

    @Test func theWaysAreDrawn() async throws {
        let folder = Folder()
        try FileManager.default.createDirectory(atPath: folder.path, withIntermediateDirectories: true)
        let file = "\(folder.path)/cost.svg"
        let outcome = try await Self.model(["cost", "alexnet", "--branches", "8", "--svg", file])
        #expect(outcome.status == 0, "\(outcome.errors)")
        let drawn = try String(contentsOfFile: file, encoding: .utf8)
        #expect(drawn.hasPrefix("<svg") || drawn.hasPrefix("<?xml"))
        for word in ["alexnet on 8 devices", "SplitNet", "Connected pairs", "0.726 M", "12.3 MB"] {
            #expect(drawn.contains(word), "\(word)")
        }
        // What cannot be drawn leaves the older figure alone.
        let alone = try await Self.model(["cost", "alexnet", "--svg", file])
        #expect(alone.status == 1 && alone.errors.contains("compares several devices"), "\(alone.errors)")
        #expect(try String(contentsOfFile: file, encoding: .utf8) == drawn)
    }

    @Test func aWidthThatCannotBeDividedFurtherIsNamed() async throws {
        let folder = Folder()
        let narrow = Network(
            name: "narrow", input: .init(height: 8, width: 8, channels: 1),
            layers: [.convolution(outputs: 3, kernel: 3), .relu], classes: 2, merge: .concat)
        let network = try narrow.split(into: 1)
        var random = SeededGenerator(seed: 1)
        try ModelBundle.write(
            name: "narrow-split1", network: network, parameters: .random(for: network, using: &random),
            preprocessing: .usual(for: network.input), labels: ["a", "b"], to: folder.path)
        let outcome = try await Self.model(["fit", folder.path, "--memory", "100B"])
        #expect(outcome.status == 1)
        #expect(outcome.errors.contains("no width can be divided further"), "\(outcome.errors)")
        // A network that is not of the zoo has nothing to be compared with.
        let cost = try await Self.json(["cost", folder.path])
        #expect((cost["methods"] as? [Any])?.count == 1)
    }

    /// What a shell closed is nobody's descriptor: no line gets into a file or a socket.
    @Test func closedDescriptorsAreNotTakenForAnything() async throws {
        let folder = Folder()
        let out = "\(folder.path)/bundle"
        let script = "exec \"$0\" model split lenet --branches 2 --out \"$1\" <&- >&- 2>&-"
        let outcome = try await run("/bin/sh", ["-c", script, Repository.lcp, out])
        #expect(outcome.status == 0)
        #expect(try ModelBundle(path: out).network == Network.lenet.split(into: 2))
    }

    /// A full disk behind standard output is told.
    @Test func outputThatCannotBeWrittenIsAnError() async throws {
        let outcome = try await run("/bin/sh", ["-c", "exec \"$0\" model list > /dev/full", Repository.lcp])
        #expect(outcome.status == 1)
        #expect(outcome.errors == "Error: standard output cannot be written: No space left on device\n")
    }

    /// Whoever gives a pipeline a model for other images is told, since its sensors must change, too.
    @Test func aModelForOtherImagesIsToldWhenItIsPushed() async throws {
        let broker = try TestBroker()
        let folder = Folder()
        let split = try await Self.model(["split", "cifarnet", "--branches", "2", "--out", folder.path])
        #expect(split.status == 0, "\(split.errors)")
        // Pieces so small that the description of a model has several.
        func push(_ model: String) async throws -> String {
            let outcome = try await Self.model(
                ["push", model, "--broker", broker.url, "--pipeline", "push", "--chunk", "1024"])
            #expect(outcome.status == 0 && outcome.output.contains("pushed"), "\(outcome.errors)")
            return outcome.errors
        }
        #expect(try await push("lenet-split2") == "")
        #expect(try await push("lenet-split4") == "")
        #expect(try await push(folder.path).contains("lenet-split4 took 28×28×1, and"))
        #expect(try await push("lenet-split2").contains("takes 28×28×1: workers refuse"))
    }

    /// A push that is stopped takes away what it has sent: no manifest would ever name it.
    @Test func aPushThatIsStoppedLeavesNothingOnTheBroker() async throws {
        // Hundreds of pieces, each of which waits for the one before: it takes many seconds.
        let chaos = try Chaos([Fault(.delay(milliseconds: 20, jitter: 0), direction: .toBroker)])
        let client = try await chaos.broker.connect()
        let pieces = try await client.subscribe(to: "lcp/push/model/#", options: .init(qos: .atLeastOnce))
        let push = try Spawned(
            Repository.lcp,
            [
                "model", "push", "cifarnet-bn-split8-f75", "--broker", "\(chaos.proxy.address)", "--pipeline", "push",
                "--chunk", "1024",
            ])
        _ = try await next(pieces)
        kill(push.identifier, SIGTERM)
        #expect(await push.wait() == 128 + SIGTERM)
        let kept = try await client.subscribe(to: "lcp/push/model/#", options: .init(qos: .atLeastOnce))
        // What is kept comes before the answer to this.
        await kept.end()
        for try await message in kept { #expect(message.payload.isEmpty, "\(message.topic)") }
    }
}
