import LCPWire
import Platform

extension BranchRunner {
    /// What a runner has counted.
    struct Counts {
        var frames: UInt64 = 0
        var drops: [String: UInt64] = [:]
        var warnings: [String: UInt64] = [:]
        var computeTimes = LatencyWindow()
        var queueTimes = LatencyWindow()

        mutating func add(_ other: Self) {
            frames += other.frames
            drops.merge(other.drops, uniquingKeysWith: +)
            warnings.merge(other.warnings, uniquingKeysWith: +)
            computeTimes.add(other.computeTimes)
            queueTimes.add(other.queueTimes)
        }

        /// What is published of it.
        func statistics(uptime: Duration) -> RoleStatistics {
            var result = RoleStatistics(uptime: uptime.milliseconds / 1000, frames: frames, dropped: drops)
            if !warnings.isEmpty { result.warnings = warnings }
            if let times = computeTimes.percentiles([50, 99]) {
                (result.computeP50, result.computeP99) = (times[0], times[1])
            }
            if let times = queueTimes.percentiles([50, 99]) {
                (result.queueP50, result.queueP99) = (times[0], times[1])
            }
            return result
        }
    }
}
