import Foundation
import LCPDatasets
import LCPLocal
import LCPModels
import LCPWire
import MQTT
import Platform
import Tensors
import Testing

@Suite struct CommandTests {
    @Test(arguments: [1, 4])
    func theDemoRunsAndLeavesNothingBehind(branches: Int) async throws {
        let outcome = try await run(
            Repository.lcp, ["demo", "--branches", "\(branches)", "--frames", "60", "--rate", "100", "--json"])
        #expect(outcome.status == 0, "\(outcome.errors)")
        let last = try #require(outcome.output.split(separator: "\n").last)
        let summary = try JSONDecoder().decode(DemoSummary.self, from: Data(last.utf8))
        #expect(summary.frames == 60 && summary.predictions == 60 && summary.lost == 0 && summary.branches == branches)
        #expect(try #require(summary.accuracy) > 0.9 && summary.model == "lenet-split\(branches)")
        #expect(summary.latencyP50 > 0 && summary.latencyP99 >= summary.latencyP50 && summary.framesPerSecond > 10)
    }

    /// Coloured pictures in folders that are named like labels: two where the model says so, one elsewhere, one nobody knows.
    @Test func theDemoRunsAnyModelOnPictures() async throws {
        let folder = "/tmp/lcp-test-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let (bundle, pictures) = ("\(folder)/bundle", "\(folder)/pictures")
        let split = try await run(
            Repository.lcp, ["model", "split", "cifarnet", "--branches", "2", "--out", bundle])
        #expect(split.status == 0, "\(split.errors)")
        let images = Repository.root.appendingPathComponent("Tests/Fixtures/images").path
        struct Report: Decodable { let label: String }
        for (place, name) in ["colour.jpg", "colour.png", "grey.png", "palette.png"].enumerated() {
            let predicted = try await run(Repository.lcp, ["predict", bundle, "\(images)/\(name)", "--json"])
            var label = try JSONDecoder().decode(Report.self, from: Data(predicted.output.utf8)).label
            if place == 2 { label = label == "0" ? "1" : "0" }
            if place == 3 { label = "nobody" }
            try FileIO.makeFolder("\(pictures)/\(label)")
            try FileManager.default.copyItem(
                atPath: "\(images)/\(name)", toPath: "\(pictures)/\(label)/\(place)-\(name)")
        }
        let words = ["demo", "--model", bundle, "--source", "dir:\(pictures)", "--rate", "5", "--deadline", "5000"]
        let outcome = try await run(Repository.lcp, words + ["--json"])
        #expect(outcome.status == 0, "\(outcome.errors)")
        let summary = try JSONDecoder().decode(DemoSummary.self, from: Data(outcome.output.utf8))
        #expect(summary.frames == 4 && summary.predictions == 4 && summary.branches == 2)
        #expect(abs(try #require(summary.accuracy) - 2.0 / 3) < 1e-9 && summary.model == "cifarnet-split2")

        let told = try await run(Repository.lcp, words)
        #expect(told.status == 0 && told.output.contains("the sensor shows 4 pictures"), "\(told.output)")
        #expect(told.output.contains("66.67 % right, in 2 branches"), "\(told.output)")
        try FileIO.write(Array("no picture".utf8), to: "\(pictures)/nobody/damaged.png")
        let rest = try await run(Repository.lcp, words)
        #expect(rest.status == 1 && rest.output.contains("4 frames, 4 predictions"), "\(rest.output)")
        #expect(rest.errors.contains("1 of 5 pictures could not be read, the others were sent: "), "\(rest.errors)")
        #expect(rest.errors.contains("damaged.png"), "\(rest.errors)")
        let unfit = try await run(Repository.lcp, ["demo", "--model", bundle])
        #expect(unfit.status == 1 && unfit.errors.contains("28×28×1, and cifarnet-split2 takes 32×32×3"))
        let unknown = try await run(
            Repository.lcp, ["demo", "--branches", "1", "--source", "dir:\(images)", "--rate", "5"])
        #expect(unknown.status == 0 && !unknown.output.contains("% right") && unknown.output.contains("7 predictions"))
    }

