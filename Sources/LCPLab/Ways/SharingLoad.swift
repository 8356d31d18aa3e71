import Glibc
import Images
import LCPInference
import LCPModels
public import LCPWire
import Platform

/// A sensor that measures devices that share a network: it sends each of them the picture and joins their answers.
public struct SharingLoad: Sendable {
    static let port: UInt16 = 7001
    /// Of an answer, before its numbers: their first class, how many there are, their scale, how often the device was late, and how
    /// long it was busy so far.
    private static let headerBytes = 28

    public var shared: SharedNetwork
    public var addresses: [String]
    public var encoding: FeatureEncoding
    public var delay: Duration
    public var frames: Int
    public var warmup: Int
    public var quality = 80
    public var pictures: String?

    public init(
        _ shared: SharedNetwork, addresses: [String], encoding: FeatureEncoding, delay: Duration, frames: Int,
        warmup: Int, pictures: String? = nil
    ) {
        self.shared = shared
        self.addresses = addresses
        self.encoding = encoding
        self.delay = delay
        self.frames = frames
        self.warmup = warmup
        self.pictures = pictures
    }

    /// What was measured.
    public struct Figures: Sendable, Hashable, Codable {
        public var load: PictureLoad.Figures
        /// The largest difference of a logit from the original's, as a part of the largest logit; nil where there is no original.
        public var error: Double?
        /// How long each device computed for a frame, on its own clock, milliseconds.
        public var busyMilliseconds: [Double]

        enum CodingKeys: String, CodingKey {
            case load, error
            case busyMilliseconds = "busy_ms"
        }
    }

    /// Connects to all devices, and measures.
    ///
    /// - Throws: ``PipelineError`` where one is gone, ``NetworkError``.
    public func run() throws -> Figures {
        let input = shared.network.input
        let images = try LabPictures.load(pictures, input)
        let addsAnswers = try shared.addsAnswers()
        let connections = try addresses.map { try TCP.connect($0, port: Self.port, patience: .seconds(60)) }
        defer { for connection in connections { close(connection) } }
        var result: [PictureLoad.Frame] = []
        var begin = ContinuousClock.now
        var (late, busy) = (
            [UInt64](repeating: 0, count: connections.count), [Double](repeating: 0, count: connections.count)
        )
        var firstLogits: [Float] = []
        for number in 0..<warmup + frames {
            let image = images[number % images.count]
            let start = ContinuousClock.now
            let jpeg = try image.jpeg(quality: quality)
            let encode = ContinuousClock.now - start
            let message = withUnsafeBytes(of: UInt32(jpeg.count)) { Array($0) } + jpeg
            for connection in connections { try TCP.send(message, connection) }
            var logits = [Float](repeating: 0, count: shared.network.classes)
            for (device, connection) in connections.enumerated() {
                let header = try TCP.receive(Self.headerBytes, connection)
                func field<Value: BitwiseCopyable>(_ offset: Int, _ type: Value.Type) -> Value {
                    header.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: type) }
                }
                let (first, count) = (Int(field(0, UInt32.self)), Int(field(4, UInt32.self)))
                guard first + count <= logits.count else {
                    throw PipelineError(.invalidMessage, "a device answered with classes that there are not")
                }
                let data = try TCP.receive(count * encoding.dtype.size, connection)
                var values = [Float](repeating: 0, count: count)
                values.withUnsafeMutableBufferPointer { values in
                    data.withUnsafeBytes { encoding.decode($0, scale: field(8, Float.self), into: values) }
                }
                for (index, value) in values.enumerated() {
                    if addsAnswers { logits[index] += value } else { logits[first + index] = value }
                }
                late[device] = field(12, UInt64.self)
                busy[device] = field(20, Double.self)
            }
            let end = ContinuousClock.now + delay
            sleepThread(until: end)
            if number == 0 { firstLogits = logits }
            if number == warmup { begin = start }
            guard number >= warmup else { continue }
            let best = logits.indices.max { logits[$0] < logits[$1] } ?? 0
            result.append(
                PictureLoad.Frame(
                    number: UInt64(number), latencyMilliseconds: (end - start).milliseconds,
                    encodeMilliseconds: encode.milliseconds, bytes: message.count, predictionBytes: 0,
                    class: best, missing: 0))
        }
        let seconds = (ContinuousClock.now - begin).milliseconds / 1000
        return Figures(
            load: .init(frames: result, seconds: seconds, lateDepartures: late.reduce(0, +)),
            error: try error(of: firstLogits, images[0]),
            busyMilliseconds: busy.map { $0 / Double(warmup + frames) })
    }

    static func answer(_ first: Int, _ values: [Float], _ encoding: FeatureEncoding, _ clock: DeviceClock) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: headerBytes + values.count * encoding.dtype.size)
        values.withUnsafeBufferPointer { values in
            bytes.withUnsafeMutableBytes { bytes in
                let data = UnsafeMutableRawBufferPointer(rebasing: bytes[headerBytes...])
                let scale = encoding.encode(values, into: data) ?? 0
                bytes.storeBytes(of: UInt32(first), as: UInt32.self)
                bytes.storeBytes(of: UInt32(values.count), toByteOffset: 4, as: UInt32.self)
                bytes.storeBytes(of: scale, toByteOffset: 8, as: Float.self)
                bytes.storeBytes(of: clock.missed, toByteOffset: 12, as: UInt64.self)
                bytes.storeBytes(of: clock.busy.milliseconds, toByteOffset: 20, as: Double.self)
            }
        }
        return bytes
    }

    /// How far logits are from those of the original.
    private func error(of logits: [Float], _ image: Image) throws -> Double? {
        guard shared.way == .modelParallel else { return nil }
        let original = try OriginalNetwork(shared.network)
        let expected = try original.logits(of: try image.throughJPEG(quality: quality).pixels)
        let largest = expected.map(\.magnitude).max() ?? 0
        return Double(zip(logits, expected).map { abs($0 - $1) }.max() ?? 0)
            / Double(max(largest, .leastNormalMagnitude))
    }
}

/// A network in one piece, with the weights that shared ones have.
struct OriginalNetwork {
    private let engine: BranchEngine
    private let merge: LayerParameters

    init(_ network: Network) throws {
        let whole = try network.split(into: 1)
        var random = SeededGenerator(seed: 1)
        let parameters = try ModelParameters.random(for: whole, using: &random)
        merge = parameters.merge
        engine = try BranchEngine(
            network: whole, branch: 0, parameters: parameters.branches[0], mergeWeights: nil,
            preprocessing: .usual(for: network.input))
    }

    /// - Parameter pixels: UINT8, HWC.
    func logits(of pixels: [UInt8]) throws -> [Float] {
        try pixels.withUnsafeBytes { try engine.run(pixels: $0) }
        let features = Array(engine.output)
        return merge.bias.indices.map { row in
            var sum = merge.bias[row]
            for (column, value) in features.enumerated() { sum += merge.weight[row * features.count + column] * value }
            return sum
        }
    }
}
