import Foundation
import LCPDatasets
import LCPModels
import LCPWire
import Platform
import Tensors
import Testing

@Suite struct PipelineTests {
    static func input(_ number: UInt64, session: UInt64 = 77, seed: UInt64 = 2) throws -> (message: [UInt8], label: Int)
    {
        let (pixels, label) = DrawnDigits(seed: seed).image(number)
        let tensor = try Tensor(dtype: .uint8, shape: [28, 28, 1], bytes: pixels)
        let header = TensorMessageHeader(
            kind: .input, dtype: .uint8, shape: [28, 28, 1], session: session, frame: number, label: Int32(label))
        return (TensorMessage.encode(header, tensor), label)
    }

    @Test func framesBecomePredictions() async throws {
        let pipeline = try await TestPipeline()
        let predictions = try await pipeline.client.subscribe(to: pipeline.topics.predictions)
        var right = 0
        for number in 0..<50 as Range<UInt64> {
            let (message, label) = try Self.input(number)
            try await pipeline.client.publish(message, to: pipeline.topics.input("cam"))
            let prediction = try #require(Prediction(try await next(predictions).payload))
            #expect(prediction.frame == "\(number)" && prediction.sensor == "cam" && prediction.truth == label)
            #expect(prediction.branches == [0, 1, 2, 3] && prediction.missing == [])
            #expect(abs((prediction.probabilities ?? []).reduce(0, +) - 1) < 1e-4)
            if prediction.class == label { right += 1 }
        }
        #expect(right >= 47)
    }

    @Test func bareInputsOfEveryKindAreAnswered() async throws {
        let pipeline = try await TestPipeline()
        let predictions = try await pipeline.client.subscribe(to: pipeline.topics.prediction("anything"))
        let (pixels, label) = DrawnDigits(seed: 2).image(3)
        // The same bytes twice: both are answered.
        for _ in 0..<2 {
            try await pipeline.client.publish(pixels, to: pipeline.topics.input("anything"))
            let prediction = try #require(Prediction(try await next(predictions).payload))
            #expect(prediction.class == label && prediction.missing == [] && prediction.latencyMilliseconds == nil)
        }
        for name in ["colour.png", "grey.jpg", "progressive.jpg"] {
            let image = try Data(contentsOf: Repository.root.appendingPathComponent("Tests/Fixtures/images/\(name)"))
            try await pipeline.client.publish(Array(image), to: pipeline.topics.input("anything"))
            #expect(Prediction(try await next(predictions).payload)?.branches.count == 4)
        }
    }

    @Test func mosquittoPubIsASensor() async throws {
        let pipeline = try await TestPipeline()
        let predictions = try await pipeline.client.subscribe(to: pipeline.topics.prediction("shell"))
        let file = "/tmp/lcp-test-\(UUID().uuidString).raw"
        defer { try? FileManager.default.removeItem(atPath: file) }
        let (pixels, label) = DrawnDigits(seed: 2).image(5)
        try Data(pixels).write(to: URL(fileURLWithPath: file))
        let publisher = try #require(ChildProcess.find("mosquitto_pub"))
        let outcome = try await run(
            publisher, ["-p", "\(pipeline.broker.broker.port)", "-t", pipeline.topics.input("shell"), "-f", file])
        #expect(outcome.status == 0)
        #expect(Prediction(try await next(predictions).payload)?.class == label)
    }

    @Test func aMissingBranchCostsAccuracyAndNoAnswer() async throws {
        let pipeline = try await TestPipeline(branches: [0, 1, 3], deadline: 50)
        let predictions = try await pipeline.client.subscribe(to: pipeline.topics.predictions)
        for number in 0..<10 as Range<UInt64> {
            try await pipeline.client.publish(try Self.input(number).message, to: pipeline.topics.input("cam"))
            let prediction = try #require(Prediction(try await next(predictions).payload))
            #expect(prediction.frame == "\(number)" && prediction.missing == [2] && prediction.branches == [0, 1, 3])
        }
    }

