import LCPLocal
import LCPWire

/// What one run of an experiment measured, all of it as it would be on the devices: a dilation is divided out.
public struct RunRecord: Sendable, Codable, Hashable {
    /// How the times of frames lie, milliseconds.
    public struct Latency: Sendable, Codable, Hashable {
        public var mean: Double
        public var p50: Double
        public var p95: Double
        public var p99: Double
        public var min: Double
        public var max: Double

        enum CodingKeys: String, CodingKey {
            case mean = "mean_ms"
            case p50 = "p50_ms"
            case p95 = "p95_ms"
            case p99 = "p99_ms"
            case min = "min_ms"
            case max = "max_ms"
        }

        init(_ times: [Double]) {
            let sorted = times.sorted()
            mean = sorted.mean
            (p50, p95, p99) = (sorted.quantile(0.5), sorted.quantile(0.95), sorted.quantile(0.99))
            (min, max) = (sorted.first ?? 0, sorted.last ?? 0)
        }
    }

    /// What went over a device's link for a frame, bytes of Ethernet frames.
    public struct Traffic: Sendable, Codable, Hashable {
        public var device: String
        public var sentBytes: Double
        public var receivedBytes: Double

        enum CodingKeys: String, CodingKey {
            case device
            case sentBytes = "sent_bytes_per_frame"
            case receivedBytes = "received_bytes_per_frame"
        }
    }

    public var setting: String
    public var run: SpeedupExperiment.Run
    /// What the devices are: emulated, and by which profile.
    public var label: String
    /// What else has to be the same in runs that are compared: devices and links, pictures, engines.
    public var conditions: String
    public var pace: LabPace
    public var frames: Int
    public var latency: Latency
    /// Of frames one after the other, or as many at once as keep all devices busy.
    public var framesPerSecond: Double
    /// What no run with these bytes and this compute can go below; nil for ways without one.
    public var boundMilliseconds: Double?
    /// How far the median of the frames' latencies is above their own bounds, as a factor.
    public var overBoundP50: Double?
    public var overBoundP99: Double?
    /// The mean latency that the planner's model tells for it, from the times that were measured before the run; nil for ways that
    /// it does not plan.
    public var plannedMilliseconds: Double?
    /// The network on one thread of this machine, of the device that takes longest.
    public var networkMilliseconds: Double
    /// Decoding a picture, likewise; nil where it was not measured by itself.
    public var decodeMilliseconds: Double?
    /// The engine whose time that is.
    public var engine: String
    /// Of the sensor's messages, on average.
    public var inputBytes: Double
    public var traffic: [Traffic]
    /// How often somebody has to send something to somebody else for one frame.
    public var connectedPairs: Int
    /// The most that a device's process had in memory.
    public var peakMiB: Double?
    /// All computing devices together, by the profile's power model; nothing was measured of it.
    public var modelledJoules: Double
    /// Frames that left a device later than they should, by more than 2 %.
    public var lateDepartures: UInt64
    /// The largest difference from the original's logits, as a part of the largest; nil where weights differ.
    public var error: Double?

    /// Where the time of a frame in the middle went; nil where that was not seen.
    public var trace: FrameTrace?

    enum CodingKeys: String, CodingKey {
        case setting, run, label, conditions, pace, frames, latency, engine, traffic, error, trace
        case framesPerSecond = "frames_per_s"
        case boundMilliseconds = "bound_ms"
        case overBoundP50 = "over_bound_p50"
        case overBoundP99 = "over_bound_p99"
        case plannedMilliseconds = "planned_ms"
        case networkMilliseconds = "network_here_ms"
        case decodeMilliseconds = "decode_here_ms"
        case inputBytes = "input_bytes"
        case connectedPairs = "connected_pairs"
        case peakMiB = "peak_mib"
        case modelledJoules = "modelled_j"
        case lateDepartures = "late_departures"
    }
}
