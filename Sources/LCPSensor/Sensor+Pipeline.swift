import LCPModels
import LCPPipeline
import LCPWire
import MQTT
import Synchronization

/// What a sensor knows of its pipeline: which model its frames are for, who computes them, and to which lanes they are dealt.
extension Sensor {
    /// Finds out which model the frames are for, and who reads them.
    ///
    /// - Throws: ``PipelineError`` where the source's frames do not fit.
    func meetPipeline() async throws {
        try await unlessForbidden("to whom frames are dealt") { try await watchPlan() }
        try await unlessForbidden("who reads its frames") { try await watchStatuses() }
        try await unlessForbidden("who wants pictures of them") { try await showFrames() }
        let asks = options.model == nil && options.shape == nil
        if asks {
            let supply = ModelSupply(reading: session) { [inbox] _ in inbox.put(.offer) }
            try await unlessForbidden("the pipeline's model") { try await supply.start() }
            self.supply = supply
        }
        // What the broker has kept comes before its answer to this.
        try await session.publishStatus { _ in }
        var model = options.model
        if asks { model = try await pipelineModel() }
        if asks, let model { try reader.source.check(fits: model) }
        if case .standardInput = reader.source, options.shape == nil {
            // Whoever writes it does not change with the model.
            plan = FramePlan(.fixed(model?.network.input ?? plan.shape), wanted: options.encoding)
        }
        let workers = workers
        _ = plan.update(model: model, workers: workers)
        dealer.announcedLanes = Self.lanes(workers)
        // It comes with the other events, too, but the first frame does not wait for those.
        if let first = keptPlan.withLock({ $0 }) { dealer.plan = first }
        adoptPlan()
    }

    /// Does without what an access list of the version before does not let a sensor read, where nothing is promised of it.
    private func unlessForbidden(_ what: String, _ body: () async throws -> Void) async throws {
        do { try await body() } catch let error as MQTTError where error.code == .notAuthorized {
            guard session.qos == .atMostOnce else { throw error }
            session.log("cannot see \(what), and goes on without: \(error)")
        }
    }

    private var workers: [RoleStatus] { presence.withLock { $0.all(.worker) } }

    /// The model that was pushed to the pipeline, or the one of those that came with lcp that its roles name.
    private func pipelineModel() async throws -> ModelManifest? {
        if let offer = try await supply?.firstOffer() { return await manifest(of: offer) }
        let named = presence.withLock { $0.all(.aggregator) + $0.all(.worker) }
        for status in named {
            guard let name = status.model, ModelBundle.shippedNames.contains(name),
                let bundle = try? ModelBundle.find(name), bundle.hash.description == status.modelHash
            else { continue }
            return bundle.manifest
        }
        return nil
    }

    private func manifest(of offer: ModelOffer) async -> ModelManifest? {
        do { return try await supply?.manifest(of: offer) } catch {
            if !Task.isCancelled { session.log("what \(offer.name.printable) takes is not known: \(error)") }
            return nil
        }
    }

    /// The pipeline has another model, or others compute.
    private func pipelineChanged(hasNewModel: Bool) async {
        var model: ModelManifest?
        if hasNewModel, let offer = await supply?.offer {
            model = await manifest(of: offer)
            // While it was fetched, yet another may have come, which has an event of its own.
            guard await supply?.offer == offer else { return }
        }
        let workers = workers
        for sentence in plan.update(model: model, workers: workers) { session.log(sentence) }
        dealer.announcedLanes = Self.lanes(workers)
        adoptPlan()
        if hasNewModel {
            do { try adoptSignal() } catch { session.log.warning("\(error)") }
        }
    }

    /// The lanes that somebody receives.
    private static func lanes(_ workers: [RoleStatus]) -> Set<Int> {
        var lanes: Set<Int> = []
        for worker in workers { for own in worker.lanes ?? [] { lanes.formUnion(own) } }
        return lanes
    }

    private func adoptPlan() {
        reader.shape = plan.shape
        reader.labels = plan.model?.labels
        reader.preprocessing = plan.model?.preprocessing
    }

    private func watchStatuses() async throws {
        subscriptions.append(
            try await session.subscribe(toStatuses: session.topics.statuses) {
                [weak self, topics = session.topics] message in
                guard let self, let status = RoleStatus(message, topics: topics) else { return }
                presence.withLock { _ = $0.update(status) }
                // Also where it says what it said before: after a reconnect that is what frames wait for. Many that come together are
                // looked at together.
                if !hasNewPresence.exchange(true, ordering: .acquiringAndReleasing) { inbox.put(.presence) }
            })
    }

    private func showFrames() async throws {
        let responder = SnapshotResponder(session) { [weak self] _, request in
            guard let frame = self?.recent.withLock({ $0.frame(request) }) else { return nil }
            return try frame.withUnsafeBytes { try Snapshot.jpeg(of: $0, nil) }
        }
        let name = session.status.id
        subscriptions.append(
            try await session.client.subscribe(
                to: session.topics.snapshotRequest(name), options: .init(receivesRetained: false)
            ) { responder.requested(name, Array($0.payload)) })
    }

    private func watchPlan() async throws {
        subscriptions += [
            try await session.client.subscribe(to: session.topics.flow, options: .init(qos: .atLeastOnce)) {
                [weak self] in
                let plan = FlowPlan(Array($0.payload)) ?? FlowPlan()
                self?.keptPlan.withLock { $0 = plan }
                self?.inbox.put(.plan(plan))
            },
            try await session.client.subscribe(
                to: session.topics.again(session.status.id), options: .init(receivesRetained: false)
            ) { [inbox] in if let request = RepeatRequest(Array($0.payload)) { inbox.put(.again(request)) } },
        ]
    }

    /// Deals with what was heard, in its order, until the sensor ends.
    func listen() async {
        for await event in inbox.elements {
            switch event {
            case .presence:
                hasNewPresence.store(false, ordering: .releasing)
                await pipelineChanged(hasNewModel: false)
                goOn()
                lookWhoAnswers()
            // A file may take its time, and answers are not to wait for it.
            case .offer: Task { await pipelineChanged(hasNewModel: true) }
            case .plan(let plan):
                session.log.debug("plan: \(String(decoding: plan.json, as: UTF8.self))")
                dealer.plan = plan
            case .again(let request):
                session.log.debug("asked again for frame \(request.frame), branches \(request.branches)")
                sendAgain(request)
            case .answer(let frame, let computeMilliseconds): answered(frame, computeMilliseconds)
            case .answeredBefore(let frames): answeredBefore(frames)
            }
        }
    }
}
