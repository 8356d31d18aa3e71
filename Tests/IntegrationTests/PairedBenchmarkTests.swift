import Foundation
import Glibc
import Platform
import Testing

@Suite struct PairedBenchmarkTests {
    @Test("Two programs are compared case by case, and role by role")
    func oneRound() async throws {
        let outcome = try await run(
            Repository.lcp,
            [
                "bench", "mqtt", "--program", Repository.lcp, "--against", Repository.lcp, "--rounds", "1", "--frames",
                "100", "--branches", "1",
                "--json",
            ])
        #expect(outcome.status == 0, "\(outcome.errors)")
        let report = try #require(
            try JSONSerialization.jsonObject(with: Data(outcome.output.utf8)) as? [String: Any])
        #expect(Set(report.keys) == ["against", "frames", "program", "results", "roles", "rounds"])
        #expect(report["against"] as? String == Repository.lcp)
        func figures(_ entry: [String: Any], _ name: String, _ ratio: String) throws {
            let this = try #require(entry[name] as? Double)
            let other = try #require(entry["against_\(name)"] as? Double)
            #expect(this > 0 && other > 0)
            let spread = try #require(entry[ratio] as? [String: Double])
            #expect(Set(spread.keys) == ["median", "p25", "p75", "min", "max"])
            // Of one round.
            #expect(spread.values.allSatisfy { abs($0 - this / other) < 1e-9 * $0 })
        }
        let roles = try #require(report["roles"] as? [[String: Any]])
        #expect(roles.compactMap { $0["role"] as? String } == ["worker", "aggregator"])
        for role in roles {
            try figures(role, "startup_ms", "startup_ratio")
            try figures(role, "resident_kib", "resident_ratio")
        }
        let results = try #require(report["results"] as? [[String: Any]])
        #expect(results.compactMap { $0["input_bytes"] as? Int } == [784, 784, 150_528, 150_528])
        #expect(results.compactMap { $0["in_flight"] as? Int } == [1, 32, 1, 32])
        for result in results {
            #expect(result["branches"] as? Int == 1 && result["computes"] as? Bool == false)
            try figures(result, "latency_p50_us", "latency_ratio")
            try figures(result, "frames_per_s", "frames_ratio")
        }
    }

    @Test("A benchmark that is ended leaves no process and no file behind", arguments: [SIGINT, SIGTERM])
    func ended(signal: Int32) async throws {
        let benchmark = try Spawned(
            Repository.lcp, ["bench", "mqtt", "--against", Repository.lcp, "--branches", "4", "--frames", "1000000"])
        let me = benchmark.identifier
        // The processes that have it above them.
        func descendants() -> [Int32] {
            let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
            let parents = Dictionary(
                names.compactMap(Int32.init).compactMap { pid -> (Int32, Int32)? in
                    let text = FileManager.default.contents(atPath: "/proc/\(pid)/stat").map {
                        String(decoding: $0, as: UTF8.self)
                    }
                    // Behind the name in brackets: the state, and the parent.
                    let words = text?.split(separator: ")").last?.split(separator: " ") ?? []
                    return words.count > 1 ? Int32(words[1]).map { (pid, $0) } : nil
                }, uniquingKeysWith: { $1 })
            return parents.keys.filter { pid in
                var above = parents[pid]
                while let parent = above, parent != me { above = parents[parent] }
                return above == me
            }
        }
        // A broker and mosquitto, a worker and an aggregator.
        var seen: [Int32] = []
        for _ in 0..<3000 where seen.count < 4 {
            seen = descendants()
            try await Task.sleep(for: .milliseconds(10))
        }
        #expect(seen.count >= 4)
        kill(me, signal)
        try benchmark.input.close()
        #expect(await benchmark.wait() == 128 + signal)
        #expect(seen.allSatisfy { kill($0, 0) != 0 })
        #expect(!FileIO.exists("/tmp/lcp-bench-\(me)"))
    }
}
