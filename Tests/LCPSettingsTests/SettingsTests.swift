import LCPModels
import LCPPipeline
import LCPSensor
import LCPWire
import MQTT
import Platform
import Testing

@testable import LCPSettings
@testable import lcp

@Suite struct SettingsTests {
    /// Where a value can come from, the weakest first.
    enum Layer: Int, CaseIterable {
        case file, environment, option
    }

    /// Three values that may stand for a setting, different from each other and from the default.
    static func samples(_ setting: Setting) -> [String] {
        switch setting.kind {
        case .text, .topicLevel: ["x", "y", "z"]
        case .address: ["mqtt://x", "mqtt://y", "mqtt://z"]
        case .path, .model: ["/x", "/y", "/z"]
        case .source: ["dir:/x", "dir:/y", "dir:/z"]
        case .shape: ["1x1x1", "2x2x1", "3x3x3"]
        case .encoding: ["raw", "png", "jpeg:90"]
        case .publicKey:
            ["AA", "BA", "CA"].map { "MCowBQYDK2VwAyEA" + String(repeating: "A", count: 41) + $0.dropLast() + "A=" }
        case .whole(let range): range.upperBound == 2 ? ["1", "2", "0"] : ["3", "4", "5"]
        case .number: ["3.5", "4", "5"]
        case .choice(let choices): [choices[1], choices[0], choices[1]]
        case .truth: ["true", "false", "true"]
        case .thresholds: ["0.5", "0.6,door=0.7", "door=1"]
        case .majorities: ["1/1", "3/5,door=2/3", "door=2/2"]
        }
    }

    @Test("What a setting may be set to is what the roles know")
    func choicesAreThoseOfTheRoles() {
        #expect(Setting.policies == FramePolicy.allCases.map(\.rawValue))
        #expect(Setting.orders == PredictionOrder.allCases.map(\.rawValue))
        #expect(Setting.featureTypes == FeatureEncoding.allCases.map(\.rawValue))
        #expect(Setting.logLevels == LogWriter.levels.map { "\($0)" })
        #expect(Setting.logFormats == LogWriter.Format.allCases.map(\.rawValue))
        #expect(SettingKind.dataSets == FrameSource.dataSets)
    }

    /// Settings that come from these layers; each has a value of its own.
    static func settings(_ setting: Setting, _ layers: [Layer]) throws -> Settings {
        let samples = samples(setting)
        var (file, environment, options): (PipelineFile?, [String: String], [Setting: String]) = (nil, [:], [:])
        for layer in layers {
            let value = samples[layer.rawValue]
            switch layer {
            case .file:
                let line = setting.section.map { "\($0):\n  \(setting.key): \(value)" } ?? "\(setting.key): \(value)"
                file = try PipelineFile(Array(line.utf8), path: "p.yaml", exists: { _ in false })
            case .environment: environment[try #require(setting.environmentVariable)] = value
            case .option: options[setting] = value
            }
        }
        // What a setting cannot do without.
        for (one, other) in [
            (Setting.passwordFile, Setting.user), (.certificate, .certificateKey), (.certificateKey, .certificate),
        ] where one == setting { options[other] = "x" }
        return try Settings(file: file, environment: environment, options: options)
    }

    static func layers(of setting: Setting) -> [Layer] {
        Layer.allCases.filter {
            switch $0 {
            case .file: true
            case .environment: setting.environmentVariable != nil
            case .option: setting.option != nil
            }
        }
    }

    static func layer(_ origin: SettingOrigin) -> Layer? {
        switch origin {
        case .builtIn: nil
        case .file: .file
        case .environment: .environment
        case .option: .option
        }
    }

    @Test(arguments: Setting.allCases)
    func aLaterLayerWinsOverEveryEarlierOne(setting: Setting) throws {
        let none = try Settings()[setting]
        #expect(none.value == setting.defaultValue && none.origin == .builtIn)
        let layers = Self.layers(of: setting)
        for (position, upper) in layers.enumerated() {
            // Alone, over the default.
            let alone = try Self.settings(setting, [upper])[setting]
            #expect(alone.value?.description == Self.samples(setting)[upper.rawValue], "\(setting) \(upper)")
            #expect(Self.layer(alone.origin) == upper)
            for lower in layers[..<position] {
                let both = try Self.settings(setting, [lower, upper])[setting]
                #expect(both == alone, "\(setting): \(upper) over \(lower)")
            }
        }
        #expect(
            try Self.settings(setting, layers)[setting].origin == Self.settings(setting, [layers.last!])[setting].origin
        )
    }

