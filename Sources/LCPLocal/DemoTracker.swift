import Images
public import LCPWire
import Platform
import Tensors

/// What a demo has seen so far: frames, predictions, roles. A pure state machine; messages and the time are given to it.
public struct DemoTracker: Sendable {
    /// A frame and what came of it.
    public struct LastFrame: Sendable {
        public var number: UInt64
        /// UINT8, HWC.
        public var pixels: [UInt8]
        public var prediction: Prediction?
        public var latencyMilliseconds: Double?
    }

    public private(set) var frames = 0
    public private(set) var predictions = 0
    public private(set) var right = 0
    /// Predictions of frames whose truth is known.
    public private(set) var judged = 0
    /// Predictions with branches missing.
    public private(set) var incomplete = 0
    public private(set) var last: LastFrame?
    /// By branch: the latest status of its worker.
    public private(set) var workers: [Int: RoleStatus] = [:]
    /// By name.
    public private(set) var aggregators: [String: RoleStatus] = [:]
    public private(set) var sensor: RoleStatus?
    /// From capture to here, milliseconds.
    private var latencies: [Float] = []
    private var firstPrediction: ContinuousClock.Instant?
    private var lastPrediction: ContinuousClock.Instant?
    private var newest: UInt64?
    /// Frames that wait for their prediction: capture time by frame number.
    private var open: [UInt64: (header: TensorMessageHeader, data: [UInt8])] = [:]

    public init() {}

    /// Takes an input.
    public mutating func input(_ payload: [UInt8]) {
        guard let header = try? payload.withUnsafeBytes({ try TensorMessage.decode($0) }), header.kind == .input else {
            return
        }
        // One that is asked for again is the same frame.
        guard header.version2?.wantedBranches ?? 0 == 0, newest.map({ header.frame > $0 }) ?? true else { return }
        newest = header.frame
        frames += 1
        // A frame that never gets an answer must not stay for ever.
        if open.count >= 1024 { open.removeAll() }
        open[header.frame] = (header, Array(payload[header.size...]))
    }

    /// Takes a prediction.
    ///
    /// - Parameter wallClock: nanoseconds since 1970 UTC.
    public mutating func prediction(_ payload: [UInt8], now: ContinuousClock.Instant, wallClock: Int64) {
        guard let prediction = Prediction(payload), let number = UInt64(prediction.frame) else { return }
        predictions += 1
        if let truth = prediction.truth {
            judged += 1
            if truth == prediction.class { right += 1 }
        }
        if !prediction.missing.isEmpty { incomplete += 1 }
        firstPrediction = firstPrediction ?? now
        lastPrediction = now
        guard let (header, data) = open.removeValue(forKey: number) else { return }
        // In floating point, because a stranger's time may be any.
        let latency = (Double(wallClock) - Double(header.captureTime)) / 1e6
        if latencies.count < 1_000_000 { latencies.append(Float(latency)) }
        last = LastFrame(
            number: number, pixels: Self.pixels(header, data), prediction: prediction, latencyMilliseconds: latency)
    }

    /// The pixels of a frame; none where its picture cannot be read.
    private static func pixels(_ header: TensorMessageHeader, _ data: [UInt8]) -> [UInt8] {
        let size = header.shape.dimensions
        guard header.encoding != .raw else { return data }
        guard size.count >= 2 else { return [] }
        return data.withUnsafeBytes { data in
            let image = try? Image(
                decoding: data, channels: size.count > 2 ? size[2] : 1, size: .exactly(height: size[0], width: size[1]))
            return image?.pixels ?? []
        }
    }

    /// Takes a status.
    public mutating func status(_ payload: [UInt8]) {
        guard let status = RoleStatus(payload) else { return }
        switch status.role {
        case .worker: if let branch = status.branch { workers[branch] = status }
        case .aggregator: aggregators[status.id] = status
        case .sensor: sensor = status
        }
    }

    /// Right predictions by those whose truth is known, 0 to 1.
    public var accuracy: Double { judged > 0 ? Double(right) / Double(judged) : 0 }

    /// Frames without a prediction, once everything had time to come.
    public var lost: Int { max(0, frames - predictions) }

    public var framesPerSecond: Double {
        guard let firstPrediction, let lastPrediction, lastPrediction > firstPrediction else {
            return 0
        }
        return Double(predictions - 1) / ((lastPrediction - firstPrediction).milliseconds / 1000)
    }

    /// Percentiles, 0 to 100, of the latency, milliseconds; 0 before the first prediction.
    public func latency(_ percentile: Double) -> Double {
        let sorted = latencies.sorted()
        guard !sorted.isEmpty else { return 0 }
        return Double(sorted[min(sorted.count - 1, Int(percentile / 100 * Double(sorted.count)))])
    }
}

/// The result of a demo, for machines.
public struct DemoSummary: Sendable, Hashable, Codable {
    /// The model's name.
    public var model: String
    public var frames: Int
    public var predictions: Int
    /// Predictions with branches missing.
    public var incomplete: Int
    /// Frames without a prediction.
    public var lost: Int
    /// Right predictions, 0 to 1; nil where no frame's truth is known.
    public var accuracy: Double?
    public var latencyP50: Double
    public var latencyP99: Double
    public var framesPerSecond: Double
    public var branches: Int
    /// What the sensor could not send, in its words; nil where it sent everything.
    public var complaint: String?

    enum CodingKeys: String, CodingKey {
        case model, frames, predictions, incomplete, lost, accuracy, branches
        case complaint = "sensor_error"
        case latencyP50 = "latency_p50_ms"
        case latencyP99 = "latency_p99_ms"
        case framesPerSecond = "frames_per_s"
    }
}
