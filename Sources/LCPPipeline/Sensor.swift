public import LCPModels
import MQTT
import Tensors

/// Publishes frames as tensor messages, at a steady rate.
public actor Sensor {
    /// How a sensor is set up.
    public struct Options: Sendable {
        /// The sensor's name, and the last level of its topics; the machine's name and the process's number where nil.
        public var id: String?
        /// Frames per second.
        public var rate = 10.0
        /// Ends after so many frames; nil for the source's end.
        public var count: Int?
        /// The shape of frames from a folder or standard input.
        public var shape = FeatureMapShape(height: 28, width: 28, channels: 1)
        /// What the model calls its classes: the truth of a frame is told where the source has a class of that name. Nil where
        /// the source counts its classes as the model does.
        public var labels: [String]?

        public init() {}
    }

    public nonisolated let session: RoleSession
    private nonisolated let executor: MQTTEventLoop
    public nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    private let options: Options
    private var reader: FrameReader
    private let number = UInt64.random(in: 1...UInt64.max)
    private var frames: UInt64 = 0
    private var drops = Drops()

    /// Prepares the source; nothing is sent yet.
    ///
    /// - Throws: ``PipelineError`` or ``MQTTError``.
    public init(_ configuration: PipelineConfiguration, source: FrameSource, options: Options = Options()) throws {
        guard options.rate > 0, options.rate <= 100_000 else {
            throw PipelineError("a rate has more than 0 and at most 100,000 frames per second, not \(options.rate)")
        }
        guard options.count.map({ $0 > 0 }) ?? true else { throw PipelineError("a sensor sends at least one frame") }
        self.options = options
        reader = FrameReader(source, shape: source.shape ?? options.shape, labels: options.labels)
        session = try RoleSession(configuration, status: RoleSession.status(.sensor, id: options.id))
        // Reading a file or standard input may block, and the connection must not wait for that.
        executor = try MQTTEventLoop(name: "sensor")
    }

    /// Publishes until the source ends, the count is reached or the task is cancelled.
    ///
    /// - Returns: the number of frames that were published.
    /// - Throws: ``MQTTError``, ``PipelineError`` or ``DatasetError``.
    @discardableResult
    public func run() async throws -> UInt64 {
        try await session.run { try await publishFrames() }
        return frames
    }

    private func publishFrames() async throws {
        try await session.ready()
        session.log("ready: publishes on \(session.topics.input(session.status.id))")
        let topic = session.topics.input(session.status.id)
        let interval = Duration.seconds(1 / options.rate)
        let clock = ContinuousClock()
        var due = clock.now
        var nextStatistics = clock.now + .seconds(5)
        let started = clock.now
        var number: UInt64 = 0
        while !Task.isCancelled, options.count.map({ number < UInt64($0) }) ?? true, let frame = try reader.read() {
            if due > clock.now { try await clock.sleep(until: due) }
            publish(frame, number: number, topic: topic)
            number += 1
            due += interval
            // After a pause, as on a laptop that slept, nobody wants the missed frames in one burst.
            if clock.now - due > .seconds(1) { due = clock.now }
            if clock.now >= nextStatistics {
                nextStatistics = clock.now + .seconds(5)
                let uptime = (clock.now - started).milliseconds / 1000
                session.publishStatistics(RoleStatistics(uptime: uptime, frames: frames, dropped: drops.counts).json)
            }
        }
    }

    private func publish(_ frame: SensorFrame, number: UInt64, topic: String) {
        guard let shape = Shape([reader.shape.height, reader.shape.width, reader.shape.channels]),
            let tensor = try? Tensor(dtype: .uint8, shape: shape, bytes: frame.pixels)
        else { return }
        let header = TensorMessageHeader(
            kind: .input, dtype: .uint8, shape: shape, session: self.number, frame: number,
            captureTime: wallClockNanoseconds(), label: frame.label)
        let message = TensorMessage.encode(header, tensor)
        guard session.qos != .atMostOnce || session.client.isConnected else {
            if let line = drops.add("not_connected", "dropped frame \(number): there is no connection") {
                session.log(line)
            }
            return
        }
        let failure = message.withUnsafeBytes { bytes -> MQTTError? in
            do throws(MQTTError) {
                try session.client.send(bytes, to: topic, qos: session.qos)
                return nil
            } catch {
                return error
            }
        }
        if let failure {
            if let line = drops.add("buffer_full", "dropped frame \(number): \(failure)") { session.log(line) }
        } else {
            frames += 1
        }
    }
}
