import LCPDatasets
import LCPEvaluation
import LCPModels
import LCPTraining
import Platform
import Tensors
import Testing

@Suite("A parity branch") struct ParityTests {
    private static func recipe() -> TrainingRecipe {
        var recipe = TrainingRecipe()
        (recipe.epochs, recipe.batchSize, recipe.distillation, recipe.averaging) = (10, 32, 0.5, 0.9)
        return recipe
    }

    private static func model(_ merge: Merge, in folder: String) throws -> ModelBundle {
        var recipe = TrainingRecipe()
        (recipe.epochs, recipe.batchSize) = (3, 32)
        let run = TrainingRun(
            network: try Network.lenet.with(merge: merge).split(into: 3), name: "plain", recipe: recipe,
            data: [try TrainingRunTests.digits(640, in: folder)], folder: "\(folder)/plain")
        return try run.run { _ in true }
    }

    @Test(
        "Leaves the whole answer as it is, to the bit, and makes the answer with one branch missing better",
        arguments: Merge.allCases)
    func standsIn(merge: Merge) throws {
        let folder = try TemporaryFolder()
        let plain = try Self.model(merge, in: folder.path)
        let run = try TrainingRun(
            parityOf: plain, name: "guarded", recipe: Self.recipe(),
            data: [try TrainingRunTests.digits(640, in: folder.path)],
            folder: "\(folder.path)/guarded")
        let guarded = try run.run { _ in true }
        #expect(try run.isFinished())
        #expect(guarded.network.parity == 3 && guarded.network.branches.count == 4 && guarded.manifest.format == 4)
        #expect(guarded.manifest.missingScale == plain.manifest.missingScale)
        let (old, new) = (try BundleEvaluator(bundle: plain), try BundleEvaluator(bundle: guarded))
        let images = DrawnDigits(trainingSeed: 77, epoch: 5).images(200)
        let size = plain.network.input.elementCount
        try images.pixels.withUnsafeBytes { pixels in
            for image in 0..<20 {
                let pixels = UnsafeRawBufferPointer(rebasing: pixels[image * size..<(image + 1) * size])
                let whole = try old.logits(pixels: pixels)
                // Also where the parity branch itself is missing.
                #expect(try new.logits(pixels: pixels) == whole && new.logits(pixels: pixels, missing: [3]) == whole)
                // Without it another missing branch is what it was.
                #expect(try new.logits(pixels: pixels, missing: [1, 3]) == old.logits(pixels: pixels, missing: [1]))
            }
        }
        func evaluation(_ evaluator: BundleEvaluator) throws -> Evaluation {
            try evaluator.evaluate(pixels: images.pixels, labels: images.labels, maximumMissing: 1) { _ in true }
        }
        let (before, after) = (try evaluation(old), try evaluation(new))
        #expect(after.accuracy == before.accuracy && after.byMissing[1].subsets == 3)
        #expect(after.byMissing[1].mean > before.byMissing[1].mean)
    }

    @Test("What cannot have one, or would be spoiled by one, is refused in a sentence")
    func refusals() throws {
        let folder = try TemporaryFolder()
        let plain = try Self.model(.concat, in: folder.path)
        func make(_ bundle: ModelBundle, _ recipe: TrainingRecipe = Self.recipe()) throws -> TrainingRun {
            try TrainingRun(
                parityOf: bundle, name: "guarded", recipe: recipe,
                data: [try TrainingRunTests.digits(64, in: folder.path)],
                folder: "\(folder.path)/guarded")
        }
        func complaint(_ body: () throws -> Void) -> String {
            do { try body() } catch { return "\(error)" }
            return ""
        }
        let guarded = try make(plain).run { _ in true }
        #expect(complaint { _ = try make(guarded) }.contains("has a parity branch already"))
        var recipe = Self.recipe()
        recipe.initialization = .teacher
        #expect(complaint { _ = try make(plain, recipe) }.contains("begins with random weights"))
        let one = try ModelBundle.write(
            name: "one", network: try Network.lenet.split(into: 1), parameters: try Self.random(1),
            preprocessing: plain.manifest.preprocessing, labels: plain.manifest.labels, to: "\(folder.path)/one")
        #expect(complaint { _ = try make(one) }.contains("one has 1 branch"))
        // It does not go on being trained without its parity branch.
        var run = TrainingRun(
            network: guarded.network, name: "more", recipe: TrainingRecipe(), data: [.drawn(count: 320)],
            folder: "\(folder.path)/more")
        run.start = guarded
        #expect(complaint { _ = try run.run { _ in true } }.contains("stands in for the others"))
    }

