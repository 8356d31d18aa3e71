import CXXHash
public import Images
public import LCPModels
import LCPPictures
import LCPWire

/// What identifies a frame, and what travels with it through the pipeline.
public struct FrameIdentity: Sendable, Hashable {
    /// Random at the sensor's start; 0 for a bare input.
    public var session: UInt64
    public var frame: UInt64
    /// Nanoseconds since 1970 UTC, 0 where unknown.
    public var captureTime: Int64
    /// The true class, −1 where unknown.
    public var label: Int32
}

/// Why an input was not taken: the name of its counter and a sentence.
public struct InputError: Error, Hashable, CustomStringConvertible {
    public let reason: String
    public let description: String
}

/// Tells what an input payload is, and turns it into what a branch runs on.
///
/// In this order: the magic of a tensor message, the signature of a picture (or that in base64), exactly the model's input bytes;
/// everything else is dropped and counted.
public struct InputDecoder: Sendable {
    /// What a branch runs on.
    public enum Input {
        /// UINT8, HWC, or a signal's FP32 as its source has them: part of the payload itself.
        case pixels(Range<Int>)
        /// FP32, HWC, normalised: part of the payload itself.
        case normalized(Range<Int>)
        /// UINT8, HWC, decoded from an image.
        case decoded([UInt8], ImageNotes)
    }

    public let shape: FeatureMapShape
    public let imageLimits: ImageLimits
    private let size: ImageSize
    private let pictures: PictureCache
    /// Whether the model takes a signal's numbers.
    private let isSignal: Bool
    /// What shows where pictures are transparent, a grey.
    public var background: UInt8 { size.background }

    /// - Parameter preprocessing: how the model wants pictures resized.
    public init(
        shape: FeatureMapShape, preprocessing: ModelManifest.Preprocessing? = nil,
        imageLimits: ImageLimits = ImageLimits()
    ) {
        self.init(shape: shape, preprocessing: preprocessing, imageLimits: imageLimits, pictures: PictureCache())
    }

    /// - Parameter pictures: shared by all who may get the same picture.
    init(
        shape: FeatureMapShape, preprocessing: ModelManifest.Preprocessing? = nil,
        imageLimits: ImageLimits = ImageLimits(), pictures: PictureCache
    ) {
        self.shape = shape
        size = ImageSize(shape, preprocessing)
        isSignal = preprocessing?.signal != nil
        self.imageLimits = imageLimits
        self.pictures = pictures
    }

    /// Whether a payload holds a picture, which takes long to decode: a file, or a tensor message with one inside.
    static func isPicture(_ payload: UnsafeRawBufferPointer) -> Bool {
        TensorMessage.isPicture(payload)
            || !TensorMessage.isTensorMessage(payload) && ImageFormat(of: payload) != nil
    }

    /// Reads a payload.
    ///
    /// - Throws: ``InputError``.
    public func decode(_ payload: UnsafeRawBufferPointer) throws(InputError) -> (FrameIdentity, Input) {
        if TensorMessage.isTensorMessage(payload) { return try decodeMessage(payload) }
        if let format = ImageFormat(of: payload) {
            return (bareIdentity(payload), try pixels(payload, format, isExact: false))
        }
        if isSignal, payload.count == 4 * shape.elementCount {
            try Self.checkFinite(payload)
            return (bareIdentity(payload), .pixels(0..<payload.count))
        }
        guard !isSignal, payload.count == shape.elementCount else {
            let other = ImageFormat.otherName(of: payload).map {
                ": a \($0) picture is not read, save it as JPEG or PNG"
            }
            throw InputError(
                reason: "wrong_size",
                description:
                    !isSignal
                    ? "\(payload.count) bytes are neither a tensor message, a picture nor the \(shape.elementCount) bytes of \(shape)"
                        + (other ?? "")
                    : "\(payload.count) bytes are neither a tensor message nor the \(4 * shape.elementCount) bytes of \(shape) numbers: "
                        + "JSON, CSV and sound are read as json:…, csv:… and wav:…")
        }
        return (bareIdentity(payload), .pixels(0..<payload.count))
    }