    /// The processes with a word in their command line.
    static func processes(with word: String) -> [Int32] {
        ((try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []).compactMap(Int32.init).filter { pid in
            guard let line = FileManager.default.contents(atPath: "/proc/\(pid)/cmdline") else { return false }
            return String(decoding: line, as: UTF8.self).contains(word)
        }
    }

    @Test(arguments: [SIGINT, SIGTERM, SIGKILL])
    func aDemoThatIsEndedTakesItsChildrenAlong(signal: Int32) async throws {
        let demo = try ChildProcess(
            executable: Repository.lcp, arguments: ["demo", "--frames", "100000", "--rate", "50"],
            errorOutput: .discarded)
        func children() -> [Int32] {
            Self.processes(with: Repository.lcp).filter { pid in
                let status = FileManager.default.contents(atPath: "/proc/\(pid)/status").map {
                    String(decoding: $0, as: UTF8.self)
                }
                return status?.contains("PPid:\t\(demo.processID)\n") == true
            }
        }
        // A broker, four workers, an aggregator, a sensor.
        var seen: [Int32] = []
        for _ in 0..<3000 where seen.count < 7 {
            seen = children()
            try await Task.sleep(for: .milliseconds(10))
        }
        #expect(seen.count == 7)
        let brokers = seen.flatMap { pid in
            Self.processes(with: "mosquitto").filter {
                FileManager.default.contents(atPath: "/proc/\($0)/status").map { String(decoding: $0, as: UTF8.self) }?
                    .contains("PPid:\t\(pid)\n") == true
            }
        }
        #expect(brokers.count == 1)
        kill(demo.processID, signal)
        var left: [Int32] = seen + brokers
        for _ in 0..<1000 where !left.isEmpty {
            _ = demo.poll()
            left = left.filter { kill($0, 0) == 0 }
            try await Task.sleep(for: .milliseconds(10))
        }
        #expect(left.isEmpty, "\(left.map { try? String(contentsOfFile: "/proc/\($0)/cmdline", encoding: .utf8) })")
        // Not asked a second time before it has ended by itself.
        for _ in 0..<1000 where demo.poll() == nil { try await Task.sleep(for: .milliseconds(10)) }
        if signal != SIGKILL { #expect(demo.stop() == 0) }
    }

    @Test(arguments: [
        (["model", "push", "lenet-split2", "--broker", "mqtt://127.0.0.1:1"], "Connection refused"),
        (["worker", "--branch", "0", "--broker", "http://x"], "not a broker's address"),
        (["worker", "--branch", "4", "--model", "lenet-split4"], "there is no branch 4"),
        (["worker", "--branch", "0", "--model", "/nowhere"], "there is no model bundle at /nowhere"),
        (["worker", "--branch", "0", "--model", "nowhere"], "there is no model nowhere"),
        (["worker", "--branch", "0", "--pipeline", "a/b"], "cannot be part of a topic"),
        (["worker", "--branch", "0", "--name", "#"], "cannot be part of a topic"),
        (
            ["worker", "--branch", "0", "--user", "u", "--password-file", "/nowhere"],
            "no password: cannot read /nowhere"
        ),
        (["worker", "--branch", "0", "--password-file", "/nowhere"], "needs --user"),
        (
            ["worker", "--branch", "0", "--broker", "mqtts://127.0.0.1:1", "--cafile", "/nowhere"],
            "cannot read /nowhere"
        ),
        (["aggregator", "--deadline", "0"], "--deadline"), (["sensor", "--rate", "0"], "rate"),
        (["sensor", "--source", "idx:/nowhere"], "cannot read /nowhere"),
        (["sensor", "--source", "idx:/etc/passwd"], "not an IDX file"),
        (["sensor", "--source", "dir:/nowhere"], "cannot read the folder"),
        (["sensor", "--source", "cam"], "is not a source"),
        (["sensor", "--source", "cifar10:/nowhere"], "there is no test_batch.bin in /nowhere"),
        (["sensor", "--model", "/nowhere"], "there is no model bundle at /nowhere"),
        (["demo", "--model", "lenet-split2", "--branches", "2"], "give --branches or --model"),
        (["demo", "--source", "stdin"], "a demo has no standard input"),
        (["demo", "--deadline", "0"], "--deadline is more than 0"),
        (["sensor", "--shape", "28"], "--shape"), (["broker", "--bind", "1.2.3.4"], "not an address of this machine"),
        (["evaluate", "/nowhere"], "no model bundle"), (["evaluate", "--data", "mnist:/nowhere"], "t10k-images"),
        (["evaluate", "--missing", "4"], "has 4 branches, so at most 3 can be missing"),
        (["evaluate", "lenet-split1", "--missing", "1"], "has one branch"),
        (["evaluate", "--missing=-1"], "0 or more"), (["evaluate", "--subsets", "0"], "--subsets is at least 1"),
        (["predict", "lenet-split4", "/nowhere"], "cannot read /nowhere"),
        (["predict", "lenet-split4", "/etc/passwd"], "cannot read /etc/passwd: "),
        (["predict", "lenet-split4", "/etc/passwd", "--missing", "4"], "has the branches 0 to 3"),
        (["predict", "lenet-split2", "/etc/passwd", "--missing", "0,1"], "leaves no branch"),
        (["predict", "lenet-split2", "/etc/passwd", "--missing", "x"], "the numbers of branches"),
        (["predict", "lenet-split4", "/etc/passwd", "--top", "0"], "--top is at least 1"),
        (["watch", "--count", "0"], "--count is at least 1"),
        (["evaluate", "--svg", "/nowhere/x.svg"], "--svg /nowhere/x.svg cannot be written"),
        (["evaluate", "--html", "/nowhere/x.html"], "--html /nowhere/x.html cannot be written"),
        (["train", "lenet", "--branches", "0", "--data", "drawn", "--out", "/tmp/x"], "splits into 1 to"),
        (["train", "vgg", "--data", "drawn", "--out", "/tmp/x"], "there is no network"),
        (["bench", "mqtt", "--baseline", "/nowhere"], "there is no program"),
        (["bench", "mqtt", "--against", "/nowhere"], "there is no program /nowhere"),
        (["bench", "mqtt", "--against", "/tmp"], "there is no program /tmp"),
        (["bench", "mqtt", "--against", "/bin/false", "--branches", "1"], "ended with status 1 before it was ready"),
        (["bench", "mqtt", "--program", "/nowhere", "--against", "/bin/true"], "there is no program /nowhere"),
        (["bench", "mqtt", "--program", "/bin/true", "--baseline", "/bin/true"], "--program needs --against"),
        (["bench", "mqtt"], "give --baseline"),
        (["bench", "mqtt", "--baseline", "/bin/true", "--against", "/bin/true"], "give --baseline"),
        (["lab", "up", "--profile", "rpi3", "--devices", "2"], "there is no profile \"rpi3\": there are rpi3b+, rpi4"),
        (["lab", "up", "--profile", "rpi3b+", "--devices", "2", "--dilation", "0"], "--dilation is 1 to 1000"),
        (
            ["lab", "up", "--profile", "x", "--profiles", "/etc/passwd", "--devices", "2"],
            "/etc/passwd holds no profiles"
        ),
        (["worker", "--network-time", "3"], "--network-time needs --slowness"),
        (["worker", "--slowness", "0.5"], "--slowness is 1 to 10,000"),
        (["worker", "--branch", "64"], "--branch is a whole number from 0 to 63"),
        (["aggregator", "--policy", "some"], "--policy is latest or all, not \"some\""),
        (["aggregator", "--queue", "0"], "--queue is a whole number from 1 to 65,536, not 0"),
        (["watch", "--config", "/nowhere"], "cannot read /nowhere"),
        (["doctor", "--config", "/etc/passwd"], "/etc/passwd:1:1: "),
        (["config", "show", "cook"], "\"cook\" is no role: write sensor, worker, aggregator"),
        (["config", "show", "--name", "x"], "--name needs a role in front of it"),
        (["config", "show", "--qos", "3"], "--qos is 0, 1 or 2, not 3"),
    ])
    func everyMistakeIsOneSentence(arguments: [String], words: String) async throws {
        let outcome = try await run(Repository.lcp, arguments, limit: .seconds(20))
        #expect(outcome.status != 0 && outcome.status < 128, "\(arguments): \(outcome.status)")
        #expect(outcome.errors.contains(words), "\(arguments): \(outcome.errors)")
        // Nor the usage of lcp as a whole, which helps nobody with one command.
        #expect(!outcome.errors.contains("Fatal error") && !outcome.errors.contains("lcp <subcommand>"))
    }

    @Test func aPortInUseIsNamed() async throws {
        let broker = try TestBroker()
        let outcome = try await run(Repository.lcp, ["broker", "--port", "\(broker.broker.port)"])
        #expect(outcome.status == 1)
        #expect(outcome.errors.contains("port \(broker.broker.port) on 127.0.0.1 is in use"))
    }

    @Test("A broker that is killed leaves no mosquitto behind")
    func killedBroker() async throws {
        let port = try BrokerProcess.freePort(host: "127.0.0.1")
        let broker = try Spawned(Repository.lcp, ["broker", "--port", "\(port)", "--quiet", "--memory-only"])
        defer { kill(broker.identifier, SIGKILL) }
        let configuration = MQTTConfiguration(address: .tcp(host: "127.0.0.1", port: port))
        func connects() async -> Bool {
            guard let client = try? MQTTClient(configuration), (try? await client.connect()) != nil else {
                return false
            }
            await client.close()
            return true
        }
        while await !connects() { try await Task.sleep(for: .milliseconds(20)) }
        kill(broker.identifier, SIGKILL)
        let end = ContinuousClock.now + .seconds(20)
        while await connects(), ContinuousClock.now < end { try await Task.sleep(for: .milliseconds(20)) }
        #expect(await !connects())
    }

    @Test func theSensorReadsStandardInputAndFolders() async throws {
        let broker = try TestBroker()
        let common = ["sensor", "--broker", broker.url, "--pipeline", "s", "--rate", "1000"]
        let three = try await run(
            Repository.lcp, common + ["--source", "stdin", "--shape", "2x3x1"], input: [UInt8](repeating: 9, count: 18))
        #expect(three.status == 0 && three.errors.contains("published 3 frames"), "\(three.errors)")
        let torn = try await run(
            Repository.lcp, common + ["--source", "stdin", "--shape", "2x3x1"], input: [UInt8](repeating: 9, count: 20))
        #expect(torn.status == 1 && torn.errors.contains("2 of the 6 bytes"), "\(torn.errors)")
        let folder = try await run(
            Repository.lcp,
            common + ["--source", "dir:\(Repository.root.appendingPathComponent("Tests/Fixtures/images").path)"])
        #expect(folder.status == 0 && folder.errors.contains("published 7 frames"), "\(folder.errors)")
    }

    @Test func theDoctorFindsAHealthyBrokerAndAMissingOne() async throws {
        let broker = try TestBroker()
        let healthy = try await run(Repository.lcp, ["doctor", "--broker", broker.url, "--json"])
        #expect(healthy.status == 0, "\(healthy.output)")
        let missing = try await run(Repository.lcp, ["doctor", "--broker", "mqtt://127.0.0.1:1"])
        #expect(missing.status == 1 && missing.output.contains("lcp broker"))
    }

    private struct Report: Decodable {
        struct Result: Decodable {
            var data: String
            var images: Int
            var accuracy: Double
        }
        var results: [Result]
    }

    @Test(arguments: [1, 2, 4, 8])
    func theShippedModelsAreAsGoodAsTheySay(branches: Int) async throws {
        let data = ProcessInfo.processInfo.environment["LCP_DATA"].flatMap { $0.isEmpty ? nil : $0 }.map {
            ["--data", "mnist:\($0)/mnist"]
        }
        if data == nil {
            print("SKIPPED: LCP_DATA names no folder with real data, so the models are not tried on MNIST")
        }
        let outcome = try await run(
            Repository.lcp,
            ["evaluate", "lenet-split\(branches)", "--json", "--missing", "0", "--data", "drawn:3000"] + (data ?? []),
            limit: .seconds(300))
        #expect(outcome.status == 0, "\(outcome.errors)")
        let report = try JSONDecoder().decode(Report.self, from: Data(outcome.output.utf8))
        #expect(report.results.count == (data == nil ? 1 : 2))
        for result in report.results {
            #expect(result.accuracy >= (result.data == "mnist" ? 0.987 : 0.97), "\(result)")
        }
    }

    @Test func anEvaluationIsDrawn() async throws {
        let file = "/tmp/lcp-test-\(UUID().uuidString).svg"
        defer { try? FileManager.default.removeItem(atPath: file) }
        let outcome = try await run(
            Repository.lcp, ["evaluate", "lenet-split2", "--data", "drawn:200", "--svg", file])
        #expect(outcome.status == 0, "\(outcome.errors)")
        for words in ["top-1", "top-5", "calibration error", "cross-entropy", "branches missing"] {
            #expect(outcome.output.contains(words), "\(outcome.output)")
        }
        let svg = try String(contentsOfFile: file, encoding: .utf8)
        for words in ["Branches missing, drawn", "Calibration, drawn", "Confusions, drawn"] {
            #expect(svg.contains(words))
        }
    }

    @Test func predictTellsWhatAPictureIs() async throws {
        let images = Repository.root.appendingPathComponent("Tests/Fixtures/images").path
        let raw = "/tmp/lcp-test-\(UUID().uuidString).raw"
        defer { try? FileManager.default.removeItem(atPath: raw) }
        let seven = DrawnDigits(seed: 2).image(7)
        try FileIO.write(seven.pixels, to: raw)
        let told = try await run(Repository.lcp, ["predict", "lenet-split4", "\(images)/grey.png", raw, "--top", "2"])
        #expect(told.status == 0 && told.output.contains("\(raw): \(seven.label) ("), "\(told.output)\(told.errors)")
        #expect(told.output.split(separator: "\n").allSatisfy { $0.split(separator: ",").count == 2 })
        // The same as numbers that are normalised already, in a tensor message.
        let model = Repository.root.appendingPathComponent("Models/lenet-split4").path
        let usual = try ModelBundle(path: model).manifest.preprocessing
        let numbers = seven.pixels.map { (Float($0) / 255 - usual.mean[0]) / usual.standardDeviation[0] }
        let shape = try #require(Shape([28, 28, 1]))
        let header = TensorMessageHeader(kind: .input, dtype: .fp32, shape: shape, session: 1, frame: 1)
        let data = numbers.flatMap { number in withUnsafeBytes(of: number.bitPattern.littleEndian) { Array($0) } }
        let message = raw + ".lcpt"
        defer { try? FileManager.default.removeItem(atPath: message) }
        try FileIO.write(TensorMessage.encode(header, data: data), to: message)
        let same = try await run(Repository.lcp, ["predict", "lenet-split4", raw, message])
        let lines = same.output.split(separator: "\n").map { $0.split(separator: " ").dropFirst() }
        #expect(same.status == 0 && lines.count == 2 && lines[0] == lines[1], "\(same.output)\(same.errors)")
        let rest = try await run(Repository.lcp, ["predict", "lenet-split4", "/etc/passwd", raw])
        #expect(rest.status == 1 && rest.output.hasPrefix("\(raw): \(seven.label) ("), "\(rest.output)")
        #expect(rest.errors.hasPrefix("Error: cannot read /etc/passwd: "), "\(rest.errors)")

        struct Report: Decodable {
            let file: String
            let `class`: Int
            let probability: Float
            let logits: [Float]
            let missing: [Int]
        }
        let json = try await run(
            Repository.lcp, ["predict", "lenet-split4", "\(images)/colour.jpg", raw, "--missing", "3,1", "--json"])
        let reports = try json.output.split(separator: "\n").map {
            try JSONDecoder().decode(Report.self, from: Data($0.utf8))
        }
        #expect(reports.map(\.file) == ["\(images)/colour.jpg", raw])
        #expect(reports.allSatisfy { $0.logits.count == 10 && $0.missing == [1, 3] && $0.probability > 0.1 })
        #expect(reports.last?.class == Int(seven.label))
    }

    @Test func watchPrintsPredictions() async throws {
        let pipeline = try await TestPipeline()
        let watch = Task {
            try await run(
                Repository.lcp,
                ["watch", "--broker", pipeline.broker.url, "--pipeline", "test", "--count", "3", "--json"])
        }
        // The sensor goes on until the watcher has seen what it wants.
        let sensor = try ChildProcess(
            executable: Repository.lcp,
            arguments: [
                "sensor", "--broker", pipeline.broker.url, "--pipeline", "test", "--rate", "50", "--name", "cam",
            ])
        defer { sensor.stop() }
        let outcome = try await watch.value
        let lines = outcome.output.split(separator: "\n")
        #expect(outcome.status == 0 && lines.count == 3)
        #expect(lines.allSatisfy { Prediction(Array($0.utf8)) != nil })
    }

    @Test func aBundleThatCannotBeWrittenIsToldBeforeTraining() async throws {
        // A file where the bundle's folder should be: known before a single image is seen.
        let file = "/tmp/lcp-test-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: file) }
        try Data([1]).write(to: URL(fileURLWithPath: file))
        let outcome = try await run(
            Repository.lcp,
            ["train", "lenet", "--branches", "8", "--data", "drawn:64", "--epochs", "1", "--out", "\(file)/bundle"])
        #expect(outcome.status == 1 && outcome.errors.contains("cannot make the folder"), "\(outcome.errors)")
    }

    @Test func pythonIsASensorAndASubscriber() async throws {
        let python = try await Python.find(with: "paho.mqtt.client")
        guard let python else {
            print("SKIPPED: no Python with paho-mqtt, so Examples/python is not tried: apt install python3-paho-mqtt")
            return
        }
        let pipeline = try await TestPipeline()
        let folder = Repository.root.appendingPathComponent("Examples/python").path
        let port = "\(pipeline.broker.broker.port)"
        let environment = ["PYTHONDONTWRITEBYTECODE": "1"]
        let subscriber = Task {
            try await run(
                python,
                [
                    "\(folder)/subscriber.py", "--host", "127.0.0.1", "--port", port, "--pipeline", "test", "--count",
                    "5", "--json",
                ],
                environment: environment)
        }
        let sensor = Task {
            try await run(
                python,
                [
                    "\(folder)/sensor.py", "--host", "127.0.0.1", "--port", port, "--pipeline", "test", "--name", "py",
                    "--rate", "50", "--count", "400",
                ],
                environment: environment)
        }
        let seen = try await subscriber.value
        #expect(seen.status == 0, "\(seen.errors)")
        let predictions = seen.output.split(separator: "\n").compactMap { Prediction(Array($0.utf8)) }
        #expect(predictions.count == 5 && predictions.allSatisfy { $0.sensor == "py" && $0.missing.isEmpty })
        sensor.cancel()
        _ = try await sensor.value
    }

    @Test func theBrokerWithTLSUsersAndAccessLists() async throws {
        let script = Repository.root.appendingPathComponent("Tests/Scripts/test-broker-tls.sh").path
        let outcome = try await run("/bin/sh", [script], limit: .seconds(120))
        #expect(outcome.status == 0, "\(outcome.output)\(outcome.errors)")
    }
}
