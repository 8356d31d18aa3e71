import FoundationEssentials
import Glibc
import LCPLocal
import LCPSettings
import LCPWire
import MQTT
import Platform
import Synchronization

/// A pipeline of real processes and a real mosquitto on this machine, and everything that can be seen of it from outside.
final class TrialPipeline: Sendable {
    /// A prediction, and when it came.
    struct Answer: Sendable {
        var prediction: Prediction
        var arrival: ContinuousClock.Instant
    }

    private struct State {
        var broker: BrokerProcess
        var processes: [String: ChildProcess] = [:]
        var statuses: [String: (status: RoleStatus, arrival: ContinuousClock.Instant)] = [:]
        var losses = 0
        var statistics: [String: RoleStatistics] = [:]
        var answers: [String: [Answer]] = [:]
        var shares: [ContinuousClock.Instant] = []
        /// They last as long as they are held.
        var subscriptions: [MQTTSubscription] = []
    }

    static let name = "trial"
    let executable: String
    let client: MQTTClient
    let topics: Topics
    private let state: Mutex<State>
    private let brokerText: String
    /// Where its roles keep models.
    private let folder: TrialFolder

    var url: String { state.withLock { $0.broker.url } }

    /// Starts the broker.
    ///
    /// - Parameter executable: the program `lcp`.
    /// - Throws: ``PipelineError`` or ``MQTTError``.
    init(executable: String) async throws {
        self.executable = executable
        folder = try TrialFolder()
        brokerText = try BrokerProcess.localConfiguration()
        let broker = try BrokerProcess.start(configuration: brokerText)
        topics = try Topics(pipeline: Self.name)
        var configuration = MQTTConfiguration(address: .tcp(host: broker.host, port: broker.port))
        // Back before anybody else: what it does not see counts as lost.
        configuration.reconnectDelay = .milliseconds(5) ... .milliseconds(10)
        client = try MQTTClient(configuration)
        state = Mutex(State(broker: broker))
        try await client.connect()
        let subscriptions = [
            try await client.subscribe(to: topics.statuses) { [weak self] in self?.heard($0) },
            try await client.subscribe(to: "\(topics.root)/stats/+/+") { [weak self] in self?.counted($0) },
            try await client.subscribe(to: topics.predictions, options: .init(qos: .atLeastOnce)) { [weak self] in
                self?.answered($0)
            },
        ]
        state.withLock { $0.subscriptions = subscriptions }
    }

    deinit { folder.remove() }

    /// Ends every process and the broker.
    func end() async {
        let processes = state.withLock { Array($0.processes.values) }
        for process in processes { kill(process.processID, SIGCONT) }
        for process in processes { process.ask() }
        for process in processes { process.stop() }
        await client.close()
        state.withLock { _ = $0.broker.process.stop() }
    }

    // MARK: What is seen

    private func heard(_ message: MQTTMessageView) {
        guard let status = RoleStatus(message, topics: topics) else { return }
        state.withLock {
            $0.statuses[status.id] = (status, .now)
            if status.state == .lost { $0.losses += 1 }
        }
    }

    private func counted(_ message: MQTTMessageView) {
        guard let statistics = try? JSONDecoder().decode(RoleStatistics.self, from: Data(message.payload)) else {
            return
        }
        let id = Topics.sensor(of: message.topic)
        state.withLock { $0.statistics[id] = statistics }
    }

    private func answered(_ message: MQTTMessageView) {
        guard let prediction = Prediction(Array(message.payload)) else { return }
        let answer = Answer(prediction: prediction, arrival: .now)
        state.withLock { $0.answers[prediction.sensor, default: []].append(answer) }
    }

    /// Counts what a branch sends from now on.
    func watchShares(of branch: Int) async throws {
        let shares = try await client.subscribe(to: topics.features(branch: branch, sensor: "+")) { [weak self] _ in
            self?.state.withLock { $0.shares.append(.now) }
        }
        state.withLock { $0.subscriptions.append(shares) }
    }

