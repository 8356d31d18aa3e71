import LCPPipeline
import LCPSensor
import LCPWire
import MQTT
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
}
