import FoundationEssentials
import Glibc
import Images
import LCPLocal
public import LCPModels
import LCPWire
import Platform

/// Measures an experiment, run by run; what was measured before stays, so that it can be interrupted.
public struct SpeedupRunner: Sendable {
    /// What is being done.
    public struct Progress: Sendable {
        public var done: Int
        public var total: Int
        public var setting: String
        public var run: String
    }

    /// A run that there is no record of, and why.
    public struct Refusal: Sendable, Hashable {
        public var setting: String
        public var run: String
        public var reason: String
    }

    private let experiment: SpeedupExperiment
    private let folder: String
    private let lcp: String
    private let pictures: String?
    private let engines: EngineTimes
    /// What the slowest branch of a network takes on an array.
    private let arrayTime: ArrayTime
    public typealias ArrayTime = @Sendable (BranchedNetwork, SpeedupExperiment.SystolicArray) throws -> Duration
    /// How often a run is tried in which something was late.
    private static let attempts = 5
    private static let lab = "speedup"

    /// - Parameters:
    ///   - folder: where records are kept.
    ///   - lcp: the path of this program.
    ///   - pictures: a folder; nil for synthetic photographs.
    ///   - engines: what other engines take for the originals.
    ///   - arrayTime: for settings with arrays.
    public init(
        _ experiment: SpeedupExperiment, folder: String, lcp: String, pictures: String? = nil,
        engines: EngineTimes = EngineTimes(), arrayTime: @escaping ArrayTime
    ) {
        self.experiment = experiment
        self.folder = folder
        self.lcp = lcp
        self.pictures = pictures
        self.engines = engines
        self.arrayTime = arrayTime
    }

    private func file(_ setting: SpeedupExperiment.Setting, _ run: SpeedupExperiment.Run) -> String {
        "\(folder)/\(setting.name)/\(run.name).json"
    }

    private func record(
        _ setting: SpeedupExperiment.Setting, _ run: SpeedupExperiment.Run
    ) -> RunRecord? {
        guard let bytes = try? FileIO.read(file(setting, run), limit: 1 << 24),
            let record = try? JSONDecoder().decode(RunRecord.self, from: Data(bytes)), record.run == run
        else { return nil }
        return record
    }

    /// What runs of a setting are measured under.
    private func conditions(_ setting: SpeedupExperiment.Setting) throws -> String {
        let profile = try setting.deviceProfile(in: experiment.profiles)
        let links =
            Lab.obstacle == nil
            ? "\(profile.link.megabitsPerSecond) Mbit/s \(setting.shared ?? false ? "for all" : "each"), "
                + "\(profile.link.delayMilliseconds) ms, \(profile.memoryMiB) MiB"
            : "plain processes"
        return "\(profile.name) with \(profile.benchmark.network) in \(profile.benchmark.milliseconds) ms, \(links), "
            + "dilation \(setting.dilation ?? 1), \(pictures ?? "synthetic photographs"), "
            + (setting.array.map { "\($0.name), " } ?? "")
            + (engines.isEmpty ? "originals in lcp" : "originals in the fastest engine")
    }

    /// - Throws: ``PipelineError`` where a record is of other conditions: a table of both would compare what cannot be compared.
    private func checkConditions() throws {
        for setting in experiment.settings {
            let conditions = try conditions(setting)
            for run in experiment.runs(of: setting) {
                guard let other = record(setting, run)?.conditions, other != conditions else { continue }
                throw PipelineError(
                    .invalidConfiguration,
                    "\(file(setting, run)) was measured under other conditions (\(other)) than these (\(conditions)): name "
                        + "another folder")
            }
        }
    }

    /// All records that there are.
    public var records: [RunRecord] {
        experiment.settings.flatMap { setting in experiment.runs(of: setting).compactMap { record(setting, $0) } }
    }

