import Foundation
import Platform
import Testing

@testable import FaultInjection

@Suite struct ProcessFaultTests {
    @Test func theStepsAreKnownBefore() {
        let pause = ProcessFault(.pause, processes: [5, 6], after: 2, duration: 3, rounds: 2)
        #expect(pause.steps.map(\.time) == [2, 2, 5, 5, 7, 7, 10, 10])
        #expect(pause.steps.map(\.process) == [5, 6, 5, 6, 5, 6, 5, 6])
        let seeded = ProcessFault(.kill, processes: [5, 6, 7], after: 2, rounds: 3, seed: 1)
        #expect(Set(seeded.steps.map(\.process)) == [5, 6, 7] && seeded.steps == seeded.steps)
        #expect(seeded.steps != ProcessFault(.kill, processes: [5, 6, 7], after: 2, rounds: 3, seed: 2).steps)
        #expect(seeded.steps.map(\.time) == seeded.steps.map(\.time).sorted() && seeded.steps.last!.time <= 12)
    }

    @Test func whatMustNotBeTouchedIsNot() {
        for process in [0, 1, -5, getpid(), getppid()] {
            #expect(throws: ChaosError.self) { try ProcessChaos(ProcessFault(.kill, processes: [process])) }
        }
        for fault in [
            ProcessFault(.pause, processes: [2], duration: 0), ProcessFault(.kill, processes: []),
            ProcessFault(.kill, processes: [2], rounds: 2), ProcessFault(.pause, processes: [2, 2], duration: 1),
            ProcessFault(.pause, processes: [2], after: .nan, duration: 1),
        ] { #expect(throws: ChaosError.self) { try ProcessChaos(fault) } }
    }

    private func state(_ process: Int32) -> Character? {
        let text = (try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8)) ?? ""
        return text.split(separator: ")").last?.dropFirst().first
    }

    /// Whether a process comes to a state. It blocks its thread: other tests may keep a task from running for minutes, and what
    /// is waited for may be over by then.
    private func reaches(_ wanted: Character, _ process: Int32) -> Bool {
        for _ in 0..<5000 {
            if state(process) == wanted { return true }
            usleep(1000)
        }
        return false
    }

    @Test func aPausedProcessIsContinued() async throws {
        let child = try ChildProcess(executable: "/bin/sleep", arguments: ["3600"])
        defer { child.stop() }
        let chaos = try ProcessChaos(ProcessFault(.pause, processes: [child.processID], duration: 0.3, rounds: 2))
        var events: [ProcessChaos.Event] = []
        try await chaos.run { event in
            events.append(event)
            #expect(reaches(event == .paused(child.processID) ? "T" : "S", child.processID))
        }
        let (pause, resume) = (ProcessChaos.Event.paused(child.processID), ProcessChaos.Event.resumed(child.processID))
        #expect(events == [pause, resume, pause, resume])
    }

    @Test func aPauseThatIsCancelledIsOver() async throws {
        let child = try ChildProcess(executable: "/bin/sleep", arguments: ["3600"])
        defer { child.stop() }
        let chaos = try ProcessChaos(ProcessFault(.pause, processes: [child.processID], duration: 1000))
        let (paused, continuation) = AsyncStream.makeStream(of: Bool.self)
        let task = Task {
            try await chaos.run {
                if $0 == .paused(child.processID) { continuation.yield(reaches("T", child.processID)) }
            }
        }
        #expect(await paused.first { _ in true } == true)
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(reaches("S", child.processID))
    }

    @Test func aProcessIsKilledAndOneThatIsGoneIsTold() async throws {
        let child = try ChildProcess(executable: "/bin/sleep", arguments: ["3600"])
        let other = try ChildProcess(executable: "/bin/sleep", arguments: ["3600"])
        let chaos = try ProcessChaos(ProcessFault(.kill, processes: [child.processID, other.processID], after: 0.2))
        other.stop()
        var events: [ProcessChaos.Event] = []
        try await chaos.run { events.append($0) }
        #expect(events == [.killed(child.processID), .gone(other.processID)])
        #expect(child.stop() == 128 + SIGKILL)
    }
}

@Suite struct DiskFillTests {
    /// A file system that is not the system's, in memory.
    private let folder = "/dev/shm"

    @Test func roomIsTakenAndGivenBack() throws {
        guard FileManager.default.isWritableFile(atPath: folder), (try? DiskFill.freeBytes(folder)) ?? 0 > 64 << 20
        else {
            print("SKIPPED: no \(folder) with room, so filling a disk is not tried")
            return
        }
        let before = try DiskFill.freeBytes(folder)
        var fill: DiskFill? = try DiskFill(.init(folder: folder, leave: before - (32 << 20), most: 64 << 20))
        let taken = try #require(fill).bytes
        #expect((16 << 20...64 << 20).contains(taken))
        // Others use it too: it need not be exact.
        #expect(try DiskFill.freeBytes(folder) < before - taken / 2)
        #expect(!(try FileManager.default.contentsOfDirectory(atPath: folder)).contains { $0.hasPrefix(".lcp-chaos") })
        fill = nil
        #expect(try DiskFill.freeBytes(folder) > before - taken / 2)
        #expect(throws: ChaosError.self) { try DiskFill(.init(folder: folder, leave: 0, most: 1 << 20)) }
        // More is to be left than there is: nothing is taken.
        #expect(try DiskFill(.init(folder: folder, leave: Int.max)).bytes == 0)
    }

    @Test func theSystemsDiskAndWrongFoldersAreRefused() {
        for options in [
            DiskFill.Options(folder: "/", leave: 0), .init(folder: "/etc", leave: 0),
            .init(folder: "/nowhere", leave: 0),
            .init(folder: "/dev/shm", leave: -1), .init(folder: "/dev/shm", leave: 0, most: 0),
        ] { #expect(throws: ChaosError.self) { try DiskFill(options) } }
    }
}
