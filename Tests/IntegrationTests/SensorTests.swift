import Foundation
import Images
import LCPPipeline
import LCPSensor
import LCPWire
import MQTT
import Platform
import Testing

/// A sensor in this process, and what it makes of what others say on the broker.
@Suite struct SensorTests {
    @Test("After a broker's restart frames go on as soon as all are back, also where they say what they said before")
    func goesOnAfterARestart() async throws {
        let broker = try TestBroker()
        let client = try await broker.connect()
        let topics = try Topics(pipeline: "sensor")
        var aggregator = RoleStatus(state: .ready, role: .aggregator, id: "a", birth: "1")
        aggregator.branches = 1
        var worker = RoleStatus(state: .ready, role: .worker, id: "w", birth: "2")
        worker.serves = [0]
        func sayWhoIsThere() async throws {
            for status in [aggregator, worker] {
                try await client.publish(
                    status.json, to: topics.status(status.role, status.id), qos: .atLeastOnce, retain: true)
            }
        }
        try await sayWhoIsThere()
        let frames = try await client.subscribe(to: topics.inputs)

        var configuration = PipelineConfiguration(mqtt: try broker.configuration(), pipeline: "sensor")
        configuration.qos = .atLeastOnce
        var options = Sensor.Options()
        options.id = "cam"
        options.rate = 50
        options.shape = .init(height: 28, width: 28, channels: 1)
        // Nothing but the others' return ends the hold.
        options.longestHold = .seconds(3600)
        let sensor = try Sensor(configuration, source: .drawn(seed: 1), options: options)
        let run = Task { try await sensor.run() }
        _ = try await next(frames)

        try broker.restart()
        try await sayWhoIsThere()
        // Subscribed again, so that nothing from before the restart is taken for a frame behind it.
        let later = try await client.subscribe(to: topics.inputs)
        _ = try await next(later)
        run.cancel()
        _ = await run.result
        await client.close()
    }

    @Test(
        "Pictures that are put into a folder become frames, those that were there before do not, and damaged ones are told"
    )
    func watchesFolder() async throws {
        let broker = try TestBroker()
        let client = try await broker.connect()
        let frames = try await client.subscribe(to: "lcp/demo/input/cam")
        let folder = NSTemporaryDirectory() + "lcp-watch-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        func put(_ grey: UInt8, _ name: String) throws {
            let image = Image(height: 28, width: 28, channels: 1, pixels: [UInt8](repeating: grey, count: 784))
            try FileIO.write(try image.png(), to: "\(folder)/\(name)")
        }
        try put(1, "before.png")
        let sensor = try Spawned(
            Repository.lcp,
            ["sensor", "--broker", broker.url, "--name", "cam", "--source", "watch:\(folder)", "--shape", "28x28x1"])
        defer { kill(sensor.identifier, SIGKILL) }
        try sensor.waitForErrors("ready: publishes on")
        try put(2, "a.png")
        #expect(try await next(frames).payload.last == 2)
        try FileIO.write(Array("no picture".utf8), to: "\(folder)/bad.jpg")
        try sensor.waitForErrors("bad.jpg")
        try put(3, "a.png")
        #expect(try await next(frames).payload.last == 3)
        try FileManager.default.removeItem(atPath: folder)
        let end = try sensor.waitForErrors("the folder that is watched is gone")
        #expect(await sensor.wait() == 1, "\(end)")
    }
}
