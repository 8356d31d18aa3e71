public import LCPPipeline
import LCPWire
import MQTT
import Platform
import Synchronization

/// Traces of a live pipeline's frames, from what its messages say.
public struct PipelineTrace: Sendable, Encodable {
    public var traces: [FrameTrace]
    public var clocks: [ClockOffset]
    /// Branches that tell no times: their numbers come as fp32, in version 1 of the message.
    public var silentBranches: [Int]

    enum CodingKeys: String, CodingKey {
        case traces, clocks
        case silentBranches = "silent_branches"
    }

    /// The one in the middle by its latency.
    public var median: FrameTrace? { traces.median }

    /// Listens until so many frames are complete, or the time is over.
    ///
    /// It receives every message of the pipeline: a copy more of each on the broker's link.
    ///
    /// - Parameters:
    ///   - sensor: whose frames are traced; nil for all.
    ///   - patience: how long it waits altogether.
    /// - Throws: ``MQTTError``, ``PipelineError``.
    public static func collect(
        _ configuration: PipelineConfiguration, sensor: String? = nil, frames: Int, patience: Duration
    ) async throws -> PipelineTrace {
        let topics = try Topics(prefix: configuration.prefix, pipeline: configuration.pipeline)
        let (done, ending) = AsyncStream.makeStream(of: Void.self)
        let listener = Listener(topics, sensor: sensor)
        return try await MQTTClient.withConnection(configuration.mqtt) { client in
            let options = MQTTSubscribeOptions(receivesRetained: false)
            let messages = try await client.subscribe(to: topics.inputs, options: options) { message in
                if listener.take(message) >= frames { ending.finish() }
            }
            defer { messages.unsubscribe() }
            for filter in [topics.allLaneInputs, topics.allFeatures, topics.predictions] {
                try await messages.add(filter, options: options)
            }
            let watchdog = Task {
                try await Task.sleep(for: patience)
                ending.finish()
            }
            defer { watchdog.cancel() }
            for await _ in done {}
            try Task.checkCancellation()
            return listener.trace(frames)
        }
    }
}

/// Sorts a pipeline's messages into the collector. Those come on the client's thread.
private final class Listener: Sendable {
    private struct State {
        var collector = TraceCollector()
        var traces: [FrameTrace] = []
        /// Frames that were answered and cannot be traced, because a branch tells no times.
        var untraceable = 0
    }

    /// So many of those, and not one other: then none will come.
    private static let patience = 20
    private let topics: Topics
    private let sensor: String?
    private let state = Mutex(State())

    init(_ topics: Topics, sensor: String?) { (self.topics, self.sensor) = (topics, sensor) }

    /// - Returns: how many frames are complete.
    func take(_ message: MQTTMessageView) -> Int {
        let here = wallClockNanoseconds()
        let name = Topics.sensor(of: message.topic)
        return state.withLock { state in
            guard sensor == nil || name == sensor else { return state.traces.count }
            if let prediction = Prediction(Array(message.payload)), message.topic == topics.prediction(name) {
                if let trace = state.collector.prediction(prediction, here: here) {
                    state.traces.append(trace)
                } else if !state.collector.silent.isEmpty {
                    state.untraceable += 1
                }
            } else if let header = try? TensorMessage.decode(message.payload) {
                if header.kind == .input {
                    state.collector.input(header, sensor: name, here: here)
                } else {
                    state.collector.features(header, sensor: name, here: here)
                }
            }
            return state.traces.isEmpty && state.untraceable > Self.patience ? .max : state.traces.count
        }
    }

    func trace(_ frames: Int) -> PipelineTrace {
        state.withLock { state in
            PipelineTrace(
                traces: Array(state.traces.prefix(frames)), clocks: state.collector.clocks,
                silentBranches: state.collector.silent.sorted())
        }
    }
}

extension [FrameTrace] {
    /// The one in the middle by its latency; nil where there is none.
    var median: FrameTrace? {
        let sorted = sorted { ($0.latencyMilliseconds ?? 0) < ($1.latencyMilliseconds ?? 0) }
        return sorted.isEmpty ? nil : sorted[sorted.count / 2]
    }
}
