import Foundation
import LCPEvaluation
import LCPModels
import LCPWire
import MQTT
import Platform
import Signals
import Tensors
import Testing

/// Numbers in place of pictures, from their source to a prediction.
@Suite("Signals in a pipeline")
struct SignalTests {
    /// A folder that is gone when the test is.
    private final class Folder: Sendable {
        let path = NSTemporaryDirectory() + "lcp-signals-\(UUID().uuidString)"
        init() throws { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) }
        deinit { try? FileManager.default.removeItem(atPath: path) }
        func write(_ name: String, _ text: String) throws { try FileIO.write(Array(text.utf8), to: "\(path)/\(name)") }
    }

    /// Windows of four records of two fields, three classes.
    private static func bundle(_ path: String, _ signal: Signal = Signal(fields: ["a", "b"])) throws -> ModelBundle {
        var random = SeededGenerator(seed: 9)
        let network = try Network.conv1d.with(
            input: FeatureMapShape(height: 1, width: 8, channels: 2), classes: 3
        ).split(into: 2)
        var preprocessing = ModelManifest.Preprocessing(mean: [100, 0], standardDeviation: [5, 1])
        preprocessing.signal = signal
        return try ModelBundle.write(
            name: "pump", network: network, parameters: .random(for: network, using: &random),
            preprocessing: preprocessing, labels: ["low", "middle", "high"], to: path)
    }

    private static func record(_ index: Int) -> (a: Float, b: Float) {
        (100 + 5 * Float(sin(Double(index))), Float(cos(Double(3 * index))))
    }

    @Test("Records of an MQTT topic become windows, and each is answered as the model answers it")
    func topic() async throws {
        let folder = try Folder()
        let bundle = try Self.bundle("\(folder.path)/pump")
        let evaluator = try BundleEvaluator(bundle: bundle)
        let pipeline = try await TestPipeline(branches: [0, 1], arguments: ["--model", bundle.path])
        let predictions = try await pipeline.client.subscribe(to: pipeline.topics.predictions)
        let sensor = try Spawned(
            Repository.lcp,
            [
                "sensor", "--broker", pipeline.broker.url, "--pipeline", "test", "--name", "pump", "--model",
                bundle.path,
                "--source", "json:mqtt:home/pump", "--fields", "b=inner.b", "--hop", "4", "--time", "t",
            ])
        defer { kill(sensor.identifier, SIGKILL) }
        try sensor.waitForErrors("ready: publishes on")
        func publish(_ index: Int, _ change: (String) -> String = { $0 }) async throws {
            let (a, b) = Self.record(index)
            let text = "{\"t\":\(Double(index) / 10),\"a\":\"\(a)\",\"inner\":{\"b\":\(b)},\"more\":null}"
            try await pipeline.client.publish(Array(change(text).utf8), to: "home/pump")
        }
        func expect(_ first: Int) async throws {
            let numbers = (first..<first + 8).flatMap { [Self.record($0).a, Self.record($0).b] }
            let logits = try numbers.withUnsafeBytes { try evaluator.logits(pixels: $0) }
            let best = try #require(logits.indices.max { logits[$0] < logits[$1] })
            let sum = logits.reduce(0.0) { $0 + exp(Double($1 - logits[best])) }
            let prediction = try #require(Prediction(try await next(predictions).payload))
            #expect(prediction.sensor == "pump" && prediction.class == best && prediction.missing == [])
            #expect(abs((prediction.confidence ?? 0) - 1 / sum) < 1e-5)
        }
        for index in 0..<12 { try await publish(index) }
        try await expect(0)
        try await expect(4)
        // A value that is missing, a word, no JSON and a gap each end a window, and are told once.
        try await publish(12) { _ in "{\"t\":1.2,\"a\":1}" }
        try sensor.waitForErrors("has no value for \"b\"")
        try await publish(13) { $0.replacingOccurrences(of: "\"a\":\"", with: "\"a\":\"x") }
        try sensor.waitForErrors("and no number")
        try await publish(14) { _ in "hello" }
        try sensor.waitForErrors("is no JSON")
        for index in 15..<18 { try await publish(index) }
        for index in 40..<48 { try await publish(index) }
        try sensor.waitForErrors("time was lost")
        try await expect(40)
        kill(sensor.identifier, SIGTERM)
        #expect(await sensor.wait() == 0)
    }

    @Test("A sensor that was told no model waits for the pipeline's")
    func waits() async throws {
        let folder = try Folder()
        let bundle = try Self.bundle("\(folder.path)/pump")
        let broker = try TestBroker()
        let client = try await broker.connect()
        let inputs = try await client.subscribe(to: "lcp/demo/input/+")
        try folder.write("x.csv", "a,b\n" + (0..<8).map { "\($0),0" }.joined(separator: "\n"))
        let sensor = try Spawned(
            Repository.lcp, ["sensor", "--broker", broker.url, "--name", "s", "--source", "csv:\(folder.path)/x.csv"])
        defer { kill(sensor.identifier, SIGKILL) }
        try sensor.waitForErrors("waits for a model")
        let push = try await run(Repository.lcp, ["model", "push", bundle.path, "--broker", broker.url])
        #expect(push.status == 0, "\(push.errors)")
        let payload = try await next(inputs).payload
        let header = try payload.withUnsafeBytes { try TensorMessage.decode($0) }
        #expect(header.dtype == .fp32 && header.shape == [1, 8, 2])
        #expect(await sensor.wait() == 0)
        await client.close()
    }

    @Test("Named fields need no model")
    func fieldsAlone() async throws {
        let broker = try TestBroker()
        let client = try await broker.connect()
        let inputs = try await client.subscribe(to: "lcp/demo/input/+")
        let outcome = try await run(
            Repository.lcp,
            [
                "sensor", "--broker", broker.url, "--name", "s", "--source", "json:-", "--fields", "x=p[1],y",
                "--window", "2",
                "--hop", "2",
            ],
            input: Array("{\"p\":[0,1.5],\"y\":2}\n{\"p\":[0,3],\"y\":4}\n{\"p\":[0,3],\"y\":4}".utf8))
        #expect(outcome.status == 0 && outcome.errors.contains("published 1 frame"), "\(outcome.errors)")
        let payload = try await next(inputs).payload
        let header = try payload.withUnsafeBytes { try TensorMessage.decode($0) }
        let numbers = payload.withUnsafeBytes { bytes in
            (0..<4).map { bytes.loadUnaligned(fromByteOffset: header.size + 4 * $0, as: Float.self) }
        }
        #expect(header.shape == [1, 2, 2] && numbers == [1.5, 2, 3, 4])
        await client.close()
    }

    @Test("Data of records are trained on with as many fields and classes as there are, and predicted by windows")
    func trains() async throws {
        let folder = try Folder()
        // The class is which field is larger.
        func text(_ seed: UInt64) -> String {
            var random = SeededGenerator(seed: seed)
            return "time,u,v,state\n"
                + (0..<400).map { index in
                    let (u, v) = (1000 + 20 * random.normal(), 1000 + 20 * random.normal())
                    return "\(index),\(u),\(v),\(u > v ? "up" : "down")"
                }.joined(separator: "\n")
        }
        try folder.write("train.csv", text(1))
        try folder.write("test.csv", text(2))
        let data = "csv:\(folder.path)/train.csv,\(folder.path)/test.csv,label=state,fields=v+u"
        let training = try await run(
            Repository.lcp,
            [
                "train", "mlp", "--branches", "2", "--data", data, "--epochs", "4", "--validation", "0.1", "--out",
                "\(folder.path)/m",
            ])
        #expect(training.status == 0 && !training.output.contains(folder.path + "/train"), "\(training.errors)")
        let bundle = try ModelBundle(path: "\(folder.path)/m")
        #expect(bundle.manifest.preprocessing.signal == Signal(fields: ["v", "u"]))
        #expect(bundle.network.input == FeatureMapShape(features: 2) && bundle.manifest.labels == ["down", "up"])
        #expect(bundle.manifest.training?.accuracy["csv"] ?? 0 > 0.9)
        #expect(bundle.manifest.training?.encodedAccuracy == nil)
        let predicted = try await run(
            Repository.lcp, ["predict", bundle.path, "json:-", "--fields", "u=x", "--json"],
            input: Array("{\"x\":1030,\"v\":970}\n{\"x\":970,\"v\":1030}\n".utf8))
        #expect(
            predicted.output.split(separator: "\n").map { $0.contains("\"label\":\"up\"") } == [true, false],
            "\(predicted.errors)")
        let evaluated = try await run(
            Repository.lcp, ["evaluate", bundle.path, "--data", "csv:\(folder.path)/test.csv,label=state"])
        #expect(evaluated.status == 0 && evaluated.output.contains("400"), "\(evaluated.errors)")
        let shown = try await run(Repository.lcp, ["data", "show", data])
        #expect(shown.status == 0 && shown.output.contains("400"), "\(shown.errors)")
        let small = try await run(
            Repository.lcp, ["quantize", bundle.path, "--data", data, "--out", "\(folder.path)/m8"])
        #expect(small.status == 0, "\(small.errors)")
        #expect(try ModelBundle(path: "\(folder.path)/m8").manifest.preprocessing.signal != nil)
    }

    @Test("What does not fit is refused in a sentence")
    func refusals() async throws {
        let folder = try Folder()
        let bundle = try Self.bundle("\(folder.path)/pump")
        let lenet = "lenet-split4"
        try folder.write("x.csv", "a,b,label\n1,2,low\n")
        try folder.write("long.csv", "a,b,label\n" + String(repeating: "1,2,low\n", count: 9))
        try folder.write("words.csv", "a,b,label\nx,2,low\ny,3,high\n")
        let csv = "csv:\(folder.path)/x.csv"
        for (words, sentence) in [
            (["predict", bundle.path, csv], "which has fewer samples"),
            (["predict", bundle.path, "\(Repository.root.path)/Examples/digit.png"], "takes numbers"),
            (["predict", lenet, csv], "takes pictures"),
            (["predict", bundle.path, "wav:x.wav"], "takes the fields of records"),
            (["predict", bundle.path, "csv:\(folder.path)/none.csv"], "No such file"),
            (["predict", bundle.path, "json:mqtt:a"], "knows no broker"),
            (["evaluate", bundle.path, "--data", "drawn:10"], "28×28×1"),
            (["evaluate", lenet, "--data", csv], "records are 1×samples×fields"),
            (
                ["evaluate", bundle.path, "--data", "csv:\(folder.path)/long.csv", "--encoding", "jpeg"],
                "takes numbers"
            ),
            (["train", "lenet", "--data", csv, "--out", "\(folder.path)/o"], "lenet is for pictures"),
            (
                ["train", "conv1d", "--data", "wav:\(folder.path)", "--out", "\(folder.path)/o"],
                "conv1d is not for sound"
            ),
            (
                ["train", "mlp", "--data", "csv:\(folder.path)/words.csv", "--out", "\(folder.path)/o"],
                "name the class, label=COLUMN"
            ),
            (["train", "mlp", "--classes", "10", "--data", "drawn:100", "--out", "\(folder.path)/o"], "28×28×1"),
            (["sensor", "--source", "csv:\(folder.path)/x.csv", "--model", lenet], "takes pictures"),
            (["sensor", "--source", "drawn", "--model", bundle.path], "and no pictures"),
            (["sensor", "--source", "drawn", "--hop", "3"], "--hop is for numbers"),
            (["sensor", "--source", "json:-", "--encoding", "jpeg"], "are for pictures"),
            (["sensor", "--source", "json:mqtt:a/#"], "reads one topic"),
        ] {
            let outcome = try await run(Repository.lcp, words, limit: .seconds(60))
            #expect(outcome.status != 0 && outcome.errors.contains(sentence), "\(words): \(outcome.errors)")
            #expect(!outcome.errors.contains("Fatal"), "\(words)")
        }
        #expect(!FileManager.default.fileExists(atPath: "\(folder.path)/o"))
    }

    @Test("A model of numbers goes to ONNX and comes back with its fields")
    func onnx() async throws {
        let folder = try Folder()
        let bundle = try Self.bundle("\(folder.path)/pump")
        let export = try await run(Repository.lcp, ["model", "export", bundle.path, "--out", "\(folder.path)/onnx"])
        #expect(export.status == 0 && export.output.contains("numbers [N, 2, 1, 8]"), "\(export.errors)")
        let back = try await run(
            Repository.lcp, ["model", "import", "\(folder.path)/onnx/model.onnx", "--out", "\(folder.path)/back"])
        #expect(back.status == 0, "\(back.errors)")
        let (one, other) = (bundle.manifest, try ModelBundle(path: "\(folder.path)/back").manifest)
        #expect(one.preprocessing == other.preprocessing && one.labels == other.labels)
    }

    /// The accelerometer of Examples/machine: nothing that averages windows tells its states apart, and four branches do.
    @Test("Four branches tell a machine's states from windows that no centroid does")
    func machine() async throws {
        let folder = try Folder()
        for (name, seed, recordings) in [("train", 1, 200), ("test", 2, 60)] {
            let generated = try await run(
                "/usr/bin/awk",
                [
                    "-v", "seed=\(seed)", "-v", "recordings=\(recordings)", "-f",
                    "\(Repository.root.path)/Examples/machine/generate.awk",
                ])
            try folder.write("\(name).csv", generated.output)
        }
        let data = "csv:\(folder.path)/train.csv,\(folder.path)/test.csv,label=state,time=t,by=recording"
        let training = try await run(
            Repository.lcp,
            ["train", "conv1d", "--branches", "4", "--data", data, "--epochs", "14", "--out", "\(folder.path)/m"])
        #expect(training.status == 0, "\(training.errors)")
        let accuracy = try ModelBundle(path: "\(folder.path)/m").manifest.training?.accuracy["csv"] ?? 0
        #expect(accuracy > 0.9, "\(accuracy)")
    }
}
