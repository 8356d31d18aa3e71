import Glibc
import LCPLocal
import LCPWire
import MQTT
import Platform
import Synchronization

/// What somebody who is connected to one node of a cluster sees of a sensor's predictions.
private final class NodeWatcher: Sendable {
    private struct Seen {
        /// Each frame's answers, as they came first.
        var answers: [UInt64: [UInt8]] = [:]
        /// The frames whose answer came once more, byte by byte: a message that was in flight when its node was
        /// killed is sent again, as MQTT at QoS 1 has it (MQTT 5, 4.3.2).
        var repeated: Set<UInt64> = []
        /// The frames that were answered once more, otherwise.
        var twice: Set<UInt64> = []
        var incomplete: Set<UInt64> = []
        var last: ContinuousClock.Instant?
        /// The longest time without a prediction, since it was asked for last.
        var longestGap = Duration.zero
        var subscriptions: [MQTTSubscription] = []
    }

    private let client: MQTTClient
    private let seen = Mutex(Seen())

    init(_ address: MQTTAddress, _ topics: Topics, sensor: String) async throws {
        var configuration = MQTTConfiguration(address: address)
        configuration.reconnectDelay = .milliseconds(5) ... .milliseconds(50)
        client = try MQTTClient(configuration)
        try await client.connect()
        let predictions = try await client.subscribe(
            to: topics.prediction(sensor), options: .init(qos: .atLeastOnce)
        ) { [weak self] in self?.saw($0) }
        seen.withLock { $0.subscriptions = [predictions] }
    }

    private func saw(_ message: MQTTMessageView) {
        let answer = Array(message.payload)
        guard let prediction = Prediction(answer), let frame = UInt64(prediction.frame) else { return }
        seen.withLock { seen in
            if let first = seen.answers[frame] {
                if first == answer { seen.repeated.insert(frame) } else { seen.twice.insert(frame) }
            } else {
                seen.answers[frame] = answer
            }
            if !prediction.missing.isEmpty { seen.incomplete.insert(frame) }
            let now = ContinuousClock.now
            if let last = seen.last { seen.longestGap = max(seen.longestGap, now - last) }
            seen.last = now
        }
    }

    var frames: Set<UInt64> { seen.withLock { Set($0.answers.keys) } }
    var incomplete: Set<UInt64> { seen.withLock(\.incomplete) }
    var repeated: Set<UInt64> { seen.withLock(\.repeated) }
    var twice: Set<UInt64> { seen.withLock(\.twice) }

    /// The longest time without a prediction since it was asked for last.
    func takeLongestGap() -> Duration {
        seen.withLock { seen in
            defer { (seen.longestGap, seen.last) = (.zero, nil) }
            return seen.longestGap
        }
    }

    func close() async { await client.close() }
}

extension TrialRunner {
    /// A pipeline on three nodes, of which two are killed and brought back, one after the other. A frame is lost where
    /// nobody on any node sees its prediction, and answered twice where somebody on one node sees two that differ. (A
    /// prediction that was in flight when its node was killed is sent again as it was, and counted by itself.)
    func cluster() async throws -> TrialResult {
        let start = ContinuousClock.now
        let folder = try TrialFolder()
        defer { folder.remove() }
        let cluster = try await RabbitCluster(in: "\(folder.path)/rabbitmq")
        var result = TrialResult(trial: .cluster, seconds: 0)
        var roles: [ChildProcess] = []
        do {
            try await stream(through: cluster, folder, &roles, &result)
        } catch {
            for role in roles { role.stop() }
            await cluster.stop()
            throw error
        }
        for role in roles { role.ask() }
        for role in roles { role.stop() }
        await cluster.stop()
        result.seconds = Self.seconds(start, .now)
        return result
    }

    private func stream(
        through cluster: RabbitCluster, _ folder: TrialFolder, _ roles: inout [ChildProcess],
        _ result: inout TrialResult
    ) async throws {
        let (sensor, rate) = ("cam", 50.0)
        let topics = try Topics(pipeline: TrialPipeline.name)
        let launcher = RoleLauncher(
            executable: executable, url: cluster.url, pipeline: TrialPipeline.name, cache: "\(folder.path)/cache")
        var watchers: [NodeWatcher] = []
        for address in cluster.addresses { watchers.append(try await NodeWatcher(address, topics, sensor: sensor)) }
        try await startRoles(launcher, cluster, topics, &roles)

        let length = length(.cluster)
        let frames = Int(rate * length)
        let source = try launcher.start(
            .sensor, sensor, ["--source", "drawn", "--rate", "\(rate)", "--count", "\(frames)", "--qos", "1"])
        roles.append(source)
        var gaps: [Duration] = []
        for (node, time) in [(1, 0.25), (2, 0.6)] {
            let due = ContinuousClock.now + .seconds(length * (time - (gaps.isEmpty ? 0 : 0.35)))
            try await Task.sleep(until: due)
            for watcher in watchers { _ = watcher.takeLongestGap() }
            try await cluster.kill(node)
            try await Task.sleep(for: .seconds(max(4, min(60, 0.1 * length))))
            let others = watchers.indices.filter { $0 + 1 != node }
            gaps.append(others.map { watchers[$0].takeLongestGap() }.max() ?? .zero)
            try await cluster.start(node)
        }
        while source.poll() == nil { try await Task.sleep(for: .milliseconds(50)) }
        // One answer too many would come later.
        try await Task.sleep(for: .seconds(2))
        let seen = watchers.reduce(into: Set<UInt64>()) { $0.formUnion($1.frames) }
        result.add("nodes_killed", Double(gaps.count))
        result.add("frames", Double(frames))
        result.add("frames_lost", Double((0..<UInt64(frames)).count { !seen.contains($0) }), atMost: 0)
        let twice = watchers.reduce(into: Set<UInt64>()) { $0.formUnion($1.twice) }
        result.add("frames_answered_twice", Double(twice.count), atMost: 0)
        let repeated = watchers.reduce(into: Set<UInt64>()) { $0.formUnion($1.repeated) }
        result.add("predictions_sent_again", Double(repeated.count))
        let incomplete = watchers.reduce(into: Set<UInt64>()) { $0.formUnion($1.incomplete) }
        result.add("frames_incomplete", Double(incomplete.count))
        result.add("sensor_exit_status", Double(source.poll() ?? -1), atMost: 0)
        result.add("longest_pause_s", (gaps.max() ?? .zero).milliseconds / 1000, atMost: 10)
        for watcher in watchers { await watcher.close() }
    }

    /// Starts four workers and an aggregator, each on a node of its choice, and waits for them.
    private func startRoles(
        _ launcher: RoleLauncher, _ cluster: RabbitCluster, _ topics: Topics, _ roles: inout [ChildProcess]
    ) async throws {
        var configuration = MQTTConfiguration(addresses: cluster.addresses)
        configuration.waitsForBroker = true
        let client = try MQTTClient(configuration)
        try await client.connect()
        let statuses = try await client.subscribe(to: topics.statuses)
        for branch in 0..<4 {
            roles.append(try launcher.start(.worker, "w\(branch)", ["--branch", "\(branch)", "--qos", "1"]))
        }
        roles.append(try launcher.start(.aggregator, "aggregator", ["--deadline", "500", "--qos", "1"]))
        try await RoleLauncher.waitUntilReady(5, statuses)
        await client.close()
    }
}
