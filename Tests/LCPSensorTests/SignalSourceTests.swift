import Foundation
import LCPModels
import LCPWire
import Platform
import Signals
import Testing

@testable import LCPSensor

@Suite("Sources of numbers")
struct SignalSourceTests {
    @Test(
        "Files, standard input and topics are told apart",
        arguments: [
            ("json:-", .json, .standardInput), ("json:mqtt:a/b", .json, .topic("a/b")),
            ("json:x.json", .json, .file("x.json")),
            ("csv:x.csv", .csv, .file("x.csv")), ("csv:-", .csv, .standardInput),
            ("wav:x.wav", .sound(.wav), .file("x.wav")),
            ("wav:-", .sound(.wav), .standardInput), ("pcm:-", .sound(.pcm), .standardInput),
        ] as [(String, SignalReader.Format, SignalSource.Origin)])
    func origins(text: String, format: SignalReader.Format, origin: SignalSource.Origin) throws {
        let source = try #require(try SignalSource(text))
        #expect(source.format == format && source.origin == origin)
        guard case .signal = try FrameSource(text, seed: 1) else {
            Issue.record("another source")
            return
        }
    }

    @Test(
        "Wildcards, two files and nothing at all are refused",
        arguments: ["json:mqtt:", "json:mqtt:a/+", "json:mqtt:#", "csv:a,b", "json:", "pcm:x"])
    func refused(text: String) { #expect(throws: (any Error).self) { try SignalSource(text) } }

    @Test("What stands behind csv: is the mapping")
    func mapping() throws {
        let source = try #require(try SignalSource("csv:x.csv,label=state,time=t,hop=5"))
        #expect(source.options.label == "state" && source.options.time == "t" && source.hop == 5)
    }

    private static func manifest(_ signal: Signal?, _ input: FeatureMapShape) throws -> ModelManifest {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("lcp-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: folder) }
        var preprocessing = ModelManifest.Preprocessing(
            mean: Array(repeating: 0, count: input.channels),
            standardDeviation: Array(repeating: 1, count: input.channels))
        preprocessing.signal = signal
        let network = try Network.mlp.with(input: input, classes: 2).split(into: 1)
        var random = SeededGenerator(seed: 1)
        return try ModelBundle.write(
            name: "x", network: network, parameters: .random(for: network, using: &random),
            preprocessing: preprocessing,
            labels: ["a", "b"], to: folder
        ).manifest
    }

    @Test("Numbers are for models of numbers, sound for models of sound, pictures for those of pictures")
    func fits() throws {
        let records = try Self.manifest(Signal(fields: ["a"]), FeatureMapShape(features: 1))
        let sound = try Self.manifest(Signal(logMel: LogMel()), FeatureMapShape(height: 40, width: 49, channels: 1))
        let pictures = try Self.manifest(nil, FeatureMapShape(height: 28, width: 28, channels: 1))
        for (text, fitting) in [
            ("csv:x", records), ("json:-", records), ("wav:x", sound), ("pcm:-", sound), ("drawn", pictures),
        ] {
            let source = try FrameSource(text, seed: 1)
            for manifest in [records, sound, pictures] {
                if manifest == fitting {
                    try source.check(fits: manifest)
                } else {
                    #expect(throws: PipelineError.self) { try source.check(fits: manifest) }
                }
            }
        }
    }

    @Test("Numbers are sent as they are, also where a picture could have their shape")
    func plan() throws {
        var plan = FramePlan(
            .pictures(FeatureMapShape(height: 28, width: 28, channels: 1)), wanted: nil, isSignal: true)
        plan.setShape(FeatureMapShape(height: 1, width: 100_000, channels: 3))
        #expect(plan.encoding == .raw && plan.shape.width == 100_000)
        let manifest = try Self.manifest(
            Signal(fields: ["a", "b", "c"]), FeatureMapShape(height: 1, width: 64, channels: 3))
        _ = plan.update(model: manifest, workers: [])
        #expect(plan.encoding == .raw && plan.shape == manifest.network.input)
    }
}
