import ArgumentParser
import LCPModels
import LCPSensor
import LCPSettings

/// The options that every role takes.
struct RoleOptions: ParsableArguments {
    @OptionGroup var connection: ConnectionOptions

    @Option(help: .setting(.pipeline, "The pipeline's name: all roles with the same name work together."))
    var pipeline: String?

    @Option(help: .setting(.prefix, "The first level of all topics."))
    var prefix: String?

    @Option(help: .setting(.qos, "Quality of service of inputs, features and predictions: 0, 1 or 2."))
    var qos: Int?

    @Flag(help: "Stop when standard input ends, for a program that starts this one and may be killed.")
    var stopAtEOF = false

    /// The settings that hold.
    ///
    /// - Parameter options: what was given besides the options of every role.
    func settings(_ options: [Setting: String] = [:]) throws -> Settings {
        let given: [Setting: String?] = [.pipeline: pipeline, .prefix: prefix, .qos: qos.map { "\($0)" }]
        return try connection.settings(options + .init(given: given))
    }

    /// Runs a role until it ends, a signal comes, or standard input ends where that was asked for.
    func run(_ stop: Stop = .usual, _ body: @escaping @Sendable () async throws -> Void) async throws {
        try await untilStopped(stop, atEOF: stopAtEOF, body)
    }
}

/// The options of what a role tells people.
struct LogOptions: ParsableArguments {
    @Option(
        help: .setting(.logLevel, "What is told on standard error: debug, info, warning or error.", valueName: "level"),
        completion: .list(["debug", "info", "warning", "error"]))
    var logLevel: String?

    @Option(
        help: .setting(.logFormat, "How: text, or json, an object a line.", valueName: "format"),
        completion: .list(["text", "json"]))
    var logFormat: String?

    /// What was given, by setting.
    var given: [Setting: String] { .init(given: [.logLevel: logLevel, .logFormat: logFormat]) }
}

/// The options of the roles that compute.
struct ModelOptions: ParsableArguments {
    @Option(
        help: .setting(
            .model, "A model bundle: a folder, or the name of one that came with lcp. What is pushed is not taken then."
        ), completion: .bundle)
    var model: String?

    @Option(
        help: .setting(
            .policy, "Where more frames come than can be computed: latest, the newest of each sensor, or all.",
            valueName: "policy"), completion: .list(["latest", "all"]))
    var policy: String?

    @Option(help: .setting(.queue, "The most frames that wait with --policy all.", valueName: "frames"))
    var queue: Int?

    @Option(
        help: .setting(
            .order,
            "sensor: the predictions of a sensor in the order of its frames, those of which no branch has come aside; none: each as soon as it is there.",
            valueName: "order"), completion: .list(["sensor", "none"]))
    var order: String?

    /// What was given, by setting.
    var given: [Setting: String] {
        .init(given: [.model: model, .policy: policy, .queue: queue.map { "\($0)" }, .order: order])
    }
}

/// The options of a worker.
struct BranchOptions: ParsableArguments {
    @Option(help: "Only this branch, counted from 0, whatever the others do.")
    var branch: Int?

    @Option(
        help: .setting(
            .features, "How the branches' numbers are sent: fp32, fp16 or int8, a half or a quarter of the bytes.",
            valueName: "type"), completion: .features)
    var features: String?

    @Option(
        help: .setting(
            .workerThreads, "How many threads compute a branch; one for each core by default.", valueName: "n"))
    var threads: Int?

    @Option(
        help: .setting(
            .workerBatch,
            "How many frames that wait are computed together; 1 for none. By default up to 8, where that is quicker and in time.",
            valueName: "n"))
    var batch: Int?

    @Option(
        help: .setting(
            .workerMegapixels,
            "The most million pixels of pictures a second that are taken of each sensor; the same for all workers.",
            valueName: "n"))
    var megapixelsPerSensor: Double?

    @Option(
        help: .setting(
            .workerMegabytes, "The most megabytes a second that are taken of each sensor; the same for all workers.",
            valueName: "n"))
    var megabytesPerSensor: Double?

    /// What was given, by setting.
    var given: [Setting: String] {
        .init(given: [
            .workerBranch: branch.map { "\($0)" }, .features: features, .workerThreads: threads.map { "\($0)" },
            .workerBatch: batch.map { "\($0)" },
            .workerMegapixels: megapixelsPerSensor.map { "\($0)" },
            .workerMegabytes: megabytesPerSensor.map { "\($0)" },
        ])
    }
}

