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

    /// How many there are, and of which kind: "4 cores, Raspberry Pi 3 Model B Plus Rev 1.3".
    package static var description: String {
        let board = (try? FileIO.read("/proc/device-tree/model", limit: 4096)).map {
            String(decoding: $0, as: UTF8.self)
        }
        let processor = (try? FileIO.read("/proc/cpuinfo", limit: 1 << 20)).map { String(decoding: $0, as: UTF8.self) }
        let name = (board ?? model(cpuinfo: processor ?? "")).map { ", \($0.filter { $0 != "\0" })" } ?? ""
        return "\(available) core\(available == 1 ? "" : "s")\(name)"
    }

    /// What `/proc/cpuinfo` calls the first processor; nil where it has no name for it.
    package static func model(cpuinfo: String) -> String? {
        for line in cpuinfo.split(separator: "\n") where line.hasPrefix("model name") || line.hasPrefix("Model") {
            guard let colon = line.firstIndex(of: ":") else { continue }
            return String(line[line.index(after: colon)...].drop(while: \.isWhitespace))
        }
        return nil
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
