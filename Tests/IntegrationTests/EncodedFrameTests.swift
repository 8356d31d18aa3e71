import Foundation
import Images
import LCPLocal
import LCPModels
import LCPWire
import MQTT
import Platform
import Testing

/// Pictures inside frames, and small features: real roles on a real broker.
@Suite struct EncodedFrameTests {
    /// A folder that is gone when the test is.
    final class Folder {
        let path = NSTemporaryDirectory() + "lcp-frames-\(UUID().uuidString)"

        init(pictures: Int) throws {
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
            for number in 0..<pictures {
                let pixels = (0..<40 * 30).map { UInt8(($0 * (number + 3)) % 251) }
                let image = Image(height: 40, width: 30, channels: 1, pixels: pixels)
                try Data(try image.png()).write(to: URL(fileURLWithPath: "\(path)/\(number).png"))
            }
        }

        deinit { try? FileManager.default.removeItem(atPath: path) }
    }

    private static func sensor(_ pipeline: TestPipeline, rate: Int = 100, _ arguments: [String]) throws -> Spawned {
        try Spawned(
            Repository.lcp,
            ["sensor", "--broker", pipeline.broker.url, "--pipeline", "test", "--name", "cam", "--rate", "\(rate)"]
                + arguments)
    }

    private static func header(_ message: MQTTMessage) throws -> TensorMessageHeader {
        try message.payload.withUnsafeBytes { try TensorMessage.decode($0) }
    }

    @Test(
        "A sensor's pictures come as it was told, keep their truth, and are answered by all branches",
        arguments: ["png", "jpeg:90", "raw", "auto"])
    func encodings(encoding: String) async throws {
        let pipeline = try await TestPipeline(ofWorkers: ["--features", "int8"])
        let inputs = try await pipeline.frames()
        let features = try await pipeline.client.subscribe(to: pipeline.topics.allFeatures)
        let predictions = try await pipeline.client.subscribe(to: pipeline.topics.predictions)
        let sensor = try Self.sensor(pipeline, ["--count", "20", "--encoding", encoding])
        var right = 0
        for number in 0..<20 {
            let header = try Self.header(try await next(inputs))
            #expect(header.frame == UInt64(number) && header.shape == [28, 28, 1] && header.label >= 0)
            switch encoding {
            case "png": #expect(header.encoding == .png && header.version == 2)
            case "jpeg:90": #expect(header.encoding == .jpeg && header.version2?.sendTime ?? 0 > header.captureTime)
            // 784 bytes are few.
            default: #expect(header.version == 1)
            }
            let prediction = try #require(Prediction(try await next(predictions).payload))
            #expect(prediction.missing == [] && prediction.truth == Int(header.label))
            if prediction.truth == prediction.class { right += 1 }
        }
        #expect(right >= 19)
        for _ in 0..<80 {
            let header = try Self.header(try await next(features))
            #expect(header.dtype == .int8 && header.version2?.scale ?? 0 > 0)
            #expect(header.version2?.receiveTime ?? 0 > 0)
        }
        #expect(await sensor.wait() == 0)
    }

    @Test("A folder's pictures take the shape of the model that the pipeline was given")
    func pipelineShape() async throws {
        let folder = try Folder(pictures: 1000)
        let pipeline = try await TestPipeline(branches: [0])
        let inputs = try await pipeline.frames()
        let push = try await run(
            Repository.lcp,
            ["model", "push", "cifarnet-bn-split4-f75-m20", "--broker", pipeline.broker.url, "--pipeline", "test"])
        #expect(push.status == 0)
        // For longer than all that comes takes.
        let sensor = try Self.sensor(pipeline, rate: 10, ["--source", "dir:\(folder.path)", "--encoding", "png"])
        for _ in 0..<3 { #expect(try Self.header(try await next(inputs)).shape == [32, 32, 3]) }
        // Digits are 28 × 28, and the model takes another shape.
        let drawn = try await run(
            Repository.lcp, ["sensor", "--broker", pipeline.broker.url, "--pipeline", "test", "--count", "1"])
        #expect(drawn.status == 1)
        #expect(drawn.errors.contains("28×28×1") && drawn.errors.contains("takes 32×32×3"))
        // Another model, another shape, while it runs.
        let other = try await run(
            Repository.lcp,
            ["model", "push", "lenet-split4", "--broker", pipeline.broker.url, "--pipeline", "test"])
        #expect(other.status == 0)
        while try Self.header(try await next(inputs)).shape != [28, 28, 1] {}
        kill(sensor.identifier, SIGTERM)
        #expect(await sensor.wait() == 0)
        #expect((await sensor.errors.text()).contains("frames are 28×28×1, sent as png"))
    }

    @Test("While a worker reads only version 1, frames and features come in that, and it is named")
    func oldRoles() async throws {
        let pipeline = try await TestPipeline(ofWorkers: ["--features", "fp16"])
        // As the program before announced itself.
        for (role, id) in [(Role.worker, "old"), (.aggregator, "elder")] {
            let status = RoleStatus(state: .ready, role: role, id: id, birth: "1")
            try await pipeline.client.publish(
                status.json, to: pipeline.topics.status(role, id), qos: .atLeastOnce, retain: true)
        }
        let inputs = try await pipeline.frames()
        let features = try await pipeline.client.subscribe(to: pipeline.topics.allFeatures)
        let sensor = try Self.sensor(pipeline, ["--count", "5", "--encoding", "jpeg"])
        for _ in 0..<5 { #expect(try Self.header(try await next(inputs)).version == 1) }
        for _ in 0..<20 {
            let header = try Self.header(try await next(features))
            #expect(header.version == 1 && header.dtype == .fp32)
        }
        #expect(await sensor.wait() == 0)
        #expect((await sensor.errors.text()).contains("the worker old reads no pictures"))
    }
}
