import LCPDatasets
import LCPEvaluation
import LCPModels
import Platform

extension TrainingRun {
    /// Images that a teacher is tried on.
    private static let triedImages = 256

    /// Answers are learned together, and by their places: of two orders of the classes one would teach nonsense, and so would a
    /// teacher of other pictures.
    ///
    /// - Parameter images: so many of those that are trained on.
    func checkTeachers(_ labels: [String], images: (Int) throws -> TrainingSet) throws {
        guard recipe.distils || choice != nil, let first = teachers.first else { return }
        for teacher in teachers {
            try teacher.network.refuseParity("learning from a model")
            guard teacher.manifest.preprocessing == first.manifest.preprocessing else {
                throw TrainingError(
                    "\(teacher.path) and \(first.path) resize pictures or normalise pixels in different ways, and teachers are asked "
                        + "together: name only one")
            }
            guard teacher.manifest.preprocessing.resize == pictures?.resize else {
                let ways = [teacher.manifest.preprocessing.resize, pictures?.resize].map {
                    $0?.description ?? "both sides are scaled"
                }
                throw TrainingError(
                    "for the teacher \(teacher.path) pictures are resized in another way (\(ways[0])) than for this training "
                        + "(\(ways[1])): learn from one that sees the same pictures")
            }
            try checkClasses(of: teacher, labels)
        }
        let images = try images(Self.triedImages)
        var options = EvaluationOptions()
        (options.maximumMissing, options.threads) = (0, threads)
        for teacher in teachers
        where teacher.network.input == network.input && teacher.network.classes == network.classes {
            let result = try BundleEvaluator(bundle: teacher)
                .evaluate(pixels: images.pixels, labels: images.labels, options: options)
            guard !result.isGuess else {
                throw TrainingError(
                    "the teacher \(teacher.path) is right on \(Int((result.accuracy * Double(result.images)).rounded())) of "
                        + "\(result.images) training images, no better than chance: it was trained on other classes or other "
                        + "pictures; learn from one that knows these")
            }
        }
    }

    func checkClasses(of teacher: ModelBundle, _ labels: [String]) throws(TrainingError) {
        let (names, numbers) = (teacher.manifest.labels, labels.indices.map(String.init))
        // Numbers are what a model has that was told no names.
        guard names.count == labels.count, names != numbers, labels != numbers else { return }
        for (index, (name, label)) in zip(names, labels).enumerated() where name.lowercased() != label.lowercased() {
            throw TrainingError(
                "class \(index) of the teacher \(teacher.path) is \(name.quoted), and of the data \(label.quoted): "
                    + "learn from a network that was trained on the same classes")
        }
    }
}
