import Glibc
import Platform

/// Makes a ``ProcessFault``. What it stopped, it continues, however it ends.
public struct ProcessChaos: Sendable {
    public enum Event: Sendable, Hashable {
        case killed(Int32)
        case paused(Int32)
        case resumed(Int32)
        /// The process had ended before.
        case gone(Int32)
    }

    private let fault: ProcessFault
    /// When each process started: its number may be another's by the time its turn comes.
    private let births: [Int32: UInt64]

    /// - Throws: ``ChaosError`` where a process is not there, or must not be touched: this one, those that started it, the
    ///   system's first, others' that this user may not signal.
    public init(_ fault: ProcessFault) throws(ChaosError) {
        try fault.validate()
        var births: [Int32: UInt64] = [:]
        let ancestors = Self.ancestors()
        for process in fault.processes {
            guard process > 1 else { throw ChaosError("\(process) is no process that may be touched") }
            guard !ancestors.contains(process) else {
                throw ChaosError("process \(process) is this one, or one that started it: it may not be touched")
            }
            guard let birth = Self.status(process)?.birth else { throw ChaosError("there is no process \(process)") }
            guard kill(process, 0) == 0 else { throw Sockets.failure("signal process \(process)") }
            births[process] = birth
        }
        self.fault = fault
        self.births = births
    }

    /// Does all steps at their times, and tells of each.
    ///
    /// - Throws: `CancellationError` where the task is cancelled, after continuing what is stopped.
    public func run(_ report: (Event) -> Void) async throws {
        let guardian = fault.action == .pause ? try Guardian(fault) : nil
        var stopped: Set<Int32> = []
        defer {
            for process in stopped where isThere(process) {
                kill(process, SIGCONT)
                report(.resumed(process))
            }
            guardian?.dismiss()
        }
        let start = ContinuousClock.now
        for step in fault.steps {
            try await Task.sleep(until: start + .seconds(step.time), clock: .continuous)
            guard isThere(step.process) else {
                if step.kind != .resume || stopped.contains(step.process) { report(.gone(step.process)) }
                stopped.remove(step.process)
                continue
            }
            switch step.kind {
            case .kill:
                kill(step.process, SIGKILL)
                report(.killed(step.process))
            case .stop:
                stopped.insert(step.process)
                kill(step.process, SIGSTOP)
                report(.paused(step.process))
            case .resume:
                kill(step.process, SIGCONT)
                stopped.remove(step.process)
                report(.resumed(step.process))
            }
        }
    }

    private func isThere(_ process: Int32) -> Bool { Self.status(process)?.birth == births[process] }

    // MARK: /proc

    /// A process's parent and the time of its start; nil where it is gone, or ended and not yet buried.
    private static func status(_ process: Int32) -> (parent: Int32, birth: UInt64)? {
        guard let bytes = try? FileIO.read("/proc/\(process)/stat", limit: 4096) else { return nil }
        // The second field is the program's name in parentheses, with whatever characters it has.
        let fields = String(decoding: bytes, as: UTF8.self).split(separator: ")").last?.split(separator: " ") ?? []
        guard fields.count > 19, fields[0] != "Z", fields[0] != "X", let parent = Int32(fields[1]),
            let birth = UInt64(fields[19])
        else { return nil }
        return (parent, birth)
    }

    /// This process and those that started it.
    private static func ancestors() -> Set<Int32> {
        var found: Set<Int32> = []
        var process = getpid()
        while process > 0, found.insert(process).inserted { process = status(process)?.parent ?? 0 }
        return found
    }
}

/// A small process that continues what is stopped where this one cannot: killed, or stopped itself.
private final class Guardian {
    private let process: ChildProcess

    init(_ fault: ProcessFault) throws(ChaosError) {
        let limit = Int((fault.steps.last?.time ?? 0).rounded(.up)) + 5
        // It waits for the end of its standard input, which this process holds, but not for ever.
        let script = "timeout \(limit) cat >/dev/null; for process; do kill -CONT \"$process\"; done"
        do {
            process = try ChildProcess(
                executable: "/bin/sh", arguments: ["-c", script, "guardian"] + fault.processes.map { "\($0)" })
        } catch {
            throw ChaosError("\(error)")
        }
    }

    func dismiss() { process.stop() }
}
