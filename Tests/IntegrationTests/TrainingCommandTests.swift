import Foundation
import LCPModels
import Platform
import Testing

@Suite struct TrainingCommandTests {
    final class Folder {
        let path = NSTemporaryDirectory() + "lcp-train-\(UUID().uuidString)"
        init() throws { try FileIO.makeFolder(path) }
        deinit { try? FileManager.default.removeItem(atPath: path) }

        /// Files like MNIST's, with few images: a bar for each class. Drawn digits would be looked at 10,000 at a time.
        func bars(training: Int) throws -> String {
            func big(_ value: Int) -> [UInt8] {
                [UInt8(value >> 24), UInt8(value >> 16), UInt8(value >> 8 & 255), UInt8(value & 255)]
            }
            try FileIO.makeFolder("\(path)/mnist")
            for (name, count) in [("train", training), ("t10k", 100)] {
                var pixels: [UInt8] = []
                for image in 0..<count {
                    var noise = UInt32(truncatingIfNeeded: image &* 2_654_435_761 &+ count)
                    for place in 0..<784 {
                        noise = noise &* 1_664_525 &+ 1_013_904_223
                        pixels.append(place / 28 / 2 == image % 10 + 2 ? 200 : UInt8(noise >> 26))
                    }
                }
                try FileIO.write(
                    [0, 0, 8, 3] + big(count) + big(28) + big(28) + pixels,
                    to: "\(path)/mnist/\(name)-images-idx3-ubyte")
                try FileIO.write(
                    [0, 0, 8, 1] + big(count) + (0..<count).map { UInt8($0 % 10) },
                    to: "\(path)/mnist/\(name)-labels-idx1-ubyte")
            }
            return "mnist:\(path)/mnist"
        }
    }

    static func words(_ data: String) -> [String] {
        [
            "train", "lenet", "--branches", "2", "--data", data, "--epochs", "3", "--batch", "32", "--validation",
            "0.1",
        ]
    }

    /// Killed after its first epoch, and gone on with: the same weights as without.
    @Test func aKilledTrainingGoesOnBitForBit() async throws {
        let folder = try Folder()
        let words = Self.words(try folder.bars(training: 640))
        let whole = try await run(Repository.lcp, words + ["--out", "\(folder.path)/whole"])
        #expect(whole.status == 0, "\(whole.errors)")
        #expect(whole.output.contains("epoch 3/3"))

        let cut = "\(folder.path)/cut"
        let process = try Spawned(Repository.lcp, words + ["--out", cut])
        // The line of an epoch is written when its checkpoint is.
        try process.waitForOutput("epoch 1/3")
        kill(process.identifier, SIGKILL)
        #expect(await process.wait() == 128 + SIGKILL)

        let refused = try await run(Repository.lcp, words + ["--out", cut])
        #expect(refused.status != 0 && refused.errors.contains("--resume"))
        let other = try await run(Repository.lcp, words + ["--seed", "2", "--resume", "--out", cut])
        #expect(other.status != 0 && other.errors.contains("of another training"))
        let resumed = try await run(Repository.lcp, words + ["--resume", "--out", cut])
        #expect(resumed.status == 0, "\(resumed.errors)")
        #expect(resumed.output.contains("going on after epoch"))
        for file in ["branch-0.safetensors", "branch-1.safetensors", "merge.safetensors"] {
            #expect(try FileIO.read("\(cut)/\(file)") == FileIO.read("\(folder.path)/whole/\(file)"), "\(file)")
        }
        let figure = String(decoding: try FileIO.read("\(cut)/training.svg"), as: UTF8.self)
        #expect(figure.hasPrefix("<svg") || figure.hasPrefix("<?xml"))
        #expect(!FileIO.exists("\(cut)/checkpoint.safetensors"))
    }

