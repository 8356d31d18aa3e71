public import LCPDatasets
public import LCPModels
public import LCPWire
import Platform
import Signals

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
    /// Pictures that are put into a folder from now on, endlessly.
    case watched(folder: String)
    /// A camera or a video, read by ffmpeg, a Raspberry Pi's camera module by rpicam-vid before it.
    case camera(CameraAddress)
    /// Raw frames of exactly the input's bytes on standard input, or JPEGs (MJPEG), until its end.
    case standardInput
    /// Records or sound.
    case signal(SignalSource)

    /// What can be written, for help texts.
    public static let forms =
        "drawn, dir:FOLDER, watch:FOLDER, file:VIDEO, rtsp://ADDRESS, http://ADDRESS, v4l2:DEVICE, rpicam[:CAMERA], idx:IMAGES[,LABELS][,first=N][,transposed], mnist:FOLDER, fashion-mnist:FOLDER, cifar10:FOLDER, cifar100:FOLDER, stdin, \(SignalSource.forms)"

    /// The forms of data sets, of which a sensor takes the test images.
    package static let dataSets = ["mnist:", "fashion-mnist:", "cifar10:", "cifar100:", "folder:"]

    /// Reads a source as it is written on the command line, see ``forms``.
    ///
    /// - Throws: ``PipelineError`` or ``DatasetError``.
    public init(_ text: String, seed: UInt64) throws {
        if text == "drawn" {
            self = .drawn(seed: seed)
        } else if text == "stdin" {
            self = .standardInput
        } else if let camera = CameraAddress(text) {
            self = .camera(camera)
        } else if let signal = try SignalSource(text) {
            self = .signal(signal)
        } else if text.hasPrefix("watch:") {
            self = .watched(folder: String(text.dropFirst(6)))
        } else if text.hasPrefix("idx:") {
            self = .images(try IDX.read(IDX.Files(text.dropFirst(4))))
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
            // It may be an address with a password in it, and a slip of the pen.
            let told = text.contains("@") || text.contains("=") ? text.prefix { $0 != ":" } + ":…" : text[...]
            throw PipelineError(
                .invalidConfiguration, "\(String(told).debugDescription) is not a source: write \(Self.forms)")
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
        case .folder, .classes, .watched, .camera, .standardInput, .signal: nil
        }
    }

    /// How many frames there are; nil where there is no end or nobody knows it.
    public var count: Int? {
        switch self {
        case .images(let images, _): images.count
        case .folder(let folder): folder.files.count
        case .classes(let folder): folder.imagesPerClass.reduce(0, +)
        case .drawn, .watched, .camera, .standardInput, .signal: nil
        }
    }

    /// The names of the classes that its frames are of; nil where nobody told them.
    public var classNames: [String]? {
        switch self {
        case .images(_, let classes): classes
        case .classes(let folder): folder.classes
        case .drawn, .folder, .watched, .camera, .standardInput, .signal: nil
        }
    }

    /// Sees that a model can take the frames.
    ///
    /// - Throws: ``PipelineError`` that says what to do.
    public func check(fits manifest: ModelManifest) throws(PipelineError) {
        let (name, input) = (manifest.name, manifest.network.input)
        if case .signal(let source) = self {
            guard let signal = manifest.preprocessing.signal else {
                throw PipelineError(
                    .modelMismatch,
                    "\(source.name) has numbers, and \(name.printable) takes pictures: give it those, for example dir:FOLDER"
                )
            }
            guard (signal.logMel != nil) == source.format.isSound else {
                throw PipelineError(
                    .modelMismatch,
                    "\(name.printable) takes \(signal.logMel == nil ? "the fields of records" : "sound"), and \(source.name) has "
                        + (signal.logMel == nil ? "sound" : "records"))
            }
            return
        }
        if case .standardInput = self {
        } else if let signal = manifest.preprocessing.signal {
            throw PipelineError(
                .modelMismatch,
                "\(name.printable) takes \(signal.logMel == nil ? "numbers" : "sound"), and no pictures: give it --source "
                    + (signal.logMel == nil ? "json:mqtt:TOPIC or csv:FILE" : "wav:FILE or pcm:-"))
        }
        if let shape, shape != input {
            let frames = if case .drawn = self { "the digits that a sensor draws" } else { "the frames of this source" }
            throw PipelineError(
                .modelMismatch,
                "\(frames) are \(shape), and \(name.printable) takes \(input): give it pictures, for example --source dir:FOLDER"
            )
        }
        switch self {
        case .folder, .classes, .watched, .camera:
            guard input.channels == 1 || input.channels == 3 else {
                throw PipelineError(
                    .modelMismatch, "pictures are grey or coloured, and \(name.printable) takes \(input)")
            }
        case .drawn, .images, .standardInput, .signal: break
        }
    }
}

extension SignalReader.Format {
    /// Whether it is sound, and no records.
    var isSound: Bool { if case .sound = self { true } else { false } }
}
