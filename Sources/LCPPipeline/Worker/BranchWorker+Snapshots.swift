import LCPWire
import MQTT

/// Pictures of what no sensor of lcp has sent, on request.
extension BranchWorker {
    /// Listens to who wants one; nil where an access list does not let it.
    func showInputs() async throws -> MQTTSubscription? {
        let responder = SnapshotResponder(session) { [shared] in try shared.bareInputs.jpeg($0, $1) }
        do throws(MQTTError) {
            return try await session.client.subscribe(
                to: session.topics.snapshotRequests, options: .init(receivesRetained: false)
            ) { message in
                let levels = message.topic.split(separator: "/")
                guard levels.count >= 2 else { return }
                responder.requested(String(levels[levels.count - 2]), Array(message.payload))
            }
        } catch {
            guard error.code == .notAuthorized else { throw error }
            return nil
        }
    }
}
