import LCPInference
import LCPModels
import LCPWire
import MQTT
import Platform
import Testing

@testable import LCPPipeline

/// A branch without a broker: every answer is a drop, and is counted as one.
@Suite struct BranchRunnerTests {
    let bundle: ModelBundle
    let runner: BranchRunner

    init() throws {
        bundle = try ModelBundle.find("lenet-split2")
        let session = try RoleSession(
            PipelineConfiguration(
                mqtt: MQTTConfiguration(address: try MQTTAddress("mqtt://localhost:1")), pipeline: "p"),
            status: RoleSession.status(.worker, id: "w"))
        runner = try BranchRunner(
            session, bundle: bundle, branch: 1, options: .init(),
            shared: WorkerResources(features: FeatureFormat(.fp32), threads: 1))
    }

    func handle(_ bytes: [UInt8], isRetained: Bool = false) async -> [String: UInt64] {
        await Self.handle(bytes, isRetained, runner)
        return await runner.statistics().drops
    }

    private static func handle(_ bytes: [UInt8], _ isRetained: Bool, _ runner: isolated BranchRunner) {
        bytes.withUnsafeBytes {
            runner.handle("lcp/p/input/cam", $0, isRetained: isRetained, received: .now, begin: .now)
        }
    }

    @Test("A version is taken once, and the last one is not forgotten")
    func versions() async throws {
        let other = try ModelBundle.find("lenet-split4")
        let (one, two) = (bundle.hash.description, other.hash.description)
        #expect(await runner.models == [one])
        for _ in 0..<2 { try await runner.add(other) }
        #expect(await runner.models == [one, two])
        // In each once.
        #expect(await handle([UInt8](repeating: 0, count: 784)) == ["not_connected": 2])
        await runner.keep([one, two])
        #expect(await runner.models == [one, two])
        await runner.keep(["none"])
        #expect(await runner.models == [one, two])
        await runner.keep([two])
        #expect(await runner.models == [two])
    }

    @Test("Inputs that were retained, and inputs that are none, are dropped and counted")
    func drops() async throws {
        let input = [UInt8](repeating: 0, count: 784)
        #expect(await handle(input, isRetained: true) == ["retained": 1])
        #expect(await handle(input) == ["retained": 1, "not_connected": 1])
        let drops = await handle([1, 2, 3])
        #expect(drops.count == 3 && drops.values.allSatisfy { $0 == 1 })
    }

    @Test("A worker is not made for a branch that its model does not have")
    func refusal() throws {
        var options = BranchWorker.Options()
        options.branches = [0, 2]
        let address = try MQTTAddress("mqtt://localhost:1")
        let error = #expect(throws: PipelineError.self) {
            try BranchWorker(
                PipelineConfiguration(mqtt: MQTTConfiguration(address: address), pipeline: "p"), bundle: self.bundle,
                options: options)
        }
        #expect(error?.description == "lenet-split2 has branches 0 to 1, there is no branch 2")
    }

    @Test("What runners count is added up and published with percentiles")
    func counts() {
        var (one, two) = (BranchRunner.Counts(), BranchRunner.Counts())
        (one.frames, one.drops) = (2, ["a": 1])
        (two.frames, two.drops) = (3, ["a": 1, "b": 5])
        #expect(one.statistics(uptime: .seconds(1)).computeP50 == nil)
        two.computeTimes.add(milliseconds: 4)
        two.queueTimes.add(milliseconds: 2)
        one.add(two)
        let statistics = one.statistics(uptime: .milliseconds(1500))
        #expect(statistics.uptime == 1.5 && statistics.frames == 5 && statistics.dropped == ["a": 2, "b": 5])
        #expect(statistics.computeP50 == 4 && statistics.queueP99 == 2)
    }

    @Test(
        "Of frames that are computed together, the damaged and the stale are left out and counted, and the others answered"
    )
    func together() async throws {
        var options = BranchWorker.Options()
        (options.longestInline, options.batch) = (.zero, 4)
        let runner = try BranchRunner(
            runner.session, bundle: bundle, branch: 1, options: options,
            shared: WorkerResources(features: FeatureFormat(.fp32), threads: 2))
        #expect(runner.together == 2...4)
        let input = [UInt8](repeating: 7, count: 784)
        func message(_ payload: [UInt8], isRetained: Bool = false) -> MQTTMessage {
            MQTTMessage(topic: "lcp/p/input/cam", payload: payload, retained: isRetained)
        }
        await runner.answerTogether([
            message(input), message([1, 2]), message(input, isRetained: true), message(input),
        ])
        let counts = await runner.statistics()
        #expect(counts.drops == ["retained": 1, "wrong_size": 1] && counts.frames == 2)
        options.batch = 1
        let single = try BranchRunner(
            runner.session, bundle: bundle, branch: 1, options: options,
            shared: WorkerResources(features: FeatureFormat(.fp32), threads: 2))
        #expect(single.together == nil)
    }

    @Test("A device that is attached computes every frame, alone, and a version that it cannot run is refused")
    func device() async throws {
        final class Attached: BranchComputer {
            let engine: BranchEngine
            var runs = 0
            init(_ engine: BranchEngine) { self.engine = engine }
            var input: FeatureMapShape { engine.input }
            var outputKind: BranchOutput { engine.outputKind }
            var outputCount: Int { engine.outputCount }
            var output: UnsafeBufferPointer<Float> { engine.output }
            var note: String? { "is attached" }
            func run(pixels: UnsafeRawBufferPointer) throws(InferenceError) {
                runs += 1
                try engine.run(pixels: pixels)
            }
            func run(normalized: UnsafeRawBufferPointer) throws(InferenceError) {
                try engine.run(normalized: normalized)
            }
            func measure() throws(InferenceError) -> Duration { .seconds(1) }
        }
        struct Refusal: Error {}
        nonisolated(unsafe) var attached: [Attached] = []
        var options = BranchWorker.Options()
        options.batch = 4
        let device = BranchWorker.Device(name: "test") { bundle, branch in
            guard bundle.manifest.arithmetic != .int8 else { throw Refusal() }
            attached.append(Attached(try BranchEngine(bundle: bundle, branch: branch)))
            return attached[attached.count - 1]
        }
        let runner = try BranchRunner(
            runner.session, bundle: bundle, branch: 1, options: options,
            shared: WorkerResources(features: FeatureFormat(.fp32), threads: 2, device: device))
        #expect(runner.together == nil && runner.measured == .seconds(1))
        for _ in 0..<3 { await Self.handle([UInt8](repeating: 7, count: 784), false, runner) }
        #expect(attached.map(\.runs) == [3])
        #expect(await runner.statistics().frames == 3)
        await #expect(throws: Refusal.self) { try await runner.add(ModelBundle.find("lenet-split4-int8")) }
    }

    @Test("Where another version came that computes one frame at a time, no frames are computed together")
    func togetherWithOtherVersions() async throws {
        var options = BranchWorker.Options()
        (options.longestInline, options.batch) = (.zero, 4)
        let (real, integers) = (try ModelBundle.find("lenet-split4"), try ModelBundle.find("lenet-split4-int8"))
        let runner = try BranchRunner(
            runner.session, bundle: real, branch: 1, options: options,
            shared: WorkerResources(features: FeatureFormat(.fp32), threads: 1))
        #expect(await runner.togetherNow == 2...4)
        try await runner.add(integers)
        #expect(await runner.togetherNow == nil)
        await runner.keep([integers.hash.description])
        #expect(await runner.togetherNow == nil)
        try await runner.add(real)
        await runner.keep([real.hash.description])
        #expect(await runner.togetherNow == 2...4)
    }
}
