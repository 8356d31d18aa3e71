package import Images
package import LCPModels
package import LCPWire
import Synchronization
import Tensors

/// The latest frames of a sensor, as they were sent, bounded: pure.
package struct RecentFrames {
    private var frames: [(number: UInt64, payload: [UInt8])] = []
    private var bytes = 0
    private let maximumFrames: Int
    private let maximumBytes: Int

    package init(maximumFrames: Int = 64, maximumBytes: Int = 4 << 20) {
        (self.maximumFrames, self.maximumBytes) = (maximumFrames, maximumBytes)
    }

    /// Keeps a frame. The oldest make room; one that has no room at all is not kept.
    package mutating func add(_ number: UInt64, _ payload: [UInt8]) {
        guard payload.count <= maximumBytes else { return }
        frames.append((number, payload))
        bytes += payload.count
        while frames.count > maximumFrames || bytes > maximumBytes { bytes -= frames.removeFirst().payload.count }
    }

    /// The frame that is asked for, or the newest; nil where it is not kept.
    package func frame(_ request: SnapshotRequest) -> [UInt8]? {
        guard let number = request.number else { return frames.last?.payload }
        return frames.last { $0.number == number }?.payload
    }

    /// Whether the newest frame has this number.
    func ends(with number: UInt64) -> Bool { frames.last?.number == number }
}

/// What a sensor's frame looks like.
package enum Snapshot {
    /// Enough that nobody sees a difference in a frame that is a few hundred pixels wide.
    private static let quality = 90
    /// Larger pictures that are no JPEG yet are left out: to write one anew takes its time and its memory.
    private static let limits = ImageLimits(maximumPixels: 4_000_000)

    /// A frame as a JPEG file.
    ///
    /// - Parameters:
    ///   - payload: a tensor message, a picture or the bytes of an input.
    ///   - shape: of such an input.
    /// - Returns: nil where it holds no pixels.
    /// - Throws: ``ImageError`` where it cannot be read.
    package static func jpeg(of payload: UnsafeRawBufferPointer, _ shape: FeatureMapShape?) throws(ImageError)
        -> [UInt8]?
    {
        if TensorMessage.isTensorMessage(payload) {
            guard let header = try? TensorMessage.decode(payload) else { return nil }
            let data = UnsafeRawBufferPointer(rebasing: payload[header.size...])
            guard header.encoding == .raw else { return try jpeg(ofPicture: data) }
            guard header.dtype == .uint8, (2...3).contains(header.shape.rank) else { return nil }
            let channels = header.shape.rank == 3 ? Int(header.shape[2]) : 1
            return try jpeg(data, height: Int(header.shape[0]), width: Int(header.shape[1]), channels: channels)
        }
        if ImageFormat(of: payload) != nil { return try jpeg(ofPicture: payload) }
        guard let shape, payload.count == shape.elementCount else { return nil }
        return try jpeg(payload, height: shape.height, width: shape.width, channels: shape.channels)
    }

    private static func jpeg(ofPicture file: UnsafeRawBufferPointer) throws(ImageError) -> [UInt8] {
        if ImageFormat(signatureOf: file) == .jpeg { return Array(file) }
        return try Image(decoding: file, channels: 3, limits: limits).jpeg(quality: quality)
    }

    private static func jpeg(
        _ pixels: UnsafeRawBufferPointer, height: Int, width: Int, channels: Int
    ) throws(ImageError) -> [UInt8]? {
        guard channels == 1 || channels == 3 else { return nil }
        return try Image(height: height, width: width, channels: channels, pixels: Array(pixels)).jpeg(quality: quality)
    }
}

/// The latest inputs that no sensor of lcp has sent, so that a worker can show them: a few, of a few sensors. Any thread may ask.
final class BareInputs: Sendable {
    private struct Entry {
        var recent = RecentFrames(maximumFrames: BareInputs.maximumFrames, maximumBytes: BareInputs.maximumBytes)
        var shape: FeatureMapShape
        var time: ContinuousClock.Instant
    }

    /// Of a sensor.
    static let maximumFrames = 4
    static let maximumBytes = 1 << 20
    /// More than so many take turns.
    static let maximumSensors = 8

    private let entries = Mutex<[String: Entry]>([:])

    /// Keeps an input.
    ///
    /// - Parameter number: as the prediction will say it.
    func keep(_ sensor: String, _ number: UInt64, _ payload: UnsafeRawBufferPointer, _ shape: FeatureMapShape) {
        entries.withLock { entries in
            if entries[sensor] == nil, entries.count >= Self.maximumSensors,
                let oldest = entries.min(by: { $0.value.time < $1.value.time })?.key
            {
                entries[oldest] = nil
            }
            var entry = entries.removeValue(forKey: sensor) ?? Entry(shape: shape, time: .now)
            (entry.shape, entry.time) = (shape, .now)
            // A still camera's are the same.
            if !entry.recent.ends(with: number) { entry.recent.add(number, Array(payload)) }
            entries[sensor] = entry
        }
    }

    /// The input that is asked for as a JPEG file; nil where it is not kept.
    ///
    /// - Throws: ``ImageError``.
    func jpeg(_ sensor: String, _ request: SnapshotRequest) throws(ImageError) -> [UInt8]? {
        guard let entry = entries.withLock({ $0[sensor] }), let payload = entry.recent.frame(request) else {
            return nil
        }
        return try payload.withUnsafeBufferPointer { bytes throws(ImageError) in
            try Snapshot.jpeg(of: UnsafeRawBufferPointer(bytes), entry.shape)
        }
    }
}
