import Foundation
import LCPDatasets
import LCPEvaluation
import LCPModels
import LCPTraining
import Platform
import Tensors
import Testing

/// From data to bundle, on drawn digits.
@Suite struct TrainingRunTests {
    static func run(_ folder: String, branches: Int = 4) throws -> TrainingRun {
        var recipe = TrainingRecipe()
        (recipe.epochs, recipe.batchSize, recipe.branchDropout) = (2, 32, 0.2)
        var run = TrainingRun(
            network: try Network.lenet.split(into: branches), name: "test", recipe: recipe,
            data: [.drawn(count: 320)], folder: folder)
        run.validation = 0.2
        run.command = "lcp train lenet"
        return run
    }

    /// Drawn digits as files: unlike `drawn`, no test set of ten thousand follows a training on them.
    static func digits(_ count: Int, in folder: String) throws -> DataSpecification {
        let images = DrawnDigits(trainingSeed: 3, epoch: 0).images(count)
        func bytes(_ number: Int) -> [UInt8] {
            (0..<4).reversed().map { UInt8(truncatingIfNeeded: number >> (8 * $0)) }
        }
        let header: [UInt8] = [0, 0, 8, 3] + bytes(count) + bytes(28) + bytes(28)
        try FileIO.write(header + images.pixels, to: "\(folder)/digits-\(count)-images")
        let labels = images.labels.map { UInt8($0) }
        try FileIO.write([0, 0, 8, 1] + bytes(count) + labels, to: "\(folder)/digits-\(count)-labels")
        return .idx(try IDX.Files("\(folder)/digits-\(count)-images,\(folder)/digits-\(count)-labels"))
    }

    @Test func aBundleRemembersHowItWasMade() throws {
        let folder = try TemporaryFolder()
        let path = "\(folder.path)/bundle"
        let bundle = try Self.run(path).run { _ in true }
        let record = try #require(bundle.manifest.training)
        #expect(record.command == "lcp train lenet")
        #expect(record.data == "drawn:320")
        #expect(record.history?.count == 2)
        #expect(record.history?.allSatisfy { $0.validationAccuracy != nil } == true)
        #expect(record.recipe?.branchDropout == 0.2)
        #expect((record.accuracy["drawn"] ?? 0) > 0)
        let scale = try #require(bundle.manifest.missingScale)
        #expect(scale.count == 4 && scale[0] == 1 && scale.allSatisfy { $0 > 0 })
        #expect(!FileIO.exists("\(path)/checkpoint.safetensors"))
    }

    /// With steps of next to nothing it stays as it was: the same weights, for pixels normalised in the same, unusual way.
    @Test func trainingGoesOnFromANetworksOwnWeights() throws {
        let folder = try TemporaryFolder()
        let first = try Self.run("\(folder.path)/first", branches: 1).run { _ in true }
        let unusual = ModelManifest.Preprocessing(mean: [0.5], standardDeviation: [0.2])
        let teacher = try ModelBundle.write(
            name: "mine", network: first.network, parameters: try first.parameters(), preprocessing: unusual,
            labels: first.manifest.labels, training: nil, missingScale: nil, to: "\(folder.path)/mine")
        var run = try Self.run("\(folder.path)/tuned", branches: 1)
        (run.teachers, run.recipe.initialization) = ([teacher], .teacher)
        (run.recipe.epochs, run.recipe.learningRate) = (1, 1e-30)
        let tuned = try run.run { _ in true }
        #expect(tuned.manifest.preprocessing == unusual)
        func numbers(_ parameters: ModelParameters) -> [Float] {
            (parameters.branches[0].compactMap(\.self) + [parameters.merge]).flatMap { $0.weight + $0.bias }
        }
        let (before, after) = (numbers(try first.parameters()), numbers(try tuned.parameters()))
        #expect(before.count == 61_706 && zip(before, after).allSatisfy { abs($0 - $1) < 1e-20 })
    }

    @Test func aFinishedTrainingIsKnownByWhatItIs() throws {
        let folder = try TemporaryFolder()
        let run = try Self.run("\(folder.path)/bundle")
        #expect(try !run.isFinished())
        try FileIO.makeFolder(run.folder)
        // What a killed training leaves behind.
        try FileIO.write([], to: "\(run.folder)/checkpoint.safetensors")
        try FileIO.write([], to: "\(run.folder)/model.json.12345.part")
        _ = try run.run(existing: .replace) { _ in true }
        #expect(try run.isFinished())
        #expect(try !FileIO.list(run.folder).contains { $0.hasSuffix(".part") })
        let changes: [(String, (inout TrainingRun) throws -> Void)] = [
            ("network", { $0.network = try Network.lenet.split(into: 2) }), ("recipe", { $0.recipe.epochs = 3 }),
            ("seed", { $0.seed = 2 }), ("data", { $0.data = [.drawn(count: 640)] }),
            ("validation", { $0.validation = 0 }),
        ]
        for (word, change) in changes {
            var other = run
            try change(&other)
            let error = #expect(throws: TrainingError.self) { try other.isFinished() }
            #expect(error?.description.contains("(\(word))") == true)
        }
    }

