public import Signals

/// `model.json`: everything about a model but its weights. Its SHA-256 names the model in every message.
public struct ModelManifest: Sendable, Hashable, Codable {
    /// The versions of the bundle's format that this program reads.
    public static let formatVersions = 1...6

    /// The version that a bundle needs, so that a program which would compute something else refuses it: 6 where inputs are
    /// numbers in the source's units, 5 with layers that came
    /// later, 4 with a parity branch, 3 for weights in eight bits, 2 where it says how pictures are resized; 1 in all other cases.
    static func formatVersion(
        for preprocessing: Preprocessing, arithmetic: Arithmetic?, network: BranchedNetwork
    ) -> Int {
        if preprocessing.signal != nil { return 6 }
        if network.branches.contains(where: { $0.contains(where: \.cameLater) }) { return 5 }
        if network.parity != nil { return 4 }
        if arithmetic != nil { return 3 }
        return preprocessing.resize == nil && preprocessing.background == nil ? 1 : 2
    }

    /// What branches compute with.
    public enum Arithmetic: String, Sendable, Hashable, Codable {
        /// Numbers of eight bits, as specified in `Documentation/integer-arithmetic.md`.
        case int8
    }

    /// How pictures become pixels, and UINT8 pixels the network's input: (pixel / 255 − mean) / standard deviation, per channel;
    /// of a signal (number − mean) / standard deviation.
    public struct Preprocessing: Sendable, Hashable, Codable {
        public var mean: [Float]
        public var standardDeviation: [Float]
        /// How a picture of another size becomes one of the network's; nil where both sides are scaled.
        public var resize: PictureResize?
        /// The grey, 0 to 255, that shows where a picture is transparent; nil for white.
        public var background: UInt8?
        /// What an input's numbers are; nil for pictures.
        public var signal: Signal?

        public init(mean: [Float], standardDeviation: [Float]) {
            self.mean = mean
            self.standardDeviation = standardDeviation
        }
        enum CodingKeys: String, CodingKey {
            case mean, resize, background, signal
            case standardDeviation = "standard_deviation"
        }
    }

    /// A file of the bundle and its SHA-256 in hexadecimal.
    public struct File: Sendable, Hashable, Codable {
        public var name: String
        public var sha256: String
    }

    /// How the weights came to be, for people.
    public struct TrainingRecord: Sendable, Hashable, Codable {
        /// The command that made the bundle.
        public var command: String
        /// The data that it was trained on.
        public var data: String
        public var epochs: Int
        public var seed: UInt64
        /// Top-1 accuracy by test set, 0 to 1.
        public var accuracy: [String: Double]
        /// The same with images that were written in an encoding and read again, by the name of that (``FrameEncoding``).
        public var encodedAccuracy: [String: [String: Double]]?
        /// The file of another format that the weights come from; nil where they are lcp's own.
        public var importedFrom: String?
        /// How it was trained; nil in bundles older than recipes.
        public var recipe: TrainingRecipe?
        /// How the recipe was chosen; nil where nobody chose.
        public var choice: ChoiceRecord?
        /// The hashes of the bundles that it learned from.
        public var teachers: [String]?
        /// The epoch whose weights these are, from 1.
        public var bestEpoch: Int?
        /// Every epoch.
        public var history: [EpochRecord]?

        public init(command: String, data: String, epochs: Int, seed: UInt64, accuracy: [String: Double]) {
            self.command = command
            self.data = data
            self.epochs = epochs
            self.seed = seed
            self.accuracy = accuracy
        }

        /// What an encoding costs in accuracy, 0 to 1: the most of all test sets; nil where nobody measured it.
        public func loss(of encoding: FrameEncoding) -> Double? {
            encodedAccuracy?[encoding.description]?.compactMap { set, accuracy in
                self.accuracy[set].map { $0 - accuracy }
            }.max()
        }

        enum CodingKeys: String, CodingKey {
            case command, data, epochs, seed, accuracy, recipe, choice, teachers, history
            case encodedAccuracy = "encoded_accuracy"
            case bestEpoch = "best_epoch"
            case importedFrom = "imported_from"
        }
    }

    /// The short trials that a recipe was chosen by, on images set aside.
    public struct ChoiceRecord: Sendable, Hashable, Codable {
        public struct Trial: Sendable, Hashable, Codable {
            /// What was different from the recipe that the choice began with: `branch_dropout=0.1 merge=concat`.
            public var changes: String
            /// Top-1 with all branches, and the mean with one missing, 0 to 1; nil for a network in one piece.
            public var accuracy: Double
            public var oneMissing: Double?

            public init(changes: String, accuracy: Double, oneMissing: Double?) {
                (self.changes, self.accuracy, self.oneMissing) = (changes, accuracy, oneMissing)
            }

            enum CodingKeys: String, CodingKey {
                case changes, accuracy
                case oneMissing = "one_missing"
            }
        }
        /// The changes that were chosen; empty for the recipe as it was.
        public var changes: String
        /// Of each trial.
        public var epochs: Int
        /// Those that were set aside.
        public var images: Int
        public var trials: [Trial]

        public init(changes: String, epochs: Int, images: Int, trials: [Trial]) {
            (self.changes, self.epochs, self.images, self.trials) = (changes, epochs, images, trials)
        }
    }

    /// What an epoch of training came to.
    public struct EpochRecord: Sendable, Hashable, Codable {
        /// From 1.
        public var epoch: Int
        /// Means over the training images as they were seen, 0 to 1.
        public var loss: Double
        public var accuracy: Double
        /// On the validation set, where there is one.
        public var validationLoss: Double?
        public var validationAccuracy: Double?
        /// At its last step.
        public var learningRate: Float
        public var seconds: Double

        public init(epoch: Int, loss: Double, accuracy: Double, learningRate: Float, seconds: Double) {
            self.epoch = epoch
            self.loss = loss
            self.accuracy = accuracy
            self.learningRate = learningRate
            self.seconds = seconds
        }

        enum CodingKeys: String, CodingKey {
            case epoch, loss, accuracy, seconds
            case validationLoss = "validation_loss"
            case validationAccuracy = "validation_accuracy"
            case learningRate = "learning_rate"
        }
    }

    public var format: Int
    /// The name of the bundle, for example `lenet-split4`.
    public var name: String
    public var network: BranchedNetwork
    /// What each branch sends.
    public var outputs: [BranchOutput]
    public var preprocessing: Preprocessing
    /// The name of each class.
    public var labels: [String]
    public var training: TrainingRecord?
    /// Nil for single precision.
    public var arithmetic: Arithmetic?
    /// By the number of missing branches, from 0 to all but one: what the sum of the shares that came is multiplied by before
    /// the bias is added. Nil for 1 throughout.
    public var missingScale: [Float]?
    /// `branch-K.safetensors` for each branch, then `merge.safetensors`.
    public var files: [File]

    enum CodingKeys: String, CodingKey {
        case format, name, network, outputs, preprocessing, labels, training, arithmetic, files
        case missingScale = "missing_scale"
    }
}