    /// Measures what is missing.
    ///
    /// - Parameters:
    ///   - only: the names of the runs that are measured; all where it is empty.
    ///   - refused: told each run that is not measured, when that is known.
    /// - Returns: how many there are: runs that cannot be measured, or were not good enough.
    /// - Throws: ``PipelineError`` where something fails, `CancellationError`. No lab and no process is left.
    public func run(
        only: [String] = [], progress: @escaping (Progress) -> Void, refused: @escaping (Refusal) -> Void
    ) async throws -> Int {
        try checkConditions()
        let models = "\(folder)/models"
        defer { ModelBundle.remove(at: models) }
        func runs(of setting: SpeedupExperiment.Setting) -> [SpeedupExperiment.Run] {
            experiment.runs(of: setting).filter { only.isEmpty || only.contains($0.name) }
        }
        let total = experiment.settings.reduce(0) { $0 + runs(of: $1).count }
        var done = experiment.settings.reduce(0) { sum, setting in
            sum + runs(of: setting).count { record(setting, $0) != nil }
        }
        var refusals = 0
        for setting in experiment.settings {
            let missing = runs(of: setting).filter { record(setting, $0) == nil }
            try FileIO.makeFolder("\(folder)/\(setting.name)")
            for dilation in Set(missing.map { $0.dilation ?? 1 }).sorted() {
                let runs = missing.filter { ($0.dilation ?? 1) == dilation }
                try await measure(runs, setting, dilation, models: models) { run in
                    progress(Progress(done: done, total: total, setting: setting.name, run: run.name))
                    done += 1
                } refused: {
                    refusals += 1
                    refused($0)
                }
            }
        }
        return refusals
    }

    /// Measures runs of one setting on devices that are made for them.
    private func measure(
        _ runs: [SpeedupExperiment.Run], _ setting: SpeedupExperiment.Setting, _ dilation: Double, models: String,
        progress: (SpeedupExperiment.Run) -> Void, refused: (Refusal) -> Void
    ) async throws {
        let lab = try await makeLab(
            setting, dilation * (setting.dilation ?? 1), devices: runs.map(\.devices).max() ?? 1)
        defer { if lab.kind == .namespaces { _ = try? Lab.down(name: lab.layout.name) } }
        do {
            for run in runs {
                try Task.checkCancellation()
                progress(run)
                switch try measure(run, setting, lab, models: models) {
                case .success(let record):
                    let encoder = JSONEncoder()
                    encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
                    try FileIO.write(Array(try encoder.encode(record)) + [10], to: file(setting, run))
                case .failure(let reason):
                    refused(Refusal(setting: setting.name, run: run.name, reason: reason.description))
                }
            }
        }
    }

    private func makeLab(
        _ setting: SpeedupExperiment.Setting, _ dilation: Double, devices: Int
    ) async throws -> Lab {
        if Lab.obstacle == nil {
            try Lab.clearAbandoned(name: Self.lab)
            try Lab.check(name: Self.lab)
        }
        let profile = try setting.deviceProfile(in: experiment.profiles)
        let pace = try LabPace.measure(profile, dilation: dilation)
        guard Lab.obstacle == nil else { return .processes(profile, pace, devices: devices) }
        return try await Lab.up(
            profile, pace, name: Self.lab, devices: devices, isShared: setting.shared ?? false, lcp: lcp,
            owner: getpid())
    }

    private func measure(
        _ run: SpeedupExperiment.Run, _ setting: SpeedupExperiment.Setting, _ lab: Lab, models: String
    ) throws -> Result<RunRecord, PipelineError> {
        var late: UInt64 = 0
        for _ in 0..<Self.attempts {
            let record: RunRecord
            switch run.way {
            case .original, .dataParallel, .lcp: record = try measurePipeline(run, setting, lab, models: models)
            case .modelParallel, .splitNet:
                guard lab.kind == .namespaces else {
                    return .failure(
                        PipelineError(
                            .resources, "devices that talk to each other need links of their own: run it as root"))
                }
                record = try measureSharing(run, setting, lab)
            }
            late = record.lateDepartures
            if late == 0 { return .success(record) }
        }
        return .failure(
            PipelineError(
                .timedOut,
                "\(late) frames left a device more than 2 % late, in each of \(Self.attempts) attempts: this machine is too busy"
                    + (lab.kind == .processes ? ", or root is missing, without whom nothing runs in real time" : "")))
    }

