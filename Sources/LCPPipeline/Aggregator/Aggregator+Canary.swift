import LCPWire
import MQTT
import Platform

/// A model that is tried beside the pipeline's on a share of the frames, which the pipeline's model answers.
extension Aggregator {
    /// Listens to what is to be tried.
    func watchCanary() async throws {
        try await supply?.watchCanary { [weak self] canary in self?.assumeIsolated { $0.canaryChanged(canary) } }
    }

    /// Compares nothing any more.
    func stopCanary() {
        canaryTimer?.cancel()
        canary = nil
        if session.status.canary != nil { session.sendStatus { $0.canary = nil } }
    }

    func canaryChanged(_ offer: CanaryOffer?) {
        stopCanary()
        guard let offer, let supply, !models.contains(where: { $0.model.description == offer.offer.model }) else {
            return
        }
        Task {
            do {
                let bundle = try await supply.fetch(offer.offer, branches: [])
                guard await supply.canary == offer, let last = models.last else { return }
                if let refusal = bundle.refusal(beside: last.input, branches: last.branchCount) {
                    throw PipelineError(.modelMismatch, refusal)
                }
                canary = CanaryJoin(offer, try JoinedModel(bundle), deadline: session.deadline, now: .now)
                session.sendStatus { $0.canary = offer.offer.model }
                session.log(
                    "compares \(offer.offer.name.printable) with \(last.name) on \(offer.percent) of the frames")
            } catch {
                session.log.warning("the model \(offer.offer.name.printable) is not tried: \(error)")
            }
        }
    }

    /// Takes what a branch sent of the model that is tried.
    func joinCanary(_ features: FeaturesReader.Features, served: UInt64?, now: ContinuousClock.Instant) {
        guard let canary else { return }
        performCanary(features.deliver(to: &canary.joiner, served: served, now: now))
    }

    private func performCanary(_ actions: [FrameJoiner.Action]) {
        for action in actions {
            switch action {
            case .answer(let answer): tried(answer)
            case .arm(let deadline):
                canaryTimer = session.client.eventLoop.schedule(after: deadline - .now) { [weak self] in
                    self?.assumeIsolated {
                        guard let actions = $0.canary?.joiner.deadlineReached(now: .now) else { return }
                        $0.performCanary(actions)
                    }
                }
            // Nothing of it is missed by anybody.
            case .drop, .retire, .ask, .armLateness: break
            }
        }
    }

    private func tried(_ answer: FrameJoiner.Answer) {
        guard let model = canary?.model else { return }
        let time = wallClockNanoseconds()
        let latency = FrameLatency.since(answer.frame.captureTime, now: time)
        model.withPrediction(of: answer, now: .now, latency: latency, time: time) { _ in }
        compare(answer, model, latency, isTried: true)
    }

    /// Takes what a model has made of a frame.
    func compare(_ answer: FrameJoiner.Answer, _ model: JoinedModel, _ latency: Int64?, isTried: Bool) {
        guard canary != nil else { return }
        let isWhole = model.join.branches.isWhole(answer.frame.branches)
        canary?.heard(
            answer.frame.key,
            .init(class: model.best.class, confidence: model.best.confidence, latency: latency, isWhole: isWhole),
            isTried: isTried)
    }
}
