import Images
import LCPLocal
public import LCPModels
import LCPPipeline
import LCPWire
public import MQTT
import Platform

/// A sensor that measures: it sends pictures to a pipeline, a number of them at once, and takes the time until their predictions
/// are back with it.
public struct PictureLoad: Sendable {
    /// What one frame took, all of it on the sensor's clock, milliseconds.
    public struct Frame: Sendable, Hashable, Codable {
        public var number: UInt64
        public var latencyMilliseconds: Double
        public var encodeMilliseconds: Double
        /// Of the message.
        public var bytes: Int
        /// Of the prediction.
        public var predictionBytes: Int
        /// The class that was predicted.
        public var `class`: Int
        /// Branches that were not there in time.
        public var missing: Int

        enum CodingKeys: String, CodingKey {
            case number, bytes, missing
            case `class` = "class"
            case predictionBytes = "prediction_bytes"
            case latencyMilliseconds = "latency_ms"
            case encodeMilliseconds = "encode_ms"
        }
    }

    /// What was measured.
    public struct Figures: Sendable, Hashable, Codable {
        public var frames: [Frame]
        /// From the first frame that counts to the last prediction.
        public var seconds: Double
        /// Frames that left a worker later than its device would have sent them.
        public var lateDepartures: UInt64

        public var framesPerSecond: Double { Double(frames.count) / seconds }

        enum CodingKeys: String, CodingKey {
            case frames
            case seconds = "elapsed_s"
            case lateDepartures = "late_departures"
        }
    }

    public var broker: MQTTAddress
    public var pipeline: String
    public var sensor = "camera"
    public var input: FeatureMapShape
    public var quality = 80
    /// Frames that count.
    public var frames: Int
    /// Frames before those.
    public var warmup: Int
    /// How many are on their way at once.
    public var window: Int
    /// A folder of pictures; nil for synthetic ones.
    public var pictures: String?
    /// The longest wait for a prediction.
    public var patience = Duration.seconds(60)

    public init(
        broker: MQTTAddress, pipeline: String, input: FeatureMapShape, frames: Int, warmup: Int = 3, window: Int = 1,
        pictures: String? = nil
    ) {
        self.broker = broker
        self.pipeline = pipeline
        self.input = input
        self.frames = frames
        self.warmup = warmup
        self.window = window
        self.pictures = pictures
    }

    /// Waits until so many roles are ready, and measures.
    ///
    /// - Throws: ``PipelineError`` where something does not come, ``MQTTError``.
    public func run(roles: Int, workers: Int) async throws -> Figures {
        let topics = try Topics(pipeline: pipeline)
        let images = try LabPictures.load(pictures, input)
        var configuration = MQTTConfiguration(address: broker)
        configuration.waitsForBroker = true
        return try await MQTTClient.withConnection(configuration) { client in
            let statuses = try await client.subscribe(to: topics.statuses)
            defer { statuses.unsubscribe() }
            try await RoleLauncher.waitUntilReady(roles, statuses, seconds: 120)
            let statistics = try await client.subscribe(to: topics.workerStatistics)
            defer { statistics.unsubscribe() }
            var figures = try await measure(client, topics, images)
            // Of several at once nobody asks when each left.
            if window == 1 { figures.lateDepartures = try await lateDepartures(of: workers, statistics) }
            return figures
        }
    }

    private func measure(_ client: MQTTClient, _ topics: Topics, _ images: [Image]) async throws -> Figures {
        let sender = PictureSender(self, images, client, topic: topics.input(sensor))
        let predictions = try await client.subscribe(to: topics.prediction(sensor)) {
            sender.take($0.received, Array($0.payload))
            return false
        }
        defer { predictions.unsubscribe() }
        client.eventLoop.execute { sender.begin() }
        let watchdog = Task {
            while !sender.isIdle(for: patience) { try await Task.sleep(for: .milliseconds(500)) }
            sender.finish()
        }
        defer { watchdog.cancel() }
        for await _ in sender.done {}
        try Task.checkCancellation()
        return try sender.figures()
    }

    /// What every worker has counted, in its next statistics.
    private func lateDepartures(of workers: Int, _ statistics: MQTTSubscription) async throws -> UInt64 {
        let begin = ContinuousClock.now
        let watchdog = Task {
            try await Task.sleep(for: .seconds(12))
            statistics.unsubscribe()
        }
        defer { watchdog.cancel() }
        var counts: [String: UInt64] = [:]
        for try await message in statistics where message.received > begin {
            guard let found = RoleStatistics(message.payload) else { continue }
            counts[message.topic] = found.warnings?["late_departures"] ?? 0
            if counts.count == workers { return counts.values.reduce(0, +) }
        }
        throw PipelineError(.timedOut, "\(counts.count) of \(workers) workers told what they counted")
    }
}
