import Images
import LCPModels
import LCPWire
import Platform
import Testing

@testable import LCPLab

@Suite struct ExperimentTests {
    private static func experiment(_ change: (String) -> String = { $0 }) throws -> SpeedupExperiment {
        let path = try #require(ShippedFiles.path("Configs/experiments/speedup-quick.json"))
        let text = String(decoding: try FileIO.read(path), as: UTF8.self)
        let file = "/tmp/lcp-speedup-\(UInt64.random(in: 0...UInt64.max)).json"
        try FileIO.write(Array(change(text).utf8), to: file)
        defer { FileIO.remove(file) }
        return try SpeedupExperiment(path: file)
    }

    @Test("The experiments that come with lcp can be read", arguments: ["speedup", "speedup-quick", "speedup-array"])
    func shipped(name: String) throws {
        let path = try #require(ShippedFiles.path("Configs/experiments/\(name).json"))
        #expect(SpeedupExperiment.isOne(path))
        let experiment = try SpeedupExperiment(path: path)
        for setting in experiment.settings { #expect(!experiment.runs(of: setting).isEmpty) }
        let training = try #require(ShippedFiles.path("Configs/experiments/mnist.json"))
        #expect(!SpeedupExperiment.isOne(training))
    }

    @Test(
        "An experiment with a mistake is refused in one sentence",
        arguments: [
            ("\"rpi3b+\"", "\"rpi\"", "rpi3b+"), ("\"frames\": 40", "\"frames\": 1", "frames"),
            ("\"name\": \"alexnet-split4\"", "\"name\": \"alexnet-split8\"", "same name"),
            ("\"network\": \"alexnet\"", "\"network\": \"alexnett\"", "alexnett"),
            ("\"way\": \"original\", \"devices\": 1", "\"way\": \"original\", \"devices\": 2", "2 devices"),
            ("\"way\": \"lcp\", \"devices\": 8", "\"way\": \"splitnet\", \"devices\": 7", "SplitNet"),
            ("\"name\": \"wired\"", "\"name\": \"../wired\"", "names no file"),
            ("\"dilation\": 4", "\"dilation\": 0", "dilation"),
            ("\"way\": \"lcp\"", "\"way\": \"branches\"", "no experiment"),
            ("\"frames\": 40", "\"framez\": 3, \"frames\": 40", "\"framez\" means nothing"),
            ("\"way\": \"lcp\"", "\"way\": \"lcp\", \"wat\": 1", "\"wat\" means nothing"),
            ("\"name\": \"wired\"", "\"name\": \"wired\", \"rate\": 1", "\"rate\" means nothing"),
            (
                "\"name\": \"wired\"",
                "\"name\": \"wired\", \"array\": {\"rows\": 32, \"columns\": 64, \"mhz\": 100}",
                "whole networks and branches only"
            ),
            (
                "\"name\": \"wired\"",
                "\"name\": \"wired\", \"only\": [\"alexnet\"], \"array\": {\"rows\": 32, \"columns\": 64, \"mhz\": 0}",
                "from 1 to 10,000 MHz"
            ),
        ])
    func mistakes(old: String, new: String, word: String) {
        let error = #expect(throws: PipelineError.self) {
            try Self.experiment { $0.replacing(old, with: new, maxReplacements: 1) }
        }
        #expect(error?.description.contains(word) == true, "\(String(describing: error))")
    }

    private static func record(_ experiment: SpeedupExperiment, _ run: Int, _ times: [Double]) -> RunRecord {
        RunRecord(
            setting: "wired", run: experiment.runs[run], label: "emulated, profile <x>", conditions: "c",
            pace: LabPace(benchmarkMilliseconds: 10, slowness: 11.4, dilation: 1), frames: times.count,
            latency: RunRecord.Latency(times), framesPerSecond: 1, networkMilliseconds: 1, engine: "lcp", inputBytes: 1,
            traffic: [.init(device: "broker", sentBytes: 100_000, receivedBytes: 20_000)], connectedPairs: 2,
            modelledJoules: 1, lateDepartures: 0)
    }

    @Test("A speedup is the original's mean over a run's, beside the paper's")
    func speedups() throws {
        let experiment = try Self.experiment()
        let results = SpeedupResults(
            experiment, [Self.record(experiment, 0, [200, 300]), Self.record(experiment, 2, [20, 30])], compute: [])
        #expect(results.rows.map(\.speedup) == [1, 10])
        #expect(results.rows[1].paperSpeedup == 2801.0 / 115)
        let mean = try #require(results.meanSpeedup("wired", devices: 8))
        #expect(abs(mean.here - 10) < 1e-9 && abs((mean.paper ?? 0) - 2801.0 / 115) < 1e-9)
        #expect(results.meanSpeedup("wired", devices: 4) == nil)
        // Without the original there is nothing to compare with.
        let alone = SpeedupResults(experiment, [Self.record(experiment, 2, [20, 30])], compute: [])
        #expect(alone.rows[0].speedup == nil && alone.meanSpeedup("wired", devices: 8) == nil)
    }