    /// The branches learn from the teacher, and the bundle says how it came about.
    @Test func branchesAreTaughtByOneOption() async throws {
        let folder = try Folder()
        let (out, whole, split) = ("\(folder.path)/taught", "\(folder.path)/whole", "\(folder.path)/split")
        let words = ["--data", try folder.bars(training: 640), "--batch", "32"]
        for (branches, teacher) in [("1", whole), ("4", split)] {
            let trained = try await run(
                Repository.lcp, ["train", "lenet", "--branches", branches, "--epochs", "4", "--out", teacher] + words)
            #expect(trained.status == 0, "\(trained.errors)")
        }
        let learn = ["train", "lenet", "--branches", "4", "--epochs", "1", "--out", out] + words
        let taught = try await run(Repository.lcp, learn + ["--distill", whole, "--distill", split])
        #expect(taught.status == 0, "\(taught.errors)")
        #expect(taught.output.contains("recipe digits taught"))
        let record = try #require(try ModelBundle(path: out).manifest.training)
        #expect(record.command.contains("--distill whole --distill split"))
        // Shares of a network without normalisation are out of scale.
        #expect(record.recipe?.initialization == .he && (record.recipe?.distillation ?? 0) > 0)
        #expect(try ModelBundle(path: out).manifest.name == "taught")
        // It knows digits, and these are bars.
        let refused = try await run(Repository.lcp, learn + ["--force", "--distill", "lenet-split1"])
        #expect(refused.status == 1 && refused.errors.contains("no better than chance"), "\(refused.errors)")
    }

    @Test func aTrainingThatIsStoppedIsNoSuccess() async throws {
        let folder = try Folder()
        let words = Self.words(try folder.bars(training: 640))
        let process = try Spawned(Repository.lcp, words + ["--epochs", "1000", "--out", "\(folder.path)/cut"])
        try process.waitForOutput("epoch 1/1000")
        kill(process.identifier, SIGTERM)
        let rest = await process.output.text()
        #expect(await process.wait() == 128 + SIGTERM)
        #expect(rest.contains("--resume"))
        #expect(FileIO.exists("\(folder.path)/cut/checkpoint.safetensors"))
        let asked = try await run(Repository.lcp, ["evaluate", "\(folder.path)/cut", "--data", "drawn:10"])
        #expect(asked.status == 1 && asked.errors.contains("has an unfinished training"), "\(asked.errors)")
    }

    @Test("Ctrl-C ends training with status 130, and its progress fits the terminal", arguments: [40, 80] as [UInt16])
    func progressFits(columns: UInt16) async throws {
        let folder = try Folder()
        let words = Self.words(try folder.bars(training: 6400)) + ["--epochs", "1000", "--out", "\(folder.path)/cut"]
        let process = try Spawned(Repository.lcp, words, environment: ["TERM": "xterm"], columns: columns)
        let said = try process.waitForErrors("left")
        kill(process.identifier, SIGINT)
        #expect(await process.wait() == 128 + SIGINT)
        let line = try #require(said.split(separator: "\u{1B}[K").first { $0.contains("left") })
        let shown = line.filter { $0 != "\r" }
        #expect(shown.count < columns && (shown.contains("█") || shown.contains("·")), "\(shown)")
        #expect(shown.contains("epoch 1/1000  "), "\(shown)")
        #expect(shown.contains("accuracy") == (columns == 80), "\(shown)")
    }

    @Test("--labels names the classes of data that knows them by numbers only")
    func labels() async throws {
        let folder = try Folder()
        let data = try folder.bars(training: 64)
        let names = (0..<10).map { "bar \($0)" }
        let file = "\(folder.path)/names.txt"
        try FileIO.write(Array(names.joined(separator: "\n").utf8), to: file)
        let words = ["train", "lenet", "--data", data, "--epochs", "1", "--batch", "32", "--labels", file, "--out"]
        let trained = try await run(Repository.lcp, words + ["\(folder.path)/named"])
        #expect(trained.status == 0, "\(trained.errors)")
        let manifest = try ModelBundle(path: "\(folder.path)/named").manifest
        #expect(manifest.labels == names)
        #expect(!trained.errors.contains("begins anew"))
        let resumed = try await run(Repository.lcp, words + ["\(folder.path)/typo", "--resume"])
        #expect(resumed.status == 0 && resumed.errors.contains("begins anew"), "\(resumed.errors)")
        #expect(manifest.training?.command.contains("--labels names.txt") == true)
        try FileIO.write(Array("one\ntwo\n".utf8), to: file)
        let refused = try await run(Repository.lcp, words + ["\(folder.path)/other"])
        #expect(refused.status == 1 && refused.errors.contains("has 2 lines"), "\(refused.errors)")
    }

