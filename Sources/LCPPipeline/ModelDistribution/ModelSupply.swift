package import LCPModels
package import LCPWire
import MQTT
import Platform

/// Gets the pipeline's model over MQTT, and publishes it again for a restarted broker that forgot it.
///
/// It lives on the client's event loop, and is told of reconnects.
package actor ModelSupply {
    nonisolated let session: RoleSession
    var requests: MQTTSubscription?
    var answers = ModelAnswers()
    var answerTimer: EventLoopTimer?
    var canaries: MQTTSubscription?
    /// What is tried.
    var canary: CanaryOffer?
    /// Whether somebody has named the model since others were asked for it.
    var isAnswered = false
    /// When the last piece of a file that is being fetched came, by SHA-256.
    var lastPieces: [String: ContinuousClock.Instant] = [:]
    package nonisolated var unownedExecutor: UnownedSerialExecutor {
        session.client.eventLoop.asUnownedSerialExecutor()
    }

    var store: ModelStore
    private let kept: KeptOffers
    /// What was put there last.
    private var keptOffer: ModelOffer?
    private var watch = OfferWatch()
    private let onOffer: @Sendable (ModelOffer) -> Void
    private var manifests: MQTTSubscription?
    private var timer: EventLoopTimer?
    private var drops = Drops()
    /// How long a piece may be waited for.
    private let patience: Duration
    /// Whether it puts right what the broker has lost; who only reads has no right to write.
    let repairs: Bool

    /// The newest offer.
    package var offer: ModelOffer? { watch.offer }

    /// Models up to this size are kept whole by every device.
    private static let wholeModelBytes = 32 << 20

    /// - Parameters:
    ///   - cache: where models are kept.
    ///   - patience: how long a piece of a file may be waited for.
    ///   - repairs: whether it publishes what the broker has lost.
    ///   - onOffer: called on the event loop with every new offer.
    init(
        _ session: RoleSession, cache: ModelCache = .standard, patience: Duration = .seconds(10), repairs: Bool = true,
        onOffer: @escaping @Sendable (ModelOffer) -> Void
    ) {
        self.session = session
        store = ModelStore(cache)
        kept = KeptOffers(beside: cache)
        self.patience = patience
        self.repairs = repairs
        self.onOffer = onOffer
        watch.trust = session.modelKey.map { ModelTrust(key: $0, root: session.topics.root) }
    }

    /// What was refused and ignored so far, by reason.
    var trust: ModelTrust? { watch.trust }
    var dropped: [String: UInt64] { drops.counts }

    /// One that keeps and publishes nothing: for a role that wants to know the model, and does not run it.
    package init(reading session: RoleSession, onOffer: @escaping @Sendable (ModelOffer) -> Void) {
        self.init(session, repairs: false, onOffer: onOffer)
    }

    /// Listens. What the broker has kept comes before the answer to the next thing that is asked of it.
    package func start() async throws {
        recall()
        manifests = try await session.client.subscribe(
            to: session.topics.modelManifest, options: .init(qos: .atLeastOnce)
        ) { [weak self] message in
            nonisolated(unsafe) let message = message
            self?.assumeIsolated { $0.handle(message) }
        }
        try await listen()
    }

    private func handle(_ message: MQTTMessageView) {
        if !message.retained { isAnswered = true }
        perform(
            watch.heard(Array(message.payload), isRetained: message.retained, now: .now, chance: Self.chance))
        // The same model was pushed once more.
        if let offer, let keptOffer, offer != keptOffer, offer.isSame(as: keptOffer) { keep(offer) }
    }

    // MARK: What outlives this process

    private nonisolated var place: (broker: String, pipeline: String) {
        (session.client.configuration.address.description, session.topics.root)
    }

    /// Remembers what the pipeline had last: it holds until the broker names a newer one.
    private func recall() {
        guard repairs, let found = kept.offer(broker: place.broker, pipeline: place.pipeline),
            store.has(found.files[0], of: found)
        else { return }
        keptOffer = found
        watch.recall(found, now: .now, chance: Self.chance)
        perform([])
    }

    private func keep(_ offer: ModelOffer) {
        guard repairs, offer != keptOffer else { return }
        keptOffer = offer
        do { try kept.keep(offer, broker: place.broker, pipeline: place.pipeline) } catch {
            session.log("the model \(offer.name.printable) will not be known here after a power cut: \(error)")
        }
    }

    static var chance: Duration { OfferWatch.patience * Double.random(in: 0...1) }

    private func perform(_ actions: [OfferWatch.Action]) {
        for action in actions {
            switch action {
            case .offer(let offer): onOffer(offer)
            case .republish where !repairs, .restore where !repairs: break
            case .republish(let offer): republish(offer)
            case .restore(let offer):
                publish(offer)
                drop("restored", "put the manifest of \(offer.name) back, which somebody had overwritten")
            case .refuse(let refusal, let name):
                drop(refusal.rawValue, "refused \(session.topics.modelManifest): \(refusal.sentence(name))")
            case .ignore(let reason): drop("bad_manifest", "ignored \(session.topics.modelManifest): \(reason)")
            }
        }
        timer?.cancel()
        timer = watch.nextDue.map { due in
            session.client.eventLoop.schedule(after: due - .now) { [weak self] in
                self?.assumeIsolated { $0.perform($0.watch.time(.now)) }
            }
        }
    }

    /// The offer that the broker has kept. Where what it has kept cannot be read, those who know the model put that right at once.
    package func firstOffer() async throws -> ModelOffer? {
        try await askForOffer()
        for _ in 0..<20 where offer == nil && watch.isUnreadable { try await Task.sleep(for: .milliseconds(100)) }
        return offer
    }

    /// Why there is no offer, for people.
    var noOffer: String {
        watch.isUnreadable
            ? "what lies on \(session.topics.modelManifest) cannot be read"
            : "no model was pushed to \(session.topics.root)"
    }

    // MARK: Fetching

    /// The bundle of an offer, with the files that these branches need on disk.
    ///
    /// - Throws: ``PipelineError`` where the broker does not have them, ``FileError`` where they cannot be kept.
    func fetch(_ offer: ModelOffer, branches: Set<Int>) async throws -> ModelBundle {
        let wanted = offer.files(for: branches, all: offer.modelBytes <= Self.wholeModelBytes)
        for file in wanted where !store.has(file, of: offer) {
            let bytes = try await download(file, offer)
            do { try store.keep(bytes, file, of: offer) } catch {
                throw PipelineError(
                    .resources,
                    "the model \(offer.name) cannot be kept: \(error); name another folder with LCP_CACHE")
            }
        }
        let bundle = try store.open(offer)
        if offer.isSame(as: self.offer ?? offer) { keep(self.offer ?? offer) }
        return bundle
    }

    /// The description of an offer's model, without its weights.
    ///
    /// - Throws: ``PipelineError`` where the broker does not have it, ``ModelBundleError`` where it is none.
    package func manifest(of offer: ModelOffer) async throws -> ModelManifest {
        let bytes = try await download(offer.files[0], offer)
        return try ModelBundle.manifest(decoding: bytes, name: "the model.json of \(offer.name.printable)")
    }

    private func download(_ file: ModelOffer.File, _ offer: ModelOffer) async throws -> [UInt8] {
        if let refusal = BlobDownload.refusal(file, of: offer, free: SystemMemory.available) { throw refusal }
        // All pieces come by one filter, or each by its own where the broker gives kept messages to no other.
        let comesByPiece = !(await session.givesRetainedToWildcards())
        let pieces = try await session.client.subscribe(
            to: comesByPiece
                ? session.topics.modelBlob(file.sha256, chunk: 0) : session.topics.modelBlobs(file.sha256),
            options: .init(qos: .atLeastOnce),
            buffer: .init(maximumMessages: 16, maximumBytes: 64 << 20, overflow: .stopReading))
        // What is given to all who ask comes at once.
        if comesByPiece {
            try await pieces.add(session.topics.modelBlobs(file.sha256), options: .init(qos: .atLeastOnce))
        }
        let asking = comesByPiece ? Task { try await askWhileNothingComes(for: file.sha256) } : nil
        defer {
            pieces.unsubscribe()
            asking?.cancel()
            lastPieces[file.sha256] = nil
        }
        var download = BlobDownload(file, chunkBytes: offer.chunkBytes)
        var asked = 0
        var iterator = pieces.makeAsyncIterator()
        while true {
            // Whoever waits too long is woken by the end of the subscription.
            let timer = session.client.eventLoop.schedule(after: patience) { pieces.unsubscribe() }
            let message = try await iterator.next(isolation: self)
            timer.cancel()
            guard let message else {
                if Task.isCancelled { throw CancellationError() }
                throw PipelineError(
                    .modelUnavailable,
                    "the broker does not have \(file.name) of \(offer.name): push the model again with lcp model push")
            }
            guard let chunk = Int(Topics.sensor(of: message.topic)) else { continue }
            lastPieces[file.sha256] = .now
            switch message.payload.withUnsafeBytes({ download.add($0, chunk: chunk) }) {
            case .incomplete: break
            case .complete(let bytes): return bytes
            case .damaged:
                drop("damaged_piece", "a piece of \(file.name) of \(offer.name) is damaged, and is waited for again")
            }
            guard comesByPiece, let next = download.firstMissing else { continue }
            if chunk == asked { pieces.remove(message.topic) }
            guard next != asked else { continue }
            asked = next
            try await pieces.add(
                session.topics.modelBlob(file.sha256, chunk: next), options: .init(qos: .atLeastOnce))
        }
    }

    func drop(_ reason: String, _ sentence: @autoclosure () -> String) {
        if let line = drops.add(reason, sentence()) { session.log.warning(line) }
    }

    // MARK: Publishing again

    /// The connection is there again.
    func reconnected() {
        watch.reconnected(now: .now, chance: Self.chance)
        perform([])
        // Another was pushed meanwhile, perhaps, to another node.
        Task { try await askForOffer() }
    }

    func publish(_ offer: ModelOffer) {
        offer.json.withUnsafeBytes {
            try? session.client.send($0, to: session.topics.modelManifest, qos: .atLeastOnce, retain: true)
        }
    }

    private func republish(_ offer: ModelOffer) {
        var given = 0
        for file in offer.files where store.has(file, of: offer) {
            guard let bytes = try? FileIO.read(store.cache.path(of: file, offer), limit: file.bytes) else { continue }
            ModelPush.send(bytes, file, offer, session.client, session.topics)
            given += 1
        }
        guard given > 0 else { return }
        publish(offer)
        session.log(
            "gave \(given) file\(given == 1 ? "" : "s") of \(offer.name) to the broker, which did not have the model"
        )
    }
}