    private static func random(_ branches: Int) throws -> ModelParameters {
        var random = SeededGenerator(seed: 1)
        return try .random(for: try Network.lenet.split(into: branches), using: &random)
    }

    @Test("A file that names another branch than the last is refused, and so is one of a format that has none")
    func files() throws {
        let folder = try TemporaryFolder()
        var three = try Network.lenet.split(into: 3)
        three.branches[2] = three.branches[0] + [.fullyConnected(outputs: 20)]
        three.parity = 2
        var random = SeededGenerator(seed: 1)
        let bundle = try ModelBundle.write(
            name: "three", network: three, parameters: try .random(for: three, using: &random),
            preprocessing: .usual(for: three.input), labels: (0..<10).map(String.init), to: folder.path)
        #expect(bundle.manifest.format == 4)
        let file = "\(folder.path)/model.json"
        let text = String(decoding: try FileIO.read(file), as: UTF8.self)
        try FileIO.write(Array(text.replacing("\"format\" : 4", with: "\"format\" : 3").utf8), to: file)
        let error = #expect(throws: ModelBundleError.self) { try ModelBundle(path: folder.path) }
        #expect(error?.description.contains("the format 3, which has none") == true)
        var network = try Network.lenet.split(into: 3)
        for wrong in [-1, 0, 1, 3] {
            network.parity = wrong
            #expect(throws: NetworkError.self) { try network.validate() }
        }
        network.parity = 2
        let wide = #expect(throws: NetworkError.self) { try network.validate() }
        #expect(wide?.description.contains("for each of the others") == true)
        network.branches[2] = network.branches[0] + [.fullyConnected(outputs: 20)]
        try network.validate()
        network.branches.removeLast()
        network.parity = 1
        #expect(throws: NetworkError.self) { try network.validate() }
    }
}

@Suite("Training that goes on from a model in branches") struct GoingOnTests {
    @Test("Begins with its weights, and with a new classification layer where the classes are others")
    func start() throws {
        let folder = try TemporaryFolder()
        func run(_ name: String, branches: Int = 2) throws -> TrainingRun {
            var run = try TrainingRunTests.run("\(folder.path)/\(name)", branches: branches)
            run.data = [try TrainingRunTests.digits(160, in: folder.path)]
            return run
        }
        let first = try run("first").run { _ in true }
        for labels in [first.manifest.labels, (0..<10).map { "other \($0)" }] {
            var run = try run(labels[0])
            run.start = first
            run.classNames = labels
            (run.recipe.epochs, run.recipe.learningRate) = (1, 1e-30)
            let next = try run.run { _ in true }
            let (before, after) = (try first.parameters(), try next.parameters())
            let kept = zip(before.branches.joined(), after.branches.joined()).allSatisfy { old, new in
                zip(old?.weight ?? [], new?.weight ?? []).allSatisfy { abs($0 - $1) < 1e-20 }
            }
            #expect(kept)
            let isSame = zip(before.merge.weight, after.merge.weight).allSatisfy { abs($0 - $1) < 1e-20 }
            #expect(isSame == (labels == first.manifest.labels))
        }
        var other = try run("other", branches: 4)
        other.start = first
        let error = #expect(throws: TrainingError.self) { try other.run { _ in true } }
        #expect(error?.description.contains("with its own branches") == true)
    }
}
