import LCPModels
import LCPWire
import MQTT
import Platform

/// Gets the pipeline's model over MQTT, and gives back to a restarted broker what it forgot.
///
/// It lives on the client's event loop, and is told of reconnects.
actor ModelSupply {
    nonisolated let session: RoleSession
    nonisolated var unownedExecutor: UnownedSerialExecutor { session.client.eventLoop.asUnownedSerialExecutor() }

    private let cache = ModelCache.standard
    /// The newest offer.
    private(set) var offer: ModelOffer?
    private let onOffer: @Sendable (ModelOffer) -> Void
    private var manifests: MQTTSubscription?
    /// Whether an offer was heard since the last reconnect, and whether the broker had kept it.
    private var heard: (any: Bool, retained: Bool) = (false, false)
    private var republishTimer: EventLoopTimer?
    private var restoreTimer: EventLoopTimer?
    private var drops = Drops()
    /// The models that this process runs, or is about to run: no other one may take them away.
    private var holds: [(model: String, hold: ModelCache.Hold)] = []

    /// Models up to this size are kept whole by every device.
    private static let wholeModelBytes = 32 << 20
    /// How long a piece may be waited for.
    private static let patience = Duration.seconds(10)

    /// - Parameter onOffer: called on the event loop with every new offer.
    init(_ session: RoleSession, onOffer: @escaping @Sendable (ModelOffer) -> Void) {
        self.session = session
        self.onOffer = onOffer
    }

    /// Listens. What the broker has kept comes before the answer to the next thing that is asked of it.
    func start() async throws {
        manifests = try await session.client.subscribe(
            to: session.topics.modelManifest, options: .init(qos: .atLeastOnce)
        ) { [weak self] message in
            nonisolated(unsafe) let message = message
            self?.assumeIsolated { $0.handle(message) }
        }
    }

    private func handle(_ message: MQTTMessageView) {
        heard = (true, heard.retained || message.retained)
        guard message.payload.count > 0 else { return }
        do {
            let found = try ModelOffer(Array(message.payload))
            // Somebody gives it back to a broker that forgot: what only this device has, it gives, too.
            if found == offer, !message.retained, republishTimer != nil {
                return scheduleRepublishing(.milliseconds(50))
            }
            // It is there again, or there is another: nothing is to be put right.
            restoreTimer?.cancel()
            restoreTimer = nil
            guard found != offer else { return }
            offer = found
            onOffer(found)
        } catch {
            drop("bad_manifest", "ignored \(message.topic): \(error)")
            if !ModelOffer.isNewer(Array(message.payload)) { scheduleRestoring() }
        }
    }

    /// The offer that the broker has kept. Where what it has kept cannot be read, those who know the model put that right at once.
    func firstOffer() async throws -> ModelOffer? {
        for _ in 0..<20 where offer == nil && isUnreadable { try await Task.sleep(for: .milliseconds(100)) }
        return offer
    }

    /// Why there is no offer, for people.
    var noOffer: String {
        isUnreadable
            ? "what lies on \(session.topics.modelManifest) cannot be read"
            : "no model was pushed to \(session.topics.root)"
    }

    private var isUnreadable: Bool { drops.counts["bad_manifest"] != nil }

    // MARK: Fetching

    /// The bundle of an offer, with the files that these branches need on disk.
    ///
    /// - Throws: ``PipelineError`` where the broker does not have them, ``FileError`` where they cannot be kept.
    func fetch(_ offer: ModelOffer, branches: Set<Int>) async throws -> ModelBundle {
        let wanted = offer.files(for: branches, all: offer.modelBytes <= Self.wholeModelBytes)
        for file in wanted where !cache.has(file, of: offer) {
            let bytes = try await download(file, offer)
            do { try cache.write(bytes, file, of: offer) } catch {
                throw PipelineError(
                    .resources,
                    "the model \(offer.name) cannot be kept: \(error); name another folder with LCP_CACHE")
            }
        }
        // The one before is still run while this one takes its place.
        if !holds.contains(where: { $0.model == offer.model }), let hold = cache.hold(offer) {
            holds = holds.suffix(1) + [(offer.model, hold)]
        }
        cache.prune()
        return try cache.bundle(offer)
    }

    private func download(_ file: ModelOffer.File, _ offer: ModelOffer) async throws -> [UInt8] {
        // A manifest may say anything: nobody's memory is given away for that.
        if let free = SystemMemory.available, file.bytes > free / 2 {
            throw PipelineError(
                .resources,
                "\(file.name) of \(offer.name) has \(file.bytes) bytes, and this machine has \(free) bytes of memory free: split the model into more branches"
            )
        }
        let pieces = try await session.client.subscribe(
            to: session.topics.modelBlobs(file.sha256), options: .init(qos: .atLeastOnce),
            buffer: .init(maximumMessages: 16, maximumBytes: 64 << 20, overflow: .stopReading))
        defer { pieces.unsubscribe() }
        var download = BlobDownload(file, chunkBytes: offer.chunkBytes)
        let patience = Self.patience
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
            switch message.payload.withUnsafeBytes({ download.add($0, chunk: chunk) }) {
            case .incomplete: continue
            case .complete(let bytes): return bytes
            case .damaged:
                drop("damaged_piece", "a piece of \(file.name) of \(offer.name) is damaged, and is waited for again")
            }
        }
    }

    private func drop(_ reason: String, _ sentence: @autoclosure () -> String) {
        if let line = drops.add(reason, sentence()) { session.log(line) }
    }

    // MARK: Giving back

    /// The connection is back: unless the broker has kept the model, it is given back, by one after the other.
    func reconnected() {
        heard = (false, false)
        scheduleRepublishing(.milliseconds(300) + .milliseconds(Int.random(in: 0...300)))
    }

    private func scheduleRepublishing(_ delay: Duration) {
        republishTimer?.cancel()
        republishTimer = session.client.eventLoop.schedule(after: delay) { [weak self] in
            self?.assumeIsolated { $0.republish() }
        }
    }

    /// Somebody wrote what is no manifest over it: the first who notices puts it back, for those who are yet to come.
    private func scheduleRestoring() {
        guard offer != nil, restoreTimer == nil else { return }
        restoreTimer = session.client.eventLoop.schedule(
            after: .milliseconds(300) + .milliseconds(Int.random(in: 0...300))
        ) { [weak self] in
            self?.assumeIsolated { $0.restore() }
        }
    }

    private func restore() {
        restoreTimer = nil
        guard let offer else { return }
        publish(offer)
        drop("restored", "put the manifest of \(offer.name) back, which somebody had overwritten")
    }

    private func publish(_ offer: ModelOffer) {
        offer.json.withUnsafeBytes {
            try? session.client.send($0, to: session.topics.modelManifest, qos: .atLeastOnce, retain: true)
        }
    }

    private func republish() {
        republishTimer = nil
        guard let offer, !heard.retained else { return }
        var given = 0
        for file in offer.files where cache.has(file, of: offer) {
            guard let bytes = try? FileIO.read("\(cache.folder(offer))/\(file.name)", limit: file.bytes) else {
                continue
            }
            ModelPush.send(bytes, file, offer, session.client, session.topics)
            given += 1
        }
        guard given > 0 else { return }
        publish(offer)
        session.log(
            "gave \(given) file\(given == 1 ? "" : "s") of \(offer.name) back to the broker, which had forgotten the model"
        )
    }
}
