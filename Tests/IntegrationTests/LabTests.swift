import Foundation
import LCPLab
import Platform
import Testing

/// What emulated devices need; where it is missing these tests are skipped, and say so.
private let canEmulate = Lab.obstacle == nil

/// Links, counters and processes of emulated devices. They are a thousand times slower than this machine, because a debug build is
/// slow, too.
@Suite(.serialized, .enabled(if: canEmulate, "emulated devices need root and iproute2"))
struct LabTests {
    private struct Report: Decodable {
        struct Links: Decodable {
            var measured_ms: Double
            var expected_ms: Double
        }
        struct Device: Decodable {
            var device: String
            var address: String
            var processes: Int
            var sent_bytes: Int
        }
        var label: String
        var links: Links
        var devices: [Device]
    }

    private static func lab(_ words: String, _ command: [String] = []) async throws -> Outcome {
        try await run(
            Repository.lcp, ["lab"] + words.split(separator: " ").map(String.init) + command, limit: .seconds(120))
    }

    /// A profile whose benchmark takes no time here.
    static func profiles(in folder: String) throws -> String {
        let text = """
            {"profiles": [{"name": "slow", "title": "S", "cores": 1, "memory_mib": 512,
              "link": {"mbit_per_s": 10, "delay_ms": 1, "source": "s"},
              "benchmark": {"network": "lenet", "ms": 150, "threads": 1, "source": "s"},
              "power": {"idle_w": 1, "busy_w": 2, "source": "s"}}]}
            """
        let path = "\(folder)/profiles.json"
        try FileIO.makeFolder(folder)
        try FileIO.write(Array(text.utf8), to: path)
        return path
    }