    @Test func oneFolderIsForOneTraining() throws {
        let folder = try TemporaryFolder()
        let run = try Self.run("\(folder.path)/bundle", branches: 1)
        try FileIO.makeFolder(run.folder)
        var lock = FolderLock(run.folder)
        #expect(lock != nil)
        let error = #expect(throws: TrainingError.self) { try run.run { _ in true } }
        #expect(error?.description.contains("another process") == true)
        // Its folder is still empty in the first epoch, and stays all the same.
        #expect(FolderLock(run.folder) == nil && FileIO.exists(run.folder))
        lock = nil
        _ = try run.run { _ in true }
    }

    /// What a teacher calls cat is not learned as dog; a teacher that was told no names is taken at its places.
    @Test func aTeacherKnowsTheSameClasses() throws {
        let folder = try TemporaryFolder()
        for (name, file) in [("cat", "grey"), ("dog", "palette")] {
            let picture = try FileIO.read(ExperimentTests.shipped.path + "/../../Tests/Fixtures/images/\(file).png")
            try FileIO.makeFolder("\(folder.path)/photos/\(name)")
            for index in 0..<16 { try FileIO.write(picture, to: "\(folder.path)/photos/\(name)/\(index).png") }
        }
        let network = Network.lenet.with(classes: 2)
        let whole = try network.split(into: 1)
        var first = TrainingRun(
            network: whole, name: "inner", recipe: TrainingRecipe(), data: [.folder("\(folder.path)/photos")],
            folder: "\(folder.path)/inner")
        (first.recipe.epochs, first.recipe.batchSize) = (8, 16)
        let inner = try first.run { _ in true }
        for (labels, mistake) in [(["dog", "cat"], "\"dog\""), (["Cat", "Dog"], nil), (["0", "1"], nil)] {
            let teacher = try ModelBundle.write(
                name: "inner", network: whole, parameters: try inner.parameters(),
                preprocessing: inner.manifest.preprocessing, labels: labels, training: nil, missingScale: nil,
                to: "\(folder.path)/teacher-\(labels[0])")
            var run = TrainingRun(
                network: try network.split(into: 2), name: "test", recipe: TrainingRecipe(),
                data: [.folder("\(folder.path)/photos")], folder: "\(folder.path)/\(labels[0])")
            (run.recipe.epochs, run.recipe.batchSize, run.recipe.distillation) = (1, 32, 0.5)
            run.teachers = [teacher]
            guard let mistake else {
                _ = try run.run { _ in true }
                continue
            }
            let error = #expect(throws: TrainingError.self) { try run.run { _ in true } }
            #expect(error?.description.contains(mistake) == true && error?.description.contains("teacher-dog") == true)
        }
    }

    @Test func nothingIsOverwrittenByAWordTooFew() throws {
        let folder = try TemporaryFolder()
        let run = try Self.run("\(folder.path)/bundle", branches: 1)
        let first = try run.run { _ in true }
        let error = #expect(throws: TrainingError.self) { try run.run { _ in true } }
        #expect(error?.description.contains("--force") == true)
        #expect(try ModelBundle(path: run.folder).hash == first.hash)
        #expect(try run.run(existing: .replace) { _ in true }.network == first.network)
    }

