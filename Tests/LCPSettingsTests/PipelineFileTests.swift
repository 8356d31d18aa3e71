import LCPModels
import LCPPipeline
import LCPSensor
import LCPWire
import MQTT
import Platform
import Testing

@testable import LCPSettings
@testable import lcp

@Suite struct PipelineFileTests {
    static func file(
        _ text: String, path: String = "folder/p.yaml", exists: (String) -> Bool = { _ in false }
    ) throws(SettingsError) -> PipelineFile { try PipelineFile(Array(text.utf8), path: path, exists: exists) }

    static func text(_ file: PipelineFile, _ setting: Setting) -> String? {
        file.entries[setting]?.value.description
    }

    @Test func everyKeyIsRead() throws {
        let file = try Self.file(
            """
            pipeline: kitchen
            prefix: home
            broker:
              url: mqtts://b:1
              user: u
              password_file: pw
              cafile: /ca
              cert: ../c
              key: k
              mqtt3: true
            model: lenet-split8
            branches: 8
            qos: 2
            deadline_ms: 12.5
            policy: all
            queue: 7
            order: none
            features: int8
            log_level: debug
            log_format: json
            sensor: {name: s, source: "dir:x", shape: 2x3x1, encoding: "jpeg:70", rate: 0.5, count: 9, region: "1,2,3,4",
              on_change: 2.5, fields: "a=b.c,d", window: 128, hop: 64, time: t, gap: 0.5}
            worker: {name: w, branch: 3, threads: 2, batch: 4, megapixels_per_sensor: 50, megabytes_per_sensor: 2.5}
            aggregator: {name: a, threshold: "0.6,door=0.8", stable: 3/5, snapshots: true, homeassistant: true}
            model_key: MCowBQYDK2VwAyEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=
            """)
        #expect(Set(file.entries.keys) == Set(Setting.allCases))
        #expect(file.entries[.qos]?.origin == .file(path: "folder/p.yaml", line: 13, column: 6))
        let settings = try Settings(file: file)
        #expect(settings.pipeline == "kitchen" && settings.prefix == "home" && settings.model == "lenet-split8")
        #expect(settings.qos == .exactlyOnce && settings.deadline == .microseconds(12_500))
        #expect(settings.policy == .all && settings.order == .none && settings.queueLimit == 7)
        #expect(Role.allCases.map(settings.name(of:)) == ["s", "w", "a"])
        #expect(settings.branch == 3 && settings.threads == 2 && settings.batch == 4)
        #expect(settings.features == .int8)
        #expect(settings.budget == SensorBudget(pixelsPerSecond: 50e6, bytesPerSecond: 2.5e6))
        let aggregator = settings.aggregatorOptions
        #expect(
            aggregator.homeAssistant && aggregator.takesSnapshots && aggregator.events.rule("door")?.threshold == 0.8)
        #expect(aggregator.events.standard?.window == 5)
        let sensor = try settings.sensorOptions()
        #expect(sensor.rate == 0.5 && sensor.count == 9 && sensor.shape?.width == 3 && sensor.id == "s")
        #expect(sensor.encoding == .jpeg(quality: 70))
        #expect(settings.text(.sensorFields) == "a=b.c,d" && settings.whole(.sensorHop) == 64)
        #expect(throws: (any Error).self, "a folder of pictures has no fields") { try settings.source(seed: 1) }
        #expect(try sensor.region == CameraRegion("1,2,3,4") && sensor.leastChange == 2.5)
    }

    @Test(arguments: ["", "# nothing", "broker:\nsensor:\n", "---\n", "{}", "~"])
    func anEmptyFileSetsNothing(text: String) throws { #expect(try Self.file(text).entries.isEmpty) }

    @Test func pathsAreRelativeToTheFile() throws {
        let text = """
            broker: {user: u, password_file: pw, cafile: /abs/ca, cert: ../c, key: d/k}
            model: mine
            sensor: {source: "idx:images,labels,first=1,transposed"}
            """
        let file = try Self.file(text)
        #expect(
            Self.text(file, .passwordFile) == "folder/pw" && Self.text(file, .certificateAuthorityFile) == "/abs/ca")
        #expect(Self.text(file, .certificate) == "folder/../c" && Self.text(file, .certificateKey) == "folder/d/k")
        #expect(Self.text(file, .sensorSource) == "idx:folder/images,folder/labels,first=1,transposed")
        // A name alone is a shipped model, unless a bundle lies beside the file.
        #expect(Self.text(file, .model) == "mine")
        let beside = try Self.file(text, exists: { $0 == "folder/mine/model.json" })
        #expect(Self.text(beside, .model) == "folder/mine")
        #expect(Self.text(try Self.file("model: ./mine"), .model) == "folder/./mine")
        #expect(Self.text(try Self.file("broker: {cafile: c}", path: "p.yaml"), .certificateAuthorityFile) == "./c")
        #expect(Self.text(try Self.file("broker: {cafile: c}", path: "/p.yaml"), .certificateAuthorityFile) == "/c")
        for source in ["drawn", "stdin", "dir:/a"] {
            #expect(Self.text(try Self.file("sensor: {source: \"\(source)\"}"), .sensorSource) == source)
        }
    }

    @Test func wordsThatOtherReadersTakeForSomethingElseStayText() throws {
        for word in ["no", "1e3", "true", "0x10", "12"] {
            #expect(Self.text(try Self.file("pipeline: \(word)"), .pipeline) == word)
        }
    }

    @Test(arguments: [
        (
            "qoss: 1",
            "1:1: there is no key qoss; the known are aggregator, branches, broker, deadline_ms, features, log_format, log_level, model"
        ),
        ("sensor.rate: 1", "1:1: there is no key sensor.rate; the known"),
        ("broker:\n  password: geheim", "2:3: there is no key password below broker; the known are cafile, cert, key"),
        ("qos: 3", "1:6: qos is 0, 1 or 2, not 3"), ("qos: 1.0", "1:6: qos is 0, 1 or 2, not 1.0"),
        ("qos: \"1\"", "1:6: qos is 0, 1 or 2, not the text \"1\""), ("qos: [1]", "1:6: qos is 0, 1 or 2, not a list"),
        ("qos: {a: 1}", "1:6: qos is 0, 1 or 2, not a section"), ("qos:", "1:5: qos has no value"),
        ("qos: ~", "1:6: qos has no value"), ("qos: one", "1:6: qos is 0, 1 or 2, not \"one\""),
        ("deadline_ms: 0", "1:14: deadline_ms is a number, more than 0 and at most 3,600,000 ms, not 0"),
        ("deadline_ms: 3600001", "at most 3,600,000 ms"), ("deadline_ms: nan", "more than 0"),
        ("deadline_ms: inf", "more than 0"), ("deadline_ms: 0x10", "more than 0"), ("deadline_ms: -1", "not -1"),
        ("queue: 0", "1:8: queue is a whole number from 1 to 65,536, not 0"),
        ("queue: 99999999999999999999", "from 1 to 65,536"), ("branches: 65", "from 1 to 64"),
        ("policy: some", "1:9: policy is latest or all, not \"some\""), ("order: frames", "order is sensor or none"),
        ("pipeline: a/b", "1:11: pipeline cannot be part of a topic"), ("prefix: \"\"", "cannot be part of a topic"),
        ("pipeline: \"a\\0b\"", "1:11: pipeline has a control character"),
        ("model: \"\"", "1:8: model is empty"), ("broker: x", "1:9: broker is a section: put its keys below it"),
        ("broker: [x]", "broker is a section"),
        ("broker: {url: \"http://x\"}", "1:15: broker.url: \"http://x\" is not a"),
        ("broker: {mqtt3: yes}", "1:17: broker.mqtt3 is true or false, not \"yes\""),
        ("sensor: {shape: 28}", "sensor.shape is HEIGHTxWIDTHxCHANNELS"),
        ("sensor: {encoding: gif}", "sensor.encoding is auto, raw, png, jpeg or jpeg:QUALITY"),
        ("sensor: {encoding: \"jpeg:0\"}", "with a quality from 1 to 100, not \"jpeg:0\""),
        ("features: int4", "features is fp32 or fp16 or int8"),
        ("sensor: {rate: 0}", "sensor.rate is a number"),
        ("sensor: {count: 0}", "sensor.count is a whole number from 1 to 1,000,000,000,000"),
        ("worker: {branch: 64}", "worker.branch is a whole number from 0 to 63"),
        ("worker: {threads: 0}", "worker.threads is a whole number from 1 to 64"),
        ("qos: 1\nqos: 1", "2:1: \"qos\" is there a second time"), ("broker:\n\turl: x", "2:1: a tab stands where"),
        ("- 1", "1:1: a pipeline file has lines KEY: VALUE"), ("word", "1:1: a pipeline file has lines KEY: VALUE"),
        ("qos: &a 1", "1:6: an anchor"), ("<<: {a: 1}", "1:1: there is no key <<"), ("qos: [", "did not find expected"),
    ])
    func everyMistakeIsOneSentenceWithItsPlace(text: String, words: String) throws {
        let error = try #require(throws: SettingsError.self) { _ = try Self.file(text, path: "p.yaml") }
        #expect(error.description.hasPrefix("p.yaml:"), "\(error)")
        #expect(error.description.contains(words), "\(text.debugDescription): \(error)")
        #expect(!error.description.contains("\n") && !error.description.contains("geheim"))
    }

    @Test func aPasswordInAnAddressIsNotRepeated() throws {
        let error = try #require(throws: SettingsError.self) {
            _ = try Self.file("broker: {url: \"mqtt://u:geheim@h\"}")
        }
        #expect(error.description.contains("password_file") && !error.description.contains("geheim"))
    }

    @Test func aFileThatIsMissingOrTooLargeIsNamed() throws {
        for (path, words) in [
            ("/nowhere.yaml", "cannot read /nowhere.yaml"), ("/", "cannot read /"), ("/dev/zero", "more"),
        ] {
            let error = try #require(throws: SettingsError.self) { _ = try PipelineFile(path: path) }
            #expect(error.description.contains(words), "\(error)")
        }
    }

    // MARK: Chance

    @Test func randomBytesNeitherCrashNorHang() {
        var random = SplitMix(seed: 1)
        let started = ContinuousClock.now
        for round in 0..<4000 {
            let size = Int.random(in: 0...(round % 40 == 0 ? 8192 : 200), using: &random)
            let alphabet: [UInt8] = Array(": -[]{}\"'\n\t#&*!|>?,%@`ab1~\\".utf8)
            let bytes = (0..<size).map { _ in
                round.isMultiple(of: 2)
                    ? UInt8.random(in: 0...255, using: &random) : alphabet.randomElement(using: &random)!
            }
            _ = try? PipelineFile(bytes, path: "p", exists: { _ in false })
        }
        #expect(ContinuousClock.now - started < .seconds(60))
    }

    @Test func changedFilesNeitherCrashNorHang() throws {
        var random = SplitMix(seed: 2)
        let seeds = try ShippedPipelines.all.map { try FileIO.read("\(ShippedPipelines.folder)/\($0)") }
        let started = ContinuousClock.now
        var read = 0
        for _ in 0..<4000 {
            var bytes = seeds.randomElement(using: &random)!
            for _ in 0..<Int.random(in: 1...6, using: &random) {
                let position = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0..<5, using: &random) {
                case 0: bytes[position] = UInt8.random(in: 0...255, using: &random)
                case 1: bytes.remove(at: position)
                case 2: bytes.insert(Array(": -[]{}\"'\n\t#&*!|>".utf8).randomElement(using: &random)!, at: position)
                case 3: bytes.insert(contentsOf: bytes[position...].prefix(40), at: position)
                default: bytes.removeSubrange(position..<min(bytes.count, position + 20))
                }
                if bytes.isEmpty { bytes = [0x61] }
            }
            do {
                let file = try PipelineFile(bytes, path: "p", exists: { _ in false })
                // What was read can be laid over the defaults, or is told.
                do { _ = try Settings(file: file) } catch { #expect(error.description.hasPrefix("p:")) }
                read += 1
            } catch {
                #expect(error.description.hasPrefix("p:") && !error.description.contains("\n"), "\(error)")
            }
        }
        #expect(read > 100)
        #expect(ContinuousClock.now - started < .seconds(60))
    }
}