/// The option of an aggregator.
struct DeadlineOptions: ParsableArguments {
    @Option(
        help: .setting(
            .deadline, "How long to wait for the other branches, from the first, in milliseconds.", valueName: "ms")
    )
    var deadline: Double?

    /// What was given, by setting.
    var given: [Setting: String] { .init(given: [.deadline: deadline.map { "\($0)" }]) }
}

/// What an aggregator says beside its predictions.
struct EventOptions: ParsableArguments {
    @Option(
        help: .setting(
            .threshold,
            "Publish events and states: a prediction counts whose confidence is at least this, for each sensor or some.",
            valueName: "0-1[,sensor=0-1]"))
    var threshold: String?

    @Option(
        help: .setting(
            .stable, "The same: a label holds when so many of the latest predictions agree on it.",
            valueName: "n/m[,sensor=n/m]"))
    var stable: String?

    @Flag(
        inversion: .prefixedNo, help: "Have a picture of each event published on snapshot/SENSOR, a JPEG.")
    var snapshots: Bool?

    @Flag(
        name: .customLong("homeassistant"), inversion: .prefixedNo,
        help: "Show cameras, workers and this aggregator in Home Assistant, with events and snapshots.")
    var homeAssistant: Bool?

    /// What was given, by setting.
    var given: [Setting: String] {
        .init(given: [
            .threshold: threshold, .stable: stable, .snapshots: snapshots.map { "\($0)" },
            .homeAssistant: homeAssistant.map { "\($0)" },
        ])
    }
}

/// The options of a sensor.
struct FrameOptions: ParsableArguments {
    @Option(help: .setting(.sensorSource, "\(FrameSource.forms).", valueName: "source"), completion: .source)
    var source: String?

    @Option(help: .setting(.sensorRate, "Frames per second.", valueName: "hz"))
    var rate: Double?

    @Option(help: ArgumentHelp("Stop after so many frames.", valueName: "n"))
    var count: Int?

    @Option(
        help: .setting(
            .sensorRegion, "The part of a camera's picture that becomes the frame, in pixels.",
            valueName: "x,y,width,height"))
    var region: String?

    @Option(
        help: .setting(
            .sensorOnChange,
            "Send frames only that differ from the one sent before by so many percent of full scale, in the eighth of width and height where they differ most.",
            valueName: "percent"))
    var onChange: Double?

    @Option(
        help: .setting(
            .sensorShape,
            "The frames' height, width and channels, for pictures or standard input; the model's by default."))
    var shape: String?

    @Option(
        help: .setting(
            .sensorEncoding, "How frames are sent: \(FrameEncoding.forms), or auto.", valueName: "encoding"),
        completion: .encoding)
    var encoding: String?

    @Option(
        help: .setting(
            .sensorFields,
            "Where the model's fields are in records: ax=accel.x,ay=accel.y; by default they have their own names.",
            valueName: "name=path,…"))
    var fields: String?

    @Option(help: .setting(.sensorWindow, "The records of a window; the model's by default.", valueName: "n"))
    var window: Int?

    @Option(
        help: .setting(
            .sensorHop, "The records from one window to the next; half a window by default.", valueName: "n"))
    var hop: Int?

    @Option(
        help: .setting(
            .sensorTime, "Where records have their time, in seconds or as ISO 8601: no window goes over a gap.",
            valueName: "path"))
    var time: String?

    @Option(
        help: .setting(
            .sensorGap, "The longest time between two records of a window; three times the usual one by default.",
            valueName: "seconds"))
    var gap: Double?

    /// What was given, by setting.
    var given: [Setting: String] {
        .init(given: [
            .sensorFields: fields, .sensorWindow: window.map { "\($0)" }, .sensorHop: hop.map { "\($0)" },
            .sensorTime: time, .sensorGap: gap.map { "\($0)" }, .sensorSource: source,
            .sensorRate: rate.map { "\($0)" }, .sensorCount: count.map { "\($0)" },
            .sensorShape: shape, .sensorEncoding: encoding, .sensorRegion: region,
            .sensorOnChange: onChange.map { "\($0)" },
        ])
    }
}
