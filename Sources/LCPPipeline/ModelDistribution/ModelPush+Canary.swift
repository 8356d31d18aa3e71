public import LCPModels
import LCPWire
import MQTT
public import Platform

/// A model that is tried beside the pipeline's on a share of the frames, and then takes its place or goes.
extension ModelPush {
    /// Has a pipeline try a model; it takes the place of another that is tried.
    ///
    /// - Parameters:
    ///   - share: of the frames, more than 0 and at most 1.
    ///   - key, isUnsignedOnPurpose, patience, progress: as in
    ///     ``push(_:_:chunkBytes:key:isUnsignedOnPurpose:patience:progress:)``.
    /// - Throws: ``PipelineError`` where the pipeline has no model that was pushed, or it is the same one; ``MQTTError`` or
    ///   ``ModelBundleError``.
    public static func tryOut(
        _ bundle: ModelBundle, share: Double, _ configuration: PipelineConfiguration,
        chunkBytes: Int = defaultChunkBytes, key: SigningKey? = nil, isUnsignedOnPurpose: Bool = false,
        patience: Duration = .zero, progress: (Double) -> Void = { _ in }
    ) async throws -> Result {
        let topics = try Topics(prefix: configuration.prefix, pipeline: configuration.pipeline)
        try check(key, configuration, topics)
        _ = try bundle.parameters()
        return try await MQTTClient.withConnection(configuration.mqtt.atFirstNode) { client in
            let present = try await keptOffer(topics.modelManifest, client)
            if !isUnsignedOnPurpose { try checkSigned(key, present, topics) }
            let before = try await keptCanary(client, topics)
            var offer = try ModelOffer(
                bundle, chunkBytes: chunkBytes,
                number: ModelOffer.number(after: present, milliseconds: wallClockNanoseconds() / 1_000_000))
            guard offer.model != present?.model else {
                throw PipelineError(
                    .invalidConfiguration, "\(topics.root) runs \(offer.name) already: there is nothing to try")
            }
            if let model = try await describe(present, client, topics),
                let refusal = bundle.refusal(beside: model.input, branches: model.branches)
            {
                throw PipelineError(
                    .modelMismatch, "\(offer.name) cannot be tried in \(topics.root): \(refusal)")
            }
            try await waitUntilRetired(offer, client, topics, atMost: patience)
            if let key { offer = offer.signed(with: key, root: topics.root) }
            let kept = [present, try await keptOffer(topics.modelPrevious, client)].compactMap(\.self)
            let older = kept + [before?.offer].compactMap(\.self)
            guard kept.allSatisfy({ offer.fits(beside: $0) }) else {
                throw PipelineError(
                    .invalidConfiguration,
                    "\(offer.name) shares files with a model there that is cut into other pieces: give its --chunk")
            }
            let messages = try await sendPieces(of: bundle, offer, beside: older, client, topics, progress: progress)
            let canary = CanaryOffer(share: share, offer: offer)
            try await client.publish(canary.json, to: topics.modelCanary, qos: .atLeastOnce, retain: true)
            let removed = try await removePieces(
                of: [before?.offer].compactMap(\.self), but: kept + [offer], client, topics)
            var result = Result(
                name: offer.name, model: offer.model, input: bundle.network.input, bytes: offer.modelBytes,
                messages: messages + 1, removed: removed, before: nil,
                triedNoMore: before.flatMap { $0.offer.model == offer.model ? nil : $0.offer.name })
            guard patience > .zero else { return result }
            let requests = try await giveWhatIsWanted(of: bundle, offer, client, topics)
            defer { requests.unsubscribe() }
            let report = try await ModelArrival(offer.model, topics, isCanary: true).wait(client, atMost: patience)
            (result.running, result.missing, result.fixed) = (report.running, report.missing, report.fixed)
            return result
        }
    }

