import Glibc
import Platform

/// What processes have used, as the system counts it.
struct ProcessCosts {
    /// How often their threads gave up a processor, or lost it.
    var contextSwitches: Double
    /// How long their threads ran, microseconds.
    var runTime: Double

    /// Of all threads of some processes, since their start.
    static func total(of processes: [Int32]) -> ProcessCosts {
        var total = ProcessCosts(contextSwitches: 0, runTime: 0)
        for process in processes {
            let folder = "/proc/\(process)/task"
            for thread in (try? FileIO.list(folder)) ?? [] {
                for line in text("\(folder)/\(thread)/status").split(separator: "\n")
                where line.hasPrefix("voluntary_ctxt_switches") || line.hasPrefix("nonvoluntary_ctxt_switches") {
                    total.contextSwitches += line.split(whereSeparator: \.isWhitespace).last.flatMap { Double($0) } ?? 0
                }
                // Nanoseconds on a processor come first.
                let ran = text("\(folder)/\(thread)/schedstat").split(separator: " ").first.flatMap { Double($0) }
                total.runTime += (ran ?? 0) / 1000
            }
        }
        return total
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
        let null = open("/dev/null", O_WRONLY | O_CLOEXEC)
        defer { close(null) }
        guard let tracer = ChildProcess.find("strace"),
            let child = try? ChildProcess(executable: tracer, arguments: arguments, errorOutput: null)
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
            let isTraced = processes.allSatisfy { process in
                let status = (try? FileIO.read("/proc/\(process)/status", limit: 1 << 16)) ?? []
                return String(decoding: status, as: UTF8.self).contains("TracerPid:\t\(child.processID)\n")
            }
            if isTraced { return true }
            usleep(10_000)
        }
        return false
    }
}
