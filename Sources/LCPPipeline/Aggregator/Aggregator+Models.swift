import LCPModels
import LCPWire
import Tensors

/// Which models an aggregator joins: the pipeline's, and beside it the one that takes its place.
extension Aggregator {
    func firstModel() async throws -> JoinedModel {
        let supply = ModelSupply(session) { [weak self] offer in
            self?.assumeIsolated { $0.offered(offer) }
        }
        self.supply = supply
        try await supply.start()
        // What the broker has kept comes before its answer to this.
        try await session.publishStatus { _ in }
        if let offer = try await supply.firstOffer() {
            session.log("getting the model \(offer.name)")
            return try JoinedModel(try await supply.fetch(offer, branches: []))
        }
        let reason = await supply.noOffer
        guard let fallback else {
            throw PipelineError(.modelUnavailable, "\(reason): push one with lcp model push, or give --model")
        }
        session.log("\(reason): joining \(fallback.manifest.name), which came with lcp")
        let model = try JoinedModel(fallback)
        model.isFallback = true
        return model
    }

    /// Joins a model beside those before.
    func join(_ model: JoinedModel) {
        models.append(model)
        perform(
            joiner.add(model.model, branches: model.join.branches, classes: model.join.classes, now: .now))
        sortModels()
    }

    private func sortModels() {
        models = joiner.models.compactMap { hash in models.first { $0.model == hash } }
    }

    func describe() {
        // What was tried is the model now.
        if let canary, models.contains(where: { $0.model == canary.model.model }) { stopCanary() }
        // And what was the model may be tried, when it is joined no more.
        if canary == nil, let offer = supply?.assumeIsolated({ $0.canary }) { canaryChanged(offer) }
        // While one takes another's place, as many as the larger has.
        if let largest = models.max(by: { $0.branchCount < $1.branchCount }) {
            let (count, costs) = (largest.branchCount, largest.costs)
            supervisor?.assumeIsolated { $0.use(branchCount: count, costs: costs) }
        }
        let (newest, hashes) = (models.last, models.map(\.model.description))
        if let labels = newest?.labels { announcer?.assumeIsolated { $0.use(labels) } }
        session.sendStatus {
            $0.branches = newest?.branchCount
            $0.model = newest?.name
            $0.modelHash = newest?.model.description
            $0.models = hashes
            $0.isFallback = newest?.isFallback == true ? true : nil
        }
        shared?.group.models = hashes
    }

    /// A new model is joined beside the old one; each frame is answered in the first that has all of its branches.
    private func offered(_ offer: ModelOffer) {
        guard let supply, !models.isEmpty, let hash = ModelHash(hexadecimal: offer.model) else { return }
        joiner.prefer(hash)
        guard !joins(offer) else {
            // The one that came with lcp was pushed: its files are kept as those of any other.
            for model in models where model.model == hash && model.isFallback {
                model.isFallback = false
                Task { _ = try? await supply.fetch(offer, branches: []) }
            }
            sortModels()
            return describe()
        }
        session.log("the model \(offer.name) was pushed: getting it")
        Task {
            do {
                let model = try JoinedModel(try await supply.fetch(offer, branches: []))
                guard !joins(offer) else { return }
                join(model)
                describe()
                session.log("joins \(offer.name), too, until all workers run it")
            } catch {
                session.log("the model \(offer.name) is not used: \(error)")
            }
        }
    }

    private func joins(_ offer: ModelOffer) -> Bool { models.contains { $0.model.description == offer.model } }

    /// The model before is forgotten when no worker has sent anything of it for a while.
    func retireUnusedModels() {
        let count = models.count
        perform(joiner.retireUnused(now: .now))
        guard models.count < count, let newest = models.last else { return }
        session.log("joins \(newest.name) only: nobody runs the model before any more")
        describe()
    }
}
