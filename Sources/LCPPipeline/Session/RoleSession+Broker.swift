import LCPWire
import MQTT
import Synchronization

/// What the broker does not do, found out at the start and said in a sentence.
extension RoleSession {
    /// How long what a broker can do is waited for.
    private static let trialTime = Duration.seconds(2)

    /// Whether the broker does what no pipeline goes without.
    ///
    /// - Throws: ``PipelineError`` where it does not.
    func checkBroker() throws(PipelineError) {
        let limits = client.brokerLimits
        for (isThere, what, advice) in [
            (limits.keepsRetained, "retained messages", ": put `retain_available true` into mosquitto.conf"),
            (limits.takesWildcards, "subscriptions with wildcards", ""),
        ] where !isThere {
            throw PipelineError(
                .unsuitableBroker,
                "\(client.address) has no \(what), which every pipeline needs\(advice.isEmpty ? ": take another broker" : advice)"
            )
        }
    }

    /// Whether the broker deals the messages of a shared subscription out. MQTT 5 says so; with 3.1.1 a message is sent through
    /// one, on a topic that workers and aggregators may write and read anyway.
    func sharesSubscriptions() async throws -> Bool {
        if client.protocolVersion == .v5 { return client.brokerLimits.sharesSubscriptions }
        return try await passesThroughShare()
    }

    /// The same, and says what follows where it does not.
    func triesSharing() async throws -> Bool {
        let isShared = try await sharesSubscriptions()
        if !isShared {
            log(
                "\(client.address) has no shared subscriptions: where no aggregator deals frames, every worker of a branch "
                    + "computes all, so that more of them give safety and no speed")
        }
        return isShared
    }

    private func passesThroughShare() async throws -> Bool {
        let topic = topics.modelBlob("try-\(status.birth)", chunk: 0)
        return try await passes(topic, filter: "$share/try-\(status.birth)/\(topic)")
    }

    /// Whether a message comes back that this role sends itself: whether it may write there and read.
    ///
    /// - Parameter filter: by which it is received; nil for the topic.
    func passes(_ topic: String, filter: String? = nil) async throws -> Bool {
        let (arrivals, continuation) = AsyncStream.makeStream(of: Void.self)
        let subscription: MQTTSubscription
        do throws(MQTTError) {
            subscription = try await client.subscribe(to: filter ?? topic) { _ in continuation.yield() }
        } catch {
            guard [.notAuthorized, .unsupported].contains(error.code) else { throw error }
            return false
        }
        defer { subscription.unsubscribe() }
        do { try await client.publish([1], to: topic, qos: .atLeastOnce) } catch let error as MQTTError
            where error.code == .notAuthorized
        {
            return false
        }
        let timer = client.eventLoop.schedule(after: Self.trialTime) { continuation.finish() }
        defer { timer.cancel() }
        return await arrivals.first { true } != nil
    }
}
