import FaultInjection
import Foundation
import LCPWire
import MQTT
import Platform
import Testing

@Suite struct ChaosCommandTests {
    @Test func theProxyPrintsItsCountersWhenItIsStopped() async throws {
        let broker = try TestBroker()
        let path = "/tmp/lcp-test-\(UUID().uuidString.prefix(8)).socket"
        let output = open("/tmp", Int32(O_RDWR) | Int32(__O_TMPFILE) | O_DIRECTORY | O_CLOEXEC, 0o600)
        defer { close(output) }
        let proxy = try ChildProcess(
            executable: Repository.lcp,
            arguments: [
                "chaos", "proxy", "--broker", broker.url, "--listen", "unix:\(path)", "--duplicate", "1", "--direction",
                "in",
                "--topics", "a/+", "b/#", "--partition", "500,1", "--bandwidth", "10MB", "--json",
            ], output: .descriptor(output))
        try await wait("the socket is there") { FileManager.default.fileExists(atPath: path) }
        let client = try await broker.connect { $0.address = .unix(path: path) }
        let messages = try await client.subscribe(to: "#")
        for topic in ["a/1", "b/2", "c"] { try await client.publish(Array(topic.utf8), to: topic) }
        for topic in ["a/1", "a/1", "b/2", "b/2", "c"] { #expect(try await next(messages).topic == topic) }
        #expect(proxy.stop() == 0)
        var text = [UInt8](repeating: 0, count: 4096)
        let count = pread(output, &text, text.count, 0)
        let counters = try JSONDecoder().decode(ChaosCounters.self, from: Data(text.prefix(max(0, count))))
        #expect(counters.toBroker.duplicated == 2 && counters.fromBroker.publishes == 5 && counters.connections == 1)
        #expect(!FileManager.default.fileExists(atPath: path))
    }

    @Test(arguments: [SIGINT, SIGTERM])
    func anInterruptedProxyLeavesNoSocket(signal: Int32) async throws {
        let path = "/tmp/lcp-test-\(UUID().uuidString.prefix(8)).socket"
        let proxy = try ChildProcess(
            executable: Repository.lcp, arguments: ["chaos", "proxy", "--listen", "unix:\(path)", "--drop", "0.5"])
        try await wait("the socket is there") { FileManager.default.fileExists(atPath: path) }
        kill(proxy.processID, signal)
        try await wait("it ends") { proxy.poll() != nil }
        #expect(proxy.poll() == 0 && !FileManager.default.fileExists(atPath: path))
    }

    /// Also where the command itself is killed, what it stopped goes on.
    @Test(arguments: [SIGINT, SIGTERM, SIGKILL])
    func aPausedProcessIsContinuedInAnyCase(signal: Int32) async throws {
        let victim = try ChildProcess(executable: "/bin/sleep", arguments: ["3600"])
        defer { victim.stop() }
        func state() -> Character? {
            let text = try? String(contentsOfFile: "/proc/\(victim.processID)/stat", encoding: .utf8)
            return text?.split(separator: ")").last?.dropFirst().first
        }
        let chaos = try ChildProcess(
            executable: Repository.lcp,
            arguments: ["chaos", "process", "--pid", "\(victim.processID)", "--signal", "pause", "--for", "1000"])
        try await wait("it is paused") { state() == "T" }
        kill(chaos.processID, signal)
        try await wait("it is continued") { state() == "S" }
        try await wait("the command ends") { chaos.poll() != nil }
        #expect(chaos.poll() == (signal == SIGKILL ? 128 + SIGKILL : 0))
    }

    @Test func aDiskIsFilledAndEmptied() async throws {
        let folder = "/dev/shm"
        guard FileManager.default.isWritableFile(atPath: folder), let free = try? DiskFill.freeBytes(folder),
            free > 64 << 20
        else {
            print("SKIPPED: no \(folder) with room, so filling a disk is not tried")
            return
        }
        let outcome = try await run(
            Repository.lcp,
            [
                "chaos", "disk", "--folder", folder, "--leave", "\(free - (24 << 20))", "--most", "64MiB", "--for",
                "0.2",
            ])
        #expect(outcome.status == 0 && outcome.output.contains("gave it back"), "\(outcome.errors)")
    }

    @Test(arguments: [
        (["proxy", "--drop", "1.5"], "a probability is 0 to 1"),
        (["proxy", "--drop", "1", "--topics", "a#"], "no topic filter"),
        (["proxy", "--topics", "a"], "needs a fault"), (["proxy", "--jitter", "1"], "needs --delay"),
        (["proxy", "--partition", "5"], "two numbers"),
        (["proxy", "--partition", "5,6"], "less than the time to the next"), (["proxy", "--cut"], "needs --partition"),
        (["proxy", "--listen", "mqtts://127.0.0.1:0"], "the port is a number"),
        (["proxy", "--for", "0"], "--for is more"),
        (["proxy", "--plan", "/nowhere"], "cannot read /nowhere"),
        (["proxy", "--plan", "/etc/passwd"], "no fault plan"),
        (["proxy", "--listen", "unix:/nowhere/x"], "cannot listen on unix:/nowhere/x"),
        (["proxy", "--broker", "mqtt://nowhere.invalid"], "cannot find nowhere.invalid"),
        (["process", "--signal", "kill"], "--pid is missing"),
        (["process", "--pid", "1", "--signal", "kill"], "touched"),
        (["process", "--pid", "4194304", "--signal", "kill"], "there is no process"),
        (["process", "--pid", "2", "--signal", "pause"], "needs --for"),
        (["disk", "--folder", "/", "--leave", "1MB", "--for", "1"], "the system's own disk"),
        (["disk", "--folder", "/nowhere", "--leave", "1MB", "--for", "1"], "no folder"),
    ])
    func everyMistakeIsOneSentence(arguments: [String], words: String) async throws {
        let outcome = try await run(Repository.lcp, ["chaos"] + arguments, limit: .seconds(20))
        #expect(outcome.status != 0 && outcome.status < 128, "\(arguments): \(outcome.status)")
        #expect(outcome.errors.contains(words), "\(arguments): \(outcome.errors)")
        #expect(!outcome.errors.contains("Fatal error"))
    }
}
