import CLinux
import Glibc
import Platform

/// How far an emulated device is: later than this machine by what the device's processor would have taken longer.
final class DeviceClock {
    private let slowness: Double
    /// What a message takes besides its bytes.
    let delay: Duration
    /// When the device is done with what it was given.
    private(set) var moment = ContinuousClock.now
    /// How long it computed so far.
    private(set) var busy = Duration.zero
    /// How often it was behind its moment by more than 2 % of what a frame takes.
    private(set) var missed: UInt64 = 0
    private var began = ContinuousClock.now
    /// What the frame before took.
    private var frameTime = Duration.zero
    /// The first two warm up.
    private var frames = 0
    private var urgency: Int32?

    init(slowness: Double, delay: Duration) {
        self.slowness = slowness
        self.delay = delay
    }

    /// A frame comes, captured before it arrived.
    func begin(_ arrival: ContinuousClock.Instant) {
        frames += 1
        frameTime = moment - began
        began = arrival
        arrived(arrival)
    }

    /// Does something for which the device takes its time.
    func working<Result>(_ body: () throws -> Result) rethrows -> Result {
        let begin = Self.processorTime
        let result = try body()
        charge(Self.processorTime - begin)
        return result
    }

    /// Takes what so much time of this machine's processor is on the device.
    func charge(_ time: Duration) {
        moment += time * slowness
        busy += time * slowness
    }

    /// The device has waited for something that came at a time.
    func arrived(_ time: ContinuousClock.Instant) { moment = max(moment, time + delay) }

    /// Waits until the device is done. What waits runs before what computes, where the process may.
    func wait() {
        if urgency == nil { urgency = linux_urgency() }
        if let urgency, urgency != 0 { _ = linux_set_urgency(urgency) }
        sleepThread(until: moment)
        let now = ContinuousClock.now
        let late = (now - moment).milliseconds
        if frames > 2, late > 0.02 * max(now - began, frameTime).milliseconds { missed += 1 }
    }

    /// Computes from now on as workers do: after what waits.
    func resume() { if let urgency, urgency != 0 { _ = linux_set_urgency(1) } }

    private static var processorTime: Duration {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
    }
}
