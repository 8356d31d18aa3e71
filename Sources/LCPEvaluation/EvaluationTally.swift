/// What is counted while images are evaluated. Tallies of parts add up to the whole, in any order and exactly.
struct EvaluationTally: Sendable {
    /// One for each set of missing branches, the set without any first.
    private(set) var bins: [CalibrationBins]
    private var top5 = 0
    /// [truth, prediction]; empty for too many classes.
    private var confusion: [Int]
    /// The sum of the losses of one block of images, by the block's number: only this way is the whole sum always rounded alike.
    private var losses: [Int: Double] = [:]
    private let classes: Int
    private var mistakes: [Evaluation.Mistake] = []

    init(classes: Int, subsets: Int) {
        self.classes = classes
        bins = Array(repeating: CalibrationBins(), count: subsets)
        confusion = classes <= Evaluation.maximumConfusionClasses ? Array(repeating: 0, count: classes * classes) : []
    }

    /// Counts an image with all branches.
    mutating func add(_ answer: Answer, image: Int, truth: Int, logits: UnsafeBufferPointer<Float>, block: Int) {
        bins[0].add(confidence: answer.confidence, isRight: answer.prediction == truth)
        if Answer.rank(of: truth, logits) < 5 { top5 += 1 }
        if !confusion.isEmpty { confusion[truth * classes + answer.prediction] += 1 }
        losses[block, default: 0] += answer.loss(truth, logits)
        guard answer.prediction != truth else { return }
        mistakes.append(
            .init(image: image, truth: truth, prediction: answer.prediction, confidence: answer.confidence))
        if mistakes.count >= 8 * Evaluation.maximumMistakes { mistakes = worst }
    }

    private var worst: [Evaluation.Mistake] {
        Array(mistakes.sorted { $0.precedes($1) }.prefix(Evaluation.maximumMistakes))
    }

    /// Counts an image with some branches missing.
    mutating func add(_ answer: Answer, truth: Int, subset: Int) {
        bins[subset].add(confidence: answer.confidence, isRight: answer.prediction == truth)
    }

    static func += (left: inout Self, right: Self) {
        for index in left.bins.indices { left.bins[index] += right.bins[index] }
        left.top5 += right.top5
        for index in left.confusion.indices { left.confusion[index] += right.confusion[index] }
        left.mistakes += right.mistakes
        left.losses.merge(right.losses, uniquingKeysWith: +)
    }

    /// The numbers that are reported.
    ///
    /// - Parameter subsets: the sets of missing branches in the order of the bins.
    func evaluation(_ subsets: [BranchSubsets]) -> Evaluation {
        let images = max(1, bins[0].totalImages)
        let loss = losses.sorted { $0.key < $1.key }.reduce(0) { $0 + $1.value }
        var start = 0
        let byMissing = subsets.map { group in
            let bins = bins[start..<start + group.masks.count]
            start += group.masks.count
            return Self.missing(group, bins.map(\.accuracy), bins.map(\.error))
        }
        let rows = confusion.isEmpty ? 0 : classes
        return Evaluation(
            images: bins[0].totalImages, accuracy: bins[0].accuracy, top1: bins[0].accuracy,
            top5: Double(top5) / Double(images), calibrationError: bins[0].error, nll: loss / Double(images),
            confusion: (0..<rows).map { Array(confusion[$0 * classes..<($0 + 1) * classes]) },
            reliability: bins[0].bins, byMissing: byMissing, mistakes: worst)
    }

    /// - Parameters:
    ///   - accuracies: one for each set of the group.
    ///   - errors: the calibration errors, likewise.
    static func missing(_ group: BranchSubsets, _ accuracies: [Double], _ errors: [Double]) -> Evaluation.Missing {
        let count = Double(max(1, accuracies.count))
        let mean = accuracies.reduce(0, +) / count
        var standardError = 0.0
        if group.isSampled, accuracies.count > 1 {
            let variance = accuracies.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / (count - 1)
            standardError = (variance / count * (1 - count / Double(group.possible))).squareRoot()
        }
        return .init(
            missing: group.missing, mean: mean, worst: accuracies.min() ?? 0, best: accuracies.max() ?? 0,
            standardError: standardError, subsets: accuracies.count, sampled: group.isSampled,
            calibrationError: errors.reduce(0, +) / count)
    }
}
