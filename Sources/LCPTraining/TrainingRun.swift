public import LCPDatasets
public import LCPEvaluation
public import LCPModels
import LCPPictures
import Platform
import Signals

/// A training from data to bundle: what `lcp train` and `lcp experiment` do.
public struct TrainingRun: Sendable {
    /// The network, split already.
    public var network: BranchedNetwork
    /// The bundle's name.
    public var name: String
    public var recipe: TrainingRecipe
    public var data: [DataSpecification]
    /// The part of the training images that is set aside to choose the best epoch, 0 to below 1; none with 0.
    public var validation = 0.0
    public var seed: UInt64 = 1
    /// Bundles to distil the mean of their answers from; weights that are inherited are the first one's.
    public var teachers: [ModelBundle] = []
    /// The model that the network, of one branch, becomes the parity branch of; nil for a network of its own.
    public var parityOf: ModelBundle?
    /// The model whose weights training goes on from; nil to begin as the recipe says. Where it knows other classes, the
    /// classification layer begins anew.
    public var start: ModelBundle?
    /// The weights to begin with, in place of the recipe's; nil for those.
    public var initial: ModelParameters?
    /// To train for eight bits: for each branch, by layer, the numbers that come out.
    public var rounding: [[Int: Quantization]]?
    /// The classes' names, in their order; nil for those of the first data that has some.
    public var classNames: [String]?
    /// A model that pictures are resized for as it wants them; nil where both sides are scaled.
    public var pictures: ModelManifest.Preprocessing?
    /// Whether a picture that cannot be read ends the training before it begins.
    public var isStrict = false
    public var threads: Int?
    /// Whether the bundle's weights are in half precision.
    public var isHalf = false
    /// The folder of the bundle.
    public var folder: String
    /// How the recipe is chosen by short trials; nil for the recipe as it is.
    public var choice: RecipeChoice?
    /// What the trials came to.
    var choiceRecord: ModelManifest.ChoiceRecord?
    /// The command that does the same, for the bundle's record.
    public var command = ""

    public init(
        network: BranchedNetwork, name: String, recipe: TrainingRecipe, data: [DataSpecification], folder: String
    ) {
        self.network = network
        self.name = name
        self.recipe = recipe
        self.data = data
        self.folder = folder
    }

    /// What to do where the folder has a training already.
    public enum Existing: Sendable {
        /// Refuse.
        case keep
        /// Go on from the checkpoint, where there is one.
        case resume
        /// Begin anew, over what is there.
        case replace

        var isResume: Bool { if case .resume = self { true } else { false } }
    }

    /// How far it is.
    public enum Event: Sendable {
        case resumed(epoch: Int)
        /// Pictures that cannot be read, a sentence for each; training goes on without them.
        case leftOut(data: String, files: [String])
        /// What is odd about pictures that are trained on, a sentence for each kind.
        case noted(data: String, notes: [String])
        case progress(TrainingProgress)
        /// A short trial of a recipe begins, from 1.
        case trial(Int, of: Int, changes: String)
        /// A trial has ended.
        case tried(ModelManifest.ChoiceRecord.Trial)
        /// What is trained after the trials.
        case chosen(ModelManifest.ChoiceRecord)
        /// The test set of one of the data, touched once, at the end.
        case tested(data: String, Evaluation)
    }

    /// The file in the folder that an unfinished training goes on from.
    private var checkpoint: String { "\(folder)/checkpoint.safetensors" }

    var size: ImageSize { network.input.imageSize(pictures) }