    private static func leftovers(_ name: String) -> [String] {
        let files = ["/run/netns", "/sys/class/net", "/sys/fs/cgroup/memory", "/run/lcp"].flatMap { folder in
            ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).map { "\(folder)/\($0)" }
        }
        return files.filter { $0.contains("lcp-\(name)") || $0.contains("lcp\(name).") || $0.contains("lab-\(name)") }
    }

    @Test("A lab's links keep to their profile, programs run on its devices, and nothing of it is left")
    func upAndDown() async throws {
        _ = try await Self.lab("down --name ta")
        let folder = "/tmp/lcp-test-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let options = "--profile slow --profiles \(try Self.profiles(in: folder)) --devices 2 --name ta"
        let up = try await Self.lab("up \(options) --dilation 2 --json")
        #expect(up.status == 0, "\(up.errors)")
        let report = try JSONDecoder().decode(Report.self, from: Data(up.output.utf8))
        #expect(report.label == "emulated, profile slow, time dilated 2.0 ×")
        let wire = report.links.expected_ms - 2
        #expect(abs(report.links.measured_ms - report.links.expected_ms) <= 0.02 * wire)
        #expect(report.devices.map(\.device) == ["broker", "aggregator", "sensor", "1", "2"])

        let other = try await Self.lab("status --name tx")
        #expect(other.status == 1 && other.errors.contains("--name ta"))

        let again = try await Self.lab("up \(options)")
        #expect(again.status == 1 && again.errors.contains("take it down with `lcp lab down --name ta`"))
        let shown = try await Self.lab("exec 2 --name ta --", ["ip", "-br", "addr", "show", "eth0"])
        #expect(shown.status == 0 && shown.output.contains("10.77.0.12/24"), "\(shown.output) \(shown.errors)")
        let failed = try await Self.lab("exec 1 --name ta --", ["sh", "-c", "exit 7"])
        #expect(failed.status == 7)
        let stranger = try await Self.lab("exec 3 --name ta --", ["true"])
        #expect(stranger.status == 1 && stranger.errors.contains("there are 1 to 2, broker, aggregator and sensor"))

        // Something still runs there.
        let sleeper = try Spawned(Repository.lcp, ["lab", "exec", "1", "--name", "ta", "--", "sleep", "300"])
        defer { kill(sleeper.identifier, SIGKILL) }
        var running = 0
        while running == 0 {
            let status = try await Self.lab("status --name ta --json")
            running = try JSONDecoder().decode(Report.self, from: Data(status.output.utf8)).devices[3].processes
        }
        let down = try await Self.lab("down --name ta")
        #expect(
            down.output == "the lab is down\n" && Self.leftovers("ta").isEmpty, "\(down.errors) \(Self.leftovers("ta"))"
        )
        #expect(await sleeper.wait() == 128 + SIGTERM)
        #expect(try await Self.lab("down --name ta").output.hasPrefix("there is no lab"))
        let gone = try await Self.lab("status --name ta")
        #expect(gone.status == 1 && gone.errors.contains("make one with `lcp lab up"))
    }

    @Test("A lab that is interrupted while it is made leaves nothing")
    func interrupted() async throws {
        let folder = "/tmp/lcp-test-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let options = ["--profile", "slow", "--profiles", try Self.profiles(in: folder), "--devices", "3"]
        for _ in 0..<10 {
            let up = try Spawned(Repository.lcp, ["lab", "up", "--name", "tc"] + options)
            // Not by a task, which comes back late on a busy machine: the lab is up by then.
            let deadline = ContinuousClock.now + .seconds(30)
            while Self.leftovers("tc").count < 3, ContinuousClock.now < deadline { usleep(1000) }
            kill(up.identifier, SIGINT)
            let status = await up.wait()
            guard status != 0 else {
                _ = try await Self.lab("down --name tc")
                continue
            }
            #expect(status == 128 + SIGINT)
            #expect(Self.leftovers("tc").isEmpty, "\(Self.leftovers("tc"))")
            return
        }
        Issue.record("every lab was up before it could be interrupted")
    }

    @Test("What a crash left behind is named, and taken away")
    func crash() async throws {
        _ = try await run("/bin/sh", ["-c", "ip netns add lcp-tb-1; ip link add lcp-tb type bridge"])
        let up = try await Self.lab("up --profile rpi3b+ --devices 1 --name tb")
        #expect(up.status == 1 && up.errors.contains("was left behind by a crash"))
        #expect(try await Self.lab("down --name tb").output == "the lab is down\n")
        #expect(Self.leftovers("tb").isEmpty)
    }

    @Test("An experiment measures what is missing, checks that results are the original's, and leaves no lab")
    func experiment() async throws {
        let folder = "/tmp/lcp-test-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        _ = try Self.profiles(in: folder)
        let text = """
            {"kind": "speedup", "name": "t", "title": "T", "about": "A", "frames": 4, "profiles": "profiles.json",
             "settings": [{"name": "slow", "about": "slow", "profile": "slow"}],
             "runs": [
              {"name": "one", "network": "lenet", "way": "original", "devices": 1, "paper_ms": 10},
              {"name": "two", "network": "lenet", "way": "lcp", "devices": 2, "paper_ms": 5},
              {"name": "model", "network": "lenet", "way": "model-parallel", "devices": 2}]}
            """
        try FileIO.write(Array(text.utf8), to: "\(folder)/t.json")
        let words = ["experiment", "\(folder)/t.json", "--out", "\(folder)/out", "--json"]
        let first = try await run(Repository.lcp, words, limit: .seconds(240))
        #expect(first.status == 0, "\(first.errors)")
        struct Trace: Decodable {
            struct Lane: Decodable { var name: String }
            var lanes: [Lane]
        }
        struct Results: Decodable {
            struct Row: Decodable {
                struct Record: Decodable {
                    struct Latency: Decodable { var mean_ms: Double }
                    struct Traffic: Decodable { var device: String; var sent_bytes_per_frame: Double }
                    var latency: Latency
                    var traffic: [Traffic]
                    var error: Double?
                    var bound_ms: Double?
                    var over_bound_p50: Double?
                    var planned_ms: Double?
                    var peak_mib: Double?
                    var trace: Trace?
                }
                var record: Record
                var speedup: Double?
                var paper_speedup: Double?
            }
            var rows: [Row]
        }
        let rows = try JSONDecoder().decode(Results.self, from: Data(first.output.utf8)).rows
        #expect(rows.count == 3)
        #expect(rows[0].speedup == 1 && rows[1].paper_speedup == 2 && rows[2].paper_speedup == nil)
        #expect(try #require(rows[2].record.error) < 0.01)
        for row in rows.dropLast() { #expect(try #require(row.record.over_bound_p50) > 0.9) }
        #expect(rows.map { $0.record.planned_ms != nil } == [true, true, false])
        for row in rows { #expect(try #require(row.record.peak_mib) > 1) }
        let lanes = try #require(rows[1].record.trace).lanes.map(\.name)
        #expect(lanes == ["sensor", "branch 0", "branch 1", "aggregator"] && rows[2].record.trace == nil)
        // The broker sends every branch the frame.
        let sent = rows.prefix(2).map { $0.record.traffic.first { $0.device == "broker" }?.sent_bytes_per_frame ?? 0 }
        #expect(sent[1] > 1.2 * sent[0])
        #expect(Self.leftovers("speedup").isEmpty)
        #expect(FileManager.default.fileExists(atPath: "\(folder)/out/index.html"))

        // Nothing is measured again.
        let second = try await run(Repository.lcp, words, limit: .seconds(20))
        #expect(second.status == 0 && second.output == first.output)

        // A part is only printed.
        let part = try await run(Repository.lcp, words + ["--only", "two"], limit: .seconds(20))
        let two = try JSONDecoder().decode(Results.self, from: Data(part.output.utf8)).rows
        #expect(two.count == 1 && two[0].paper_speedup == 2 && two[0].speedup == rows[1].speedup)
        let nonsense = try await run(Repository.lcp, words + ["--only", "three"], limit: .seconds(20))
        #expect(nonsense.status == 1 && nonsense.errors.contains("there is no run three: there are one, two, model"))
        let training = try await run(Repository.lcp, words + ["--seed", "3"], limit: .seconds(20))
        #expect(training.status == 1 && training.errors.contains("are for trainings"))
        // Nothing is compared that was measured on other devices.
        let mixed = try await run(Repository.lcp, words + ["--pictures", "/tmp"], limit: .seconds(20))
        #expect(mixed.status == 1 && mixed.errors.contains("was measured under other conditions"))

        // What an experiment leaves that was killed does not stop the next.
        let killed = try Spawned(
            Repository.lcp, ["experiment", "\(folder)/t.json", "--out", "\(folder)/killed", "--only", "one"])
        let deadline = ContinuousClock.now + .seconds(30)
        // Its links have been timed, so that it is complete.
        func isUp() -> Bool {
            let state = (try? FileIO.read("/run/lcp/lab-speedup.json")) ?? []
            return String(decoding: state, as: UTF8.self).contains("\"check\"")
        }
        while !isUp(), ContinuousClock.now < deadline { usleep(1000) }
        kill(killed.identifier, SIGKILL)
        _ = await killed.wait()
        let next = try await run(
            Repository.lcp, ["experiment", "\(folder)/t.json", "--out", "\(folder)/killed", "--only", "one"],
            limit: .seconds(120))
        #expect(next.status == 0 && Self.leftovers("speedup").isEmpty, "\(next.errors)")
    }
}
