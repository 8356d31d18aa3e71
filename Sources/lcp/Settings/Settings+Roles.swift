import LCPModels
import LCPPipeline
import LCPSensor
import LCPSettings
import LCPWire
import Logging
import MQTT
import Platform
import Signals

extension Settings {
    /// How a client reaches the broker; reads the password's file.
    ///
    /// - Throws: ``SettingsError`` or ``MQTTError``.
    func mqtt() throws -> MQTTConfiguration {
        var configuration = MQTTConfiguration(addresses: try MQTTAddress.list(text(.broker) ?? ""))
        configuration.user = text(.user)
        if let path = text(.passwordFile) {
            do { configuration.password = try Self.firstLine(of: FileIO.readable(path, credential: "password")) } catch
            {
                throw SettingsError("\(place(.passwordFile))there is no password: \(error)")
            }
        } else if configuration.user != nil, let folder = environmentVariable("CREDENTIALS_DIRECTORY") {
            // What a service was given (systemd.exec(5), LoadCredential).
            configuration.password = (try? Self.firstLine(of: "\(folder)/password")).flatMap { $0.isEmpty ? nil : $0 }
        }
        let tls: [Setting] = [.certificateAuthorityFile, .certificate, .certificateKey]
        if !configuration.address.isTLS, let given = tls.first(where: { text($0) != nil }) {
            throw SettingsError(
                "\(self[given].origin.subject(given)) is for a broker with TLS, and \(configuration.address) is without: "
                    + "write mqtts://, or leave it out")
        }
        configuration.tls = .init(
            certificateAuthorityFile: text(.certificateAuthorityFile), certificateFile: text(.certificate),
            keyFile: text(.certificateKey).map { FileIO.readable($0, credential: "key") })
        if truth(.usesVersion3) { configuration.protocolVersion = .v311 }
        return configuration
    }

    private static func firstLine(of path: String) throws(FileError) -> String {
        let bytes = try FileIO.read(path, limit: 65_536)
        return String(decoding: bytes.prefix { $0 != 0x0A && $0 != 0x0D && $0 != 0 }, as: UTF8.self)
    }

    /// Has this process's roles tell people what they are to, and how.
    func applyLog() {
        LogWriter.set(
            text(.logLevel).flatMap { Logger.Level(rawValue: $0) } ?? .info,
            text(.logFormat).flatMap { LogWriter.Format(rawValue: $0) } ?? .text)
    }

    /// How a role reaches its pipeline.
    ///
    /// - Throws: ``SettingsError`` or ``MQTTError``.
    func configuration() throws -> PipelineConfiguration {
        var configuration = PipelineConfiguration(mqtt: try mqtt(), pipeline: pipeline)
        configuration.prefix = prefix
        configuration.qos = qos
        configuration.deadline = deadline
        configuration.policy = policy
        configuration.order = order
        configuration.queueLimit = queueLimit
        configuration.modelKey = try text(.modelKey).map { try VerificationKey($0) }
        return configuration
    }

    var policy: FramePolicy { text(.policy).flatMap(FramePolicy.init) ?? .latest }
    var order: PredictionOrder { text(.order).flatMap(PredictionOrder.init) ?? .sensor }

    /// Opens the model, and sees that it has as many branches as the file says.
    ///
    /// - Throws: ``SettingsError`` or ``ModelBundleError``.
    func bundle() throws -> ModelBundle {
        let bundle: ModelBundle
        do { bundle = try ModelBundle.find(model) } catch { throw located(.model, error) }
        if let expected = whole(.branches), expected != bundle.network.branches.count {
            throw SettingsError(
                "\(self[.branches].origin.subject(.branches)) is \(expected), but the model \(model) has "
                    + "\(bundle.network.branches.count): correct one of them")
        }
        return bundle
    }

    /// The branch that a worker runs whatever the others do; nil to run those that are needed.
    var branch: Int? { whole(.workerBranch) }

    /// The model that somebody named; nil where the pipeline's own is wanted.
    ///
    /// - Throws: as ``bundle()``.
    func givenBundle() throws -> ModelBundle? { self[.model].origin == .builtIn ? nil : try bundle() }

