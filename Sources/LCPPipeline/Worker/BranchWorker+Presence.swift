import LCPWire
import MQTT
import Platform

/// Who is there, and who says what is to be run.
extension BranchWorker {
    func listen(to role: Role) async throws -> MQTTSubscription {
        try await session.subscribe(toStatuses: session.topics.statuses(role)) { [weak self] message in
            nonisolated(unsafe) let message = message
            self?.assumeIsolated { $0.heard(message) }
        }
    }

    /// Finds out who says what is to be run: an aggregator, for which a pipeline that is just being started is given a moment, or
    /// all workers together.
    func meetAggregator() async throws {
        let end = ContinuousClock.now + Self.patience
        while ContinuousClock.now < end, whoDecides == .unknown {
            try await ContinuousClock().sleep(for: .milliseconds(10))
        }
        if whoDecides == .aggregator { return coordinate(true) }
        try await listenToOthers()
    }

    /// So long an aggregator is waited for at the start.
    private static let patience = Duration.milliseconds(500)

    enum Decider { case aggregator, workers, unknown }

    var whoDecides: Decider {
        let aggregators = presence.all(.aggregator)
        if aggregators.contains(where: { $0.givesTasks == true }) { return .aggregator }
        return aggregators.contains { $0.state == .ready } ? .workers : .unknown
    }

    private func coordinate(_ isCoordinated: Bool) {
        self.isCoordinated = isCoordinated
        handle(.coordinated(isCoordinated))
    }

    private func listenToOthers() async throws {
        others = try await listen(to: .worker)
        // What the broker has kept comes before its answer to this.
        try await session.publishStatus { _ in }
    }

    /// Another aggregator may be of another version. While there is none, all stays as it is.
    func adapt() {
        switch (whoDecides, isCoordinated) {
        case (.aggregator, false):
            coordinate(true)
        case (.workers, true):
            coordinate(false)
            takeInputs(isDealt: false)
            spawn { try? await $0.listenToOthers() }
        default: break
        }
    }

    func heardTask(_ json: [UInt8]) {
        guard let task = WorkerTask(json), task.birth == session.status.birth else { return }
        if isCoordinated, others != nil {
            others?.unsubscribe()
            others = nil
            presence.forget(.worker)
        }
        session.log.debug("task: \(String(decoding: json, as: UTF8.self))")
        takeInputs(isDealt: task.isDealt == true)
        sendByBucket(task.byBucket == true)
        handle(.task(task))
    }

    /// Sends features to the topics of the sensors' buckets, or to those that all aggregators listen to: always where an access
    /// list is of the version before, and where it is not known whether it is.
    private func sendByBucket(_ areWanted: Bool) {
        buckets.areWanted = areWanted
        if areWanted, buckets.areAllowed == nil {
            guard session.client.protocolVersion == .v5 else {
                buckets.areAllowed = session.client.configuration.user == nil
                return sendByBucket(areWanted)
            }
            buckets.areAllowed = false
            spawn { worker in
                let trial = worker.session.topics.features(bucket: "try", branch: 0, sensor: worker.session.status.id)
                do {
                    try await worker.session.client.publish([], to: trial, qos: .atLeastOnce)
                    worker.buckets.areAllowed = true
                    worker.sendByBucket(worker.buckets.areWanted)
                } catch {
                    worker.session.log.warning(
                        "every aggregator gets all features, because this worker may not publish to \(trial): \(error)")
                }
            }
        }
        shared.sendsByBucket = areWanted && buckets.areAllowed == true
    }

    private func takeInputs(isDealt: Bool) {
        guard shared.inputsAreDealt != isDealt else { return }
        shared.inputsAreDealt = isDealt
        for (id, runner) in runners {
            spawn { worker in
                do { try await runner.adaptInputs() } catch {
                    if !Task.isCancelled { worker.handle(.startFailed(id, .init(error))) }
                }
            }
        }
    }

    private func heard(_ message: MQTTMessageView) {
        guard let status = RoleStatus(message, topics: session.topics) else {
            if presence.doubt(message.topic, now: .now) { scheduleExpiry() }
            return
        }
        // Its own echo says nothing new; of another worker with its name the session tells.
        guard status.role != .worker || status.id != session.status.id else { return }
        if presence.update(status) { presenceChanged() }
    }

    private func presenceChanged() {
        if let sentence = shared.features.update(presence) { session.log(sentence) }
        if rollout.current != nil { adapt() }
        handle(.presence(presence))
    }

    func reconnected() async {
        presence.reconnected(since: session.client.connectedSince, now: .now)
        await supply?.reconnected()
        scheduleExpiry()
    }

    private func scheduleExpiry() {
        _ = session.client.eventLoop.schedule(after: Presence.grace + .milliseconds(50)) { [weak self] in
            self?.assumeIsolated { if $0.presence.expire(now: .now) { $0.presenceChanged() } }
        }
    }
}
