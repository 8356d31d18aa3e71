import LCPWire
import MQTT

/// The model that is tried beside the pipeline's.
extension ModelSupply {
    /// Listens to what is to be tried.
    ///
    /// - Parameter onCanary: called on the event loop with every other one, and with nil where there is none any more.
    func watchCanary(_ onCanary: @escaping @Sendable (CanaryOffer?) -> Void) async throws {
        canaries = try await session.client.subscribe(
            to: session.topics.modelCanary, options: .init(qos: .atLeastOnce)
        ) { [weak self] message in
            let payload = Array(message.payload)
            self?.assumeIsolated { supply in
                guard let canary = supply.canary(payload), supply.canary != canary else { return }
                supply.canary = canary
                onCanary(canary)
            }
        }
    }

    /// - Returns: nil where what came is to be ignored.
    private func canary(_ payload: [UInt8]) -> CanaryOffer?? {
        guard !payload.isEmpty else { return .some(nil) }
        do throws(PipelineError) {
            let canary = try CanaryOffer(payload)
            if let refusal = trust?.refusal(of: canary.offer) {
                drop(
                    refusal.rawValue,
                    "refused \(session.topics.modelCanary): \(refusal.sentence(canary.offer.name.printable))")
                return nil
            }
            return canary
        } catch {
            drop("bad_canary", "ignored \(session.topics.modelCanary): \(error)")
            return nil
        }
    }
}