    var shares: [ContinuousClock.Instant] { state.withLock(\.shares) }
    var statuses: [String: RoleStatus] { state.withLock { $0.statuses.mapValues(\.status) } }
    /// How often somebody was said to be lost.
    var losses: Int { state.withLock(\.losses) }
    var statistics: [String: RoleStatistics] { state.withLock(\.statistics) }
    func answers(of sensor: String) -> [Answer] { state.withLock { $0.answers[sensor] ?? [] } }
    /// Forgets what a sensor was answered, so that a long stream does not fill the memory.
    func takeAnswers(of sensor: String) -> [Answer] { state.withLock { $0.answers.removeValue(forKey: sensor) ?? [] } }

    /// Retained messages below the pipeline's topics.
    func retainedCount() async throws -> Int {
        let count = Mutex(0)
        try await MQTTClient.withConnection(client.configuration) { other in
            let everything = try await other.subscribe(to: "\(topics.root)/#") { message in
                if message.retained { count.withLock { $0 += 1 } }
            }
            // They come before the answer to the next thing that is asked of the broker.
            try await other.publish([], to: "\(topics.root)/trial", qos: .atLeastOnce)
            everything.unsubscribe()
        }
        return count.withLock { $0 }
    }

    /// Waits until what the processes say of themselves is as wanted.
    ///
    /// - Returns: when it was.
    @discardableResult
    func wait(
        _ what: String, seconds: Double = 30, _ isDone: ([String: RoleStatus]) -> Bool
    ) async throws -> ContinuousClock.Instant {
        let deadline = ContinuousClock.now + .seconds(seconds)
        while true {
            if isDone(statuses) { return .now }
            guard ContinuousClock.now < deadline else {
                throw PipelineError(.timedOut, "\(what): not within \(seconds) s")
            }
            try await Task.sleep(for: .milliseconds(5))
        }
    }

    /// The branches that ready workers serve.
    static func served(_ statuses: [String: RoleStatus]) -> [Int: Int] {
        var counts: [Int: Int] = [:]
        for status in statuses.values where status.role == .worker && status.state == .ready {
            for branch in status.serves ?? [] { counts[branch, default: 0] += 1 }
        }
        return counts
    }

    // MARK: What is done

    /// - Parameters:
    ///   - cache: where it keeps models; in a folder of the pipeline's where nil.
    ///   - other: the pipeline it belongs to, where that is not this one.
    func start(
        _ role: Role, _ name: String, _ arguments: [String] = [], url: String? = nil, cache: String? = nil,
        in other: String? = nil
    ) throws {
        let launcher = RoleLauncher(
            executable: executable, url: self.url, pipeline: other ?? Self.name,
            cache: cache ?? folder.path)
        let process = try launcher.start(role, name, arguments, url: url)
        state.withLock { $0.processes[other.map { "\($0)/\(name)" } ?? name] = process }
    }

    /// Starts workers that settle who does what, and an aggregator, and waits until all branches are served.
    func startRoles(
        workers: Int, branches: Int, deadline: Int = 100, _ arguments: [String] = [], ofWorkers: [String] = []
    ) async throws {
        for index in 0..<workers { try start(.worker, "w\(index)", arguments + ofWorkers) }
        try start(.aggregator, "aggregator", ["--deadline", "\(deadline)"] + arguments)
        try await wait("\(workers) workers and the aggregator are ready") { statuses in
            let served = Self.served(statuses)
            return statuses["aggregator"]?.state == .ready && served.values.reduce(0, +) == max(workers, branches)
                && (0..<branches).allSatisfy { served[$0] != nil }
                && statuses.values.allSatisfy { $0.role != .worker || $0.claims == $0.serves }
        }
    }

    /// Starts a worker for each branch, and an aggregator, and waits for them.
    func startPinned(
        branches: Int, deadline: Int = 100, url: String? = nil, _ arguments: (Int) -> [String] = { _ in [] }
    ) async throws {
        for branch in 0..<branches {
            try start(.worker, "w\(branch)", ["--branch", "\(branch)"] + arguments(branch), url: url)
        }
        try start(.aggregator, "aggregator", ["--deadline", "\(deadline)"], url: url)
        try await wait("\(branches) workers and the aggregator are ready") {
            Self.served($0).count == branches && $0["aggregator"]?.state == .ready
        }
    }

    func process(_ name: String) throws -> ChildProcess {
        guard let process = state.withLock({ $0.processes[name] }) else {
            throw PipelineError(.processFailed, "there is no \(name)")
        }
        return process
    }