    @Test("--budget 0 learns from a bundle without trials, and the command in the record can be given again")
    func budget() async throws {
        let folder = try Folder()
        let words = ["--data", "drawn:256", "--epochs", "1"]
        let taught = try await run(
            Repository.lcp,
            ["train", "lenet", "--branches", "2", "--distill", "lenet-split1", "--budget", "0"] + words + [
                "--out", "\(folder.path)/taught",
            ])
        #expect(taught.status == 0 && !taught.output.contains("trial"), "\(taught.errors)")
        #expect(try ModelBundle(path: "\(folder.path)/taught").manifest.training?.teachers?.count == 1)
        let on = try await run(
            Repository.lcp, ["train", "\(folder.path)/taught"] + words + ["--out", "\(folder.path)/on"])
        #expect(on.status == 0, "\(on.errors)")
        let command = try #require(try ModelBundle(path: "\(folder.path)/on").manifest.training?.command)
        #expect(!command.contains("--branches"), "\(command)")
    }

    @Test("A model in one piece goes on from its weights, and --anew and a split begin with new ones")
    func onePiece() async throws {
        let folder = try Folder()
        let data = try folder.bars(training: 64)
        let words = [
            "train", "lenet-split1", "--data", data, "--epochs", "1", "--batch", "32", "--learning-rate", "0.0001",
        ]
        let start = try ModelBundle.find("lenet-split1").parameters().branches[0][0]?.weight ?? []
        for (name, more, isNear) in [
            ("on", [], true), ("anew", ["--anew"], false), ("split", ["--branches", "2"], false),
        ] {
            let out = "\(folder.path)/\(name)"
            let trained = try await run(Repository.lcp, words + more + ["--out", out])
            #expect(trained.status == 0, "\(trained.errors)")
            let bundle = try ModelBundle(path: out)
            #expect(bundle.network.branches.count == (name == "split" ? 2 : 1))
            #expect(bundle.manifest.training?.command.contains("--anew") == (name == "anew"))
            let weights = try bundle.parameters().branches[0][0]?.weight ?? []
            let distance = zip(weights, start).reduce(0) { max($0, abs($1.0 - $1.1)) }
            #expect((weights.count == start.count && distance < 0.01) == isNear, "\(name): \(distance)")
        }
    }

    @Test("Branches of any shape are trained, costed and written, and the shape stands in the record")
    func shape() async throws {
        let folder = try Folder()
        let data = try folder.bars(training: 64)
        let shape = "3x2k3+p-4k5-6k3s-10/concat"
        let out = "\(folder.path)/shaped"
        let trained = try await run(
            Repository.lcp,
            ["train", "lenet", "--shape", shape, "--data", data, "--epochs", "1", "--batch", "32", "--out", out])
        #expect(trained.status == 0 && trained.output.contains("lenet in 3 branches"), "\(trained.errors)")
        let bundle = try ModelBundle(path: out)
        #expect(try bundle.network == #require(BranchShape(shape)).network(of: .lenet))
        #expect(bundle.manifest.training?.command.contains("--shape \(shape)") == true)
        let cost = try await run(Repository.lcp, ["model", "cost", "lenet", "--shape", shape])
        #expect(cost.status == 0 && cost.output.contains("each of 3 branches"), "\(cost.errors)")
    }