/// The pipelines in `Configs/pipelines`.
enum ShippedPipelines {
    static let folder = #filePath.split(separator: "/").dropLast(3).map { "/\($0)" }.joined() + "/Configs/pipelines"
    static let all = ["kitchen.yaml", "latency.yaml", "reliable.yaml"]
}

/// A small generator, the same at every run.
struct SplitMix: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }
}

@Suite struct PipelineFileTextTests {
    @Test("What is written into a file is read from it", arguments: 0..<200)
    func roundTrip(seed: Int) throws {
        var random = SystemRandomNumberGenerator()
        let signs = Array("abzAZ019-_./: #\"'\\{}[],&*!|>%@`?=~é")
        func text() -> String {
            let text = String((0..<Int.random(in: 1...12)).map { _ in signs.randomElement(using: &random)! })
            return ["true", "null", "1e3", "-", text, text, text].randomElement(using: &random)!
        }
        var settings: [Setting: String] = [.pipeline: "p", .qos: "1", .user: text(), .sensorRate: "2.5"]
        for setting in [Setting.workerName, .aggregatorName] { settings[setting] = "pi-\(Int.random(in: 0...9))" }
        settings[.pipeline] = ["true", "007", "kitchen", "a:b", "é"].randomElement(using: &random)!
        let file = try PipelineFile(
            Array(try PipelineFile.text(settings, head: "A file.").utf8), path: "/f.yaml", exists: { _ in true })
        let read = try Settings(file: file)
        for (setting, value) in settings {
            #expect(read[setting].value == (try Settings(options: settings))[setting].value, "\(setting): \(value)")
        }
    }

    @Test("A value that is none is not written")
    func mistakes() {
        #expect(throws: SettingsError.self) { try PipelineFile.text([.qos: "7"], head: "") }
        #expect(throws: SettingsError.self) { try PipelineFile.text([.passwordFile: "p"], head: "") }
    }
}
