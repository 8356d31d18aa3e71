import LCPDatasets
import LCPModels
import LCPTraining
import Platform
import Testing

@Suite("What training does with data as people have them") struct TrainingDataTests {
    @Test("A teacher that sees pictures cut in another way is refused, and one that sees the same is not")
    func teacherOfOtherPictures() throws {
        let folder = try TemporaryFolder()
        let network = try Network.lenet.split(into: 1)
        var random = SeededGenerator(seed: 1)
        var preprocessing = ModelManifest.Preprocessing(mean: [0.5], standardDeviation: [0.2])
        preprocessing.resize = .crop(shorter: 32)
        let teacher = try ModelBundle.write(
            name: "cut", network: network, parameters: try .random(for: network, using: &random),
            preprocessing: preprocessing, labels: (0..<10).map { "\($0)" }, to: "\(folder.path)/cut")
        var run = TrainingRun(
            network: try Network.lenet.split(into: 2), name: "test", recipe: TrainingRecipe(),
            data: [.drawn(count: 64)], folder: "\(folder.path)/net")
        (run.recipe.epochs, run.recipe.batchSize, run.recipe.distillation, run.teachers) = (1, 32, 0.5, [teacher])
        let error = #expect(throws: TrainingError.self) { try run.run { _ in true } }
        #expect(error?.description.contains("the middle is cut out") == true, "\(String(describing: error))")
        run.pictures = teacher.manifest.preprocessing
        #expect(try run.run { _ in true }.manifest.preprocessing.resize == .crop(shorter: 32))
    }

    @Test(
        "A damaged picture is named before the first epoch and left out, in test data too; strict training does not begin"
    )
    func damagedPictures() throws {
        let folder = try TemporaryFolder()
        let picture = try FileIO.read(ExperimentTests.shipped.path + "/../../Tests/Fixtures/images/grey.png")
        let photos = "\(folder.path)/photos"
        for place in ["train/cat", "train/dog", "test/cat", "test/dog"] {
            try FileIO.makeFolder("\(photos)/\(place)")
            for index in 0..<16 { try FileIO.write(picture, to: "\(photos)/\(place)/\(index).png") }
        }
        try FileIO.write(Array(picture.prefix(100)), to: "\(photos)/train/cat/damaged.png")
        try FileIO.write([], to: "\(photos)/test/dog/empty.png")
        var run = TrainingRun(
            network: try Network.lenet.with(classes: 2).split(into: 2), name: "test", recipe: TrainingRecipe(),
            data: [.folder(photos)], folder: "\(folder.path)/net")
        (run.recipe.epochs, run.recipe.batchSize, run.isStrict, run.validation) = (1, 8, true, 0.25)
        let error = #expect(throws: TrainingError.self) { try run.run { _ in true } }
        #expect(error?.description.contains("damaged.png") == true, "\(String(describing: error))")
        run.isStrict = false
        var events: [String] = []
        let bundle = try run.run { event in
            switch event {
            case .leftOut(_, let files): events += files.map { $0.contains("damaged.png") ? "damaged" : "empty" }
            case .progress(let progress): if progress.record != nil { events.append("epoch") }
            case .tested(_, let result): events.append("tested \(result.images)")
            case .resumed: break
            }
            return true
        }
        #expect(events == ["damaged", "empty", "epoch", "tested 32"])
        #expect(bundle.manifest.labels == ["cat", "dog"])
    }
}