    // MARK: Pipelines

    private func measurePipeline(
        _ run: SpeedupExperiment.Run, _ setting: SpeedupExperiment.Setting, _ lab: Lab, models: String
    ) throws -> RunRecord {
        let base = try Network.named(run.network)
        let branches = run.way == .lcp ? run.devices : 1
        let network = try base.split(into: branches, fattening: .init(integerLiteral: run.fatten ?? 0))
        let (pace, own) = try measurePace(lab, network)
        // An array has its own time, whatever the processor beside it takes.
        let (time, engine) =
            try setting.array.map { (try arrayTime(network, $0) / pace.slowness, $0.name) }
            ?? (run.way == .lcp ? (own, "lcp") : engines.fastest(run.network, lcp: own))
        let model = "\(models)/\(run.network)-\(branches)-\(run.fatten ?? 0)"
        try Self.makeModel(network, at: model)
        defer { ModelBundle.remove(at: model) }
        let files = try LabPictures.load(pictures, network.input).map { try $0.jpeg(quality: 80) }
        let decodeByte = try LabPictures.decodeMillisecondsPerByte(files, network.input)
        let workers = (1...run.devices).map {
            LabPipeline.Worker(
                device: $0, branch: run.way == .lcp ? $0 - 1 : 0, networkTime: time,
                decodeTime: .nanoseconds(Int64(decodeByte * 1e9)))
        }
        let pipeline = try LabPipeline(
            lab, pace, model: model, workers: workers, computes: setting.array == nil, lcp: lcp)
        defer { pipeline.stop() }
        let frames = run.frames ?? experiment.frames
        let single = try pipeline.measure(input: network.input, frames: frames, pictures: pictures)
        let window = run.way == .original ? 2 : run.way == .lcp ? 4 : 2 * run.devices
        let many = try pipeline.measure(
            input: network.input, frames: max(frames, 3 * window), warmup: window, window: window, pictures: pictures)
        let trace =
            run.way == .dataParallel ? nil : try pipeline.trace(input: network.input, frames: 5, pictures: pictures)
        let slowness = pace.slowness
        let bound = LowerBound(
            link: lab.profile.link, branches: branches,
            featureBytes: 160 + 2 * (try network.outputCount(of: 0)),
            predictionBytes: single.figures.frames.map(\.predictionBytes).max() ?? 0,
            networkMilliseconds: time.milliseconds * slowness)
        let times = single.figures.frames.map { $0.latencyMilliseconds / lab.pace.dilation }
        let bounds = single.figures.frames.map {
            bound.milliseconds(
                inputBytes: $0.bytes, encode: $0.encodeMilliseconds / lab.pace.dilation,
                decode: decodeByte * Double($0.bytes) * slowness)
        }
        var record = try record(run, setting, lab, pace, times, traffic: single.traffic)
        if lab.kind == .namespaces {
            let ratios = RunRecord.Latency(zip(times, bounds).map { $0 / $1 })
            record.boundMilliseconds = RunRecord.Latency(bounds).p50
            (record.overBoundP50, record.overBoundP99) = (ratios.p50, ratios.p99)
            record.plannedMilliseconds = bounds.mean + Planner.usualOverheadMilliseconds
        }
        record.framesPerSecond = many.figures.framesPerSecond * lab.pace.dilation
        (record.networkMilliseconds, record.engine) = (time.milliseconds, engine)
        record.trace = trace?.divided(by: pace.dilation)
        record.inputBytes = single.figures.frames.map { Double($0.bytes) }.mean
        let decode = decodeByte * record.inputBytes
        record.decodeMilliseconds = decode
        record.connectedPairs = 2 * branches
        record.peakMiB = single.workerMiB
        record.lateDepartures = single.figures.lateDepartures
        let busy = (decode + time.milliseconds) * slowness
        record.modelledJoules = joules(
            lab.profile, busy: Array(repeating: busy, count: branches), latency: record.latency.mean)
        return record
    }

