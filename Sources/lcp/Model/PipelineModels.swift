import LCPPipeline
import LCPWire
import MQTT
import Platform
import Synchronization

/// Which models there are in a pipeline, and who runs which.
struct PipelineModels: Encodable {
    struct Model: Encodable {
        var name: String
        var modelHash: String
        /// Whether it is the one that was pushed last.
        var pushed: Bool
        /// Whether it came with lcp, and runs because none was pushed.
        var fallback: Bool
        var runBy: [String]

        enum CodingKeys: String, CodingKey {
            case name, pushed, fallback
            case modelHash = "model_hash"
            case runBy = "run_by"
        }
    }

    struct Push: Encodable {
        var name: String
        var modelHash: String
        var number: UInt64
        var bytes: Int
        var branches: Int

        enum CodingKeys: String, CodingKey {
            case name, number, bytes, branches
            case modelHash = "model_hash"
        }

        init(_ offer: ModelOffer) {
            (name, modelHash, number) = (offer.name, offer.model, offer.number)
            (bytes, branches) = (offer.modelBytes, offer.branchCount)
        }

        /// When that was: the number is the time, unless a clock was wrong.
        var time: String { number > 0 ? Timestamp.text(Int64(number % 253_402_300_800_000) * 1_000_000) : "yes" }
    }

    var pipeline: String
    /// What the broker keeps; nil where that is nothing.
    var pushed: Push?
    /// What `lcp model rollback` brings back; nil where the broker keeps none.
    var previous: Push?
    /// What is tried; nil where nothing is.
    var canary: Canary?
    var models: [Model]

    /// A model that is tried, and how it does.
    struct Canary: Encodable {
        var name: String
        var modelHash: String
        var share: Double
        var counts: RoleStatistics.Canary?

        enum CodingKeys: String, CodingKey {
            case name, share, counts
            case modelHash = "model_hash"
        }

        init(_ canary: CanaryOffer, _ counts: RoleStatistics.Canary?) {
            (name, modelHash, share) = (canary.offer.name, canary.offer.model, canary.share)
            self.counts = counts
        }

        /// Some lines for people.
        var text: String {
            let title =
                "tried on \(percent(share, digits: 2)) of the frames: \(Log.printable(String(name.prefix(32)))) \(modelHash.prefix(8))"
            guard let counts, counts.frames > 0 else { return "\(title); nothing is counted yet" }
            var table = Table(["model", "confidence", "p50 ms", "p99 ms"], rightAligned: [1, 2, 3])
            for side in [counts.present, counts.tried] {
                table.add([
                    Log.printable(String(side.name.prefix(32))), percent(side.confidence, digits: 1),
                    side.latencyP50.map { fixed($0, digits: 2) } ?? "",
                    side.latencyP99.map { fixed($0, digits: 2) } ?? "",
                ])
            }
            let agreement = percent(Double(counts.agreed) / Double(counts.frames), digits: 2)
            let incomplete =
                counts.incomplete > 0 ? "; \(counts.incomplete) lacked a branch in one of the two" : ""
            return "\(title)\nthe two agree on \(agreement) of \(counts.frames) frames\(incomplete)\n\n\(table.text)"
                + "\n\nlcp model promote makes it the pipeline's model, lcp model abort ends the trial"
        }
    }

    /// Asks a broker.
    ///
    /// - Throws: ``MQTTError`` or ``PipelineError``.
    static func ask(_ configuration: PipelineConfiguration) async throws -> PipelineModels {
        let topics = try Topics(prefix: configuration.prefix, pipeline: configuration.pipeline)
        let overview = Mutex(PipelineOverview())
        let offers = Mutex<[String: ModelOffer]>([:])
        let tried = Mutex<CanaryOffer?>(nil)
        let canary = Mutex<RoleStatistics.Canary?>(nil)
        try await MQTTClient.withConnection(configuration.mqtt.atFirstNode) { client in
            let statuses = try await client.subscribe(to: topics.statuses) { message in
                if let status = RoleStatus(message, topics: topics) { overview.withLock { $0.add(status) } }
            }
            let manifests = try await client.subscribe(to: topics.modelManifest) { message in
                if message.topic == topics.modelCanary {
                    return tried.withLock { $0 = try? CanaryOffer(Array(message.payload)) }
                }
                if let found = try? ModelOffer(Array(message.payload)) { offers.withLock { $0[message.topic] = found } }
            }
            let counts = try await client.subscribe(to: topics.statistics(.aggregator, "+")) { message in
                if let found = RoleStatistics(Array(message.payload))?.canary { canary.withLock { $0 = found } }
            }
            // By their own topics: not every broker gives what it keeps to wildcards.
            try await manifests.add(topics.modelPrevious)
            try await manifests.add(topics.modelCanary)
            defer {
                counts.unsubscribe()
                statuses.unsubscribe()
                manifests.unsubscribe()
            }
            client.callStatuses(topics)
            try await Task.sleep(for: .seconds(2))
            // An aggregator counts every five seconds.
            for _ in 0..<40 where tried.withLock({ $0 != nil }) && canary.withLock({ $0 == nil }) {
                try await Task.sleep(for: .milliseconds(100))
            }
        }
        let found = offers.withLock { $0 }
        var result = PipelineModels(topics.root, found[topics.modelManifest], overview.withLock { $0 })
        result.previous = found[topics.modelPrevious].map(Push.init)
        result.canary = tried.withLock(\.self).map { tried in
            let counts = canary.withLock(\.self)
            return Canary(tried, counts?.model == tried.offer.model ? counts : nil)
        }
        return result
    }

    init(_ pipeline: String, _ offer: ModelOffer?, _ overview: PipelineOverview) {
        self.pipeline = pipeline
        pushed = offer.map(Push.init)
        var models: [Model] =
            pushed.map {
                [Model(name: $0.name, modelHash: $0.modelHash, pushed: true, fallback: false, runBy: [])]
            } ?? []
        for status in overview.members.map(\.status) where status.state == .ready || status.state == .starting {
            guard let hash = status.modelHash, let name = status.model else { continue }
            let who = "\(status.role.rawValue) \(status.id)"
            if let index = models.firstIndex(where: { $0.modelHash == hash }) {
                models[index].runBy.append(who)
                models[index].fallback = models[index].fallback || status.isFallback == true
            } else {
                models.append(
                    Model(
                        name: name, modelHash: hash, pushed: false, fallback: status.isFallback == true, runBy: [who]))
            }
        }
        self.models = models
    }

    /// A table for people.
    var text: String {
        guard !models.isEmpty else { return "no model was pushed to \(pipeline), and nobody runs one" }
        var table = Table(["model", "hash", "pushed", "run by"], optional: [1])
        for model in models {
            table.add([
                Log.printable(String(model.name.prefix(32))), String(model.modelHash.prefix(8)),
                model.pushed ? pushed?.time ?? "" : model.fallback ? "came with lcp" : "no",
                model.runBy.isEmpty
                    ? "nobody"
                    : model.runBy.prefix(8).map(Log.printable).joined(separator: ", ")
                        + (model.runBy.count > 8 ? " and \(model.runBy.count - 8) more" : ""),
            ])
        }
        let before = previous.map {
            "\n\nbefore that: \(Log.printable(String($0.name.prefix(32)))) \($0.modelHash.prefix(8)), pushed \($0.time); lcp model rollback brings it back"
        }
        return "\(pipeline)\n\n" + table.text + (before ?? "") + (canary.map { "\n\n" + $0.text } ?? "")
    }
}
