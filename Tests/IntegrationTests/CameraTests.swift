import Foundation
import LCPLocal
import LCPWire
import MQTT
import Platform
import Testing

/// Cameras and videos, through the system's ffmpeg. There is no RTSP server here: an RTSP camera is another address to ffmpeg.
@Suite struct CameraTests {
    /// A video of one grey, and what becomes of it.
    private final class Studio {
        let ffmpeg: String
        let folder = NSTemporaryDirectory() + "lcp-camera-\(UUID().uuidString)"
        let broker: TestBroker
        let client: MQTTClient
        let topics: Topics

        /// nil where there is no ffmpeg, which is said.
        init?() async throws {
            guard let ffmpeg = ChildProcess.find("ffmpeg") else {
                print("SKIPPED: there is no ffmpeg: cameras were not tried")
                return nil
            }
            self.ffmpeg = ffmpeg
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            broker = try TestBroker()
            client = try await broker.connect()
            topics = try Topics(pipeline: "demo")
        }

        deinit { try? FileManager.default.removeItem(atPath: folder) }

        /// Two seconds with thirty pictures a second, of which all pixels are about 200.
        func video(_ name: String = "a clip.mp4") async throws -> String {
            let path = "\(folder)/\(name)"
            let words = ["-v", "error", "-f", "lavfi", "-i", "color=0xC8C8C8:size=320x180:rate=30", "-t", "2"]
            let made = try await run(ffmpeg, words + ["-y", path])
            try #require(made.status == 0, "\(made.errors)")
            return path
        }

        /// A camera that sends pictures to whoever asks, once.
        func serve(_ path: String, port: Int) throws -> Spawned {
            try Spawned(
                ffmpeg,
                ["-nostdin", "-v", "error", "-re", "-stream_loop", "-1", "-i", path, "-q:v", "3", "-f", "mpjpeg"]
                    + ["-listen", "1", "http://127.0.0.1:\(port)/live"])
        }

        func sensor(
            _ source: String, _ words: [String] = [], environment: [String: String] = [:]
        ) throws -> Spawned {
            try Spawned(
                Repository.lcp,
                ["sensor", "--broker", broker.url, "--name", "cam", "--source", source, "--shape", "28x28x1"] + words,
                environment: environment)
        }

        /// The pixels of the next frame.
        func pixels(_ frames: MQTTSubscription) async throws -> [UInt8] {
            Array(try await next(frames).payload.suffix(784))
        }
    }

    @Test("Every picture of a video becomes a frame, in the model's size, and is answered")
    func video() async throws {
        guard let studio = try await Studio() else { return }
        let pipeline = try await TestPipeline(
            branches: [0, 1], arguments: ["--model", "lenet-split2", "--policy", "all"], broker: studio.broker)
        let predictions = try await pipeline.client.subscribe(to: pipeline.topics.predictions)
        let sensor = try studio.sensor(
            "file:\(try await studio.video())", ["--rate", "200", "--qos", "1", "--pipeline", "test"])
        let errors = await sensor.errors.text()
        #expect(await sensor.wait() == 0 && errors.contains("published 60 frames"), "\(errors)")
        var seen: Set<String> = []
        while seen.count < 60 {
            let prediction = try #require(Prediction(try await next(predictions).payload))
            #expect(prediction.missing.isEmpty)
            seen.insert(prediction.frame)
        }
    }

    @Test("A camera's pictures come as fast as asked for, and one that goes is back when it comes")
    func comesAndGoes() async throws {
        guard let studio = try await Studio() else { return }
        let port = try BrokerProcess.freePort(host: "127.0.0.1")
        let video = try await studio.video()
        var camera = try studio.serve(video, port: port)
        defer { kill(camera.identifier, SIGKILL) }
        let frames = try await studio.client.subscribe(to: studio.topics.input("cam"))
        let sensor = try studio.sensor("http://127.0.0.1:\(port)/live", ["--rate", "10"])
        defer { kill(sensor.identifier, SIGKILL) }
        for _ in 0..<5 {
            let pixels = try await studio.pixels(frames)
            #expect(pixels.allSatisfy { (190...210).contains($0) }, "\(pixels.prefix(10))")
        }
        kill(camera.identifier, SIGKILL)
        try sensor.waitForErrors("is gone: ")
        camera = try studio.serve(video, port: port)
        try sensor.waitForErrors("is back")
        for _ in 0..<3 { _ = try await studio.pixels(frames) }
        kill(sensor.identifier, SIGTERM)
        #expect(await sensor.wait() == 0)
    }