    @Test func aRunThatWasCutShortGoesOnToTheSameBundle() throws {
        let folder = try TemporaryFolder()
        let whole = try Self.run("\(folder.path)/whole").run { _ in true }
        let cut = try Self.run("\(folder.path)/cut")
        #expect(throws: CancellationError.self) {
            try cut.run { event in
                if case .progress(let progress) = event { progress.record == nil } else { true }
            }
        }
        var other = cut
        other.validation = 0.5
        let refusal = #expect(throws: TrainingError.self) { try other.run(existing: .resume) { _ in true } }
        #expect(refusal?.description.contains("data, validation and teachers") == true)
        #expect(FileIO.exists("\(cut.folder)/checkpoint.safetensors"))
        let refused = #expect(throws: TrainingError.self) { try cut.run { _ in true } }
        #expect(refused?.description.contains("--resume") == true)
        let resumed = try cut.run(existing: .resume) { _ in true }
        #expect(try resumed.parameters() == whole.parameters())
        #expect(resumed.manifest.missingScale == whole.manifest.missingScale)
    }

    /// Only the form of the data stands in the command: what is in the files may be other images by then.
    @Test("A training that was cut short does not go on with other images")
    func otherImages() throws {
        let folder = try TemporaryFolder()
        let (images, labels) = ("\(folder.path)/images", "\(folder.path)/labels")
        var random = SeededGenerator(seed: 3)
        let pixels = (0..<96 * 784).map { _ in UInt8(random.index(256)) }
        let classes = (0..<96).map { UInt8($0 % 10) }
        func write(count: Int = 96, pixel: Int? = nil, label: Int? = nil) throws {
            var (pixels, classes) = (Array(pixels.prefix(count * 784)), Array(classes.prefix(count)))
            if let pixel { pixels[pixel] ^= 1 }
            if let label { classes[label] ^= 1 }
            try FileIO.write([0, 0, 8, 3, 0, 0, 0, UInt8(count), 0, 0, 0, 28, 0, 0, 0, 28] + pixels, to: images)
            try FileIO.write([0, 0, 8, 1, 0, 0, 0, UInt8(count)] + classes, to: labels)
        }
        var run = try Self.run("\(folder.path)/bundle", branches: 1)
        (run.data, run.validation) = ([.idx(.init(images: images, labels: labels))], 0.25)
        func refusal() -> String {
            #expect(throws: TrainingError.self) { try run.run(existing: .resume) { _ in true } }?.description ?? ""
        }
        let checkpoint = "\(run.folder)/checkpoint.safetensors"
        try write()
        #expect(throws: CancellationError.self) {
            try run.run { event in if case .progress(let progress) = event { progress.record == nil } else { true } }
        }

        try write(count: 64)
        #expect(
            refusal().hasSuffix(
                "it was trained on 72 images and 24 for validation, and now there are 48 images and 16 for validation"))
        for (pixel, label) in [(0, nil), (96 * 784 - 1, nil), (nil, 95)] as [(Int?, Int?)] {
            try write(pixel: pixel, label: label)
            #expect(refusal().contains("the images, their labels or the names of the classes are not those"))
        }

        // A checkpoint that does not tell its images, as before there were digests, is gone on with.
        let whole = try FileIO.read(checkpoint)
        var file = try Safetensors(decoding: whole)
        let text = try #require(file.metadata["lcp"])
        var header = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
        #expect(header.removeValue(forKey: "data") != nil)
        file.metadata["lcp"] = String(decoding: try JSONSerialization.data(withJSONObject: header), as: UTF8.self)
        try FileIO.write(file.encoded(), to: checkpoint)
        var resumed = 0
        func goOn() throws {
            _ = try run.run(existing: .resume) { event in
                if case .resumed(let epoch) = event { resumed += epoch }
                return true
            }
        }
        try goOn()
        #expect(resumed == 1)
        FileIO.remove("\(run.folder)/model.json")
        try FileIO.write(whole, to: checkpoint)
        try write()
        try goOn()
        #expect(resumed == 2)
    }

    @Test func aFinishedBundleIsNotGoneOnWith() throws {
        let folder = try TemporaryFolder()
        let run = try Self.run("\(folder.path)/bundle", branches: 1)
        let first = try run.run { _ in true }
        let error = #expect(throws: TrainingError.self) { try run.run(existing: .resume) { _ in true } }
        #expect(error?.description.contains("finished") == true)
        #expect(try ModelBundle(path: run.folder).hash == first.hash)
    }

    @Test func dataOfOtherClassesIsRefused() throws {
        let folder = try TemporaryFolder()
        var run = try Self.run("\(folder.path)/bundle")
        run.network = try Network.lenet.with(classes: 7).split(into: 2)
        let error = #expect(throws: TrainingError.self) { try run.run { _ in true } }
        #expect(error?.description.contains("--classes 10") == true)
    }

    /// Fewer branches must not make a model surer than it is right.
    @Test func theMissingScaleLowersTheCrossEntropy() throws {
        let folder = try TemporaryFolder()
        var run = try Self.run("\(folder.path)/bundle")
        (run.recipe.epochs, run.data) = (4, [.drawn(count: 1600)])
        let scaled = try run.run { _ in true }
        let plain = try ModelBundle.write(
            name: "plain", network: scaled.network, parameters: scaled.parameters(),
            preprocessing: scaled.manifest.preprocessing, labels: scaled.manifest.labels, to: "\(folder.path)/plain")
        let set = DrawnDigits(seed: 77).images(300)
        func loss(_ bundle: ModelBundle, _ missing: Set<Int>) throws -> Double {
            let evaluator = try BundleEvaluator(bundle: bundle)
            var total = 0.0
            for image in 0..<set.count {
                let logits = try Array(set[image]).withUnsafeBytes {
                    try evaluator.logits(pixels: $0, missing: missing)
                }
                let most = Double(logits.max() ?? 0)
                let sum = logits.reduce(0.0) { $0 + exp(Double($1) - most) }
                total += log(sum) + most - Double(logits[Int(set.labels[image])])
            }
            return total / Double(set.count)
        }
        #expect(try loss(scaled, []) == loss(plain, []))
        var (with, without) = (0.0, 0.0)
        for missing in [[0, 1], [0, 2], [0, 3], [1, 2], [1, 3], [2, 3]] {
            with += try loss(scaled, Set(missing))
            without += try loss(plain, Set(missing))
        }
        #expect(with < without + 0.02)
    }
}
