import Glibc
public import LCPDatasets
public import LCPModels
import Tensors

/// Where a sensor's frames come from.
public enum FrameSource: Sendable {
    /// Digits that the program draws, endlessly, from a seed.
    case drawn(seed: UInt64)
    /// An IDX file, once from the beginning to the end, with labels where there are some.
    case images(LabeledImages)
    /// The images of a folder, in the order of their names, once.
    case folder(ImageFolder)
    /// Raw frames of exactly the input's bytes on standard input, until its end.
    case standardInput

    /// Reads a source as it is written on the command line: `drawn`, `idx:FILE[,LABELS]`, `dir:FOLDER` or `stdin`.
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
            self = .folder(try ImageFolder(path: String(text.dropFirst(4))))
        } else {
            throw PipelineError(
                "\(text.debugDescription) is not a source: write drawn, idx:FILE[,LABELS], dir:FOLDER or stdin")
        }
    }

    /// The shape of the frames, where the source has one of its own.
    public var shape: FeatureMapShape? {
        switch self {
        case .drawn: FeatureMapShape(height: DrawnDigits.height, width: DrawnDigits.width, channels: 1)
        case .images(let images):
            FeatureMapShape(height: images.height, width: images.width, channels: images.channels)
        case .folder, .standardInput: nil
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
    private var next: UInt64 = 0

    init(_ source: FrameSource, shape: FeatureMapShape) {
        self.source = source
        self.shape = shape
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
        case .images(let images):
            guard next < UInt64(images.count) else { return nil }
            let label = images.labels.isEmpty ? -1 : Int32(images.labels[Int(next)])
            return SensorFrame(pixels: Array(images[Int(next)]), label: label)
        case .folder(let folder):
            guard next < UInt64(folder.files.count) else { return nil }
            let pixels = try ImageFolder.read(
                folder.files[Int(next)], height: shape.height, width: shape.width, channels: shape.channels)
            return SensorFrame(pixels: pixels, label: -1)
        case .standardInput:
            return try readStandardInput()
        }
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
