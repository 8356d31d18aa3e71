import LCPWire
import MQTT
import Synchronization

/// Waits until everybody in a pipeline runs a model that was pushed.
final class ModelArrival: Sendable {
    /// Who runs it, who does not, and who was told to run another.
    struct Report: Sendable, Hashable {
        var running: [String] = []
        var missing: [String] = []
        /// They were given a model on their command line.
        var fixed: [String] = []
    }

    private let model: String
    private let topics: Topics
    private let presence = Mutex(Presence())
    /// Whether the broker gives what it keeps to subscriptions with wildcards.
    private let givesRetained = Atomic(false)
    private static let answersTake = Duration.seconds(1.5)
    private let changes = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))

    /// Whether it is tried only, beside the pipeline's model.
    private let isCanary: Bool

    /// - Parameters:
    ///   - model: its hash in hexadecimal.
    ///   - isCanary: whether it is tried only.
    init(_ model: String, _ topics: Topics, isCanary: Bool = false) {
        (self.model, self.topics, self.isCanary) = (model, topics, isCanary)
    }

    /// Who runs the model alone, as far as is known.
    var report: Report {
        let all = presence.withLock { $0.all(.worker) + $0.all(.aggregator) }.sorted { $0.id < $1.id }
        var report = Report()
        for status in all {
            let name = "\(status.role.rawValue) \(status.id.printable)"
            // An aggregator joins the model before for a while, too.
            let isAlone = status.role == .aggregator || status.models ?? [model] == [model]
            if status.state == .ready, isCanary ? status.canary == model : status.modelHash == model && isAlone {
                report.running.append(name)
            } else if status.isModelGiven == true {
                report.fixed.append(name)
            } else {
                report.missing.append(name)
            }
        }
        return report
    }

    /// Waits until nobody is missing, at most so long.
    func wait(_ client: MQTTClient, atMost limit: Duration) async throws -> Report {
        let statuses = try await client.subscribe(to: topics.statuses) { [self] message in
            guard let status = RoleStatus(message, topics: topics) else { return }
            if presence.withLock({ $0.update(status) }) { changes.continuation.yield() }
        }
        defer { statuses.unsubscribe() }
        // What the broker has kept comes before its answer to this.
        let own = try await client.subscribe(to: topics.modelManifests) { [self] message in
            if message.retained { givesRetained.store(true, ordering: .relaxed) }
        }
        await own.end(within: ModelPush.limit)
        if client.configuration.addresses.count > 1 || !givesRetained.load(ordering: .relaxed) {
            // Everybody is asked instead.
            client.callStatuses(topics)
            try await Task.sleep(for: Self.answersTake)
        }
        let timer = client.eventLoop.schedule(after: limit) { [changes] in changes.continuation.finish() }
        defer { timer.cancel() }
        changes.continuation.yield()
        for await _ in changes.stream where report.missing.isEmpty { break }
        try Task.checkCancellation()
        return report
    }
}
