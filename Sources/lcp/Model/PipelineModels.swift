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
    }

    var pipeline: String
    /// What the broker keeps; nil where that is nothing.
    var pushed: Push?
    var models: [Model]

    /// Asks a broker.
    ///
    /// - Throws: ``MQTTError`` or ``PipelineError``.
    static func ask(_ configuration: PipelineConfiguration) async throws -> PipelineModels {
        let topics = try Topics(prefix: configuration.prefix, pipeline: configuration.pipeline)
        let overview = Mutex(PipelineOverview())
        let offer = Mutex<ModelOffer?>(nil)
        try await MQTTClient.withConnection(configuration.mqtt) { client in
            let statuses = try await client.subscribe(to: topics.statuses) { message in
                if let status = RoleStatus(message, topics: topics) { overview.withLock { $0.add(status) } }
            }
            let manifests = try await client.subscribe(to: topics.modelManifest) { message in
                if let found = try? ModelOffer(Array(message.payload)) { offer.withLock { $0 = found } }
            }
            defer {
                statuses.unsubscribe()
                manifests.unsubscribe()
            }
            client.callStatuses(topics)
            try await Task.sleep(for: .seconds(2))
        }
        return PipelineModels(topics.root, offer.withLock { $0 }, overview.withLock { $0 })
    }

    init(_ pipeline: String, _ offer: ModelOffer?, _ overview: PipelineOverview) {
        self.pipeline = pipeline
        pushed = offer.map {
            Push(
                name: $0.name, modelHash: $0.model, number: $0.number, bytes: $0.modelBytes, branches: $0.branchCount)
        }
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
            // Its number is the time of the push, unless a clock was wrong.
            let time = (pushed?.number).map {
                $0 > 0 ? Timestamp.text(Int64($0 % 253_402_300_800_000) * 1_000_000) : "yes"
            }
            table.add([
                Log.printable(String(model.name.prefix(32))), String(model.modelHash.prefix(8)),
                model.pushed ? time ?? "" : model.fallback ? "came with lcp" : "no",
                model.runBy.isEmpty
                    ? "nobody"
                    : model.runBy.prefix(8).map(Log.printable).joined(separator: ", ")
                        + (model.runBy.count > 8 ? " and \(model.runBy.count - 8) more" : ""),
            ])
        }
        return "\(pipeline)\n\n" + table.text
    }
}
