package import LCPWire
import MQTT
import Platform
import Synchronization

/// Answers requests for pictures: one at a time and ten a second at most, so that nobody keeps a device from its frames with them.
package final class SnapshotResponder: Sendable {
    private let session: RoleSession
    private let picture: @Sendable (_ sensor: String, SnapshotRequest) throws -> [UInt8]?
    private let isBusy = Atomic<Bool>(false)
    private static let interval = Duration.milliseconds(100)

    /// - Parameter picture: the frame that is asked for as a JPEG file; nil where this process does not have it.
    package init(
        _ session: RoleSession, picture: @escaping @Sendable (_ sensor: String, SnapshotRequest) throws -> [UInt8]?
    ) {
        (self.session, self.picture) = (session, picture)
    }

    /// Somebody asks; called on any thread, which is not kept.
    package func requested(_ sensor: String, _ payload: [UInt8]) {
        guard sensor.isTopicLevel, let request = SnapshotRequest(payload),
            !isBusy.exchange(true, ordering: .acquiringAndReleasing)
        else { return }
        Task.detached { [self] in
            do {
                guard let jpeg = try picture(sensor, request) else {
                    return isBusy.store(false, ordering: .releasing)
                }
                try jpeg.withUnsafeBytes {
                    try session.client.send($0, to: session.topics.snapshot(sensor), qos: .atLeastOnce, retain: true)
                }
            } catch {
                session.log("there is no snapshot of \(sensor.printable): \(error)")
            }
            try? await ContinuousClock().sleep(for: Self.interval)
            isBusy.store(false, ordering: .releasing)
        }
    }
}