    /// The benchmark of the profile and the network, in turns: a machine is not always as fast.
    private func measurePace(_ lab: Lab, _ network: BranchedNetwork) throws -> (LabPace, Duration) {
        var (paces, times): ([LabPace], [Duration]) = ([], [])
        for _ in 0..<3 {
            paces.append(try .measure(lab.profile, dilation: lab.pace.dilation, seconds: 0.4))
            times.append(try NetworkTime.measure(network, seconds: 0.4))
        }
        // The round in the middle, by what the device takes.
        let device: [Double] = zip(paces, times).map { $0.slowness * $1.milliseconds }
        let middle = device.indices.sorted { device[$0] < device[$1] }[1]
        return (paces[middle], times[middle])
    }

    private func record(
        _ run: SpeedupExperiment.Run, _ setting: SpeedupExperiment.Setting, _ lab: Lab, _ pace: LabPace,
        _ times: [Double],
        traffic: [LabDevice: (sent: UInt64, received: UInt64)]
    ) throws -> RunRecord {
        // The frames of the warm-up count as frames for the links.
        let links = traffic.filter { $0.value.sent + $0.value.received > 4096 }.map { device, bytes in
            RunRecord.Traffic(
                device: device.name, sentBytes: Double(bytes.sent) / Double(times.count),
                receivedBytes: Double(bytes.received) / Double(times.count))
        }
        return RunRecord(
            setting: setting.name, run: run, label: lab.label, conditions: try conditions(setting), pace: pace,
            frames: times.count,
            latency: RunRecord.Latency(times), framesPerSecond: 1000 / times.mean, networkMilliseconds: 0,
            engine: "lcp", inputBytes: 0,
            traffic: links.sorted { ($0.device.count, $0.device) < ($1.device.count, $1.device) }, connectedPairs: 0,
            modelledJoules: 0, lateDepartures: 0)
    }

    /// The model of a device's energy: idle all the time that the frame takes, and busy for a part of it.
    private func joules(_ profile: DeviceProfile, busy: [Double], latency: Double) -> Double {
        busy.reduce(0) { total, busy in
            total + (profile.power.idleWatts * latency + (profile.power.busyWatts - profile.power.idleWatts) * busy)
                / 1000
        }
    }

    // MARK: Devices that talk to each other

    private func measureSharing(
        _ run: SpeedupExperiment.Run, _ setting: SpeedupExperiment.Setting, _ lab: Lab
    ) throws -> RunRecord {
        let shared = SharedNetwork(
            run.way == .splitNet ? .splitNet : .modelParallel, try .named(run.network), devices: run.devices)
        let pace = try LabPace.measure(lab.profile, dilation: lab.pace.dilation)
        let measured = try LabSharing.measure(
            lab, pace, shared, frames: run.frames ?? experiment.frames, pictures: pictures, lcp: lcp)
        let times = measured.figures.load.frames.map { $0.latencyMilliseconds / lab.pace.dilation }
        var record = try record(run, setting, lab, pace, times, traffic: measured.traffic)
        record.networkMilliseconds = measured.networkTimes.max() ?? 0
        record.inputBytes = measured.figures.load.frames.map { Double($0.bytes) }.mean
        record.connectedPairs = try shared.connectedPairs()
        record.peakMiB = measured.deviceMiB
        record.error = measured.figures.error
        record.lateDepartures = measured.figures.load.lateDepartures
        record.modelledJoules = joules(
            lab.profile, busy: measured.figures.busyMilliseconds.map { $0 / lab.pace.dilation },
            latency: record.latency.mean)
        return record
    }

    // MARK: Models

    private static func makeModel(_ network: BranchedNetwork, at folder: String) throws {
        var random = SeededGenerator(seed: 1)
        _ = try ModelBundle.write(
            name: "\(network.base)-\(network.branches.count)", network: network,
            parameters: try .random(for: network, using: &random), preprocessing: .usual(for: network.input),
            labels: (0..<network.classes).map(String.init), to: folder)
    }
}
