import CXXHash
public import Images
public import LCPModels
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
/// In this order: the magic of a tensor message, the signature of a JPEG or PNG, exactly the model's input bytes; everything
/// else is dropped and counted.
public struct InputDecoder: Sendable {
    /// What a branch runs on.
    public enum Input {
        /// UINT8, HWC: part of the payload itself.
        case pixels(Range<Int>)
        /// FP32, HWC, normalised: part of the payload itself.
        case normalized(Range<Int>)
        /// UINT8, HWC, decoded from an image.
        case decoded([UInt8])
    }

    public let shape: FeatureMapShape
    public let imageLimits: ImageLimits

    public init(shape: FeatureMapShape, imageLimits: ImageLimits = ImageLimits()) {
        self.shape = shape
        self.imageLimits = imageLimits
    }

    /// Reads a payload.
    ///
    /// - Throws: ``InputError``.
    public func decode(_ payload: UnsafeRawBufferPointer) throws(InputError) -> (FrameIdentity, Input) {
        if TensorMessage.isTensorMessage(payload) { return try decodeMessage(payload) }
        if let format = ImageFormat(signatureOf: payload) {
            guard shape.channels == 1 || shape.channels == 3 else {
                throw InputError(
                    reason: "wrong_shape", description: "an image cannot become an input of \(shape.channels) channels")
            }
            do {
                let image = try Image(
                    decoding: payload, channels: shape.channels, atLeast: (shape.height, shape.width),
                    limits: imageLimits)
                return (bareIdentity(payload), .decoded(image.resized(height: shape.height, width: shape.width).pixels))
            } catch {
                throw InputError(reason: "bad_\(format.rawValue)", description: error.description)
            }
        }
        guard payload.count == shape.elementCount else {
            throw InputError(
                reason: "wrong_size",
                description:
                    "\(payload.count) bytes are neither a tensor message, a JPEG, a PNG nor the \(shape.elementCount) bytes of \(shape)"
            )
        }
        return (bareIdentity(payload), .pixels(0..<payload.count))
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
        let data = TensorMessageHeader.size..<payload.count
        switch header.dtype {
        case .uint8: return (identity, .pixels(data))
        case .fp32:
            let values = UnsafeRawBufferPointer(rebasing: payload[data])
            for offset in stride(from: 0, to: values.count, by: 4) {
                guard values.loadUnaligned(fromByteOffset: offset, as: Float.self).isFinite else {
                    throw InputError(reason: "not_finite", description: "an input holds infinity or not-a-number")
                }
            }
            return (identity, .normalized(data))
        default:
            throw InputError(
                reason: "wrong_type",
                description: "an input of \(header.dtype.name) came: only UINT8 and FP32 are taken")
        }
    }

    /// A bare input carries no number, so its bytes are its name: all branches and replicas agree without talking.
    private func bareIdentity(_ payload: UnsafeRawBufferPointer) -> FrameIdentity {
        FrameIdentity(session: 0, frame: XXH64(payload.baseAddress, payload.count, 0), captureTime: 0, label: -1)
    }
}