    private func pixels(
        _ picture: UnsafeRawBufferPointer, _ format: ImageFormat, isExact: Bool
    ) throws(InputError) -> Input {
        guard !isSignal else {
            throw InputError(reason: "wrong_type", description: "a picture came, and the model takes numbers")
        }
        guard shape.channels == 1 || shape.channels == 3 else {
            throw InputError(
                reason: "wrong_shape", description: "an image cannot become an input of \(shape.channels) channels")
        }
        do {
            let (pixels, notes) = try pictures.pixels(
                of: picture, .init(size: size, isExact: isExact, limits: imageLimits))
            return .decoded(pixels, notes)
        } catch {
            throw InputError(
                reason: error.isOtherSize ? "wrong_shape" : "bad_\(format.rawValue)", description: error.description)
        }
    }

    private func decodeMessage(_ payload: UnsafeRawBufferPointer) throws(InputError) -> (FrameIdentity, Input) {
        let header: TensorMessageHeader
        do { header = try TensorMessage.decode(payload) } catch {
            throw InputError(reason: error.rawValue, description: error.description)
        }
        guard header.kind == .input else {
            throw InputError(reason: "wrong_kind", description: "a tensor message of another kind came as an input")
        }
        let found = header.shape
        // Grey images may leave out the channel.
        let fits =
            found.rank == 3 && found[0] == shape.height && found[1] == shape.width && found[2] == shape.channels
            || shape.channels == 1 && found.rank == 2 && found[0] == shape.height && found[1] == shape.width
        guard fits else {
            throw InputError(reason: "wrong_shape", description: "an input of \(found) came, the model takes \(shape)")
        }
        let identity = FrameIdentity(
            session: header.session, frame: header.frame, captureTime: header.captureTime, label: header.label)
        let data = header.size..<payload.count
        switch header.encoding {
        case .raw: break
        case .jpeg: return (identity, try picture(payload, data, .jpeg))
        case .png: return (identity, try picture(payload, data, .png))
        }
        switch header.dtype {
        case .uint8:
            guard !isSignal else {
                throw InputError(
                    reason: "wrong_type", description: "an input of UINT8 came, and the model takes numbers: FP32")
            }
            return (identity, .pixels(data))
        case .fp32:
            try Self.checkFinite(UnsafeRawBufferPointer(rebasing: payload[data]))
            return (identity, isSignal ? .pixels(data) : .normalized(data))
        default:
            throw InputError(
                reason: "wrong_type",
                description: "an input of \(header.dtype.name) came: only UINT8 and FP32 are taken")
        }
    }

    private static func checkFinite(_ numbers: UnsafeRawBufferPointer) throws(InputError) {
        for offset in stride(from: 0, to: numbers.count, by: 4) {
            guard numbers.loadUnaligned(fromByteOffset: offset, as: Float.self).isFinite else {
                throw InputError(reason: "not_finite", description: "an input holds infinity or not-a-number")
            }
        }
    }

    /// The pixels of a picture inside a message; it has to be what the header says.
    private func picture(
        _ payload: UnsafeRawBufferPointer, _ range: Range<Int>, _ format: ImageFormat
    ) throws(InputError) -> Input {
        let data = UnsafeRawBufferPointer(rebasing: payload[range])
        guard ImageFormat(signatureOf: data) == format else {
            throw InputError(
                reason: "bad_\(format.rawValue)",
                description: "a tensor message says that it holds a \(format.rawValue.uppercased()), and holds none")
        }
        return try pixels(data, format, isExact: true)
    }

    /// A bare input carries no number, so its bytes are its name: all branches and replicas agree without talking.
    private func bareIdentity(_ payload: UnsafeRawBufferPointer) -> FrameIdentity {
        FrameIdentity(session: 0, frame: XXH64(payload.baseAddress, payload.count, 0), captureTime: 0, label: -1)
    }
}
