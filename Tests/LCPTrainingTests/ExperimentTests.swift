import Foundation
import LCPDatasets
import LCPEvaluation
import LCPModels
import LCPTraining
import Platform
import Testing

@Suite("An experiment") struct ExperimentTests {
    static let shipped = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appendingPathComponent("../../Configs/experiments").standardized

    @Test("Every one that ships can be trained") func shipped() throws {
        let files = try FileManager.default.contentsOfDirectory(atPath: Self.shipped.path).filter {
            // Those measure, and train nothing.
            $0.hasSuffix(".json") && !$0.hasPrefix("speedup")
        }
        #expect(!files.isEmpty)
        for file in files {
            let experiment = try Experiment(path: Self.shipped.appendingPathComponent(file).path)
            #expect(file == "\(experiment.name).json")
            for run in experiment.runs where run.teacher == nil && run.parityOf == nil {
                let training = try experiment.training(run, seed: 1, data: "data", folder: "results")
                #expect(training.folder == "results/\(run.name)/seed-1")
            }
        }
    }

    @Test(
        "A file that is none is refused with the entry that is wrong",
        arguments: [
            (#"{"name": "x"}"#, "lacks"), ("[1, 2", "JSON"),
            (
                #"{"name":"x","title":"","about":"","data":["mnist"],"preset":"digits","validation":0,"seeds":[1],"#
                    + #""runs":[{"name":"../x","network":"lenet"}]}"#, "folder"
            ),
            (
                #"{"name":"x","title":"","about":"","data":["mnist"],"preset":"digits","validation":0,"seeds":[1],"#
                    + #""runs":[{"name":"a","network":"lenet","teacher":"b"}]}"#, "teacher"
            ),
            (
                #"{"name":"x","title":"","about":"","data":["mnist"],"preset":"digits","validation":0,"seeds":[1],"#
                    + #""runs":[{"name":"a","network":"lenet","teacher_seeds":[1]}]}"#, "need a teacher"
            ),
            (
                #"{"name":"x","title":"","about":"","data":["mnist"],"preset":"digits","validation":0,"seeds":[],"#
                    + #""runs":[{"name":"a","network":"lenet"}]}"#, "at least one"
            ),
            (
                #"{"name":"x","title":"","about":"","data":["mnist"],"preset":"digits","validation":0,"seeds":[1,1],"#
                    + #""runs":[{"name":"a","network":"lenet"}]}"#, "a seed twice"
            ),
            (
                #"{"name":"x","title":"","about":"","data":["mnist"],"preset":"digits","validation":0,"seeds":[1],"#
                    + #""runs":[{"name":"a","network":"lenet","set":{"epochs":1}}]}"#, "\"set\""
            ),
            (
                #"{"name":"x","title":"","about":"","data":["mnist"],"preset":"digits","validation":0,"seeds":[1],"#
                    + #""runs":[{"name":"a","network":"lenet"},{"name":"b","network":"lenet","branches":"2"}]}"#,
                "\"runs[1].branches\" is not a whole number"
            ),
            (#"{"name":"x","title":"","about":"","data":"mnist"}"#, "\"data\" is not a list"),
            (
                #"{"name":"x","title":"","about":"","data":["mnist"],"preset":"digits","validation":0,"seeds":[1],"#
                    + #""runs":[{"name":"a","network":"lenet","shape":"2x3k5-48/sum"},{"name":"b","network":"lenet","shape":"2*3"}]}"#,
                "runs[1].shape"
            ),
            (
                #"{"name":"x","title":"","about":"","data":["mnist"],"preset":"digits","validation":0,"seeds":[1],"#
                    + #""runs":[{"name":"a","network":"lenet","shape":"2x3k5-48/sum","branches":2}]}"#,
                "leave out branches"
            ),
            (
                #"{"name":"x","title":"","about":"","data":["mnist"],"preset":"digits","validation":0,"seeds":[1],"#
                    + #""runs":[{"name":"b","parity_of":"a"}]}"#, "parity_of"
            ),
            (
                #"{"name":"x","title":"","about":"","data":["mnist"],"preset":"digits","validation":0,"seeds":[1],"#
                    + #""runs":[{"name":"a","network":"lenet"},{"name":"b","parity_of":"a","auto":true}]}"#,
                "one branch for another run"
            ),
            (
                #"{"name":"x","title":"","about":"","data":["mnist"],"preset":"digits","validation":0,"seeds":[1],"#
                    + #""runs":[{"name":"a","network":"lenet"},{"name":"b","network":"lenet","parity_of":"a"}]}"#,
                "one of both"
            ),
        ])
    func refused(text: String, word: String) throws {
        let folder = try TemporaryFolder()
        let path = "\(folder.path)/experiment.json"
        try FileIO.write(Array(text.utf8), to: path)
        let error = #expect(throws: TrainingError.self) { try Experiment(path: path) }
        #expect(error?.description.contains(word) == true, "\(error?.description ?? "")")
    }

    @Test("Teachers of all seeds, and models that get a parity branch, are trained before the runs that need them")
    func order() throws {
        let folder = try TemporaryFolder()
        let path = "\(folder.path)/experiment.json"
        let text = #"""
            {"name": "x", "title": "", "about": "", "data": ["mnist"], "preset": "digits", "validation": 0, "seeds": [1, 2],
             "runs": [{"name": "a", "network": "lenet"}, {"name": "b", "network": "lenet", "fatten": "50,0"},
                      {"name": "c", "network": "lenet", "teacher": "a", "teacher_seeds": [1, 2]},
                      {"name": "d", "parity_of": "b"}]}
            """#
        try FileIO.write(Array(text.utf8), to: path)
        let experiment = try Experiment(path: path)
        let order = experiment.trainings(of: experiment.runs, seeds: experiment.seeds).map {
            "\($0.run.name)\($0.seed)"
        }
        #expect(order == ["a1", "b1", "a2", "c1", "d1", "b2", "c2", "d2"])
        #expect(
            experiment.trainings(of: [experiment.runs[3]], seeds: [2]).map { "\($0.run.name)\($0.seed)" } == [
                "b2", "d2",
            ])
        let last = experiment.runs[2]
        #expect(experiment.trainings(of: [last], seeds: [2]).map(\.seed) == [2, 1, 2])
        #expect(last.teachers(seed: 2).map(\.seed) == [2, 1] && last.teachers(seed: 3).map(\.seed) == [1, 2])
        #expect(experiment.runs[1].fatten == Fattening(convolutions: 50, fullyConnected: 0))
    }

    @Test(
        "A run that cannot be trained is told before any training",
        arguments: [
            (#""fatten":5000"#, "-90 to 1000 per cent"), (#""recipe":{"distilation":0.5}"#, "distilation"),
            (#""teacher":"a""#, "nothing would be learned"), (#""network":"lenett""#, "lenett"),
            (#""network":"cifarnet""#, "28×28×1"), (#""recipe":{"distillation":0.5}"#, "from a teacher"),
            (#""recipe":{"initialization":"teacher"}"#, "from a teacher"),
            (#""network":"lenet-fc","teacher":"a","recipe":{"initialization":"teacher"}"#, "other layers"),
        ])
    func checked(entry: String, word: String) throws {
        let folder = try TemporaryFolder()
        let path = "\(folder.path)/experiment.json"
        let network = entry.contains("network") ? "" : #""network":"lenet","#
        let text =
            #"{"name":"x","title":"","about":"","data":["mnist"],"preset":"digits","validation":0,"seeds":[1],"#
            + #""runs":[{"name":"a","network":"lenet"},{"name":"wrong",\#(network)\#(entry)}]}"#
        try FileIO.write(Array(text.utf8), to: path)
        let experiment = try Experiment(path: path)
        try experiment.check(experiment.runs[0], data: "data")
        let error = #expect(throws: TrainingError.self) { try experiment.check(experiment.runs[1], data: "data") }
        #expect(error?.description.contains(word) == true && error?.description.contains("wrong") == true)
    }

    @Test("Standard errors are those of the mean") func standardErrors() {
        let estimate = ExperimentResult.Estimate([0.1, 0.2, 0.6])
        #expect(abs(estimate.mean - 0.3) < 1e-12)
        #expect(abs((estimate.standardError ?? 0) - 0.152_752_5) < 1e-6)
        #expect(ExperimentResult.Estimate([0.5]).standardError == nil)
    }

    @Test("Trains branches of a shape, by a recipe that trials choose, and a parity branch for them")
    func trained() throws {
        let folder = try TemporaryFolder()
        let path = "\(folder.path)/experiment.json"
        let text = #"""
            {"name": "x", "title": "", "about": "", "data": ["drawn:256"], "preset": "digits", "validation": 0, "seeds": [1],
             "recipe": {"epochs": 1, "batch_size": 32},
             "runs": [{"name": "a", "network": "lenet-fc", "shape": "3x20-10/concat", "auto": true},
                      {"name": "b", "parity_of": "a", "fatten": 100, "recipe": {"distillation": 0.5}}]}
            """#
        try FileIO.write(Array(text.utf8), to: path)
        let experiment = try Experiment(path: path)
        for run in experiment.runs {
            try experiment.check(run, data: folder.path)
            _ = try experiment.training(run, seed: 1, data: folder.path, folder: folder.path).run { _ in true }
        }
        let plain = try ModelBundle(path: "\(folder.path)/a/seed-1")
        #expect(plain.network.branches[0].compactMap(\.width) == [20, 10] && plain.network.branches.count == 3)
        #expect(plain.manifest.training?.choice?.trials.isEmpty == false)
        let guarded = try ModelBundle(path: "\(folder.path)/b/seed-1")
        #expect(guarded.network.parity == 3 && guarded.network.branches[3].compactMap(\.width).first == 40)
    }
}