    /// Where a sensor's frames come from.
    ///
    /// - Parameter seed: which digits are drawn.
    /// - Throws: ``SettingsError`` or ``DatasetError``.
    func source(seed: UInt64) throws -> FrameSource {
        do {
            let source = try FrameSource(text(.sensorSource) ?? "", seed: seed)
            guard case .signal(var signal) = source else {
                let options: [Setting] = [.sensorFields, .sensorWindow, .sensorHop, .sensorTime, .sensorGap]
                guard let given = options.first(where: { text($0) != nil || whole($0) != nil || number($0) != nil })
                else { return source }
                throw CommandError(
                    "\(given.option ?? "") is for numbers, and the source has pictures: give --source json:mqtt:TOPIC or csv:FILE"
                )
            }
            if let fields = text(.sensorFields) { signal.options.fields = try FieldMap(fields) }
            signal.options.time = text(.sensorTime) ?? signal.options.time
            signal.options.gap = number(.sensorGap) ?? signal.options.gap
            (signal.window, signal.hop) = (whole(.sensorWindow), whole(.sensorHop) ?? signal.hop)
            return .signal(signal)
        } catch {
            throw located(.sensorSource, error)
        }
    }

    /// How a sensor is set up: a model that somebody named, and that this machine has, is what its frames are for.
    ///
    /// - Throws: ``SettingsError`` or ``ModelBundleError``.
    func sensorOptions() throws -> Sensor.Options {
        var options = Sensor.Options()
        options.id = name(of: .sensor)
        options.rate = number(.sensorRate) ?? options.rate
        options.count = whole(.sensorCount)
        options.model = try sensorModel()
        options.shape = try text(.sensorShape).map { try FeatureMapShape(frame: $0) }
        options.encoding = text(.sensorEncoding).flatMap(FrameEncoding.init)
        do { options.region = try text(.sensorRegion).map(CameraRegion.init) } catch {
            throw located(.sensorRegion, error)
        }
        options.leastChange = number(.sensorOnChange)
        return options
    }

    /// How many threads compute a worker's branch; nil for one for each processor.
    var threads: Int? { whole(.workerThreads) }
    var batch: Int? { whole(.workerBatch) }

    /// What a worker takes of each sensor; nil for everything.
    var budget: SensorBudget? {
        let (pixels, bytes) = (number(.workerMegapixels), number(.workerMegabytes))
        guard pixels != nil || bytes != nil else { return nil }
        return SensorBudget(pixelsPerSecond: pixels.map { $0 * 1e6 }, bytesPerSecond: bytes.map { $0 * 1e6 })
    }

    /// How a worker writes its branches' numbers.
    var features: FeatureEncoding { text(.features).flatMap(FeatureEncoding.init) ?? .fp32 }

    /// How an aggregator is set up.
    var aggregatorOptions: Aggregator.Options {
        var options = Aggregator.Options()
        options.id = name(of: .aggregator)
        options.homeAssistant = truth(.homeAssistant)
        options.takesSnapshots = options.homeAssistant || truth(.snapshots)
        let (thresholds, majorities) = (thresholds, majorities)
        func rule(_ threshold: Double?, _ majority: Majority?) -> EventRule? {
            guard threshold != nil || majority != nil || options.takesSnapshots else { return nil }
            var rule = EventRule()
            rule.threshold = threshold ?? rule.threshold
            (rule.hits, rule.window) = majority.map { ($0.hits, $0.window) } ?? (rule.hits, rule.window)
            return rule
        }
        options.events.standard = rule(thresholds?.standard, majorities?.standard)
        for sensor in Set(thresholds?.sensors.keys.map(\.self) ?? []).union(majorities?.sensors.keys.map(\.self) ?? [])
        {
            options.events.sensors[sensor] = rule(
                thresholds?.sensors[sensor] ?? thresholds?.standard, majorities?.sensors[sensor] ?? majorities?.standard
            )
        }
        return options
    }

    /// The model that somebody named. A sensor does without one that a file or the environment names and this machine lacks.
    private func sensorModel() throws -> ModelManifest? {
        switch self[.model].origin {
        case .builtIn: nil
        case .option: try bundle().manifest
        case .file, .environment: try? bundle().manifest
        }
    }

    /// An error that also says where the setting comes from, unless that is the command line.
    private func located(_ setting: Setting, _ error: any Error) -> any Error {
        let place = place(setting)
        return place.isEmpty ? error : SettingsError("\(place)\(error)")
    }

    private func place(_ setting: Setting) -> String {
        switch self[setting].origin {
        case .builtIn, .option: ""
        case .file, .environment: "\(self[setting].origin): "
        }
    }

    /// The name of a role's process; nil for one that is made up.
    func name(of role: Role) -> String? { text(.name(of: role)) }
}

extension Setting {
    /// The role that alone reads it; nil for several.
    var role: Role? { section.flatMap(Role.init) }

    /// The name of a role's process.
    static func name(of role: Role) -> Setting {
        switch role {
        case .sensor: .sensorName
        case .worker: .workerName
        case .aggregator: .aggregatorName
        }
    }
}
