public import Signals

/// Labelled images, or windows of a signal, as they are named on a command line.
public enum DataSpecification: Sendable, Hashable {
    /// `mnist:FOLDER`: MNIST's four files.
    case mnist(folder: String)
    /// `fashion-mnist:FOLDER`: the same four files, of clothes.
    case fashionMNIST(folder: String)
    /// `cifar10:FOLDER`: the six files of the binary version.
    case cifar10(folder: String)
    /// `cifar100:FOLDER`: the two files of the binary version, with the fine labels.
    case cifar100(folder: String)
    /// `folder:FOLDER`: pictures in a folder for each class, see ``ClassFolder``.
    case folder(String)
    /// `idx:IMAGES,LABELS`, see ``IDX/Files``.
    case idx(IDX.Files)
    /// `drawn` or `drawn:COUNT`: digits that the program draws.
    case drawn(count: Int)
    /// `csv:FILE`: records, see ``RecordFiles``.
    case records(RecordFiles)
    /// `wav:FOLDER`: sounds in a folder for each class.
    case sounds(folder: String)

    /// What can be written, for help texts.
    public static let forms =
        "mnist:FOLDER, fashion-mnist:FOLDER, cifar10:FOLDER, cifar100:FOLDER, folder:FOLDER, idx:\(IDX.Files.form), csv:FILE[,TEST][,label=COLUMN…], wav:FOLDER or drawn[:COUNT]"

    /// - Throws: ``DatasetError`` for anything else.
    public init(_ text: String, defaultDrawnCount: Int) throws(DatasetError) {
        let parts = text.split(separator: ":", maxSplits: 1).map(String.init)
        switch (parts.first, parts.count) {
        case ("mnist", 2): self = .mnist(folder: parts[1])
        case ("fashion-mnist", 2): self = .fashionMNIST(folder: parts[1])
        case ("cifar10", 2): self = .cifar10(folder: parts[1])
        case ("cifar100", 2): self = .cifar100(folder: parts[1])
        // A sensor's word for the same.
        case ("folder", 2), ("dir", 2): self = .folder(parts[1])
        case ("drawn", 1): self = .drawn(count: defaultDrawnCount)
        case ("drawn", 2):
            guard let count = Int(parts[1]), (1...10_000_000).contains(count) else {
                throw DatasetError("\(text.debugDescription): the number of drawn digits is 1 to 10,000,000")
            }
            self = .drawn(count: count)
        case ("csv", 2): self = .records(try RecordFiles(parts[1]))
        case ("wav", 2): self = .sounds(folder: parts[1])
        case ("idx", 2):
            let files = try IDX.Files(parts[1])
            guard files.labels != nil else {
                throw DatasetError("\(text.debugDescription) needs two files: idx:\(IDX.Files.form)")
            }
            self = .idx(files)
        default: throw DatasetError("\(text.debugDescription) is no data: write \(Self.forms)")
        }
    }

    /// A short name for tables and records.
    public var name: String {
        switch self {
        case .mnist: "mnist"
        case .fashionMNIST: "fashion-mnist"
        case .cifar10: "cifar10"
        case .cifar100: "cifar100"
        case .folder: "folder"
        case .idx: "idx"
        case .drawn: "drawn"
        case .records: "csv"
        case .sounds: "wav"
        }
    }

    /// How it is written, without the paths of this machine: for records that others read.
    public var form: String {
        switch self {
        case .mnist, .fashionMNIST, .cifar10, .cifar100, .folder, .sounds: "\(name):FOLDER"
        case .records(let files): "csv:FILE\(files.test == nil ? "" : ",TEST")\(files.optionWords)"
        case .idx(let files): "idx:IMAGES,LABELS\(files.options)"
        case .drawn(let count): "drawn:\(count)"
        }
    }

    /// Whether ``evaluationSet(seed:size:signal:)`` has other images than ``trainingSet(seed:epoch:size:signal:)``.
    public var hasTestSet: Bool {
        switch self {
        case .mnist, .fashionMNIST, .cifar10, .cifar100, .drawn: true
        case .folder(let folder), .sounds(let folder): ClassFolder.testFolder(folder) != nil
        case .records(let files): files.test != nil
        case .idx: false
        }
    }

    /// The size of the images; nil where it is another for each data set, or each image.
    public var size: ImageSize? {
        switch self {
        case .mnist, .fashionMNIST, .drawn: ImageSize(height: 28, width: 28, channels: 1)
        case .cifar10, .cifar100: ImageSize(height: CIFAR.height, width: CIFAR.width, channels: 3)
        case .folder, .idx, .records, .sounds: nil
        }
    }

    /// Whether it has the numbers of a signal, and no pictures.
    public var isSignal: Bool {
        switch self {
        case .records, .sounds: true
        case .mnist, .fashionMNIST, .cifar10, .cifar100, .folder, .idx, .drawn: false
        }
    }

