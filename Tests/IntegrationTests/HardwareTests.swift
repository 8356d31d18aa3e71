import Foundation
import LCPWire
import Platform
import Testing

/// The systolic array as a device of a pipeline.
@Suite struct HardwareTests {
    static let simulation = ProcessInfo.processInfo.environment["LCP_RTL"].flatMap { $0.isEmpty ? nil : $0 }

    /// The predictions of a pipeline whose branches 2 and 3 run on other devices.
    private func predictions(_ devices: [[String]]) async throws -> [[Double]?] {
        let model = ["--model", "lenet-split4-int8"]
        let pipeline = try await TestPipeline(branches: [0, 1], arguments: model)
        let statuses = try await pipeline.client.subscribe(to: pipeline.topics.statuses)
        let others = try devices.enumerated().map { index, arguments in
            try pipeline.launcher.start(
                .worker, "w\(index + 2)", ["--branch", "\(index + 2)"] + model + arguments)
        }
        defer { for other in others { other.stop() } }
        var engines: [String: String] = [:]
        while engines.count < 4 {
            guard let status = RoleStatus(try await next(statuses).payload), status.state == .ready,
                status.role == .worker
            else { continue }
            engines[status.id] = status.engine
        }
        for (index, arguments) in devices.enumerated() {
            #expect(engines["w\(index + 2)"]?.hasPrefix(arguments.isEmpty ? "xnnpack" : "array ") == true)
        }
        let predictions = try await pipeline.client.subscribe(to: pipeline.topics.predictions)
        var found: [[Double]?] = []
        for number in 0..<10 as Range<UInt64> {
            try await pipeline.client.publish(
                try PipelineTests.input(number).message, to: pipeline.topics.input("cam"))
            let prediction = try #require(Prediction(try await next(predictions).payload))
            #expect(prediction.branches == [0, 1, 2, 3])
            found.append(prediction.probabilities)
        }
        return found
    }

    @Test("A pipeline in which the array computes some branches gives the same predictions to the bit")
    func mixed() async throws {
        let plain = try await predictions([[], []])
        let array = ["--engine", "array", "--clock", "1"]
        #expect(try await predictions([array, ["--engine", "array", "--array", "8x16"]]) == plain)
        guard let simulation = Self.simulation else {
            print("SKIPPED: LCP_RTL names no simulation of the array, so none joins a pipeline")
            return
        }
        #expect(try await predictions([array, ["--engine", "rtl", "--simulation", simulation]]) == plain)
    }

    @Test("A worker whose simulation is gone ends with the reason, so that its branches are free for others")
    func gone() async throws {
        guard let simulation = Self.simulation else {
            print("SKIPPED: LCP_RTL names no simulation of the array, so none goes")
            return
        }
        let copy = "/tmp/lcp-test-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: copy) }
        try FileManager.default.copyItem(atPath: simulation, toPath: copy)
        let pipeline = try await TestPipeline(
            branches: [0, 1, 2], deadline: 300, arguments: ["--model", "lenet-split4-int8"])
        let worker = try Spawned(
            Repository.lcp,
            [
                "worker", "--broker", pipeline.broker.url, "--pipeline", "test", "--name", "rtl", "--branch", "3",
                "--model", "lenet-split4-int8", "--engine", "rtl", "--simulation", copy,
            ])
        let predictions = try await pipeline.client.subscribe(to: pipeline.topics.predictions)
        var number: UInt64 = 0
        func predict() async throws -> Prediction {
            number += 1
            try await pipeline.client.publish(
                try PipelineTests.input(number).message, to: pipeline.topics.input("cam"))
            return try #require(Prediction(try await next(predictions).payload))
        }
        while try await predict().missing != [] {}
        try FileManager.default.removeItem(atPath: copy)
        for process in CommandTests.processes(with: copy) where process != worker.identifier { kill(process, SIGKILL) }
        while try await predict().missing == [] {}
        #expect(await worker.wait() != 0)
        let said = String(decoding: worker.errors.readDataToEndOfFile(), as: UTF8.self)
        #expect(said.contains("there is no simulation of the array at"))
    }

    @Test("What the array cannot run, or is no array, ends a worker with a sentence")
    func refusals() async throws {
        let broker = try TestBroker()
        let cases: [([String], String)] = [
            (["--model", "lenet-split4", "--engine", "array"], "no model in eight bits"),
            (["--engine", "rtl", "--simulation", "/nowhere/lcp-rtl"], "make -C Hardware simulation"),
            (["--engine", "rtl"], "--engine rtl and --simulation need each other"),
            (["--array", "32x64"], "--array and --clock need --engine array"),
            (["--engine", "array", "--array", "32"], "--array is like 32x64"),
            (["--engine", "array", "--array", "7x64"], "4, 8, 16, 32, 64 or 128 rows, and not 7"),
            (["--engine", "array", "--clock", "0"], "--clock is from 1 to 10000 MHz"),
            (["--engine", "array", "--service-time", "5"], "has a time of its own"),
        ]
        for (arguments, sentence) in cases {
            let outcome = try await run(
                Repository.lcp, ["worker", "--broker", broker.url, "--pipeline", "refusals"] + arguments)
            #expect(outcome.status != 0 && outcome.errors.contains(sentence), "\(arguments): \(outcome.errors)")
        }
    }
}