    @Test func aWorkerThatIsKilledIsReportedLost() async throws {
        let pipeline = try await TestPipeline(deadline: 100)
        let statuses = try await pipeline.client.subscribe(to: pipeline.topics.status(.worker, "w1"))
        let birth = try #require(RoleStatus(try await next(statuses).payload))
        #expect(birth.state == .ready && birth.branch == 1 && birth.branches == 4 && birth.modelHash?.count == 32)
        kill(pipeline.worker(1).processID, SIGKILL)
        let death = try #require(RoleStatus(try await next(statuses).payload))
        #expect(death.state == .lost && death.birth == birth.birth)
        // And one that is asked to go says goodbye.
        let goodbyes = try await pipeline.client.subscribe(to: pipeline.topics.status(.worker, "w2"))
        _ = try await next(goodbyes)
        #expect(pipeline.worker(2).stop() == 0)
        var heard: [RoleStatus?] = []
        repeat { heard.append(RoleStatus(try await next(goodbyes).payload)) } while heard.last??.state == .ready
        #expect(heard.last??.state == .disconnected)
        #expect(heard.dropLast().last??.isLeaving == true, "before it goes it says that it is leaving")
    }

    @Test("A sensor that joins a pipeline deals its first frame to a lane, too")
    func firstFrame() async throws {
        let pipeline = try await TestPipeline(branches: [0, 1], arguments: ["--model", "lenet-split2"])
        let statuses = try await pipeline.client.subscribe(to: pipeline.topics.statuses(.worker))
        var lanes: [String: Bool] = [:]
        while lanes.values.count(where: { $0 }) < 2 {
            guard let status = RoleStatus(try await next(statuses).payload) else { continue }
            lanes[status.id] = status.lanes?.first?.isEmpty == false
        }
        let frames = try await pipeline.frames()
        for number in 0..<8 {
            let sensor = try await run(
                Repository.lcp,
                [
                    "sensor", "--broker", pipeline.broker.url, "--pipeline", "test", "--name", "s\(number)", "--count",
                    "2",
                ]
                    + ["--rate", "100", "--source", "drawn"])
            #expect(sensor.status == 0)
            for _ in 0..<2 {
                #expect(try await next(frames).topic == pipeline.topics.lane(0, "s\(number)"))
            }
        }
    }

