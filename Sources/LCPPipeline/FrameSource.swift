import Glibc
public import LCPDatasets
public import LCPModels
import Tensors

/// Where a sensor's frames come from.
public enum FrameSource: Sendable {
    /// Digits that the program draws, endlessly, from a seed.
    case drawn(seed: UInt64)
    /// Images of one size, once from the beginning to the end, with labels where there are some, and the labels' names where
    /// somebody told them.
    case images(LabeledImages, classes: [String]? = nil)
    /// The images of a folder, in the order of their names, once.
    case folder(ImageFolder)
    /// The images of a folder with a folder for each class, one of each class in turn, once.
    case classes(ClassFolder)
    /// Raw frames of exactly the input's bytes on standard input, until its end.
    case standardInput

    /// What can be written, for help texts.
    public static let forms =
        "drawn, dir:FOLDER, idx:FILE[,LABELS], mnist:FOLDER, fashion-mnist:FOLDER, cifar10:FOLDER, cifar100:FOLDER or stdin"

    /// The forms of data sets, of which a sensor takes the test images.
    static let dataSets = ["mnist:", "fashion-mnist:", "cifar10:", "cifar100:", "folder:"]

    /// Reads a source as it is written on the command line, see ``forms``.
    ///
    /// - Throws: ``PipelineError`` or ``DatasetError``.
    public init(_ text: String, seed: UInt64) throws {
        if text == "drawn" {
            self = .drawn(seed: seed)
        } else if text == "stdin" {
            self = .standardInput
        } else if text.hasPrefix("idx:") {
            let parts = text.dropFirst(4).split(separator: ",", maxSplits: 1).map(String.init)
            guard let images = parts.first else {
                throw PipelineError("idx: needs a file: idx:FILE or idx:FILE,LABELS")
            }
            self = .images(try IDX.read(images: images, labels: parts.count > 1 ? parts[1] : nil))
        } else if text.hasPrefix("dir:") {
            self = try Self.pictures(String(text.dropFirst(4)))
        } else if Self.dataSets.contains(where: text.hasPrefix) {
            let data = try DataSpecification(text, defaultDrawnCount: 0)
            if case .folder(let folder) = data {
                self = .classes(try ClassFolder.evaluation(folder))
            } else {
                self = .images(try data.evaluationSet(seed: seed), classes: try data.classNames())
            }
        } else {
            throw PipelineError("\(text.debugDescription) is not a source: write \(Self.forms)")
        }
    }

    /// The pictures in a folder, or those in its folders where it has none of its own.
    private static func pictures(_ path: String) throws(DatasetError) -> FrameSource {
        do { return .folder(try ImageFolder(path: path)) } catch {
            guard let classes = try? ClassFolder.evaluation(path) else { throw error }
            return .classes(classes)
        }
    }

    /// The shape of the frames, where the source has one of its own.
    public var shape: FeatureMapShape? {
        switch self {
        case .drawn: FeatureMapShape(height: DrawnDigits.height, width: DrawnDigits.width, channels: 1)
        case .images(let images, _):
            FeatureMapShape(height: images.height, width: images.width, channels: images.channels)
        case .folder, .classes, .standardInput: nil
        }
    }

    /// How many frames there are; nil where there is no end or nobody knows it.
    public var count: Int? {
        switch self {
        case .images(let images, _): images.count
        case .folder(let folder): folder.files.count
        case .classes(let folder): folder.imagesPerClass.reduce(0, +)
        case .drawn, .standardInput: nil
        }
    }

    /// The names of the classes that its frames are of; nil where nobody told them.
    public var classNames: [String]? {
        switch self {
        case .images(_, let classes): classes
        case .classes(let folder): folder.classes
        case .drawn, .folder, .standardInput: nil
        }
    }