    /// Trains, evaluates on the test sets, and writes the bundle.
    ///
    /// - Parameter report: called as training goes on; false ends it with a `CancellationError`, the checkpoint stays.
    /// - Throws: ``TrainingError``, ``ModelBundleError``, ``DatasetError`` or `NetworkError`.
    public func run(existing: Existing = .keep, report: (Event) -> Bool) throws -> ModelBundle {
        guard !data.isEmpty else { throw TrainingError("there is no data to train on") }
        try checkParity()
        try checkStart()
        try checkChoice()
        guard teachers.isEmpty || recipe.hasTeacher || choice != nil else {
            throw TrainingError(
                "\(name) has a teacher and the recipe \(recipe.name) learns nothing from one: give it distillation, 0.5 for "
                    + "example, or leave the teacher out")
        }
        guard validation >= 0, validation < 1 else {
            throw TrainingError("the part for validation is 0 to below 1, not \(validation)")
        }
        if case .keep = existing {
            // Nothing that took hours is overwritten by a word too few.
            for file in ["model.json", "checkpoint.safetensors", "trials.json"] where FileIO.exists("\(folder)/\(file)")
            {
                throw TrainingError(
                    "\(folder) has \(file == "model.json" ? "a bundle" : "an unfinished training") already: "
                        + "\(file == "model.json" ? "" : "go on with --resume, ")overwrite it with --force, or name another folder"
                )
            }
        }
        if case .resume = existing, FileIO.exists("\(folder)/model.json"), !FileIO.exists(checkpoint) {
            throw TrainingError(
                "\(folder) has a finished bundle and no training to go on with: train anew with --force, or name another folder"
            )
        }
        if let teacher = (teachers + [parityOf, start].compactMap { $0 }).first(where: {
            FileIO.isSame($0.path, folder)
        }) {
            throw TrainingError("\(teacher.path) is learned from, and would be written over: name another folder")
        }
        // A folder that cannot be written is told now and not after an hour.
        guard let lock = try ModelBundle.prepareFolder(folder, besides: ["checkpoint.safetensors", "trials.json"])
        else {
            throw TrainingError("another process trains in \(folder): wait for it, or name another folder")
        }
        defer { withExtendedLifetime(lock) {} }
        // A training that cannot begin leaves nothing behind.
        defer { FileIO.removeEmptyFolder(folder) }
        FileIO.removeHalfWritten(in: folder)
        // What does not change is read before anything else, so that a wrong path is told at once.
        let labels = try wantedClassNames()
        let (fixed, validationSet) = try fixedSets(labels)
        let tests = try testSets(labels, pictures?.signal ?? fixed.lazy.compactMap { $0?.signal }.first)
        for (specification, images) in zip(data, fixed) + tests.map({ ($0.data, $0.images) }) {
            let name = specification.name
            if let notes = images?.notes, !notes.isEmpty {
                guard report(.noted(data: name, notes: notes)) else { throw CancellationError() }
            }
            guard let files = images?.leftOut, !files.isEmpty else { continue }
            if isStrict {
                throw TrainingError(
                    "\(files.count) picture\(files.count == 1 ? "" : "s") of \(name) cannot be read; the first: \(files[0]); "
                        + "lcp data show names all of them")
            }
            guard report(.leftOut(data: name, files: files)) else { throw CancellationError() }
        }
        try checkTeachers(labels) { try sample(fixed, count: $0) }
        if let parityOf { try checkClasses(of: parityOf, labels) }
        let prepared = Prepared(labels: labels, fixed: fixed, validation: validationSet, tests: tests)
        guard choice != nil else { return try train(prepared, existing, report) }
        return try chosen(isResumed: existing.isResume, report).train(prepared, existing, report)
    }

    /// What is read before training begins.
    struct Prepared {
        var labels: [String]
        /// By data; nil for digits that are drawn anew for every epoch.
        var fixed: [LabeledImages?]
        var validation: TrainingSet?
        var tests: [(data: DataSpecification, images: LabeledImages)]
    }

    /// How pixels become the network's input.
    func preprocessing(_ prepared: Prepared) throws -> ModelManifest.Preprocessing {
        // Weights that come from a teacher expect what it saw.
        let isInherited = recipe.initialization == .teacher || initial != nil || parityOf != nil
        let inherited = start?.manifest.preprocessing ?? (isInherited ? taughtPreprocessing : nil)
        var preprocessing = try inherited ?? normalization(prepared.fixed)
        (preprocessing.resize, preprocessing.background) = (pictures?.resize, pictures?.background)
        preprocessing.signal = pictures?.signal ?? prepared.fixed.lazy.compactMap { $0?.signal }.first
        return preprocessing
    }

    private var taughtPreprocessing: ModelManifest.Preprocessing? {
        (parityOf ?? teachers.first)?.manifest.preprocessing
    }

    func trainer(_ preprocessing: ModelManifest.Preprocessing, _ labels: [String]) throws -> Trainer {
        try Trainer(
            network: network, preprocessing: preprocessing, recipe: recipe, seed: seed,
            initial: try initial ?? start.map { try weights(of: $0, labels) },
            teachers: try teachers.map { ($0.network, try $0.parameters()) },
            standingInFor: try parityOf.map { ($0.network, try $0.parameters()) },
            teacherPreprocessing: taughtPreprocessing, rounding: rounding, threads: threads)
    }