    @Test func anExperimentIsATableAndGoesOnWhereItWas() async throws {
        let folder = try Folder()
        let file = "\(folder.path)/tiny.json"
        let text = """
            {"name": "tiny", "title": "Tiny", "about": "Two networks.", "data": ["mnist"], "preset": "digits",
             "validation": 0, "seeds": [1, 2], "recipe": {"epochs": 1, "batch_size": 32},
             "runs": [{"name": "whole", "network": "lenet", "paper": 98.76},
                      {"name": "taught", "network": "lenet", "branches": 4, "teacher": "whole",
                       "recipe": {"distillation": 0.5}}]}
            """
        try FileIO.write(Array(text.utf8), to: file)
        _ = try folder.bars(training: 320)
        let words = ["experiment", file, "--data", folder.path, "--out", "\(folder.path)/out"]
        let one = try await run(Repository.lcp, words + ["--only", "taught", "--seed", "1"])
        #expect(one.status == 0, "\(one.errors)")
        #expect(one.output.contains("2/2 taught, seed 1"))
        // A part is not taken for the whole.
        #expect(one.output.contains("Seed 1;") && !FileIO.exists("\(folder.path)/out/results.json"))
        let all = try await run(Repository.lcp, words)
        #expect(all.status == 0, "\(all.errors)")
        #expect(!all.output.contains("taught, seed 1\n") && all.output.contains("taught, seed 2"))
        #expect(all.output.contains("| whole | mnist | 61706 | 98.76 |"))
        struct Report: Decodable {
            struct Result: Decodable { let run: String; let seeds: [Int]; let accuracy: [Estimate] }
            struct Estimate: Decodable { let mean: Double; let standard_error: Double? }
            let results: [Result]
        }
        let report = try JSONDecoder().decode(
            Report.self, from: Data(try FileIO.read("\(folder.path)/out/results.json")))
        #expect(report.results.map(\.run) == ["whole", "taught"])
        #expect(report.results.map(\.accuracy.count) == [1, 4])
        #expect(report.results.allSatisfy { $0.seeds == [1, 2] && $0.accuracy[0].standard_error != nil })
        // What was trained otherwise is not what the file says.
        try FileIO.write(Array(text.replacing(#""epochs": 1"#, with: #""epochs": 2"#).utf8), to: file)
        let other = try await run(Repository.lcp, words)
        #expect(other.status == 1 && other.errors.contains("out/whole/seed-1") && other.errors.contains("(recipe)"))
    }

    @Test(arguments: [
        (["train", "lenet", "--out", "never"], "--data is missing"),
        (["train", "lenet", "--data", "drawn"], "--out is missing"),
        (["train", "lenett", "--data", "drawn", "--out", "never"], "there is no network"),
        (["train", "lenet", "--branches", "0", "--data", "drawn", "--out", "never"], "1 to 64 branches"),
        (["train", "lenet", "--data", "mnist:/nowhere", "--out", "never"], "/nowhere"),
        (["train", "cifarnet", "--data", "drawn:100", "--out", "never"], "28×28×1"),
        (["train", "lenet", "--data", "drawn", "--set", "colour=red", "--out", "never"], "no colour"),
        (["train", "lenet", "--data", "drawn", "--set", "epochs=many", "--out", "never"], "epochs"),
        (["train", "lenet", "--data", "drawn", "--set", "epochs", "--out", "never"], "an entry and its value"),
        (
            ["train", "lenet", "--data", "drawn", "--recipe", "grandmas", "--out", "never"],
            "there is no recipe \"grandmas\""
        ),
        (["train", "lenet", "--data", "drawn:100", "--epochs", "0", "--out", "never"], "epochs"),
        (["train", "lenet", "--data", "drawn:100", "--resume", "--force", "--out", "never"], "give one"),
        (["train", "lenet", "--data", "drawn:100", "--set", "distillation=0.5", "--out", "never"], "teacher"),
        (["train", "lenet", "--data", "drawn:100", "--teacher", "lenet-split1", "--out", "never"], "learns nothing"),
        (["train", "lenet", "--data", "drawn:100", "--distill", "a", "--teacher", "b", "--out", "never"], "not both"),
        (
            [
                "train", "lenet", "--data", "drawn:100", "--distill", "lenet-split1", "--recipe", "digits", "--out",
                "never",
            ],
            "has no distillation"
        ),
        (["train", "lenet-split4", "--branches", "2", "--data", "drawn", "--out", "never"], "in 4 branches already"),
        (["train", "lenet", "--shape", "2x8", "--data", "drawn", "--out", "never"], "a shape as lcp search writes it"),
        (
            ["train", "lenet", "--shape", "2x8k5/sum", "--data", "drawn", "--out", "never"],
            "3 convolutions and 1 fully"
        ),
        (
            [
                "train", "lenet", "--shape", "2x3k5-8k5-60k5-42/sum", "--branches", "2", "--data", "drawn", "--out",
                "never",
            ],
            "says all of the branches"
        ),
        (
            [
                "train", "lenet", "--shape", "2x3k5-8k5-60k5-42/sum", "--merge", "concat", "--data", "drawn", "--out",
                "never",
            ],
            "leave out one"
        ),
        (["bench", "train", "vgg16", "--batch", "60000"], "of memory"),
        (["experiment", "/nowhere.json", "--data", "x", "--out", "y"], "/nowhere.json"),
    ])
    func everyMistakeIsOneSentence(arguments: [String], words: String) async throws {
        let folder = try Folder()
        let outcome = try await run(
            Repository.lcp, arguments.map { $0 == "never" ? "\(folder.path)/never" : $0 })
        #expect(!FileIO.exists("\(folder.path)/never"))
        #expect(outcome.status != 0)
        #expect(outcome.errors.contains(words), "\(outcome.errors)")
        #expect(!outcome.errors.contains("Fatal") && outcome.errors.split(separator: "\n").count <= 6)
    }
}