    @Test(
        "A Raspberry Pi's camera module is read by rpicam-vid, which ends with the sensor, and of which errors are told"
    )
    func module() async throws {
        guard let studio = try await Studio() else { return }
        // In place of rpicam-vid, which is no part of Debian: one picture of the size that is asked for after the other.
        let program = "\(studio.folder)/rpicam-vid"
        let script = """
            #!/bin/sh
            echo $$ >"$0.id"
            echo "$*" >"$0.words"
            [ ! -e "$0.broken" ] || { echo "INFO Camera" >&2; echo "ERROR: *** no cameras available ***" >&2; exit 255; }
            exec \(studio.ffmpeg) -nostdin -v error -re -f lavfi -i color=0xC8C8C8:size=${11}x${13}:rate=${15} -f mjpeg -
            """
        try FileIO.write(Array(script.utf8), to: program)
        chmod(program, 0o755)
        let frames = try await studio.client.subscribe(to: studio.topics.input("cam"))
        let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
        let sensor = try studio.sensor(
            "rpicam:1", ["--rate", "10", "--region", "160,0,480,480"], environment: ["PATH": "\(studio.folder):\(path)"]
        )
        defer { kill(sensor.identifier, SIGKILL) }
        for _ in 0..<5 { #expect(try await studio.pixels(frames).allSatisfy { (190...210).contains($0) }) }
        let words = try String(decoding: FileIO.read("\(program).words"), as: UTF8.self)
        #expect(words.hasPrefix("--camera 1 --codec mjpeg ") && words.contains("--framerate 10.0"), "\(words)")

        func identifier() throws -> pid_t {
            let text = try String(decoding: FileIO.read("\(program).id"), as: UTF8.self)
            return try #require(pid_t(text.trimmingCharacters(in: .whitespacesAndNewlines)))
        }
        try FileIO.write([], to: "\(program).broken")
        kill(try identifier(), SIGKILL)
        try sensor.waitForErrors("the camera rpicam:1 is gone: rpicam-vid ended")
        try FileManager.default.removeItem(atPath: "\(program).broken")
        try sensor.waitForErrors("is back")
        kill(sensor.identifier, SIGTERM)
        #expect(await sensor.wait() == 0)
        #expect(kill(try identifier(), 0) == -1 && errno == ESRCH)

        try FileIO.write([], to: "\(program).broken")
        let broken = try studio.sensor("rpicam", environment: ["PATH": "\(studio.folder):\(path)"])
        defer { kill(broken.identifier, SIGKILL) }
        try broken.waitForErrors(
            "cannot read the camera rpicam:0: rpicam-vid says: ERROR: *** no cameras available ***")
        kill(broken.identifier, SIGTERM)
        #expect(await broken.wait() == 0)
    }

    @Test("A region is a part of the picture, and a picture that stands still is sent once")
    func regionAndChange() async throws {
        guard let studio = try await Studio() else { return }
        let path = "\(studio.folder)/halves.mp4"
        // The right half is white.
        let words = ["-v", "error", "-f", "lavfi", "-i", "color=black:size=320x180:rate=30", "-t", "1"]
        let made = try await run(
            studio.ffmpeg, words + ["-vf", "drawbox=x=160:y=0:w=160:h=180:color=white:t=fill", path])
        try #require(made.status == 0, "\(made.errors)")
        let frames = try await studio.client.subscribe(to: studio.topics.input("cam"))
        for (region, greys) in [("160,0,160,180", 240...255), ("0,0,150,180", 0...15)] {
            let sensor = try studio.sensor(
                "file:\(path)", ["--region", region, "--on-change", "5", "--rate", "100"])
            let errors = await sensor.errors.text()
            #expect(await sensor.wait() == 0 && errors.contains("published 1 frame"), "\(errors)")
            #expect(errors.contains("left out 29 frames that did not change"), "\(errors)")
            #expect(try await studio.pixels(frames).allSatisfy { greys.contains(Int($0)) })
        }
        let drawn = try studio.sensor("drawn", ["--region", "0,0,1,1"])
        #expect(await drawn.errors.text().contains("of a camera's or a video's picture"))
        #expect(await drawn.wait() == 1)
    }

    @Test("An address of one picture is fetched for every frame")
    func onePicture() async throws {
        guard let studio = try await Studio() else { return }
        let port = try BrokerProcess.freePort(host: "127.0.0.1")
        let made = try await run(
            studio.ffmpeg,
            ["-v", "error", "-f", "lavfi", "-i", "color=0xC8C8C8:size=64x64", "-frames:v", "1"]
                + ["\(studio.folder)/now.jpg"])
        try #require(made.status == 0, "\(made.errors)")
        let python = try #require(ChildProcess.find("python3"))
        let server = try Spawned(
            python, ["-m", "http.server", "\(port)", "--bind", "127.0.0.1", "--directory", studio.folder])
        defer { kill(server.identifier, SIGKILL) }
        let frames = try await studio.client.subscribe(to: studio.topics.input("cam"))
        let sensor = try studio.sensor("http://127.0.0.1:\(port)/now.jpg", ["--rate", "5", "--count", "4"])
        for _ in 0..<4 { #expect(try await studio.pixels(frames).allSatisfy { (190...210).contains($0) }) }
        #expect(await sensor.wait() == 0)

        // Half of a picture is told, and not taken for one; when it is whole again, it goes on.
        let path = "\(studio.folder)/test.jpg"
        let test = try await run(
            studio.ffmpeg, ["-v", "error", "-f", "lavfi", "-i", "testsrc=size=320x240", "-frames:v", "1", path])
        try #require(test.status == 0, "\(test.errors)")
        let whole = try FileIO.read(path)
        try FileIO.write(Array(whole.prefix(whole.count / 2)), to: path)
        let torn = try studio.sensor("http://127.0.0.1:\(port)/test.jpg", ["--rate", "5", "--count", "1"])
        defer { kill(torn.identifier, SIGKILL) }
        try torn.waitForErrors("left out a picture of the camera http://127.0.0.1:\(port)/… that is damaged")
        try FileIO.write(whole, to: path)
        let rest = await torn.errors.text()
        #expect(await torn.wait() == 0 && rest.contains("published 1 frame"), "\(rest)")
    }

    @Test("Standard input may be JPEGs one behind the other, and is refused where it is a video")
    func standardInput() async throws {
        guard let studio = try await Studio() else { return }
        let video = try await studio.video()
        let made = try await run(
            studio.ffmpeg, ["-v", "error", "-i", video, "-frames:v", "7", "-f", "mjpeg", "\(studio.folder)/p.mjpeg"])
        try #require(made.status == 0, "\(made.errors)")
        let frames = try await studio.client.subscribe(to: studio.topics.input("cam"))
        let common = ["sensor", "--broker", studio.broker.url, "--name", "cam", "--source", "stdin", "--rate", "100"]
        func feed(_ path: String) async throws -> Outcome {
            try await run(Repository.lcp, common, input: Array(try Data(contentsOf: URL(fileURLWithPath: path))))
        }
        let sent = try await feed("\(studio.folder)/p.mjpeg")
        #expect(sent.status == 0 && sent.errors.contains("published 7 frames"), "\(sent.errors)")
        for _ in 0..<7 { #expect(try await studio.pixels(frames).allSatisfy { (190...210).contains($0) }) }
        let refused = try await feed(video)
        #expect(refused.status == 1 && refused.errors.contains("standard input is an MP4 video"), "\(refused.errors)")
    }

    @Test("What is wrong with a camera or a video is said in a sentence, and no password with it")
    func mistakes() async throws {
        guard let studio = try await Studio() else { return }
        let sensor = try studio.sensor("rtsp://me:s3cret@127.0.0.1:1/live")
        let said = try sensor.waitForErrors("trying again until it is there")
        kill(sensor.identifier, SIGTERM)
        #expect(await sensor.wait() == 0)
        #expect(said.contains("cannot read the camera rtsp://127.0.0.1:1/…: ") && !said.contains("s3cret"), "\(said)")

        for (file, words) in [("none.mp4", "No such file"), ("broken.mp4", "Invalid data")] {
            if file == "broken.mp4" {
                try Data("no video".utf8).write(to: URL(fileURLWithPath: "\(studio.folder)/\(file)"))
            }
            let sensor = try studio.sensor("file:\(studio.folder)/\(file)")
            let errors = await sensor.errors.text()
            #expect(await sensor.wait() == 1 && errors.contains("cannot read ") && errors.contains(words), "\(errors)")
        }
    }
}
