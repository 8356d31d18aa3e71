import Images
import LCPDatasets
import LCPModels
import LCPPictures
import LCPWire

/// One frame: raw pixels and the true class, −1 where unknown.
struct SensorFrame {
    var pixels: [UInt8]
    var label: Int32
    var shape: FeatureMapShape
    /// What is odd about the picture that it comes from.
    var notes: ImageNotes = []
    /// Whether the bytes are a signal's numbers, FP32.
    var isSignal = false
}

/// Takes frames from a source, one after the other. It may block, so it has a thread of its own.
struct FrameReader {
    let source: FrameSource
    /// Of the frames to come.
    var shape: FeatureMapShape
    /// How the model wants pictures resized; nil where none is known.
    var preprocessing: ModelManifest.Preprocessing?
    /// What the model calls its classes, so that those of the source are told by their names; nil where they are the same.
    var labels: [String]? { didSet { if labels != oldValue { truths = Self.truths(source, labels) } } }
    /// The model's class of each of the source's; −1 where it has none.
    private var truths: [Int32]?
    private let files: [(path: String, label: Int)]
    private var next: UInt64 = 0
    private var input = StandardInput()

    init(_ source: FrameSource, shape: FeatureMapShape, labels: [String]? = nil) {
        self.source = source
        self.shape = shape
        self.labels = labels
        truths = Self.truths(source, labels)
        files = if case .classes(let folder) = source { folder.inTurn } else { [] }
    }

    private static func truths(_ source: FrameSource, _ labels: [String]?) -> [Int32]? {
        labels.flatMap { labels in
            source.classNames?.map { name in labels.firstIndex(of: name).map(Int32.init) ?? -1 }
        }
    }

    /// What a picture becomes.
    var size: ImageSize { ImageSize(shape, preprocessing) }

    /// The frame of a picture that somebody put into a folder.
    func read(_ file: String) throws(DatasetError) -> SensorFrame { try picture(file, label: -1) }

    /// The next frame, or nil at the end; of a source that does not come by itself.
    ///
    /// - Returns: also nil where the task is cancelled.
    mutating func read() throws -> SensorFrame? {
        defer { next += 1 }
        switch source {
        case .drawn(let seed):
            let (pixels, label) = DrawnDigits(seed: seed).image(next)
            return SensorFrame(pixels: pixels, label: Int32(label), shape: shape)
        case .images(let images, _):
            guard next < UInt64(images.count) else { return nil }
            let label = images.labels.isEmpty ? -1 : truth(Int(images.labels[Int(next)]))
            return SensorFrame(pixels: Array(images[Int(next)]), label: label, shape: shape)
        case .folder(let folder):
            guard next < UInt64(folder.files.count) else { return nil }
            return try picture(folder.files[Int(next)], label: -1)
        case .classes:
            guard next < UInt64(files.count) else { return nil }
            let file = files[Int(next)]
            return try picture(file.path, label: truth(file.label))
        case .camera, .watched, .signal: preconditionFailure("what comes by itself is waited for elsewhere")
        case .standardInput:
            return try readStandardInput()
        }
    }

    private func picture(_ file: String, label: Int32) throws(DatasetError) -> SensorFrame {
        let (pixels, notes) = try ImageFolder.read(file, size: size)
        return SensorFrame(pixels: pixels, label: label, shape: shape, notes: notes)
    }

    private func truth(_ label: Int) -> Int32 {
        guard let truths else { return Int32(label) }
        return truths.indices.contains(label) ? truths[label] : -1
    }

    private mutating func readStandardInput() throws -> SensorFrame? {
        switch try input.read(shape.elementCount) {
        case nil: return nil
        case .raw(let pixels)?: return SensorFrame(pixels: pixels, label: -1, shape: shape)
        case .picture(let bytes)?:
            let size = size
            do {
                let (image, notes) = try bytes.withUnsafeBytes { try Image.decode($0, to: size) }
                return SensorFrame(pixels: image.pixels, label: -1, shape: shape, notes: notes)
            } catch { throw DatasetError("a picture on standard input: \(error)") }
        }
    }
}
