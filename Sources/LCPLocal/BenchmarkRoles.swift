import Glibc
import LCPModels
import LCPWire
import MQTT
import Platform

/// The workers and the aggregator of one case of a benchmark, as children of this process.
struct BenchmarkRoles {
    /// The workers, and behind them the aggregators.
    private(set) var children: [ChildProcess] = []
    private(set) var sensors: [ChildProcess] = []
    /// Those of the aggregators, and of the workers.
    var aggregators: [Int32] { children.suffix(aggregatorCount).map(\.processID) }
    var workers: [Int32] { children.dropLast(aggregatorCount).map(\.processID) }
    private var aggregatorCount = 0
    private let launcher: RoleLauncher
    private let model: String
    private let qos: QoS

    /// Prepares roles; nothing is started yet.
    ///
    /// - Parameters:
    ///   - executable: the program `lcp`.
    ///   - model: a bundle's folder.
    ///   - wrapper: as of ``RoleLauncher``.
    init(
        _ executable: String, pipeline: String, model: String, broker: BrokerProcess, wrapper: [String] = [],
        qos: QoS = .atMostOnce
    ) {
        self.qos = qos
        launcher = RoleLauncher(executable: executable, url: broker.url, pipeline: pipeline, wrapper: wrapper)
        self.model = model
    }

    /// Starts all roles at once, and waits until they are ready.
    ///
    /// - Parameters:
    ///   - replicas: how many workers each branch has.
    ///   - aggregators: how many share the sensors.
    /// - Throws: ``PipelineError`` where one ends before. The children that were started are stopped by ``stop()`` only.
    mutating func start(
        _ test: MessageBenchmark.Case, replicas: Int = 1, aggregators: Int = 1, listening client: MQTTClient,
        topics: Topics
    ) async throws {
        let statuses = try await client.subscribe(to: topics.statuses)
        defer { statuses.unsubscribe() }
        for replica in 0..<replicas {
            for branch in 0..<test.branches { try startWorker(branch, replica: replica, computes: test.computes) }
        }
        for _ in 0..<aggregators { try startAggregator() }
        try await wait(for: children[...], statuses)
    }

    /// Starts a worker, and when it is ready the aggregator.
    ///
    /// - Returns: the time of each from its start to its being ready.
    /// - Throws: as ``start(_:listening:topics:)``.
    mutating func startInTurn(
        computes: Bool, listening client: MQTTClient, topics: Topics
    ) async throws -> (worker: Duration, aggregator: Duration) {
        let statuses = try await client.subscribe(to: topics.statuses)
        defer { statuses.unsubscribe() }
        let begin = ContinuousClock.now
        try startWorker(0, computes: computes)
        try await wait(for: children[...], statuses)
        let middle = ContinuousClock.now
        try startAggregator()
        try await wait(for: children[1...], statuses)
        return (middle - begin, .now - middle)
    }

    private mutating func startWorker(_ branch: Int, replica: Int = 0, computes: Bool) throws {
        let arguments = ["--branch", "\(branch)"] + shared + (computes ? [] : ["--no-compute"])
        children.append(try launcher.start(.worker, replica == 0 ? "\(branch)" : "\(branch)-\(replica)", arguments))
    }

    private mutating func startAggregator() throws {
        let name = "a\(aggregatorCount == 0 ? "" : "\(aggregatorCount)")"
        children.append(try launcher.start(.aggregator, name, ["--deadline", "10000"] + shared))
        aggregatorCount += 1
    }

    private var shared: [String] { ["--model", model] + (qos == .atMostOnce ? [] : ["--qos", "\(qos.rawValue)"]) }

    /// Starts sensors of drawn digits, which begin at once.
    ///
    /// - Parameter rate: frames a second of each.
    mutating func startSensors(_ count: Int, rate: Double) throws {
        for number in 0..<count {
            sensors.append(
                try launcher.start(.sensor, "s\(number)", ["--source", "drawn", "--rate", "\(rate)"] + shared))
        }
    }

    /// Stops all of them: first they are asked, then waited for.
    func stop() {
        let all = sensors + children.reversed()
        for child in all { child.ask() }
        // One that is counted by callgrind writes a profile first.
        for child in all { child.stop(patience: .seconds(30)) }
    }

    private func wait(for children: ArraySlice<ChildProcess>, _ statuses: MQTTSubscription) async throws {
        let executable = launcher.executable
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                // By their processes: of roles that were stopped a status stays behind.
                let expected = Set(children.map(\.processID))
                var ready: Set<Int32> = []
                for try await message in statuses {
                    guard let status = RoleStatus(message.payload), status.state == .ready,
                        let process = status.processID, expected.contains(process)
                    else { continue }
                    ready.insert(process)
                    if ready.count == expected.count { return }
                }
                try Task.checkCancellation()
                throw PipelineError(.processFailed, "the broker is gone")
            }
            group.addTask {
                let deadline = ContinuousClock.now + .seconds(60)
                while true {
                    try await Task.sleep(for: .milliseconds(20))
                    if let status = children.lazy.compactMap({ $0.poll() }).first {
                        throw PipelineError(
                            .processFailed,
                            "a role of \(executable) ended with status \(status) before it was ready: is that lcp?")
                    }
                    guard ContinuousClock.now < deadline else {
                        throw PipelineError(.timedOut, "the roles of \(executable) were not ready after 60 s")
                    }
                }
            }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    /// Waits for what statuses say.
    ///
    /// - Parameters:
    ///   - problem: what is said where it is not so after 30 s.
    ///   - isDone: told every status as it comes, until it is true.
    static func wait(
        _ client: MQTTClient, _ topic: String, _ problem: String, until isDone: (RoleStatus) -> Bool
    ) async throws {
        let statuses = try await client.subscribe(to: topic)
        let watchdog = Task {
            try await Task.sleep(for: .seconds(30))
            statuses.unsubscribe()
        }
        defer {
            watchdog.cancel()
            statuses.unsubscribe()
        }
        for try await message in statuses {
            if let status = RoleStatus(message.payload), isDone(status) { return }
        }
        throw PipelineError(.timedOut, "\(problem) after 30 s")
    }

    // MARK: The model

    /// A model of random weights: LeNet where the input has its shape, otherwise one that is nothing but its input's size.
    static func makeBundle(_ test: MessageBenchmark.Case, at folder: String) throws -> ModelBundle {
        let network: BranchedNetwork
        if test.input == Network.lenet.input {
            network = try Network.lenet.split(into: test.branches)
        } else {
            let layers: [Layer] = [
                .maxPool(size: 16, stride: 16), .fullyConnected(outputs: max(16, test.classes)), .relu,
            ]
            network = BranchedNetwork(
                base: "bench", input: test.input, branches: Array(repeating: layers, count: test.branches),
                classes: test.classes, merge: .concat)
        }
        var random = SeededGenerator(seed: 1)
        let channels = test.input.channels
        return try ModelBundle.write(
            name: "bench", network: network, parameters: try .random(for: network, using: &random),
            preprocessing: .init(
                mean: Array(repeating: 0.5, count: channels), standardDeviation: Array(repeating: 0.5, count: channels)),
            labels: (0..<network.classes).map { "\($0)" }, to: folder)
    }
}
