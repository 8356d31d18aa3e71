package import LCPWire
import MQTT
import Platform
import Synchronization

/// Answers requests for pictures: one at a time and ten a second at most, so that nobody keeps a device from its frames with them. Of each
/// sensor the latest request waits for its turn.
package final class SnapshotResponder: Sendable {
    private struct State {
        var isBusy = false
        var waiting: [(sensor: String, request: SnapshotRequest)] = []
    }

    private let session: RoleSession
    private let picture: @Sendable (_ sensor: String, SnapshotRequest) throws -> [UInt8]?
    private let state = Mutex(State())
    private static let interval = Duration.milliseconds(100)
    /// Sensors whose requests wait.
    private static let mostWaiting = 16

    /// - Parameter picture: the frame that is asked for as a JPEG file; nil where this process does not have it.
    package init(
        _ session: RoleSession, picture: @escaping @Sendable (_ sensor: String, SnapshotRequest) throws -> [UInt8]?
    ) {
        (self.session, self.picture) = (session, picture)
    }

    /// Somebody asks; called on any thread, which is not kept.
    package func requested(_ sensor: String, _ payload: [UInt8]) {
        guard sensor.isTopicLevel, let request = SnapshotRequest(payload) else { return }
        let begins = state.withLock { state in
            state.waiting.removeAll { $0.sensor == sensor }
            guard state.waiting.count < Self.mostWaiting else { return false }
            state.waiting.append((sensor, request))
            defer { state.isBusy = true }
            return !state.isBusy
        }
        guard begins else { return }
        Task.detached { [self] in
            while let (sensor, request) = next() {
                if answer(sensor, request) { try? await ContinuousClock().sleep(for: Self.interval) }
            }
        }
    }

    private func next() -> (sensor: String, request: SnapshotRequest)? {
        state.withLock { state in
            guard !state.waiting.isEmpty else {
                state.isBusy = false
                return nil
            }
            return state.waiting.removeFirst()
        }
    }

    /// - Returns: whether there was such a picture, or an attempt to make one.
    private func answer(_ sensor: String, _ request: SnapshotRequest) -> Bool {
        do {
            guard let jpeg = try picture(sensor, request) else { return false }
            try jpeg.withUnsafeBytes {
                try session.client.send($0, to: session.topics.snapshot(sensor), qos: .atLeastOnce, retain: true)
            }
        } catch {
            session.log("there is no snapshot of \(sensor.printable): \(error)")
        }
        return true
    }
}