    @Test("The page shows every run, its charts, and what strangers wrote as text")
    func page() throws {
        let experiment = try Self.experiment()
        let ratio = ComputeRatio(
            name: "alexnet-split8", originalMilliseconds: 20, engine: "lcp", branchMilliseconds: 0.4)
        var traced = Self.record(experiment, 2, [20])
        traced.trace = FrameTrace(
            sensor: "s", frame: "1", model: nil, latencyMilliseconds: 20,
            lanes: [.init(name: "branch 7", spans: [.init(kind: .decode, begin: 1, end: 2)])])
        let results = SpeedupResults(experiment, [Self.record(experiment, 0, [200]), traced], compute: [ratio])
        let html = SpeedupReport(experiment, results).html
        #expect(html.hasPrefix("<!doctype html>") && html.hasSuffix("</html>\n"))
        #expect(html.ranges(of: "<svg").count == 4 && html.contains("branch 7, decode: 1 ms"))
        #expect(html.contains("branches on 8") && html.contains("emulated, profile &lt;x&gt;") && !html.contains("<x>"))
        #expect(html.contains("geometric mean: <strong>10.0 ×</strong>; the paper’s is 24.36"))
    }

    @Test("Percentiles are those of the sorted times")
    func percentiles() {
        let latency = RunRecord.Latency((1...100).map(Double.init).shuffled())
        #expect(
            [latency.p50, latency.p95, latency.p99, latency.min, latency.max, latency.mean] == [
                50.5, 95.05, 99.01, 1, 100, 50.5,
            ])
        #expect(RunRecord.Latency([7]).p99 == 7)
    }

    @Test("The lower bound is the bytes over the links, the delays, and the slowest branch")
    func lowerBound() {
        let link = DeviceProfile.Link(megabitsPerSecond: 8, delayMilliseconds: 2, source: "")
        let bound = LowerBound(
            link: link, branches: 4, featureBytes: 1448 - 32, predictionBytes: 1448 - 32,
            networkMilliseconds: 5)
        // A byte is a microsecond; the input is two packets.
        let input = (2 * 1514 - 0.0) / 1000
        let expected = 1 + 5 * input + 3 + 5 + 4 * 1.514 + 12
        #expect(abs(bound.milliseconds(inputBytes: 2 * 1448 - 32, encode: 1, decode: 3) - expected) < 1e-9)
    }

    @Test("An original gets the time of the fastest engine, in its proportion to lcp's")
    func engines() throws {
        let file = "/tmp/lcp-engines-\(UInt64.random(in: 0...UInt64.max)).json"
        defer { FileIO.remove(file) }
        let text = """
            [{"model": "alexnet-split1", "us": {"lcp": 20000, "ONNX Runtime": 18000, "OpenVINO": 16000, "ncnn": 1000}},
             {"model": "vgg16-split1", "us": {"lcp": 20000, "ONNX Runtime": 21000, "OpenVINO": 22000}}]
            """
        try FileIO.write(Array(text.utf8), to: file)
        let engines = try EngineTimes(path: file)
        #expect(engines.fastest("alexnet", lcp: .milliseconds(10)) == (.milliseconds(8), "OpenVINO"))
        #expect(engines.fastest("vgg16", lcp: .milliseconds(10)) == (.milliseconds(10), "lcp"))
        #expect(engines.fastest("resnet50", lcp: .milliseconds(10)) == (.milliseconds(10), "lcp"))
        try FileIO.write(Array("{}".utf8), to: file)
        #expect(throws: PipelineError.self) { try EngineTimes(path: file) }
    }

    @Test("Synthetic photographs are as long as photographs, and the same every time")
    func photographs() throws {
        let pictures = SyntheticPhotographs.pictures(16, height: 224, width: 224, channels: 3)
        let sizes = try pictures.map { try $0.jpeg(quality: 80).count }
        #expect(sizes.allSatisfy { (8000...17_000).contains($0) })
        #expect((11_000...13_000).contains(sizes.reduce(0, +) / sizes.count))
        #expect(SyntheticPhotographs.pictures(2, height: 224, width: 224, channels: 3) == Array(pictures[..<2]))
        let grey = SyntheticPhotographs.pictures(1, height: 28, width: 28, channels: 1)
        #expect(grey[0].pixels.count == 784 && Set(grey[0].pixels).count > 50)
    }
}
