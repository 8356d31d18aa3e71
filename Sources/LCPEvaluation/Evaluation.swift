/// How good a model is on labelled images, with all branches and with some missing.
public struct Evaluation: Sendable, Hashable, Codable {
    /// What is left with a number of missing branches, over the subsets of that size.
    public struct Missing: Sendable, Hashable, Codable {
        public var missing: Int
        /// Top-1, 0 to 1: the mean over the subsets, the worst and the best of them.
        public var mean: Double
        public var worst: Double
        public var best: Double
        /// How far the mean over all subsets may be from ``mean``: the standard error of a sample without replacement. 0 where
        /// all subsets were tried.
        public var standardError: Double
        /// How many subsets were tried, and whether they are a sample of more.
        public var subsets: Int
        public var sampled: Bool
        /// The mean over the subsets of ``Evaluation/calibrationError``.
        public var calibrationError: Double

        enum CodingKeys: String, CodingKey {
            case missing, mean, worst, best, subsets, sampled
            case standardError = "standard_error"
            case calibrationError = "calibration_error"
        }
    }

    /// Predictions of similar confidence.
    public struct ConfidenceBin: Sendable, Hashable, Codable {
        public var images: Int
        /// The mean confidence and the share that is right, 0 to 1; both 0 in an empty bin.
        public var confidence: Double
        public var accuracy: Double
    }

    /// The most classes that ``confusion`` is kept for.
    public static let maximumConfusionClasses = 1024

    public var images: Int
    /// The same as ``top1``.
    public var accuracy: Double
    /// How often the true class is the most probable one, and how often it is among the five most probable, 0 to 1.
    public var top1: Double
    public var top5: Double
    /// Expected calibration error, 0 to 1: the mean distance of confidence and accuracy over 15 bins of equal width (Guo et al.
    /// 2017, section 2). The confidence is the softmax of the predicted class.
    public var calibrationError: Double
    /// Mean negative log-likelihood of the true class, in nats: the cross-entropy.
    public var nll: Double
    /// Images by [truth][prediction]; empty for more than ``maximumConfusionClasses`` classes.
    public var confusion: [[Int]]
    /// The bins of ``calibrationError``, from the lowest confidence to the highest.
    public var reliability: [ConfidenceBin]
    /// From no branch missing to as many as were asked for.
    public var byMissing: [Missing]
    /// With all branches, the mistakes that it was surest of first; at most ``maximumMistakes``. Not in JSON.
    public var mistakes: [Mistake] = []

    /// An image that is taken for another class.
    public struct Mistake: Sendable, Hashable {
        /// Its place among the images.
        public var image: Int
        public var truth: Int
        public var prediction: Int
        /// The probability of the prediction, 0 to 1.
        public var confidence: Float

        /// Whether it comes before another one.
        func precedes(_ other: Mistake) -> Bool {
            confidence != other.confidence ? confidence > other.confidence : image < other.image
        }
    }

    /// The most mistakes that are kept.
    public static let maximumMistakes = 120

    enum CodingKeys: String, CodingKey {
        case images, accuracy, top1, top5, nll, confusion, reliability
        case calibrationError = "calibration_error"
        case byMissing = "by_missing"
    }

    /// Whether that many right answers come about by chance, too, from one who gives the same answers in another order: they are
    /// no more than three standard deviations above what is expected of it (Cohen 1960). False where all images have one class,
    /// and where ``confusion`` was not kept.
    public var isGuess: Bool {
        guard images > 0, !confusion.isEmpty else { return false }
        let total = Double(images)
        let chance = confusion.indices.reduce(0) { sum, label in
            let truths = Double(confusion[label].reduce(0, +))
            let answers = Double(confusion.reduce(0) { $0 + $1[label] })
            return sum + truths / total * answers / total
        }
        guard confusion.filter({ $0.contains { $0 > 0 } }).count > 1 else { return false }
        return top1 <= chance + 3 * (chance * (1 - chance) / total).squareRoot()
    }

    /// A truth and a wrong prediction for it.
    public struct Confusion: Sendable, Hashable {
        public var truth: Int
        public var prediction: Int
        public var images: Int
    }

    /// The most frequent mistakes, the worst first.
    public func worstConfusions(_ count: Int) -> [Confusion] {
        let all = confusion.indices.flatMap { truth in
            confusion[truth].indices.compactMap { prediction in
                truth == prediction || confusion[truth][prediction] == 0
                    ? nil
                    : Confusion(truth: truth, prediction: prediction, images: confusion[truth][prediction])
            }
        }
        let order = all.sorted {
            ($1.images, $0.truth, $0.prediction) < ($0.images, $1.truth, $1.prediction)
        }
        return Array(order.prefix(max(0, count)))
    }
}
