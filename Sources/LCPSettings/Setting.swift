import LCPModels

/// Something that can be set in a pipeline file, and mostly by an environment variable or an option, too. The raw value is its
/// key in the file, with the section in front of a point.
public enum Setting: String, Sendable, Hashable, CaseIterable {
    case pipeline
    case prefix
    case broker = "broker.url"
    case user = "broker.user"
    case passwordFile = "broker.password_file"
    case certificateAuthorityFile = "broker.cafile"
    case certificate = "broker.cert"
    case certificateKey = "broker.key"
    case usesVersion3 = "broker.mqtt3"
    case model
    case modelKey = "model_key"
    case branches
    case qos
    case deadline = "deadline_ms"
    case policy
    case queue
    case order
    case features
    case logLevel = "log_level"
    case logFormat = "log_format"
    case sensorName = "sensor.name"
    case sensorSource = "sensor.source"
    case sensorShape = "sensor.shape"
    case sensorEncoding = "sensor.encoding"
    case sensorRate = "sensor.rate"
    case sensorCount = "sensor.count"
    case sensorRegion = "sensor.region"
    case sensorOnChange = "sensor.on_change"
    case sensorFields = "sensor.fields"
    case sensorWindow = "sensor.window"
    case sensorHop = "sensor.hop"
    case sensorTime = "sensor.time"
    case sensorGap = "sensor.gap"
    case workerName = "worker.name"
    case workerBranch = "worker.branch"
    case workerThreads = "worker.threads"
    case workerBatch = "worker.batch"
    case workerMegapixels = "worker.megapixels_per_sensor"
    case workerMegabytes = "worker.megabytes_per_sensor"
    case aggregatorName = "aggregator.name"
    case threshold = "aggregator.threshold"
    case stable = "aggregator.stable"
    case snapshots = "aggregator.snapshots"
    case homeAssistant = "aggregator.homeassistant"

    /// The section of the file that the key stands in; nil for the top.
    public var section: String? {
        rawValue.split(separator: ".").count > 1 ? rawValue.prefix { $0 != "." }.description : nil
    }

    /// Which frames are answered where more are sent than can be computed, and how predictions follow each other; the first of
    /// each is the default.
    package static let policies = ["latest", "all"]
    package static let orders = ["sensor", "none"]
    /// How branches' numbers are sent; the first is the default.
    package static let featureTypes = ["fp32", "fp16", "int8"]
    /// What a role tells, the most first, and how; the default is `info` and the first.
    package static let logLevels = ["debug", "info", "warning", "error"]
    package static let logFormats = ["text", "json"]

    /// The key without its section.
    var key: String { rawValue.split(separator: ".").last.map(String.init) ?? rawValue }

    /// The environment variable that sets it.
    public var environmentVariable: String? {
        switch self {
        case .broker: "LCP_BROKER"
        case .pipeline: "LCP_PIPELINE"
        case .prefix: "LCP_PREFIX"
        case .user: "LCP_USER"
        case .passwordFile: "LCP_PASSWORD_FILE"
        case .certificateAuthorityFile: "LCP_CAFILE"
        case .certificate: "LCP_CERT"
        case .certificateKey: "LCP_KEY"
        case .qos: "LCP_QOS"
        case .model: "LCP_MODEL"
        case .modelKey: "LCP_MODEL_KEY"
        case .deadline: "LCP_DEADLINE_MS"
        case .policy: "LCP_POLICY"
        case .features: "LCP_FEATURES"
        case .workerThreads: "LCP_THREADS"
        case .logLevel: "LCP_LOG"
        case .logFormat: "LCP_LOG_FORMAT"
        default: nil
        }
    }

    /// The environment variable that names a pipeline file.
    public static let fileVariable = "LCP_CONFIG"

    /// All environment variables that a role reads its settings from.
    public static var environmentVariables: [String] { [fileVariable] + allCases.compactMap(\.environmentVariable) }

    /// The option that sets it; nil where only a file does.
    public var option: String? {
        switch self {
        case .broker: "--broker"
        case .deadline: "--deadline"
        case .branches, .modelKey: nil
        default: "--" + String(key.map { $0 == "_" ? "-" : $0 })
        }
    }

    /// What it is where nothing sets it.
    public var defaultValue: SettingValue? {
        switch self {
        case .pipeline: .text("demo")
        case .prefix: .text("lcp")
        case .broker: .text("mqtt://localhost")
        case .usesVersion3, .snapshots, .homeAssistant: .truth(false)
        case .model: .text("lenet-split4")
        case .qos: .whole(0)
        case .deadline: .number(100)
        case .policy: .text(Self.policies[0])
        case .queue: .whole(64)
        case .order: .text(Self.orders[0])
        case .sensorSource: .text("drawn")
        case .features: .text(Self.featureTypes[0])
        case .logLevel: .text("info")
        case .logFormat: .text(Self.logFormats[0])
        case .sensorEncoding: .text("auto")
        case .sensorRate: .number(10)
        case .user, .passwordFile, .certificateAuthorityFile, .certificate, .certificateKey, .modelKey, .branches,
            .sensorName,
            .sensorShape, .sensorCount, .sensorRegion, .sensorOnChange, .sensorFields, .sensorWindow, .sensorHop,
            .sensorTime,
            .sensorGap, .workerName, .workerBranch, .workerThreads,
            .workerBatch,
            .workerMegapixels, .workerMegabytes,
            .aggregatorName, .threshold, .stable:
            nil
        }
    }

    var kind: SettingKind {
        switch self {
        case .pipeline, .prefix, .sensorName, .workerName, .aggregatorName: .topicLevel
        case .broker: .address
        case .user, .sensorRegion, .sensorFields, .sensorTime: .text
        case .modelKey: .publicKey
        case .passwordFile, .certificateAuthorityFile, .certificate, .certificateKey: .path
        case .usesVersion3, .snapshots, .homeAssistant: .truth
        case .threshold: .thresholds
        case .stable: .majorities
        case .model: .model
        case .branches: .whole(1...BranchedNetwork.maximumBranches)
        case .qos: .whole(0...2)
        case .deadline: .number(upTo: 3_600_000, unit: " ms")
        case .policy: .choice(Self.policies)
        case .queue: .whole(1...65_536)
        case .order: .choice(Self.orders)
        case .sensorSource: .source
        case .sensorShape: .shape
        case .sensorEncoding: .encoding
        case .features: .choice(Self.featureTypes)
        case .logLevel: .choice(Self.logLevels)
        case .logFormat: .choice(Self.logFormats)
        case .sensorRate: .number(upTo: 100_000, unit: " frames per second")
        case .sensorOnChange: .number(upTo: 100, unit: " percent")
        case .sensorWindow, .sensorHop: .whole(1...1_000_000)
        case .sensorGap: .number(upTo: 1_000_000, unit: " seconds")
        case .sensorCount: .whole(1...1_000_000_000_000)
        case .workerBranch: .whole(0...BranchedNetwork.maximumBranches - 1)
        case .workerThreads, .workerBatch: .whole(1...64)
        case .workerMegapixels: .number(upTo: 1_000_000, unit: " million pixels per second")
        case .workerMegabytes: .number(upTo: 1_000_000, unit: " MB per second")
        }
    }
}