    /// Makes the model that is tried the pipeline's: it is pushed under a new number, and tried no more.
    ///
    /// - Throws: ``PipelineError`` where none is tried, or the broker has lost a part of it, or those who should try it do not;
    ///   ``MQTTError`` or ``ModelBundleError``.
    public static func promote(
        _ configuration: PipelineConfiguration, key: SigningKey? = nil, patience: Duration = .zero,
        progress: (Double) -> Void = { _ in }
    ) async throws -> Result {
        try await pushAgain(configuration, key, patience, progress) { client, topics in
            guard let canary = try await keptCanary(client, topics) else { throw nothingTried(topics) }
            let aggregators = try await aggregators(client, topics)
            guard aggregators.isEmpty || aggregators.contains(where: { $0.canary == canary.offer.model }) else {
                throw PipelineError(
                    .modelUnavailable,
                    "\(canary.offer.name) is not tried in \(topics.root) yet, although it shall be: the aggregator's log says why; "
                        + "lcp model abort ends it, lcp model push pushes it all the same")
            }
            return (canary.offer, topics.modelCanary)
        }
    }

    /// Ends what is tried where that is the pipeline's model now, or cannot be tried beside it.
    ///
    /// - Returns: what was ended, or else what goes on; nil where nothing is tried.
    static func endPointlessTrial(
        beside bundle: ModelBundle, _ client: MQTTClient, _ topics: Topics
    ) async throws -> (ended: ModelOffer?, going: ModelOffer?)? {
        guard let tried = try await keptCanary(client, topics)?.offer else { return nil }
        if tried.model != bundle.hash.description {
            // What the broker has not kept whole, somebody may give to those who try it.
            guard let model = try await describe(tried, client, topics),
                bundle.refusal(beside: model.input, branches: model.branches) != nil
            else { return (nil, tried) }
        }
        try await client.publish([], to: topics.modelCanary, qos: .atLeastOnce, retain: true)
        return (tried, nil)
    }

    /// Has a pipeline try nothing any more.
    ///
    /// - Returns: the name of what was tried.
    /// - Throws: ``PipelineError`` where none is tried; ``MQTTError``.
    public static func abort(_ configuration: PipelineConfiguration) async throws -> String {
        let topics = try Topics(prefix: configuration.prefix, pipeline: configuration.pipeline)
        return try await MQTTClient.withConnection(configuration.mqtt.atFirstNode) { client in
            let canary = try await keptCanary(client, topics)
            let kept = [
                try await keptOffer(topics.modelManifest, client), try await keptOffer(topics.modelPrevious, client),
            ].compactMap(\.self)
            // First the manifest: who has not got the files yet is not to wait for them. Also where the broker has forgotten it, and
            // those who heard it go on.
            try await client.publish([], to: topics.modelCanary, qos: .atLeastOnce, retain: true)
            guard let canary else { throw nothingTried(topics) }
            _ = try await removePieces(of: [canary.offer], but: kept, client, topics)
            return canary.offer.name
        }
    }

    /// Waits while an aggregator still joins a model as the pipeline's, which it was until just now: what workers that try it send
    /// would keep it there.
    private static func waitUntilRetired(
        _ offer: ModelOffer, _ client: MQTTClient, _ topics: Topics, atMost patience: Duration
    ) async throws {
        let end = ContinuousClock.now + patience
        while try await aggregators(client, topics).contains(where: { $0.models?.contains(offer.model) == true }) {
            guard ContinuousClock.now < end else {
                throw PipelineError(
                    .modelUnavailable,
                    "\(offer.name) was the model of \(topics.root) until just now, and is still joined: try it in half a minute"
                )
            }
            try await Task.sleep(for: .milliseconds(500))
        }
    }

    /// What the aggregators that are ready say of themselves, as far as the broker has kept it.
    private static func aggregators(_ client: MQTTClient, _ topics: Topics) async throws -> [RoleStatus] {
        let statuses = try await client.subscribe(
            to: topics.statuses(.aggregator), options: .init(qos: .atLeastOnce))
        await statuses.end(within: limit)
        var found: [RoleStatus] = []
        for try await message in statuses {
            if let status = RoleStatus(message.payload), status.state == .ready { found.append(status) }
        }
        return found
    }

    private static func nothingTried(_ topics: Topics) -> PipelineError {
        PipelineError(
            .modelUnavailable, "no model is tried in \(topics.root): begin with lcp model push MODEL --canary 5%")
    }

    /// What the broker has kept to be tried.
    static func keptCanary(_ client: MQTTClient, _ topics: Topics) async throws -> CanaryOffer? {
        let canaries = try await client.subscribe(to: topics.modelCanary, options: .init(qos: .atLeastOnce))
        await canaries.end(within: limit)
        for try await message in canaries where !message.payload.isEmpty { return try? CanaryOffer(message.payload) }
        return nil
    }
}
