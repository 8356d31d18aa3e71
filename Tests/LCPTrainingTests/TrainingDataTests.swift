import LCPDatasets
import LCPModels
import LCPTraining
import Platform
import Testing

@Suite("What training does with data as people have them") struct TrainingDataTests {
    @Test("A teacher that sees pictures cut in another way is refused, and one that sees the same is not")
    func teacherOfOtherPictures() throws {
        let folder = try TemporaryFolder()
        // It knows the digits that are drawn.
        let shipped = try ModelBundle.find("lenet-split1")
        var preprocessing = shipped.manifest.preprocessing
        preprocessing.resize = .crop(shorter: 32)
        let teacher = try ModelBundle.write(
            name: "cut", network: shipped.network, parameters: try shipped.parameters(), preprocessing: preprocessing,
            labels: shipped.manifest.labels, to: "\(folder.path)/cut")
        var run = TrainingRun(
            network: try Network.lenet.split(into: 2), name: "test", recipe: TrainingRecipe(),
            data: [.drawn(count: 64)], folder: "\(folder.path)/net")
        (run.recipe.epochs, run.recipe.batchSize, run.recipe.distillation, run.teachers) = (1, 32, 0.5, [teacher])
        let error = #expect(throws: TrainingError.self) { try run.run { _ in true } }
        #expect(error?.description.contains("the middle is cut out") == true, "\(String(describing: error))")
        run.pictures = teacher.manifest.preprocessing
        #expect(try run.run { _ in true }.manifest.preprocessing.resize == .crop(shorter: 32))
    }

    @Test("A teacher that answers no better than chance is refused before the first epoch")
    func teacherOfOtherThings() throws {
        let folder = try TemporaryFolder()
        let network = try Network.lenet.split(into: 1)
        var random = SeededGenerator(seed: 1)
        let teacher = try ModelBundle.write(
            name: "untrained", network: network, parameters: try .random(for: network, using: &random),
            preprocessing: ModelBundle.find("lenet-split1").manifest.preprocessing,
            labels: (0..<10).map { "\($0)" }, to: "\(folder.path)/untrained")
        var run = TrainingRun(
            network: try Network.lenet.split(into: 2), name: "test", recipe: TrainingRecipe(),
            data: [.drawn(count: 640)], folder: "\(folder.path)/net")
        (run.recipe.epochs, run.recipe.distillation) = (1, 0.5)
        run.teachers = [try ModelBundle.find("lenet-split1"), teacher]
        let error = #expect(throws: TrainingError.self) { try run.run { _ in true } }
        #expect(error?.description.contains("untrained is right on") == true, "\(String(describing: error))")
        #expect(error?.description.contains("of 256 training images, no better than chance") == true)
        // Weights alone may come from anywhere.
        (run.recipe.distillation, run.recipe.initialization, run.teachers) = (0, .teacher, [teacher])
        _ = try run.run { _ in true }
    }

    @Test("Labels that begin at 1 are noticed where they are one too many") func firstLabel() throws {
        let folder = try TemporaryFolder()
        let (images, labels) = ("\(folder.path)/images", "\(folder.path)/labels")
        try FileIO.write(
            [0, 0, 8, 3, 0, 0, 0, 64, 0, 0, 0, 28, 0, 0, 0, 28] + Array(repeating: 7, count: 64 * 784), to: images)
        try FileIO.write([0, 0, 8, 1, 0, 0, 0, 64] + (0..<64).map { $0 % 10 + 1 }, to: labels)
        var run = TrainingRun(
            network: try Network.lenet.split(into: 1), name: "test", recipe: TrainingRecipe(),
            data: [try DataSpecification("idx:\(images),\(labels)", defaultDrawnCount: 1)],
            folder: "\(folder.path)/net")
        (run.recipe.epochs, run.recipe.batchSize) = (1, 32)
        let error = #expect(throws: DatasetError.self) { try run.run { _ in true } }
        #expect(error?.description.contains("the label 10") == true && error?.description.contains("first=1") == true)
        run.data = [try DataSpecification("idx:\(images),\(labels),first=1", defaultDrawnCount: 1)]
        run.classNames = (0..<10).map { "letter \($0)" }
        #expect(try run.run { _ in true }.manifest.labels == run.classNames)
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
        let clear = try FileIO.read(
            ExperimentTests.shipped.path + "/../../Tests/Fixtures/pictures/depth16-colour-transparent.png")
        for index in 0..<2 { try FileIO.write(clear, to: "\(photos)/train/dog/clear\(index).png") }
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
            case .noted(_, let notes): events += notes.map { $0.replacing("\(photos)/train/", with: "") }
            case .resumed, .trial, .tried, .chosen: break
            }
            return true
        }
        let note = "dog/clear0.png and 1 more are transparent, and put on white"
        #expect(events == [note, "damaged", "empty", "epoch", "tested 32"], "\(events)")
        #expect(bundle.manifest.labels == ["cat", "dog"])
    }
}
