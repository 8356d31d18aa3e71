import LCPPipeline
import LCPWire
import MQTT

/// An answer to every frame, where that is promised (QoS 1).
extension Sensor {
    /// Listens to what becomes of the frames, so that none is lost with a broker.
    func promiseAnswers() async throws {
        outbox = Outbox(patience: max(.seconds(2), session.deadline * 4), longestHold: options.longestHold)
        subscriptions.append(
            try await session.client.subscribe(to: session.topics.prediction(session.status.id)) { [inbox] message in
                guard let prediction = Prediction(Array(message.payload)), let frame = UInt64(prediction.frame) else {
                    return
                }
                inbox.put(.answer(frame: frame, computeMilliseconds: prediction.computeMilliseconds))
            })
        subscriptions.append(
            try await session.client.subscribe(
                to: session.topics.answered(session.status.id),
                options: .init(qos: .atLeastOnce, receivesRetained: false)
            ) { [inbox, number] message in
                guard let list = FrameList(Array(message.payload)), list.session == "\(number)" else { return }
                inbox.put(.answeredBefore(list.numbers))
            })
    }

    func answered(_ frame: UInt64, _ computeMilliseconds: Double) {
        computeTimes.add(computeMilliseconds)
        outbox?.answered(frame)
        pump()
    }

    /// Another aggregator may answer from now on: what the one before took with it is sent again, and not only after its time.
    func lookWhoAnswers() {
        let seen = presence.withLock { $0.all(.aggregator) }.filter { $0.state == .ready }
            .map { [$0.id, $0.birth, $0.buckets.map(String.init) ?? ""] }
        let before = answerers
        answerers = Set(seen)
        guard outbox != nil, !before.isEmpty, answerers != before, !answerers.isEmpty else { return }
        // By then what is answered has been.
        let age = session.deadline + .milliseconds(100)
        Task { [weak self] in
            try? await Task.sleep(for: age)
            await self?.sendOverdue(most: .max, age: age)
        }
    }

    /// Sends frames again that have no answer, while there is somebody who could give one.
    ///
    /// - Parameter age: how long ago they were sent; nil for as long as an answer may take.
    func sendOverdue(most: Int, age: Duration? = nil) {
        guard outbox != nil, session.client.isConnected, mayBeAnswered(.now) else { return }
        let overdue = outbox?.sendOverdue(most: most, age: age, now: .now) ?? []
        if age != nil, !overdue.isEmpty { isCatchingUp = true }
        guard !overdue.isEmpty else { return }
        askForAnswers(to: overdue)
        pump()
    }

    /// Asks which frames were answered: a broker, or a node of a cluster, that is gone took predictions with it.
    private func askForAnswers(to frames: [UInt64]) {
        for start in stride(from: 0, to: frames.count, by: FrameList.maximumFrames) {
            FrameList(session: number, frames: frames[start...]).json.withUnsafeBytes {
                try? session.client.send($0, to: session.topics.unanswered(session.status.id), qos: .atLeastOnce)
            }
        }
    }

    /// Somebody answered them, and that did not come here.
    func answeredBefore(_ frames: [UInt64]) {
        for frame in frames { outbox?.answered(frame) }
        pump()
    }

    /// Whether there is somebody for all branches, or has been nobody for so long that nothing is waited for any more.
    private func mayBeAnswered(_ now: ContinuousClock.Instant) -> Bool {
        guard !presence.withLock(\.isWhole) else {
            lastWhole = now
            return true
        }
        return now - lastWhole > options.longestHold
    }

    func reconnected() {
        presence.withLock { $0.reconnected(since: session.client.connectedSince, now: .now) }
        guard let (holdEnd, sent) = outbox?.sendAgain(now: .now) else { return }
        askForAnswers(to: sent)
        isCatchingUp = true
        Task { [weak self] in
            try? await Task.sleep(until: holdEnd)
            await self?.goOn()
        }
    }

    /// Sends what waits where the pipeline is whole, or was waited for long enough.
    func goOn() {
        guard let outbox, outbox.isHeld, session.client.isConnected else { return }
        if presence.withLock(\.isWhole) { self.outbox?.release() } else { self.outbox?.releaseIfOver(.now) }
        guard self.outbox?.isHeld == false else { return }
        if outbox.waitingCount > 0 { session.log("sends the \(outbox.waitingCount) frames that waited") }
        pump()
    }

    /// Sends what waits. Where that is much, a few at a time, so that no queue on their way overflows; where branches compute for so
    /// long that frames wait for them, of which only the newest is kept, one at a time.
    func pump() {
        let keepsNewest = session.policy == .latest && computeTimes.median ?? 0 > Self.longestInline
        let window = !isCatchingUp ? Int.max : keepsNewest ? 1 : min(32, session.queueLimit)
        while let next = outbox?.next(window: window, now: .now) {
            send(next.message, number: next.number, attempt: next.attempt)
        }
        if outbox?.waitingCount == 0 { isCatchingUp = false }
    }

    /// Milliseconds: workers compute shorter branches as frames come (``BranchWorker/Options/longestInline``).
    private static let longestInline = 2.0
}