    @Test("The check tells by its exit status how well a pipeline does")
    func check() async throws {
        func check(_ url: String, _ words: [String] = []) async throws -> Outcome {
            try await run(
                Repository.lcp,
                ["status", "--check", "--for", "0.5", "--broker", url, "--pipeline", "test"] + words)
        }
        let pipeline = try await TestPipeline(branches: [0, 1], arguments: ["--model", "lenet-split2"])
        let well = try await check(pipeline.broker.url)
        #expect(well.status == 0, "\(well.errors)")
        #expect(well.output == "lcp/test is well: 2 workers and 1 aggregator answer from all branches\n")
        // Frames that no worker takes, until both say so.
        let statuses = try await pipeline.client.subscribe(to: pipeline.topics.statuses(.worker))
        let frames = Task {
            while !Task.isCancelled {
                try await pipeline.client.publish([1, 2, 3], to: pipeline.topics.input("cam"))
                try await Task.sleep(for: .milliseconds(50))
            }
        }
        var refusing: Set<String> = []
        while refusing.count < 2 {
            if let status = RoleStatus(try await next(statuses).payload), status.refuses != nil {
                refusing.insert(status.id)
            }
        }
        let refused = try await check(pipeline.broker.url)
        frames.cancel()
        #expect(refused.status == 2 && refused.output.contains("2 of 2 workers refuse every frame (wrong_size)"))
        pipeline.worker(1).stop()
        let incomplete = try await check(pipeline.broker.url)
        #expect(incomplete.status == 1 && incomplete.output == "lcp/test is incomplete: nobody serves branch 1\n")
        pipeline.worker(0).stop()
        let silent = try await check(pipeline.broker.url, ["--json"])
        #expect(silent.status == 2 && silent.output.contains("\"health\":\"silent\""), "\(silent.output)")
        let empty = try await check(pipeline.broker.url, ["--prefix", "other"])
        #expect(empty.status == 2 && empty.output.contains("no aggregator is ready"))
        let unreachable = try await check("mqtt://127.0.0.1:1")
        #expect(
            unreachable.status == 3 && unreachable.errors.hasPrefix("Error: cannot connect"), "\(unreachable.errors)")
    }

    @Test("A sensor that is stopped says how many frames have no answer, and one that ends fails for them")
    func unanswered() async throws {
        let broker = try TestBroker()
        let sensor = try Spawned(
            Repository.lcp, ["sensor", "--broker", broker.url, "--source", "drawn", "--rate", "100", "--qos", "1"])
        _ = try sensor.waitForErrors("ready: ")
        try await Task.sleep(for: .milliseconds(300))
        kill(sensor.identifier, SIGTERM)
        let errors = await sensor.errors.text()
        #expect(await sensor.wait() == 0)
        #expect(errors.contains("frames had no answer when it was asked to stop"), "\(errors)")
    }

    @Test("What a sensor sends beyond its budget is left out, and counted")
    func budget() async throws {
        let pipeline = try await TestPipeline(
            branches: [0, 1], arguments: ["--model", "lenet-split2"], ofWorkers: ["--megabytes-per-sensor", "0.002"])
        let counted = try await pipeline.client.subscribe(to: pipeline.topics.statistics(.worker, "w0"))
        let predictions = try await pipeline.client.subscribe(to: pipeline.topics.predictions)
        var left: UInt64 = 0
        // On a machine that takes seconds to send them, the first may be within the budget.
        while left < 40 {
            for _ in 0..<50 {
                try await pipeline.client.publish(
                    [UInt8](repeating: 0, count: 784), to: pipeline.topics.input("greedy"))
            }
            let statistics = try JSONDecoder().decode(RoleStatistics.self, from: Data(try await next(counted).payload))
            left = statistics.dropped["over_budget"] ?? 0
        }
        // Another has its own.
        try await pipeline.client.publish(try Self.input(1).message, to: pipeline.topics.input("modest"))
        while Prediction(try await next(predictions).payload)?.sensor != "modest" {}
    }

    @Test("What a worker that hangs does not compute is asked of another of its branch")
    func aHungReplica() async throws {
        // The first lane does all: the worker of branch 1 has no time for another.
        // Where a busy machine stops for a moment, no frame gives way to the next.
        let arguments = ["--model", "lenet-split2", "--policy", "all", "--queue", "10000"]
        let slow = ["--service-time", "5"]
        let pipeline = try await TestPipeline(
            branches: [0, 1], deadline: 2000, arguments: arguments, ofWorkers: slow)
        let statuses = try await pipeline.client.subscribe(to: pipeline.topics.status(.worker, "other"))
        let other = try pipeline.launcher.start(
            .worker, "other", ["--branch", "0"] + arguments + slow)
        defer { other.stop() }
        while RoleStatus(try await next(statuses).payload)?.lanes?.first?.isEmpty != false {}
        let again = try await pipeline.client.subscribe(to: pipeline.topics.again("cam"))
        let predictions = try await pipeline.client.subscribe(to: pipeline.topics.prediction("cam"))
        let sensor = try pipeline.launcher.start(
            .sensor, "cam", ["--source", "drawn", "--rate", "50", "--count", "600"])
        defer { sensor.stop() }
        var incomplete = 0
        for number in 0..<200 {
            if number == 20 { kill(pipeline.worker(0).processID, SIGSTOP) }
            let prediction = try #require(Prediction(try await next(predictions).payload))
            if !prediction.missing.isEmpty { incomplete += 1 }
        }
        // None on a machine that has the time. Were nobody asked, it would be the 150 of three seconds: until the deadline, and
        // until a sign of life does not come.
        #expect(incomplete < 75, "\(incomplete)")
        kill(pipeline.worker(0).processID, SIGCONT)
        let request = try #require(RepeatRequest(try await next(again).payload))
        #expect(request.branches == [0])
    }

    @Test func replicasShareTheFrames() async throws {
        let pipeline = try await TestPipeline(branches: [0, 1, 2, 3])
        let statuses = try await pipeline.client.subscribe(to: pipeline.topics.status(.worker, "replica"))
        let replica = try pipeline.launcher.start(.worker, "replica", ["--branch", "0"])
        defer { replica.stop() }
        while RoleStatus(try await next(statuses).payload)?.state != .ready {}
        let features = try await pipeline.client.subscribe(to: "\(pipeline.topics.root)/features/0/+")
        let predictions = try await pipeline.client.subscribe(to: pipeline.topics.predictions)
        for number in 0..<20 as Range<UInt64> {
            try await pipeline.client.publish(try Self.input(number).message, to: pipeline.topics.input("cam"))
            #expect(Prediction(try await next(predictions).payload)?.missing == [])
            _ = try await next(features)
        }
        // Each frame was computed once, not by both.
        #expect(features.droppedCount == 0)
        try await pipeline.client.publish(try Self.input(99).message, to: pipeline.topics.input("cam"))
        let last = try await next(features)
        #expect(try last.payload.withUnsafeBytes { try TensorMessage.decode($0) }.frame == 99)
    }

    /// Two with one name take each other's connection, and aggregators of two models do not share sensors: whoever comes second
    /// says so.
    @Test(arguments: [
        (["worker", "--name", "w1"], "has the name w1, and the two take each other's connection"),
        (["aggregator", "--name", "a"], "has the name a, and the two take each other's connection"),
        (
            ["aggregator", "--name", "b", "--model", "\(Repository.root.path)/Models/lenet-split8"],
            "joins another model, lenet-split4, so that each answers what is computed in its own: give both the same"
        ),
    ])
    func whoShouldNotBeThereIsTold(words: [String], complaint: String) async throws {
        let pipeline = try await TestPipeline(branches: [0, 1])
        let second = try Spawned(
            Repository.lcp, words + ["--broker", pipeline.broker.url, "--pipeline", "test", "--stop-at-eof"])
        try second.waitForErrors(complaint)
        try second.input.close()
        #expect(await second.wait() == 0)
    }

    /// The hostile inputs that a message can carry: nothing crashes, everything is counted, and the next frame is answered.
    @Test func hostileMessagesAreDroppedAndTheNextFrameIsAnswered() async throws {
        let pipeline = try await TestPipeline(deadline: 5000)
        let client = pipeline.client
        let predictions = try await client.subscribe(to: pipeline.topics.predictions)
        var hostile: [[UInt8]] = [[], [0], Array("LCPT".utf8), [UInt8](repeating: 0xFF, count: 127)]
        let fixtures = Repository.root.appendingPathComponent("Tests/Fixtures/messages")
        for folder in [fixtures, fixtures.appendingPathComponent("damaged")] {
            for file in try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
            where file.pathExtension == "lcpt" && file.lastPathComponent != "input-uint8-28x28x1.lcpt" {
                hostile.append(Array(try Data(contentsOf: file)))
            }
        }
        hostile.append([UInt8](repeating: 0x41, count: 4 << 20))
        var random = SeededGenerator(seed: 8)
        let good = try Self.input(0).message
        for _ in 0..<200 {
            var bytes = good
            for _ in 0..<3 { bytes[random.index(bytes.count)] = UInt8(random.index(256)) }
            // What still is a valid input would be answered.
            if (try? bytes.withUnsafeBytes { try TensorMessage.decode($0) }) == nil { hostile.append(bytes) }
        }
        for bytes in hostile {
            try await client.publish(bytes, to: pipeline.topics.input("enemy"), qos: .atLeastOnce)
            for branch in ["0", "3", "4", "65535", "x"] {
                try await client.publish(
                    bytes, to: "\(pipeline.topics.root)/features/\(branch)/enemy", qos: .atLeastOnce)
            }
        }
        // Features of another model, with infinities, of the wrong branch.
        for (branch, count, hash) in [(0, 4, 1), (1, 4, 0), (0, 9, 0)] as [(UInt16, UInt16, UInt8)] {
            let tensor = try Tensor([Float](repeating: .infinity, count: 10), shape: [10])
            let header = TensorMessageHeader(
                kind: .partialLogits, dtype: .fp32, shape: [10], session: 1, frame: 1, branch: branch,
                branchCount: count,
                model: try #require(ModelHash([UInt8](repeating: hash, count: 16))))
            try await client.publish(
                TensorMessage.encode(header, tensor), to: pipeline.topics.features(branch: 0, sensor: "enemy"))
        }
        try await client.publish(good, to: pipeline.topics.input("friend"))
        let prediction = try #require(Prediction(try await next(predictions).payload))
        #expect(prediction.sensor == "friend" && prediction.missing == [])
        #expect(pipeline.roles.allSatisfy { $0.poll() == nil })
    }

    @Test func retainedInputsAreNotAnswered() async throws {
        let pipeline = try await TestPipeline(branches: [0])
        let features = try await pipeline.client.subscribe(to: pipeline.topics.allFeatures)
        try await pipeline.client.publish(
            try Self.input(1).message, to: pipeline.topics.input("cam"), qos: .atLeastOnce, retain: true)
        // To a subscriber that is there already it is a new message like any other.
        #expect(try await next(features).topic == pipeline.topics.features(branch: 0, sensor: "cam"))
        let statuses = try await pipeline.client.subscribe(to: pipeline.topics.status(.worker, "late"))
        let late = try pipeline.launcher.start(.worker, "late", ["--branch", "1"])
        defer { late.stop() }
        while RoleStatus(try await next(statuses).payload)?.state != .ready {}
        try await pipeline.client.publish(try Self.input(2).message, to: pipeline.topics.input("cam"))
        for _ in 0..<2 {
            let message = try await next(features)
            #expect(try message.payload.withUnsafeBytes { try TensorMessage.decode($0) }.frame == 2)
        }
    }

    @Test func eightBranchesSendFeaturesAndWorkToo() async throws {
        let pipeline = try await TestPipeline(branches: Array(0..<8), arguments: ["--model", "lenet-split8"])
        let predictions = try await pipeline.client.subscribe(to: pipeline.topics.predictions)
        var right = 0
        for number in 0..<20 as Range<UInt64> {
            let (message, label) = try Self.input(number)
            try await pipeline.client.publish(message, to: pipeline.topics.input("cam"))
            if Prediction(try await next(predictions).payload)?.class == label { right += 1 }
        }
        #expect(right >= 17)
    }

    /// A branch that computes for more than two milliseconds has a thread of its own.
    @Test("A branch that computes beside its connection answers every frame of a client that waits for each answer")
    func longBranch() async throws {
        let folder = "/tmp/lcp-test-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let layers: [Layer] = [
            .convolution(outputs: 64, kernel: 5), .relu, .convolution(outputs: 64, kernel: 5), .relu,
            .maxPool(size: 2, stride: 2),
            .fullyConnected(outputs: 16),
        ]
        let network = BranchedNetwork(
            base: "long", input: .init(height: 64, width: 64, channels: 3), branches: [layers, layers], classes: 10,
            merge: .sum)
        var random = SeededGenerator(seed: 1)
        try ModelBundle.write(
            name: "long", network: network, parameters: try .random(for: network, using: &random),
            preprocessing: .init(mean: [0.5, 0.5, 0.5], standardDeviation: [0.2, 0.2, 0.2]),
            labels: (0..<10).map { "class \($0)" }, to: folder)
        let pipeline = try await TestPipeline(
            branches: [0, 1], arguments: ["--model", folder], ofWorkers: ["--threads", "1"])
        let predictions = try await pipeline.client.subscribe(to: pipeline.topics.predictions)
        // Frames that come as fast as they are computed are no overload.
        for number in 0..<20 as Range<UInt8> {
            let pixels = (0..<64 * 64 * 3).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ Int(number)) }
            try await pipeline.client.publish(pixels, to: pipeline.topics.input("cam"))
            let prediction = try #require(Prediction(try await next(predictions).payload))
            #expect(prediction.missing == [] && prediction.label.hasPrefix("class "))
            #expect(prediction.computeMilliseconds > 1)
        }
    }

    @Test("A role has one socket, its connection: none of its parent's, and none that wakes libmosquitto")
    func oneSocket() async throws {
        func sockets(_ process: String) throws -> Set<String> {
            let folder = "/proc/\(process)/fd"
            let targets = try FileManager.default.contentsOfDirectory(atPath: folder).compactMap {
                try? FileManager.default.destinationOfSymbolicLink(atPath: "\(folder)/\($0)")
            }
            return Set(targets.filter { $0.hasPrefix("socket:") })
        }
        let inheritable = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
        defer { close(inheritable) }
        let pipeline = try await TestPipeline(branches: [0], arguments: ["--model", "lenet-split1"])
        for role in pipeline.roles { #expect(try sockets("\(role.processID)").count == 1) }
    }
}
