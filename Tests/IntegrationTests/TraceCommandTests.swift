import Foundation
import LCPLocal
import LCPWire
import Platform
import Testing

@Suite struct TraceCommandTests {
    private struct Report: Decodable {
        struct Trace: Decodable {
            struct Lane: Decodable {
                struct Span: Decodable {
                    var kind: String
                    var begin_ms: Double
                    var end_ms: Double
                }
                var name: String
                var spans: [Span]
            }
            var sensor: String
            var latency_ms: Double?
            var lanes: [Lane]
        }
        struct Clock: Decodable {
            var device: String
            var estimate_ms: Double
        }
        var traces: [Trace]
        var clocks: [Clock]
        var silent_branches: [Int]
    }

    @Test("A live pipeline's frames are traced from capture to prediction, and drawn")
    func trace() async throws {
        let pipeline = try await TestPipeline(ofWorkers: ["--features", "fp16"])
        let sensor = try Spawned(
            Repository.lcp,
            ["sensor", "--broker", pipeline.broker.url, "--pipeline", "test", "--name", "cam", "--rate", "50"])
        defer { kill(sensor.identifier, SIGTERM) }
        let svg = "/tmp/lcp-test-\(UUID().uuidString).svg"
        defer { FileIO.remove(svg) }
        let words = ["trace", "--broker", pipeline.broker.url, "--pipeline", "test", "--frames", "5"]
        let outcome = try await run(Repository.lcp, words + ["--json", "--svg", svg], limit: .seconds(60))
        #expect(outcome.status == 0, "\(outcome.errors)")
        let report = try JSONDecoder().decode(Report.self, from: Data(outcome.output.utf8))
        #expect(report.traces.count == 5)
        for trace in report.traces {
            #expect(
                trace.sensor == "cam" && trace.lanes.first?.name == "sensor" && trace.lanes.last?.name == "aggregator")
            #expect(trace.lanes.count == 2 + 4)
            for span in trace.lanes.flatMap(\.spans) { #expect(span.end_ms >= span.begin_ms && span.end_ms < 60_000) }
        }
        // All of it happens on one clock.
        #expect(report.clocks.allSatisfy { abs($0.estimate_ms) < 5 })
        let drawn = String(decoding: try FileIO.read(svg), as: UTF8.self)
        #expect(drawn.contains("branch 0") && drawn.contains("compute"))

        let text = try await run(Repository.lcp, words + ["--sensor", "cam"], limit: .seconds(60))
        #expect(text.status == 0 && text.output.contains("branch 0 compute") && text.output.contains("clocks ahead"))
        let nobody = try await run(
            Repository.lcp, words + ["--sensor", "nobody", "--for", "0.5"], limit: .seconds(60))
        #expect(nobody.status == 1 && nobody.errors.contains("no frame of which all messages were seen in 1 s"))
        let nowhere = try await run(
            Repository.lcp, words + ["--svg", "/nowhere/x.svg"], limit: .seconds(60))
        #expect(nowhere.status == 1 && nowhere.errors.contains("--svg /nowhere/x.svg cannot be written"))
    }

    @Test("A pipeline whose workers tell no times is not traced, which is said before the wait is over")
    func silentWorkers() async throws {
        let pipeline = try await TestPipeline()
        let sensor = try Spawned(
            Repository.lcp,
            ["sensor", "--broker", pipeline.broker.url, "--pipeline", "test", "--name", "cam", "--rate", "50"])
        defer { kill(sensor.identifier, SIGTERM) }
        let outcome = try await run(
            Repository.lcp, ["trace", "--broker", pipeline.broker.url, "--pipeline", "test", "--for", "600"],
            limit: .seconds(60))
        #expect(outcome.status == 1 && outcome.errors.contains("start workers with --features fp16"))
        #expect(!outcome.errors.contains("does the pipeline run"))
    }

    @Test("A plan names the best way to use devices, and where sharing begins to pay")
    func plan() async throws {
        let folder = "/tmp/lcp-test-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let profiles = try LabTests.profiles(in: folder)
        let words = ["plan", "lenet", "--profile", "slow", "--profiles", profiles, "--devices", "4"]
        let outcome = try await run(Repository.lcp, words + ["--json"], limit: .seconds(60))
        #expect(outcome.status == 0, "\(outcome.errors)")
        struct Plan: Decodable {
            struct Candidate: Decodable {
                var branches: Int
                var latency_ms: Double
            }
            struct BreakEven: Decodable { var original_ms: Double? }
            var best: Candidate
            var break_even: BreakEven?
            var candidates: [Candidate]
        }
        let plan = try JSONDecoder().decode(Plan.self, from: Data(outcome.output.utf8))
        // Whole, and in two and four branches, those also wider; pixels or JPEG; three ways to write numbers.
        #expect(plan.candidates.count == 5 * 2 * 3)
        #expect(plan.candidates.allSatisfy { $0.latency_ms >= plan.best.latency_ms || $0.branches > 1 })
        let text = try await run(
            Repository.lcp, words + ["--goal", "frames", "--mbit", "5", "--delay", "3"], limit: .seconds(60))
        #expect(
            text.status == 0 && text.output.contains("lenet on 4 devices, emulated, profile slow, 5.00 Mbit/s, 3.00 ms")
        )
    }

    @Test(
        "A plan for a load says what is wrong with what it was given",
        arguments: [
            (["--rate", "5", "--costs", "/etc/hostname"], "write it with lcp bench growth --json"),
            (["--rate", "5", "--costs", "/nowhere"], "cannot read /nowhere"),
            (["--pipelines", "5"], "--pipelines, --qos and --broker-mbit need --rate"),
            (["--rate", "0"], "--rate is 0.001 to 1,000,000"),
        ])
    func wrongLoad(words: [String], sentence: String) async throws {
        let outcome = try await run(
            Repository.lcp, ["plan", "lenet", "--profile", "rpi4", "--devices", "4"] + words, limit: .seconds(60))
        #expect(outcome.status != 0 && outcome.errors.contains(sentence), "\(outcome.errors)")
    }
}