    /// Sees that a model can take the frames.
    ///
    /// - Throws: ``PipelineError`` that says what to do.
    public func check(fits manifest: ModelManifest) throws(PipelineError) {
        let (name, input) = (manifest.name, manifest.network.input)
        if let shape, shape != input {
            let frames = if case .drawn = self { "the digits that a sensor draws" } else { "the frames of this source" }
            throw PipelineError(
                "\(frames) are \(shape), and \(name.printable) takes \(input): give it pictures, for example --source dir:FOLDER"
            )
        }
        switch self {
        case .folder, .classes:
            guard input.channels == 1 || input.channels == 3 else {
                throw PipelineError("pictures are grey or coloured, and \(name.printable) takes \(input)")
            }
        case .drawn, .images, .standardInput: break
        }
    }
}

/// One frame: raw pixels and the true class, −1 where unknown.
struct SensorFrame {
    var pixels: [UInt8]
    var label: Int32
}

/// Takes frames from a source, one after the other. It may block, so it has a thread of its own.
struct FrameReader {
    let source: FrameSource
    let shape: FeatureMapShape
    /// The model's class of each of the source's; −1 where it has none. Nil where they are the same.
    private let truths: [Int32]?
    private let files: [(path: String, label: Int)]
    private var next: UInt64 = 0

    /// - Parameter labels: what the model calls its classes, so that those of the source are told by their names.
    init(_ source: FrameSource, shape: FeatureMapShape, labels: [String]? = nil) {
        self.source = source
        self.shape = shape
        truths = labels.flatMap { labels in
            source.classNames?.map { name in labels.firstIndex(of: name).map(Int32.init) ?? -1 }
        }
        files = if case .classes(let folder) = source { folder.inTurn } else { [] }
    }

    /// The next frame, or nil at the end.
    ///
    /// - Returns: also nil where the task is cancelled.
    mutating func read() throws -> SensorFrame? {
        defer { next += 1 }
        switch source {
        case .drawn(let seed):
            let (pixels, label) = DrawnDigits(seed: seed).image(next)
            return SensorFrame(pixels: pixels, label: Int32(label))
        case .images(let images, _):
            guard next < UInt64(images.count) else { return nil }
            let label = images.labels.isEmpty ? -1 : truth(Int(images.labels[Int(next)]))
            return SensorFrame(pixels: Array(images[Int(next)]), label: label)
        case .folder(let folder):
            guard next < UInt64(folder.files.count) else { return nil }
            let pixels = try ImageFolder.read(
                folder.files[Int(next)], height: shape.height, width: shape.width, channels: shape.channels)
            return SensorFrame(pixels: pixels, label: -1)
        case .classes:
            guard next < UInt64(files.count) else { return nil }
            let file = files[Int(next)]
            let pixels = try ImageFolder.read(
                file.path, height: shape.height, width: shape.width, channels: shape.channels)
            return SensorFrame(pixels: pixels, label: truth(file.label))
        case .standardInput:
            return try readStandardInput()
        }
    }

    private func truth(_ label: Int) -> Int32 {
        guard let truths else { return Int32(label) }
        return truths.indices.contains(label) ? truths[label] : -1
    }

    private func readStandardInput() throws -> SensorFrame? {
        let size = shape.elementCount
        var pixels: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: size)
        while pixels.count < size {
            var descriptor = pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0)
            let ready = poll(&descriptor, 1, 100)
            if Task.isCancelled { return nil }
            if ready == 0 || ready < 0 && errno == EINTR { continue }
            let count = Glibc.read(STDIN_FILENO, &chunk, size - pixels.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else {
                throw PipelineError("cannot read standard input: \(String(cString: strerror(errno)))")
            }
            if count == 0 {
                guard pixels.isEmpty else {
                    throw PipelineError(
                        "standard input ended inside a frame: \(pixels.count) of the \(size) bytes of \(shape); check --shape"
                    )
                }
                return nil
            }
            pixels += chunk[..<count]
        }
        return SensorFrame(pixels: pixels, label: -1)
    }
}