    /// The name of each class, by label; nil where nobody told them.
    ///
    /// - Parameter isTest: whether those of the images to evaluate on are meant, which may be some of the others.
    /// - Throws: ``DatasetError`` where the names are those of folders and these cannot be read.
    public func classNames(isTest: Bool = false) throws -> [String]? {
        switch self {
        case .mnist, .drawn: ClassNames.digits
        case .fashionMNIST: ClassNames.fashionMNIST
        case .cifar10: ClassNames.cifar10
        case .cifar100: ClassNames.cifar100
        case .folder(let folder):
            try isTest ? ClassFolder.evaluation(folder).classes : ClassFolder.training(folder).classes
        case .sounds(let folder): try SoundFolder.classes(folder, isTest: isTest).classes
        case .records(let files): try files.classes(isTest: isTest)
        case .idx: nil
        }
    }

    /// What the pixels are usually normalised with; nil where nothing is usual, see ``LabeledImages/measuredNormalization()``.
    ///
    /// - Parameter channels: 1 or 3; only image folders can have both.
    public func normalization(channels: Int) -> Normalization? {
        switch self {
        case .mnist, .drawn: .mnist
        case .fashionMNIST: .fashionMNIST
        case .cifar10: .cifar10
        case .cifar100: .cifar100
        case .folder: channels == 1 ? .greyImageNet : .imageNet
        case .idx, .records, .sounds: nil
        }
    }

    /// The images to train on.
    ///
    /// - Parameters:
    ///   - seed: which digits are drawn: never those of ``evaluationSet(seed:size:signal:)``.
    ///   - epoch: drawn digits are others in every epoch.
    ///   - size: what a model takes. Image folders and signals are made so and need it; all others must have it already.
    ///   - signal: what a model's numbers are; nil for the data's own.
    /// - Throws: ``DatasetError``; `CancellationError` where the task is cancelled.
    public func trainingSet(
        seed: UInt64, epoch: Int = 1, size: ImageSize? = nil, signal: Signal? = nil
    ) throws -> LabeledImages {
        switch self {
        case .records, .sounds: try signalSet(isTest: false, size, signal)
        case .folder(let folder): try ClassFolder.training(folder).read(size: try wanted(size))
        case .drawn(let count): try checked(DrawnDigits(trainingSeed: seed, epoch: epoch).images(count), size)
        default: try checked(try fixedSet(training: true), size)
        }
    }

    /// The images to evaluate on: the test set, the digits that the sensor draws from `seed`, or the named files.
    ///
    /// - Parameters:
    ///   - size: as in ``trainingSet(seed:epoch:size:signal:)``.
    ///   - signal: as there.
    /// - Throws: ``DatasetError``; `CancellationError` where the task is cancelled.
    public func evaluationSet(seed: UInt64, size: ImageSize? = nil, signal: Signal? = nil) throws -> LabeledImages {
        switch self {
        case .records, .sounds: try signalSet(isTest: true, size, signal)
        case .folder(let folder): try ClassFolder.evaluation(folder).read(size: try wanted(size))
        case .drawn(let count): try checked(DrawnDigits(seed: seed).images(count), size)
        default: try checked(try fixedSet(training: false), size)
        }
    }

    private func fixedSet(training: Bool) throws(DatasetError) -> LabeledImages {
        switch self {
        case .mnist(let folder): try IDX.mnist(folder: folder, training: training)
        case .fashionMNIST(let folder): try IDX.mnist(folder: folder, training: training)
        case .cifar10(let folder): try CIFAR.ten(folder: folder, training: training)
        case .cifar100(let folder): try CIFAR.hundred(folder: folder, training: training)
        case .idx(let files): try IDX.read(files)
        case .folder, .drawn, .records, .sounds: preconditionFailure("\(name) is no file of images")
        }
    }

    private func signalSet(isTest: Bool, _ size: ImageSize?, _ signal: Signal?) throws -> LabeledImages {
        switch self {
        case .records(let files):
            guard signal?.logMel == nil else { throw DatasetError("csv has records, and the model takes sound") }
            guard size.map({ $0.height == 1 }) ?? true else {
                throw DatasetError("records are 1×samples×fields, and \(size?.description ?? "") is needed")
            }
            return try files.read(isTest: isTest, width: size?.width ?? 1, channels: size?.channels, signal: signal)
        case .sounds(let folder):
            guard signal.map({ $0.logMel != nil }) ?? true else {
                throw DatasetError("wav has sound, and the model takes records")
            }
            let size = try wanted(size)
            guard size.channels == 1 else {
                throw DatasetError("sound is bands×frames×1, and \(size) is needed: name another network")
            }
            var logMel = signal?.logMel ?? LogMel()
            logMel.bands = size.height
            return try SoundFolder.read(SoundFolder.classes(folder, isTest: isTest), width: size.width, logMel: logMel)
        default: preconditionFailure("\(name) has pictures")
        }
    }

    private func wanted(_ size: ImageSize?) throws(DatasetError) -> ImageSize {
        guard let size else {
            throw DatasetError("the images of \(name) have many sizes: it must be told which is needed")
        }
        return size
    }

    private func checked(_ images: LabeledImages, _ size: ImageSize?) throws(DatasetError) -> LabeledImages {
        if let size, !images.size.hasDimensions(of: size) {
            throw DatasetError(
                "the images of \(name) are \(images.size), and \(size) is needed: name other --data, or a network that takes these"
            )
        }
        return images
    }
}