    @Test func anEmptyVariableCountsAsNone() throws {
        #expect(try Settings(environment: ["LCP_QOS": "", "LCP_OTHER": "x", "HOME": "/"])[.qos].origin == .builtIn)
    }

    @Test func theVariablesAreTheDocumentedOnes() {
        #expect(
            Set(Setting.environmentVariables) == [
                "LCP_CONFIG", "LCP_BROKER", "LCP_PIPELINE", "LCP_PREFIX", "LCP_USER", "LCP_PASSWORD_FILE", "LCP_CAFILE",
                "LCP_CERT", "LCP_KEY", "LCP_QOS", "LCP_MODEL", "LCP_MODEL_KEY", "LCP_DEADLINE_MS", "LCP_POLICY",
                "LCP_FEATURES",
                "LCP_THREADS", "LCP_LOG", "LCP_LOG_FORMAT",
            ])
    }

    @Test func aMistakeSaysWhereItIs() throws {
        func message(_ make: () throws -> Settings) throws -> String {
            try #require(throws: SettingsError.self) { _ = try make() }.description
        }
        #expect(try message { try Settings(environment: ["LCP_QOS": "7"]) } == "LCP_QOS is 0, 1 or 2, not 7")
        #expect(try message { try Settings(options: [.qos: "7"]) } == "--qos is 0, 1 or 2, not 7")
        #expect(
            try message { try Settings(options: [.deadline: "0"]) }
                == "--deadline is a number, more than 0 and at most 3,600,000 ms, not 0")
        #expect(
            try message { try Settings(environment: ["LCP_BROKER": "http://x"]) }.hasPrefix("LCP_BROKER: \"http://x\""))
        let secret = try message { try Settings(environment: ["LCP_BROKER": "mqtt://u:geheim@h"]) }
        #expect(secret.hasPrefix("LCP_BROKER is not a broker's address") && !secret.contains("geheim"))
        // Also a mistake that something else covers.
        #expect(try message { try Settings(environment: ["LCP_QOS": "x"], options: [.qos: "1"]) }.hasPrefix("LCP_QOS"))
        #expect(
            try message { try Settings(options: [.passwordFile: "p"]) }
                == "--password-file needs --user, LCP_USER or broker.user in the pipeline file")
        let file = try PipelineFileTests.file("broker:\n  cert: c")
        #expect(
            try message { try Settings(file: file) }
                == "folder/p.yaml:2:9: broker.cert needs --key, LCP_KEY or broker.key in the pipeline file")
        // What a file lacks may come from elsewhere.
        #expect(throws: Never.self) { _ = try Settings(file: file, environment: ["LCP_KEY": "k"]) }
        #expect(try message { try .load(environment: ["LCP_CONFIG": "/nowhere"]) }.hasPrefix("LCP_CONFIG: cannot read"))
        #expect(try message { try .load(file: "/nowhere", environment: [:]) }.hasPrefix("cannot read /nowhere"))
    }

    @Test func theOptionsFileWinsOverTheEnvironments() throws {
        let folder = ShippedPipelines.folder
        let settings = try Settings.load(
            file: "\(folder)/latency.yaml", environment: ["LCP_CONFIG": "\(folder)/reliable.yaml"])
        #expect(settings.pipeline == "latency")
        #expect(try Settings.load(environment: ["LCP_CONFIG": "\(folder)/reliable.yaml"]).pipeline == "reliable")
        #expect(try Settings.load(environment: ["LCP_CONFIG": ""]).file == nil)
    }

    @Test(arguments: ShippedPipelines.all)
    func everyShippedFileResolves(name: String) throws {
        let settings = try Settings.load(file: "\(ShippedPipelines.folder)/\(name)", environment: [:])
        let bundle = try ModelBundle(path: "\(ShippedPipelines.folder)/../../Models/\(settings.model)")
        #expect(settings.whole(.branches) ?? 4 == bundle.network.branches.count)
        let configuration = try settings.configuration()
        #expect(configuration.pipeline == name.split(separator: ".")[0])
        _ = try Topics(prefix: configuration.prefix, pipeline: configuration.pipeline)
        _ = try settings.source(seed: 1)
        switch name {
        case "reliable.yaml":
            #expect(
                configuration.qos == .atLeastOnce && configuration.policy == .all && configuration.queueLimit == 1024)
        case "latency.yaml":
            #expect(configuration.order == .none && configuration.deadline == .milliseconds(20))
        default: #expect(configuration.policy == .latest && configuration.order == .sensor)
        }
    }

    @Test func allShippedFilesAreTried() throws {
        #expect(try FileIO.list(ShippedPipelines.folder) == ShippedPipelines.all)
        // The example has every key, also those that are commented out.
        let text = String(decoding: try FileIO.read("\(ShippedPipelines.folder)/kitchen.yaml"), as: UTF8.self)
        let open = text.split(separator: "\n").map { line -> Substring in
            if line.hasPrefix("# "), line.contains(": ") { return line.dropFirst(2) }
            guard let key = line.firstRange(of: "  # "), line[key.upperBound...].contains(": "),
                key.lowerBound == line.startIndex
            else { return line }
            return "  " + line[key.upperBound...]
        }.joined(separator: "\n")
        #expect(Set(try PipelineFileTests.file(open).entries.keys) == Set(Setting.allCases))
    }

    @Test func thePasswordIsTheFilesFirstLine() throws {
        let path = "/tmp/lcp-test-\(UInt64.random(in: 0...UInt64.max))"
        try FileIO.write(Array("geheim\nmore".utf8), to: path)
        defer { FileIO.remove(path) }
        let settings = try Settings(options: [.user: "u", .passwordFile: path, .usesVersion3: "true"])
        let mqtt = try settings.mqtt()
        #expect(mqtt.user == "u" && mqtt.password == "geheim" && mqtt.protocolVersion == .v311)
        #expect(!settings.entries.contains { $0.value?.description.contains("geheim") == true })
        let file = try PipelineFileTests.file("broker: {user: u, password_file: nowhere}")
        let error = try #require(throws: SettingsError.self) { _ = try Settings(file: file).mqtt() }
        #expect(error.description.hasPrefix("folder/p.yaml:1:34: there is no password: cannot read folder/nowhere"))
    }

    @Test func theNumberOfBranchesIsCheckedAgainstTheModel() throws {
        let model = "\(ShippedPipelines.folder)/../../Models/lenet-split8"
        let file = try PipelineFileTests.file("branches: 4\nmodel: \(model)")
        let error = try #require(throws: SettingsError.self) { _ = try Settings(file: file).bundle() }
        #expect(error.description.hasPrefix("folder/p.yaml:1:11: branches is 4, but the model"))
        #expect(error.description.hasSuffix("has 8: correct one of them"))
        #expect(throws: Never.self) { _ = try Settings(options: [.model: model]).bundle() }
        let missing = try PipelineFileTests.file("model: nowhere/x")
        #expect(
            try #require(throws: SettingsError.self) { _ = try Settings(file: missing).bundle() }.description
                .hasPrefix("folder/p.yaml:1:8: there is no model bundle at folder/nowhere/x"))
    }
}
