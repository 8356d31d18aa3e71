import CLinux
import Glibc

/// The processors of this machine.
package enum Processors {
    /// How many this process may use: fewer than the machine has where it is bound to some (`taskset`, a cpuset), or where its
    /// control group gets the time of some only (`docker run --cpus`).
    package static var available: Int {
        // For 65,536 processors; the system refuses room for fewer than it has.
        var bound = [UInt8](repeating: 0, count: 8192)
        let count =
            linux_bound_processors(&bound, bound.count) > 0
            ? bound.reduce(0) { $0 + $1.nonzeroBitCount } : Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))
        let files = ["cpu.max", "cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"].map { name in
            (try? FileIO.read("/sys/fs/cgroup/\(name)", limit: 4096)).map { String(decoding: $0, as: UTF8.self) }
        }
        let quota = quota(files[0] ?? "") ?? quota("\(files[1] ?? "") \(files[2] ?? "")") ?? count
        return max(1, min(count, quota))
    }

    /// The processors whose time a control group gets, rounded up.
    ///
    /// - Parameter limit: the time of a period, and the period, as in the file `cpu.max` of control groups version 2.
    /// - Returns: nil where there is no limit.
    package static func quota(_ limit: String) -> Int? {
        let numbers = limit.split(whereSeparator: \.isWhitespace).map { Int($0) }
        guard numbers.count == 2, let time = numbers[0], let period = numbers[1], time > 0, period > 0 else {
            return nil
        }
        return time / period + (time % period > 0 ? 1 : 0)
    }
}