    func signal(_ name: String, _ number: Int32) throws { kill(try process(name).processID, number) }

    /// Whether a process has ended.
    func hasEnded(_ name: String) throws -> Bool { try process(name).poll() != nil }

    var processNames: [String] { state.withLock { $0.processes.keys.sorted() } }

    func signalBroker(_ number: Int32) { state.withLock { _ = kill($0.broker.process.processID, number) } }

    func killBroker() {
        state.withLock {
            kill($0.broker.process.processID, SIGKILL); $0.broker.process.stop()
        }
    }

    /// Starts a broker that knows nothing on the port of the one before.
    func restartBroker() throws {
        let port = state.withLock { $0.broker.port }
        let broker = try BrokerProcess.start(configuration: brokerText, port: port)
        state.withLock { $0.broker = broker }
    }

    /// Streams drawn digits and waits until the sensor has ended and its last frames have had their time.
    func stream(
        _ name: String, rate: Double, seconds: Double, _ arguments: [String] = [], url: String? = nil
    ) async throws -> Int {
        let count = max(1, Int(rate * seconds))
        try start(
            .sensor, name, ["--source", "drawn", "--rate", "\(rate)", "--count", "\(count)"] + arguments, url: url)
        while try !hasEnded(name) { try await Task.sleep(for: .milliseconds(10)) }
        try await settle(name, count)
        return count
    }

    /// Waits until all frames are answered, or nothing has come for two seconds.
    func settle(_ sensor: String, _ count: Int) async throws {
        var (seen, since) = (-1, ContinuousClock.now)
        while ContinuousClock.now - since < .seconds(2) {
            let now = answers(of: sensor).count
            if now >= count { return }
            if now != seen { (seen, since) = (now, .now) }
            try await Task.sleep(for: .milliseconds(10))
        }
    }

    // MARK: What they use

    /// A measure of every process that runs, by name.
    func ofEach(_ measure: (String) throws -> Int) throws -> [String: Int] {
        var result: [String: Int] = [:]
        for name in processNames where try !hasEnded(name) { result[name] = try measure(name) }
        return result
    }

    /// Resident bytes of a process.
    func memory(of name: String) throws -> Int {
        let text = String(decoding: try FileIO.read("/proc/\(try process(name).processID)/statm"), as: UTF8.self)
        let pages = text.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
        return pages * sysconf(Int32(_SC_PAGESIZE))
    }

    /// Open descriptors of a process.
    func descriptors(of name: String) throws -> Int {
        try FileIO.list("/proc/\(try process(name).processID)/fd").count
    }
}

extension TrialPipeline {
    /// Waits until each of some processes has said something after a moment.
    ///
    /// - Returns: when the last one had.
    func arrivals(
        of names: [String], after moment: ContinuousClock.Instant, seconds: Double = 20
    ) async throws -> ContinuousClock.Instant {
        let end = ContinuousClock.now + .seconds(seconds)
        while true {
            let times = arrivalTimes
            let found = names.compactMap { times[$0] }.filter { $0 > moment }
            if found.count == names.count, let last = found.max() { return last }
            guard ContinuousClock.now < end else {
                throw PipelineError(
                    .timedOut, "\(names.filter { times[$0].map { $0 <= moment } ?? true }) did not come back")
            }
            try await Task.sleep(for: .milliseconds(5))
        }
    }

    private var arrivalTimes: [String: ContinuousClock.Instant] {
        // Ready, and not merely connected; or with a goodbye, which needs a connection: a stream may have ended meanwhile.
        state.withLock {
            $0.statuses.filter { [.ready, .disconnected].contains($0.value.status.state) }.mapValues(\.arrival)
        }
    }

    /// Waits until the broker has a model to keep.
    ///
    /// - Returns: when it had.
    func modelIsBack(within seconds: Double) async throws -> ContinuousClock.Instant {
        let manifests = try await client.subscribe(to: topics.modelManifest)
        defer { manifests.unsubscribe() }
        let watchdog = Task {
            try await Task.sleep(for: .seconds(seconds))
            manifests.unsubscribe()
        }
        defer { watchdog.cancel() }
        for try await _ in manifests { return .now }
        throw PipelineError(.timedOut, "the model did not come back within \(seconds) s")
    }
}
