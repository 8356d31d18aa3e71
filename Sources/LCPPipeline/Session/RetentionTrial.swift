public import LCPWire
public import MQTT
import Synchronization

/// Finds out whether a broker gives the messages that it keeps to subscriptions with wildcards. RabbitMQ gives them to those
/// without only, and says nothing of that when it accepts a connection.
final class RetentionTrial: Sendable {
    private static let patience = Duration.seconds(2)

    private struct State {
        var isGiven: Bool?
        var waiters: [CheckedContinuation<Void, Never>] = []
        /// Held for as long as the role lives.
        var calls: MQTTSubscription?
    }

    private let state = Mutex(State())

    /// What is known, and the first to say so is right.
    func end(_ isGiven: Bool) {
        let waiters = state.withLock { state -> [CheckedContinuation<Void, Never>] in
            guard state.isGiven == nil else { return [] }
            state.isGiven = isGiven
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.resume() }
    }

    fileprivate func hold(_ calls: MQTTSubscription) { state.withLock { $0.calls = calls } }

    /// Whether they are given; waits until that is known, ``patience`` at the longest.
    fileprivate func result(_ client: MQTTClient) async -> Bool {
        let timer = client.eventLoop.schedule(after: Self.patience) { [weak self] in self?.end(false) }
        await withCheckedContinuation { continuation in
            let isKnown = state.withLock { state in
                if state.isGiven == nil { state.waiters.append(continuation) }
                return state.isGiven != nil
            }
            if isKnown { continuation.resume() }
        }
        timer.cancel()
        return state.withLock { $0.isGiven ?? false }
    }
}

/// Who is there, also where the broker does not give kept statuses to subscriptions with wildcards: there everybody says its own
/// once more when somebody asks. A directory that is kept instead would need an owner, and would be wrong whenever that is away.
extension RoleSession {
    /// Whether what the broker keeps comes to subscriptions with wildcards.
    /// A cluster's nodes may each keep their own only, and are taken for such.
    func givesRetainedToWildcards() async -> Bool {
        if isOnCluster { return false }
        return await retention.result(client)
    }

    private var isOnCluster: Bool { client.configuration.addresses.count > 1 }

    /// What is added where nobody is found; nothing where the topics have no dot.
    public static func dotHint(_ root: String) -> String {
        root.contains(".") ? " (on RabbitMQ a dot is a level of the topic, so that nobody hears of it)" : ""
    }

    /// Where that is so, nothing; otherwise listens to those who ask, and asks itself.
    func answerCalls() async throws {
        guard await !givesRetainedToWildcards(), !Task.isCancelled, client.isConnected else { return }
        if !isOnCluster {
            log(
                "\(client.address) gives this user no retained messages by subscriptions with wildcards: everybody says "
                    + "who it is again when somebody comes")
        }
        if let dotted = ([status.id] + topics.root.split(separator: "/").map(String.init)).first(where: {
            $0.contains(".")
        }) {
            log(
                "\(dotted) has a dot, which RabbitMQ takes for a level of the topic, so that nobody hears of it: name it otherwise"
            )
        }
        let calls = try await client.subscribe(to: topics.call, options: .init(receivesRetained: false)) {
            [weak self] _ in self?.sayAgain(after: .milliseconds(Int.random(in: 200...500)))
        }
        retention.hold(calls)
        client.callStatuses(topics)
    }

    /// Listens to statuses, and asks for those that the broker may not give.
    package func subscribe(
        toStatuses filter: String, _ handler: @escaping @Sendable (MQTTMessageView) -> Void
    ) async throws(MQTTError) -> MQTTSubscription {
        let subscription = try await client.subscribe(to: filter, onMessage: handler)
        client.callStatuses(topics)
        return subscription
    }
}

extension MQTTClient {
    /// Asks everybody to say its status once more, which only those hear whose broker makes that necessary.
    public func callStatuses(_ topics: Topics) {
        try? send(UnsafeRawBufferPointer(start: nil, count: 0), to: topics.call)
    }
}
