import LCPWire
import MQTT
import Platform

/// What one node of a cluster has kept, and another has not: asked for, and given by whoever has it.
extension ModelSupply {
    /// So long nothing has to come before others are asked for a file, and asked again.
    private static let (firstAsk, nextAsk) = (Duration.milliseconds(300), Duration.seconds(2))
    /// So long the answer to a question for the manifest is waited for.
    private static let answerTime = Duration.seconds(1)

    /// Asks everybody for a file, or for the manifest.
    func ask(for file: String? = nil) {
        ModelRequest(file: file).json.withUnsafeBytes {
            try? session.client.send($0, to: session.topics.modelRequests, qos: .atLeastOnce)
        }
    }

    /// Asks for a file for as long as no piece of it comes, until the task is cancelled.
    func askWhileNothingComes(for file: String) async throws {
        try await Task.sleep(for: Self.firstAsk)
        while true {
            if lastPieces[file].map({ .now - $0 >= Self.nextAsk }) ?? true { ask(for: file) }
            try await Task.sleep(for: Self.nextAsk)
        }
    }

    /// Asks for the manifest where the node may not have it, and waits a moment for an answer.
    func askForOffer() async throws {
        guard await !session.givesRetainedToWildcards() else { return }
        // What the node has kept may be older than what another has.
        isAnswered = false
        ask()
        let end = ContinuousClock.now + Self.answerTime
        while !isAnswered, ContinuousClock.now < end { try await Task.sleep(for: .milliseconds(20)) }
    }

    /// Listens to those who ask.
    func listen() async throws {
        guard repairs else { return }
        requests = try await session.client.subscribe(
            to: session.topics.modelRequests, options: .init(qos: .atLeastOnce, noLocal: true, receivesRetained: false)
        ) { [weak self] message in
            guard let request = ModelRequest(Array(message.payload)) else { return }
            self?.assumeIsolated { $0.heard(request) }
        }
    }

    private func heard(_ request: ModelRequest) {
        answers.heard(request, now: .now, delay: has(request) ? Self.chance : nil)
        scheduleAnswer()
    }

    private func has(_ request: ModelRequest) -> Bool {
        guard let file = request.file else { return offer != nil }
        return source(of: file) != nil
    }

    /// The file with this SHA-256, of the model that is offered, where this device has it.
    private func source(of sha256: String) -> (file: ModelOffer.File, offer: ModelOffer)? {
        guard let offer, let file = offer.files.first(where: { $0.sha256 == sha256 }), store.has(file, of: offer) else {
            return nil
        }
        return (file, offer)
    }

    private func scheduleAnswer() {
        answerTimer?.cancel()
        answerTimer = answers.nextDue.map { due in
            session.client.eventLoop.schedule(after: due - .now) { [weak self] in
                self?.assumeIsolated { $0.answer() }
            }
        }
    }

    private func answer() {
        for request in answers.time(.now) where has(request) {
            ModelRequest(file: request.file, isGiven: true).json.withUnsafeBytes {
                try? session.client.send($0, to: session.topics.modelRequests, qos: .atLeastOnce)
            }
            if request.file == nil, let offer { publish(offer) }
            guard let file = request.file, let (source, offer) = source(of: file),
                let bytes = try? FileIO.read(store.cache.path(of: source, offer), limit: source.bytes)
            else { continue }
            ModelPush.send(bytes, source, offer, session.client, session.topics)
            session.log("gave \(source.name) of \(offer.name.printable) to one whose node has not kept it")
        }
        scheduleAnswer()
    }
}
