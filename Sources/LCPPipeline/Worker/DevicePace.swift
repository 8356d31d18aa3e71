import CLinux
import Glibc
import Platform

/// A slower device that a worker stands for.
///
/// It computes here, in less time than the device would take, and answers when the device would be done: a frame leaves it at the
/// later of its arrival and the departure of the frame before it, plus the slowness times the processor time that decoding, computing
/// and encoding take here.
public struct EmulatedDevice: Sendable, Hashable {
    /// How many times as long as this machine's processor the device's takes, at least 1.
    public var slowness: Double
    /// The processor time of the network here, which does not depend on the frame, measured before with nothing else running; nil to
    /// measure it for every frame. Between other emulated devices it is longer, because they share this machine's caches and cores,
    /// and a device has its own.
    public var networkTime: Duration?
    /// The processor time of decoding 1,000 bytes of a picture here, measured and left out like ``networkTime``.
    public var decodeTime: Duration?

    public init(slowness: Double, networkTime: Duration? = nil, decodeTime: Duration? = nil) {
        self.slowness = slowness
        self.networkTime = networkTime
        self.decodeTime = decodeTime
    }
}

/// Measures what a frame takes on a worker's device, and holds it back until an emulated one would be done.
struct DevicePace {
    private let device: EmulatedDevice?
    /// When the frame before left.
    private var departure = ContinuousClock.now
    /// Frames that left an emulated device later than they should, by more than ``tolerance``.
    private(set) var missed: UInt64 = 0

    /// What a departure may be late, as a part of the frame's age.
    static let tolerance = 0.02
    /// The first frames find nothing in the caches and their memory not there yet.
    private static let warmup: UInt64 = 3
    private var frames: UInt64 = 0

    /// The priority of real time that a worker was started with, 0 for none. It has less of it while it computes, so that nothing that
    /// computes keeps what waits for its moment.
    private var urgency: Int32?

    init(_ device: EmulatedDevice?) { self.device = device }

    var isEmulated: Bool { device != nil }

    /// A reading, to measure from: of the clock, or of what this thread has used of a processor.
    var now: Duration {
        var time = timespec()
        clock_gettime(isEmulated ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &time)
        return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
    }

    /// What the device took since a reading.
    func time(since begin: Duration) -> Duration { (now - begin) * (device?.slowness ?? 1) }

    /// What the device took to decode a picture, which began at a reading.
    func decodeTime(since begin: Duration, bytes: Int) -> Duration {
        guard let device, let time = device.decodeTime else { return time(since: begin) }
        return time * (device.slowness * Double(bytes) / 1000)
    }

    /// What the device took for the network, which began at a reading.
    func networkTime(since begin: Duration) -> Duration {
        guard let device, let time = device.networkTime else { return time(since: begin) }
        return time * device.slowness
    }

    /// Computes before everything else on this machine, and after what waits: the frame that came first is done first.
    mutating func beginWork() {
        guard isEmulated else { return }
        if urgency == nil { urgency = linux_urgency() }
        if urgency != 0 { _ = linux_set_urgency(1) }
    }

    /// When the device begins with a frame that came at a time.
    func start(of received: ContinuousClock.Instant) -> ContinuousClock.Instant { max(received, departure) }

    /// Returns when an emulated device would send the frame's answer; at once on this machine's own.
    ///
    /// - Parameters:
    ///   - captured: when the frame was, nanoseconds since 1970; 0 where unknown.
    ///   - begin: the reading at which encoding began.
    mutating func waitUntilDone(
        received: ContinuousClock.Instant, captured: Int64, decode: Duration, compute: Duration, since begin: Duration
    ) {
        guard isEmulated else { return }
        let start = start(of: received)
        if let urgency, urgency != 0 { _ = linux_set_urgency(urgency) }
        departure = start + decode + compute + time(since: begin)
        sleepThread(until: departure)
        let now = ContinuousClock.now
        let age = captured > 0 ? Duration.nanoseconds(wallClockNanoseconds() - captured) : now - start
        frames += 1
        if frames > Self.warmup, Self.isMissed(by: now - departure, age: age) { missed += 1 }
    }

    /// Whether a frame of an age left too late.
    static func isMissed(by lateness: Duration, age: Duration) -> Bool {
        lateness.milliseconds > tolerance * age.milliseconds
    }
}
