import Glibc
import Platform

/// What processes have used, as the system counts it.
package struct ProcessCosts {
    /// How often their threads gave up a processor, or lost it.
    var contextSwitches: Double
    /// How long their threads ran, also those that have ended, microseconds.
    var runTime: Double

    /// Of all threads of some processes, since their start.
    static func total(of processes: [Int32]) -> ProcessCosts {
        var total = ProcessCosts(contextSwitches: 0, runTime: 0)
        for process in processes {
            let folder = "/proc/\(process)/task"
            for thread in (try? FileIO.list(folder)) ?? [] {
                let status = status("\(folder)/\(thread)")
                for name: Substring in ["voluntary_ctxt_switches", "nonvoluntary_ctxt_switches"] {
                    total.contextSwitches += status[name] ?? 0
                }
            }
            total.runTime += runTime(process)
        }
        return total
    }

    /// The processor time of one, microseconds; 0 where it has ended.
    static func runTime(_ process: Int32) -> Double {
        var (clock, time) = (clockid_t(), timespec())
        // Beyond the largest number that Linux gives a process the clock would be another one's.
        guard (1...1 << 22).contains(process), clock_getcpuclockid(process, &clock) == 0,
            clock_gettime(clock, &time) == 0
        else { return 0 }
        return Double(time.tv_sec) * 1_000_000 + Double(time.tv_nsec) / 1000
    }

    /// What a process holds in memory, KiB; nil where it has ended.
    static func residentKiB(_ process: Int32) -> Double? { status("/proc/\(process)")["VmRSS"] }

    /// The most that a process has held in memory, KiB; nil where it has ended.
    package static func peakResidentKiB(_ process: Int32) -> Double? { status("/proc/\(process)")["VmHWM"] }

    /// The process that traces this one; 0 where none does.
    static func tracer(of process: Int32) -> Int32 { Int32(status("/proc/\(process)")["TracerPid"] ?? 0) }

    /// The first numbers that a process's or a thread's `status` names (proc_pid_status(5)).
    private static func status(_ folder: String) -> [Substring: Double] {
        let lines = text("\(folder)/status").split(separator: "\n").map { $0.split { $0 == ":" || $0.isWhitespace } }
        return Dictionary(
            lines.compactMap { words in words.count > 1 ? Double(words[1]).map { (words[0], $0) } : nil },
            uniquingKeysWith: { first, _ in first })
    }

    private static func text(_ path: String) -> String {
        (try? FileIO.read(path, limit: 1 << 16)).map { String(decoding: $0, as: UTF8.self) } ?? ""
    }

    static func - (left: Self, right: Self) -> Self {
        Self(contextSwitches: left.contextSwitches - right.contextSwitches, runTime: left.runTime - right.runTime)
    }
}

/// Counts the system calls of processes while something runs, by strace where that is installed.
struct SystemCallCount {
    /// By name, how often each.
    var calls: [String: Double]
    var total: Double { calls.values.reduce(0, +) }

    /// - Returns: nil where there is no strace, or it may not look.
    static func during(of processes: [Int32], _ body: () throws -> Void) rethrows -> SystemCallCount? {
        let report = "/tmp/lcp-bench-calls-\(getpid())"
        defer { unlink(report) }
        let arguments = ["-f", "-c", "-U", "name,calls", "-o", report] + processes.flatMap { ["-p", "\($0)"] }
        guard let tracer = ChildProcess.find("strace"),
            let child = try? ChildProcess(executable: tracer, arguments: arguments, errorOutput: .discarded)
        else {
            try body()
            return nil
        }
        defer { child.stop() }
        guard waitUntilTraced(processes, by: child) else {
            try body()
            return nil
        }
        try body()
        child.stop()
        guard let text = try? FileIO.read(report, limit: 1 << 20) else { return nil }
        return parsed(String(decoding: text, as: UTF8.self))
    }

    /// Reads strace's table: a name and a number in each line between two lines of dashes.
    static func parsed(_ table: String) -> SystemCallCount? {
        var calls: [String: Double] = [:]
        for line in table.split(separator: "\n") {
            let words = line.split(whereSeparator: \.isWhitespace)
            guard words.count == 2, words[0] != "total", let count = Double(words[1]) else { continue }
            calls[String(words[0]), default: 0] += count
        }
        return calls.isEmpty ? nil : SystemCallCount(calls: calls)
    }

    private static func waitUntilTraced(_ processes: [Int32], by child: ChildProcess) -> Bool {
        let deadline = ContinuousClock.now + .seconds(5)
        while ContinuousClock.now < deadline, child.poll() == nil {
            if processes.allSatisfy({ ProcessCosts.tracer(of: $0) == child.processID }) { return true }
            usleep(10_000)
        }
        return false
    }
}
