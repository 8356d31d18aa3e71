import Images
import LCPPipeline
import LCPWire
import Testing

@testable import LCPSensor

@Suite("Addresses of cameras") struct CameraAddressTests {
    @Test(
        "What is a camera or a video is told by its beginning",
        arguments: [
            ("rtsp://cam/1", CameraAddress.Kind.stream), ("RTSPS://cam/1", .stream), ("http://cam/x", .web),
            ("https://cam/x", .web), ("v4l2:/dev/video0", .device), ("rpicam", .module), ("rpicam:1", .module),
            ("file:a b.mp4", .file),
        ])
    func kinds(text: String, kind: CameraAddress.Kind) {
        #expect(CameraAddress(text)?.kind == kind)
        #expect(CameraAddress(text)?.isLive == (kind != .file))
    }

    @Test(
        "Everything else is none",
        arguments: [
            "", "rtsp:", "file:", "v4l2:", "stdin", "dir:http://x", "ftp://x/y", "file:\0", "rpicam:", "rpicam:x",
            "rpicam1",
        ])
    func others(text: String) { #expect(CameraAddress(text) == nil) }

    @Test(
        "Nobody is told a password",
        arguments: [
            ("rtsp://me:s3cret@cam:554/live", "rtsp://cam:554/…"), ("http://cam", "http://cam"),
            ("rtsp://me:s3cret@with@cam/1", "rtsp://cam/…"), ("rtsp://me:p@ss/s3cret@cam/1", "rtsp://cam/…"),
            ("http://me:s3cret?x@cam/1", "http://cam/…"), ("rtsp://me:s3cret#@cam/1", "rtsp://cam/…"),
            ("http://cam/snap.jpg?user=a&password=s3cret", "http://cam/…"),
            ("rtsp://cam/user=admin&password=s3cret&channel=1", "rtsp://cam/…"),
        ])
    func passwords(text: String, printed: String) throws {
        let camera = try #require(CameraAddress(text))
        #expect(camera.printable == printed)
        let said = "[tcp @ 0x1] Connection to \(text) failed\n\(text): Connection refused\n"
        #expect(Camera.reason(Array(said.utf8), camera) == "Connection refused")
        #expect(!camera.hide("401 for \(text)").contains("s3cret"))
    }

    @Test(
        "A region is four numbers",
        arguments: ["", "1,2,3", "1,2,3,4,5", "1,2,0,4", "-1,2,3,4", "1,2,3,x", "1,,2,3", "1,2,3,99999"])
    func regions(text: String) throws {
        #expect(try CameraRegion("1,2,30,40").filter == "crop=30:40:1:2")
        #expect(throws: PipelineError.self) { try CameraRegion(text) }
    }

    @Test("Without ffmpeg it is said how to get it")
    func noProgram() throws {
        let camera = try #require(CameraAddress("http://cam/x"))
        let error = #expect(throws: PipelineError.self) {
            try Camera(camera, rate: 1, log: Log("sensor cam"), executable: nil)
        }
        #expect(error?.description.contains("sudo apt install ffmpeg") == true)
    }

    @Test("A camera module's pictures are at least as large as what the model takes")
    func module() throws {
        let camera = try #require(CameraAddress("rpicam:1"))
        #expect(camera.printable == "rpicam:1")
        func words(_ side: Int, _ rate: Double = 5) -> String {
            camera.moduleArguments(ImageSize(height: side, width: side, channels: 3), rate: rate).joined(separator: " ")
        }
        let all = words(32)
        #expect(all.hasPrefix("--camera 1 ") && all.contains("--width 640 --height 480 --framerate 5.0"))
        #expect(words(480).contains("--width 640 ") && words(481).contains("--width 1280 --height 960 "))
        // A camera has no tenth of a picture, and nobody needs 200.
        #expect(words(32, 0.1).contains("--framerate 1.0 ") && words(32, 200).contains("--framerate 30.0 "))
    }

    @Test("Of what rpicam-vid tells, the last error is the reason; without rpicam-vid it is said how to get it")
    func moduleErrors() throws {
        let said = "[0:00:01] INFO Camera camera_manager.cpp:327\nERROR: *** no cameras available ***\nbye\n"
        #expect(Camera.moduleReason(Array(said.utf8)) == "rpicam-vid says: ERROR: *** no cameras available ***")
        #expect(Camera.moduleReason(Array("INFO\n".utf8)) == "rpicam-vid ended")
        let camera = try #require(CameraAddress("rpicam"))
        let error = #expect(throws: PipelineError.self) {
            try Camera(camera, rate: 1, log: Log("sensor cam"), executable: "/bin/true", moduleExecutable: nil)
        }
        #expect(error?.description.contains("sudo apt install rpicam-apps-lite") == true)
    }

    @Test("ffmpeg writes frames of the model's size, each once, and takes a name for nothing else")
    func arguments() throws {
        let file = try #require(CameraAddress("file:-i x.mp4"))
        let size = ImageSize(height: 28, width: 30, channels: 1)
        let words = file.arguments(size, rate: 10, isOnePicture: false)
        #expect(words.contains("file:-i x.mp4") && words.last == "pipe:1")
        let filters = try #require(words.firstIndex(of: "-vf").map { words[$0 + 1] })
        #expect(
            filters.hasSuffix("scale=30:28:flags=bilinear,format=gray")
                && filters.contains("gte(t-prev_selected_t,0.09"))
        let crop = ImageSize(height: 224, width: 224, channels: 3, mode: .crop(shorter: 256))
        let cropped = file.arguments(crop, rate: 1, isOnePicture: false)
        #expect(cropped.contains { $0.contains("crop=224:224") && $0.hasSuffix("format=rgb24") })
        let box = ImageSize(height: 8, width: 8, channels: 3, mode: .letterbox(grey: 7))
        #expect(file.arguments(box, rate: 1, isOnePicture: false).contains { $0.contains("color=0x070707") })
        let picture = try #require(CameraAddress("http://cam/snap.JPG?x=1"))
        #expect(picture.looksLikeOnePicture)
        #expect(picture.arguments(size, rate: 2, isOnePicture: true).starts(with: ["-nostdin"]))
        #expect(CameraAddress("http://cam/live")?.looksLikeOnePicture == false)
        // A stream of JPEGs has no times of its own.
        let stream = try #require(CameraAddress("http://cam/live")).arguments(size, rate: 5, isOnePicture: false)
        #expect(stream.contains("-use_wallclock_as_timestamps"))
    }
}