    private func train(_ prepared: Prepared, _ existing: Existing, _ report: (Event) -> Bool) throws -> ModelBundle {
        let (labels, preprocessing) = (prepared.labels, try preprocessing(prepared))
        let trainer = try trainer(preprocessing, labels)
        trainer.sources =
            data.map(\.form) + ["validation \(validation)"] + teacherHashes + (rounding == nil ? [] : ["eight bits"])
            + (parityOf == nil ? [] : ["parity branch"]) + (start.map { ["begun as \($0.hash)"] } ?? [])
        trainer.dataDigest = DataDigest(sets: prepared.fixed, validation: prepared.validation, classes: labels)
        if case .resume = existing, FileIO.exists(checkpoint) {
            try trainer.resume(from: checkpoint)
            _ = report(.resumed(epoch: trainer.epochRecords.count))
        }
        try trainer.run(
            data: { epoch in try trainingSet(prepared.fixed, epoch: epoch) }, validation: prepared.validation,
            checkpoint: checkpoint,
            progress: { report(.progress($0)) })

        var record = ModelManifest.TrainingRecord(
            command: command, data: dataForms, epochs: trainer.epochRecords.count,
            seed: seed, accuracy: [:])
        record.recipe = recipe
        record.choice = choiceRecord
        record.teachers = teacherHashes.isEmpty ? nil : teacherHashes
        record.bestEpoch = trainer.bestEpoch
        record.history = trainer.epochRecords
        let (network, parameters) = try finished(trainer.parameters)
        func write(missingScale: [Float]?) throws -> ModelBundle {
            try ModelBundle.write(
                name: name, network: network, parameters: parameters, preprocessing: preprocessing,
                labels: labels, training: record, missingScale: missingScale, isHalf: isHalf, to: folder)
        }
        var missingScale = parityOf?.manifest.missingScale
        if network.branches.count > 1, parityOf == nil {
            // From images set aside or, where there are none, from those that were trained on; never from a test set.
            let images = try prepared.validation ?? trainingSet(prepared.fixed, epoch: 0)
            missingScale = try BundleEvaluator(bundle: try write(missingScale: nil))
                .missingScale(pixels: images.pixels, labels: images.labels)
        }
        let evaluator = try BundleEvaluator(bundle: try write(missingScale: missingScale))
        for (specification, set) in prepared.tests {
            let result = try evaluator.evaluate(
                pixels: set.pixels, labels: set.labels,
                maximumMissing: min(1, (network.parity ?? network.branches.count) - 1)
            ) { _ in true }
            record.accuracy[specification.name] = result.accuracy
            // What a sensor has to know before it sends JPEG.
            var options = EvaluationOptions()
            (options.maximumMissing, options.encoding) = (0, .jpeg(quality: FrameEncoding.standardQuality))
            if preprocessing.signal == nil, options.encoding.fits(network.input) {
                let encoded = try evaluator.evaluate(pixels: set.pixels, labels: set.labels, options: options)
                record.encodedAccuracy = record.encodedAccuracy ?? [:]
                record.encodedAccuracy?[options.encoding.description, default: [:]][specification.name] =
                    encoded.accuracy
            }
            guard report(.tested(data: specification.name, result)) else { throw CancellationError() }
        }
        let bundle = try write(missingScale: missingScale)
        FileIO.remove(checkpoint)
        FileIO.remove(trialsFile)
        return bundle
    }

    /// Whether the folder has what this training would make.
    ///
    /// - Returns: false where there is no bundle yet.
    /// - Throws: ``TrainingError`` where the bundle was trained in another way, ``ModelBundleError`` where it cannot be read.
    public func isFinished() throws -> Bool {
        guard FileIO.exists("\(folder)/model.json"), !FileIO.exists(checkpoint) else { return false }
        let bundle = try ModelBundle(path: folder)
        let record = bundle.manifest.training
        let differences = [
            ("network", bundle.network == finishedNetwork), ("recipe", record?.recipe == recipe),
            ("seed", record?.seed == seed),
            ("data", record?.data == dataForms),
            ("validation", (record?.history?.first?.validationAccuracy != nil) == (validation > 0)),
            ("teachers", record?.teachers.map { $0 == teacherHashes } ?? true),
        ].filter { !$0.1 }.map(\.0)
        guard differences.isEmpty else {
            throw TrainingError(
                "\(folder) has a bundle that was trained otherwise (\(differences.joined(separator: ", "))): move it away, or "
                    + "name another folder for the results")
        }
        return true
    }

    private var dataForms: String { data.map(\.form).joined(separator: ", ") }

    private var teacherHashes: [String] { (teachers + (parityOf.map { [$0] } ?? [])).map(\.hash.description) }

    private func normalization(_ fixed: [LabeledImages?]) throws -> ModelManifest.Preprocessing {
        let usual = data[0].normalization(channels: network.input.channels) ?? fixed[0]?.measuredNormalization()
        guard let usual else { throw TrainingError("\(data[0].name) has no normalisation") }
        return .init(mean: usual.mean, standardDeviation: usual.standardDeviation)
    }

    func wantedClassNames() throws -> [String] {
        if let classNames { return classNames }
        for specification in data {
            guard let names = try specification.classNames() else { continue }
            guard names.count == network.classes else {
                throw TrainingError(
                    "\(specification.name) has \(names.count) classes and \(network.base) \(network.classes): "
                        + "give --classes \(names.count)")
            }
            return names
        }
        return (0..<network.classes).map { "\($0)" }
    }
}

extension FeatureMapShape {
    /// The shape as data sets have it, and how a model wants pictures to get it.
    public func imageSize(_ preprocessing: ModelManifest.Preprocessing?) -> ImageSize {
        ImageSize(self, preprocessing)
    }
}
