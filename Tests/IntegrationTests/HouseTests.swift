import Foundation
import Images
import LCPDatasets
import LCPLocal
import LCPWire
import MQTT
import Platform
import Testing

/// A camera in, Home Assistant out, and the same model after a power cut.
@Suite struct HouseTests {
    private static let workers = ["w0", "w1", "w2", "w3"]

    /// A second of a digit and a second of another, over and over, thirty pictures a second.
    private static func video(_ ffmpeg: String, in folder: String) async throws -> String {
        let digits = DrawnDigits(seed: 7)
        for (name, label) in [("a", 1), ("b", 4)] {
            let pixels = try #require((0..<200).lazy.map { digits.image($0) }.first { $0.label == label }).pixels
            let picture = Image(height: 28, width: 28, channels: 1, pixels: pixels).resized(height: 280, width: 280)
            try FileIO.write(try picture.png(), to: "\(folder)/\(name).png")
        }
        func still(_ name: String) -> [String] {
            ["-loop", "1", "-t", "1", "-r", "30", "-i", "\(folder)/\(name).png"]
        }
        let made = try await run(
            ffmpeg,
            ["-v", "error", "-y"] + still("a") + still("b") + [
                "-filter_complex", "[0][1]concat=n=2:v=1,format=yuv420p", "\(folder)/clip.mp4",
            ])
        try #require(made.status == 0, "\(made.errors)")
        return "\(folder)/clip.mp4"
    }

    /// Starts everybody anew on what they have on their disks, each with one of its own.
    private static func start(_ devices: Devices) throws {
        for name in workers {
            try devices.start(.worker, name, cache: "\(devices.cache)/\(name)")
        }
        try devices.start(
            .aggregator, "agg", ["--deadline", "5000", "--threshold", "0.5", "--stable", "2/3", "--homeassistant"],
            cache: "\(devices.cache)/agg")
    }

    private static func waitForAll(_ devices: Devices, _ branches: Int) async throws {
        try await devices.wait("all branches") { known in
            devices.owners(known).count == branches && known["agg"]?.state == .ready
                && known["agg"]?.branches == branches
        }
    }

    /// What the pipeline says of a picture.
    private static func answer(_ devices: Devices, _ picture: [UInt8]) async throws -> Prediction {
        let predictions = try await devices.client.subscribe(to: devices.topics.prediction("shell"))
        try await devices.client.publish(picture, to: devices.topics.input("shell"))
        let prediction = try #require(Prediction(try await next(predictions).payload))
        #expect(prediction.missing.isEmpty)
        return prediction
    }

    @Test(
        "A camera's frames are all answered and told to Home Assistant, and when everything was off at once and the broker has forgotten all, the same model gives the same answers"
    )
    func powerCut() async throws {
        let devices = try await Devices()
        try await devices.push("lenet-split8")
        try Self.start(devices)
        try await Self.waitForAll(devices, 8)
        let (client, topics) = (devices.client, devices.topics)
        let folder = devices.cache
        let picture = try await Self.camera(devices, folder)
        let before = try await Self.answer(devices, picture)
        #expect(before.model == "lenet-split8" && before.fallback == nil)

        for name in Self.workers + ["agg"] {
            devices.signal(name, SIGKILL)
            _ = devices.stop(name)
        }
        try devices.broker.restart()
        devices.forget()
        try Self.start(devices)
        try await Self.waitForAll(devices, 8)
        let after = try await Self.answer(devices, picture)
        #expect(after.model == "lenet-split8" && after.fallback == nil)
        #expect(after.probabilities == before.probabilities && after.branches == before.branches)
        let manifests = try await client.subscribe(to: topics.modelManifest)
        #expect(try ModelOffer(try await next(manifests).payload).name == "lenet-split8")
        let listed = try await run(
            Repository.lcp, ["model", "list", "--broker", devices.broker.url, "--pipeline", "join", "--json"])
        #expect(
            listed.status == 0 && Self.workers.allSatisfy { listed.output.contains("\"worker \($0)\"") }
                && listed.output.contains("\"name\":\"lenet-split8\""), "\(listed.output)\(listed.errors)")
    }

    /// Runs a camera, and looks at what a subscriber sees.
    ///
    /// - Returns: a picture of it.
    private static func camera(_ devices: Devices, _ folder: String) async throws -> [UInt8] {
        let picture = Image(height: 28, width: 28, channels: 1, pixels: DrawnDigits(seed: 7).image(3).pixels)
        guard let ffmpeg = ChildProcess.find("ffmpeg") else {
            print("SKIPPED: there is no ffmpeg: the camera was left out")
            return try picture.png()
        }
        try FileIO.makeFolder(folder)
        let video = try await Self.video(ffmpeg, in: folder)
        let (client, topics) = (devices.client, devices.topics)
        let port = try BrokerProcess.freePort(host: "127.0.0.1")
        let camera = try Spawned(
            ffmpeg,
            ["-nostdin", "-v", "error", "-re", "-stream_loop", "-1", "-i", video, "-q:v", "3", "-f", "mpjpeg"]
                + ["-listen", "1", "http://127.0.0.1:\(port)/live"])
        defer { kill(camera.identifier, SIGKILL) }
        let events = try await client.subscribe(to: topics.event("door"))
        let snapshots = try await client.subscribe(to: topics.snapshot("door"))
        let documents = try await client.subscribe(to: "homeassistant/device/lcp_join_sensor_door/config")
        let sensor = try Spawned(
            Repository.lcp,
            ["sensor", "--broker", devices.broker.url, "--pipeline", "join", "--name", "door", "--rate", "10"]
                + ["--source", "http://127.0.0.1:\(port)/live", "--qos", "1", "--count", "40"])
        let errors = await sensor.errors.text()
        #expect(await sensor.wait() == 0, "every frame was answered: \(errors)")
        var labels: Set<String> = []
        while !labels.isSuperset(of: ["1", "4"]) {
            labels.insert(try #require(LabelEvent(try await next(events).payload)).label)
        }
        let snapshot = try await next(snapshots).payload
        #expect(throws: Never.self) { try snapshot.withUnsafeBytes { try Image(decoding: $0, channels: 1) } }
        #expect(try await next(documents).payload.count > 1000)
        return try picture.png()
    }
}
