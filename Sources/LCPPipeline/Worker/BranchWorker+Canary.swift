import LCPModels
import LCPWire
import Platform

/// A model that is tried beside the pipeline's on a share of the frames.
extension BranchWorker {
    /// Listens to what is to be tried.
    func watchCanary() async throws {
        try await supply?.watchCanary { [weak self] _ in
            self?.assumeIsolated { worker in
                worker.canaryComplaint = nil
                worker.spawn { await $0.adaptCanary() }
            }
        }
    }

    /// Has every branch try what is to be tried, where that has the same branches as the model.
    func adaptCanary() async {
        guard let supply else { return }
        let canary = await supply.canary
        var isTried = false
        for (id, runner) in runners {
            do {
                guard let canary else {
                    try await runner.setCanary(nil)
                    continue
                }
                let bundle = try await supply.fetch(canary.offer, branches: [id.branch])
                // Another may be wanted meanwhile, or none.
                guard await supply.canary == canary else { return }
                if let refusal = await runner.refusal(of: bundle) { throw PipelineError(.modelMismatch, refusal) }
                if try await runner.setCanary((bundle, canary)) { isTried = true }
            } catch {
                _ = try? await runner.setCanary(nil)
                let complaint = "the model \(canary?.offer.name.printable ?? "") is not tried: \(error)"
                if canaryComplaint != complaint, !Task.isCancelled { session.log.warning(complaint) }
                canaryComplaint = complaint
            }
        }
        let hash = isTried ? canary?.offer.model : nil
        guard session.status.canary != hash else { return }
        if let canary, isTried {
            session.log("tries \(canary.offer.name.printable) on \(canary.percent) of the frames")
        }
        session.sendStatus { $0.canary = hash }
    }
}

extension BranchRunner {
    /// Computes an input in the model that is tried, where it is one of the share.
    func tryCanary(
        _ identity: FrameIdentity, _ topic: String, _ payload: UnsafeRawBufferPointer,
        received: ContinuousClock.Instant
    ) {
        guard let canary, canary.offer.takes(session: identity.session, frame: identity.frame) else { return }
        _ = compute(canary.version, index: nil, topic, payload, received: received, begin: .now, decode: .zero)
    }

    /// Tries a version of the model on a share of the frames from now on; none where nil, or where it is the model already.
    ///
    /// - Returns: whether one is tried.
    @discardableResult
    func setCanary(_ canary: (bundle: ModelBundle, offer: CanaryOffer)?) throws -> Bool {
        guard let canary, !models.contains(canary.offer.offer.model) else {
            self.canary = nil
            return false
        }
        let known = self.canary?.version
        let version =
            known?.model == canary.bundle.hash ? known! : try Version(canary.bundle, branch: branch, shared)
        self.canary = (version, canary.offer)
        return true
    }

    /// Why a model cannot be tried beside this one; nil where it can.
    func refusal(of bundle: ModelBundle) -> String? {
        bundle.refusal(beside: versions[0].engine.input, branches: branchCount)
    }
}

extension ModelBundle {
    /// Why it cannot be tried beside a model; nil where it can.
    func refusal(beside input: FeatureMapShape, branches: Int) -> String? {
        guard network.branches.count == branches else {
            return "it has \(network.branches.count) branches, and the pipeline's model \(branches)"
        }
        return network.input == input
            ? nil : "it takes frames of \(network.input), and the pipeline's model of \(input)"
    }
}

extension CanaryOffer {
    /// The share, for people.
    package var percent: String {
        let hundredths = (share * 10_000).rounded() / 100
        return (hundredths == hundredths.rounded() ? "\(Int(hundredths))" : "\(hundredths)") + " %"
    }
}
