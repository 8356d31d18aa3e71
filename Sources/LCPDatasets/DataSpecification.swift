/// Labelled images as they are named on a command line.
public enum DataSpecification: Sendable, Hashable {
    /// `mnist:FOLDER`: MNIST's four files.
    case mnist(folder: String)
    /// `drawn` or `drawn:COUNT`: digits that the program draws.
    case drawn(count: Int)
    /// `idx:IMAGES,LABELS`.
    case idx(images: String, labels: String)

    /// - Throws: ``DatasetError`` for anything else.
    public init(_ text: String, defaultDrawnCount: Int) throws(DatasetError) {
        let parts = text.split(separator: ":", maxSplits: 1).map(String.init)
        switch (parts.first, parts.count) {
        case ("mnist", 2): self = .mnist(folder: parts[1])
        case ("drawn", 1): self = .drawn(count: defaultDrawnCount)
        case ("drawn", 2):
            guard let count = Int(parts[1]), (1...10_000_000).contains(count) else {
                throw DatasetError("\(text.debugDescription): the number of drawn digits is 1 to 10,000,000")
            }
            self = .drawn(count: count)
        case ("idx", 2):
            let files = parts[1].split(separator: ",", maxSplits: 1).map(String.init)
            guard files.count == 2 else {
                throw DatasetError("\(text.debugDescription) needs two files: idx:IMAGES,LABELS")
            }
            self = .idx(images: files[0], labels: files[1])
        default:
            throw DatasetError(
                "\(text.debugDescription) is no data: write mnist:FOLDER, drawn[:COUNT] or idx:IMAGES,LABELS")
        }
    }

    /// A short name for tables and records.
    public var name: String {
        switch self {
        case .mnist: "mnist"
        case .drawn: "drawn"
        case .idx: "idx"
        }
    }

    /// The images to evaluate on: MNIST's test set, digits drawn from `seed`, the named files.
    public func evaluationSet(seed: UInt64) throws(DatasetError) -> LabeledImages {
        switch self {
        case .mnist(let folder): try IDX.mnist(folder: folder, training: false)
        case .drawn(let count): DrawnDigits(seed: seed).images(count)
        case .idx(let images, let labels): try IDX.read(images: images, labels: labels)
        }
    }
}
