import LCPModels
import LCPWire
import MQTT
public import Platform

extension ModelPush {
    /// Pushes the model before the present one again, under a new number. The present one is kept as the one before.
    ///
    /// - Parameters:
    ///   - key: signs the offer; nil where the pipeline takes anybody's models.
    ///   - patience: how long the pipeline's roles are waited for, until all of them run it.
    ///   - progress: gets the share of the work that is done.
    /// - Throws: ``PipelineError`` where there is none, or the broker has lost a part of it; ``MQTTError`` or ``ModelBundleError``.
    public static func rollback(
        _ configuration: PipelineConfiguration, key: SigningKey? = nil, patience: Duration = .zero,
        progress: (Double) -> Void = { _ in }
    ) async throws -> Result {
        try await pushAgain(configuration, key, patience, progress) { client, topics in
            guard let offer = try await keptOffer(topics.modelPrevious, client) else {
                throw PipelineError(
                    .modelUnavailable,
                    "the broker knows no model before the present one of \(topics.root): push one with lcp model push")
            }
            return (offer, topics.modelPrevious)
        }
    }

    /// Pushes a model from what the broker has kept of it, under a new number.
    ///
    /// - Parameter find: finds the offer, and tells where it lies.
    static func pushAgain(
        _ configuration: PipelineConfiguration, _ key: SigningKey?, _ patience: Duration,
        _ progress: (Double) -> Void,
        find: (MQTTClient, Topics) async throws -> (offer: ModelOffer, topic: String)
    ) async throws -> Result {
        let topics = try Topics(prefix: configuration.prefix, pipeline: configuration.pipeline)
        try check(key, configuration, topics)
        let cache = ModelCache.standard
        let offer = try await MQTTClient.withConnection(configuration.mqtt.atFirstNode) { client in
            let (offer, topic) = try await find(client, topics)
            try await get(offer, configuration, topic, client, topics, cache) { progress($0 / 2) }
            return offer
        }
        let hold = cache.hold(offer)
        defer { withExtendedLifetime(hold) {} }
        return try await push(
            cache.bundle(offer), configuration, chunkBytes: offer.chunkBytes, key: key, patience: patience
        ) { progress(0.5 + $0 / 2) }
    }

    /// Gets the files of an offer that the broker has kept into the cache.
    ///
    /// - Parameter topic: where the offer lies, for people.
    private static func get(
        _ offer: ModelOffer, _ configuration: PipelineConfiguration, _ topic: String, _ client: MQTTClient,
        _ topics: Topics, _ cache: ModelCache, progress: (Double) -> Void
    ) async throws {
        if let key = configuration.modelKey, let refusal = ModelTrust(key: key, root: topics.root).refusal(of: offer) {
            throw PipelineError(.modelUnavailable, "\(topic): \(refusal.sentence(offer.name.printable))")
        }
        var received = 0
        for file in offer.files {
            if let refusal = BlobDownload.refusal(file, of: offer, free: SystemMemory.available) { throw refusal }
            if !cache.has(file, of: offer) {
                guard let bytes = try await contents(file, offer, client, topics) else {
                    throw PipelineError(
                        .modelUnavailable,
                        "the broker has not kept all of \(file.name) of \(offer.name.printable): push it with lcp model push"
                    )
                }
                try cache.write(bytes, file, of: offer)
            }
            received += file.bytes
            progress(Double(received) / Double(offer.modelBytes))
        }
    }

    /// Whether a pipeline's roles will take what is signed with a key.
    static func check(
        _ key: SigningKey?, _ configuration: PipelineConfiguration, _ topics: Topics
    ) throws(PipelineError) {
        guard let wanted = configuration.modelKey, key?.verificationKey != wanted else { return }
        throw PipelineError(
            .invalidConfiguration,
            key == nil
                ? "\(topics.root) takes only models that are signed with its model_key: give --sign and the file of the private key"
                : "the key of --sign is another than the model_key of \(topics.root), whose roles would refuse the model"
        )
    }

    /// Whoever signed the model that is there most likely has roles that take no other; what they refuse would still take the place
    /// of the model before.
    static func checkSigned(_ key: SigningKey?, _ present: ModelOffer?, _ topics: Topics) throws(PipelineError) {
        guard key == nil, let present, present.signature != nil else { return }
        throw PipelineError(
            .invalidConfiguration,
            "\(topics.root) runs \(present.name.printable), which is signed: give --sign and the file of the private key; "
                + "lcp model push --unsigned is for roles that have no model_key any more")
    }
}

extension ModelOffer {
    /// Which model is kept as the one before this.
    ///
    /// - Parameters:
    ///   - before: what was offered until now.
    ///   - former: what was kept as the one before that.
    func previous(_ before: ModelOffer?, _ former: ModelOffer?) -> ModelOffer? {
        guard let before, before.model != model else {
            // The same model once more: the one before it stays, unless its pieces are cut in another way now.
            return former.flatMap { $0.model != model && fits(beside: $0) ? $0 : nil }
        }
        return fits(beside: before) ? before : nil
    }

    /// Whether both can lie on a broker: a file that both have is cut into the same pieces.
    func fits(beside other: ModelOffer) -> Bool {
        chunkBytes == other.chunkBytes || Set(files.map(\.sha256)).isDisjoint(with: other.files.map(\.sha256))
    }
}
