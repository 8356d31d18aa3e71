public import LCPModels
import LCPWire
import MQTT
import Synchronization
public import Platform

/// Puts a model on a broker for a pipeline: its files in pieces, retained, and then the manifest that names them.
public enum ModelPush {
    /// Small enough for brokers that limit packets to 256 KB.
    public static let defaultChunkBytes = 128 << 10

    /// What was pushed.
    public struct Result: Sendable {
        public var name: String
        /// In hexadecimal.
        public var model: String
        /// The images that it takes.
        public var input: FeatureMapShape
        public var bytes: Int
        public var messages: Int
        /// Messages of older models that were taken away.
        public var removed: Int
        /// The model before, where the broker had kept it whole.
        public var before: Before?
        /// A model that was tried until now, and is tried no more.
        public var triedNoMore: String?
        /// A model that is tried beside this one.
        public var stillTried: String?
        /// Roles that run it alone: `worker pi-3`.
        public var running: [String] = []
        /// Those that do not, after the time that they were given.
        public var missing: [String] = []
        /// Those that were given another model on their command line.
        public var fixed: [String] = []
    }

    /// What is known of the model that a push replaces.
    public struct Before: Sendable {
        public var name: String
        /// The images that it takes.
        public var input: FeatureMapShape
        public var branches: Int
    }

    /// How long a broker may take for an answer.
    static let limit = Duration.seconds(10)

    /// Pushes a bundle. The broker keeps the model before it, for ``rollback(_:key:patience:progress:)``, and no older one. What is
    /// tried there is tried no more where it is the same model, or cannot be tried beside this one.
    ///
    /// - Parameters:
    ///   - key: signs the offer; nil where the pipeline takes anybody's models.
    ///   - isUnsignedOnPurpose: whether it may take the place of a signed one without a key.
    ///   - patience: how long the pipeline's roles are waited for, until all of them run it.
    ///   - progress: gets the share of the bytes that the broker has.
    /// - Throws: ``MQTTError``, ``PipelineError`` or ``ModelBundleError``.
    public static func push(
        _ bundle: ModelBundle, _ configuration: PipelineConfiguration, chunkBytes: Int = defaultChunkBytes,
        key: SigningKey? = nil, isUnsignedOnPurpose: Bool = false, patience: Duration = .zero,
        progress: (Double) -> Void = { _ in }
    ) async throws -> Result {
        guard (1024...(64 << 20)).contains(chunkBytes) else {
            throw PipelineError(.invalidConfiguration, "a piece of a model has 1024 bytes to 64 MiB, not \(chunkBytes)")
        }
        let topics = try Topics(prefix: configuration.prefix, pipeline: configuration.pipeline)
        let trust = configuration.modelKey.map { ModelTrust(key: $0, root: topics.root) }
        try check(key, configuration, topics)
        // All weights are read and checked before a byte is sent.
        _ = try bundle.parameters()
        return try await MQTTClient.withConnection(configuration.mqtt.atFirstNode) { client in
            // What is not taken neither raises the number for others nor is kept.
            func valid(_ offer: ModelOffer?) -> ModelOffer? {
                offer.flatMap { trust?.refusal(of: $0) == nil ? $0 : nil }
            }
            let present = try await keptOffer(topics.modelManifest, client)
            if !isUnsignedOnPurpose { try checkSigned(key, present, topics) }
            let before = valid(present)
            let former = try await keptOffer(topics.modelPrevious, client)
            var offer = try ModelOffer(
                bundle, chunkBytes: chunkBytes,
                number: ModelOffer.number(after: before, milliseconds: wallClockNanoseconds() / 1_000_000))
            if let key { offer = offer.signed(with: key, root: topics.root) }
            let replaced = try await describe(before, client, topics)
            let older = [before, former].compactMap(\.self)
            let messages = try await sendPieces(
                of: bundle, offer, beside: older, client, topics, progress: progress)
            try await client.publish(offer.json, to: topics.modelManifest, qos: .atLeastOnce, retain: true)
            guard try await keptOffer(topics.modelManifest, client) == offer else {
                throw PipelineError(
                    .modelUnavailable,
                    "\(configuration.mqtt.address) did not keep the model: it keeps no messages (`retain_available true` in "
                        + "mosquitto.conf), or \(topics.modelManifest) may not be read or written by this user")
            }
            let previous = offer.previous(before, valid(former))
            if previous != former {
                try await client.publish(
                    previous?.json ?? [], to: topics.modelPrevious, qos: .atLeastOnce, retain: true)
            }
            let trial = try await endPointlessTrial(beside: bundle, client, topics)
            let removed = try await removePieces(
                of: older + [trial?.ended].compactMap(\.self),
                but: [offer, previous, trial?.going].compactMap(\.self), client, topics)
            var result = Result(
                name: offer.name, model: offer.model, input: bundle.network.input, bytes: offer.modelBytes,
                messages: messages + 1, removed: removed, before: replaced,
                triedNoMore: trial?.ended.flatMap { $0.model == offer.model ? nil : $0.name },
                stillTried: trial?.going?.name)
            guard patience > .zero else { return result }
            let requests = try await giveWhatIsWanted(of: bundle, offer, client, topics)
            defer { requests.unsubscribe() }
            let report = try await ModelArrival(offer.model, topics).wait(client, atMost: patience)
            (result.running, result.missing, result.fixed) = (report.running, report.missing, report.fixed)
            return result
        }
    }

    /// Publishes a model's files in pieces; what was sent is taken away again where that fails.
    ///
    /// - Parameter older: what lies there and is named by a manifest.
    /// - Returns: how many messages that were.
    static func sendPieces(
        of bundle: ModelBundle, _ offer: ModelOffer, beside older: [ModelOffer], _ client: MQTTClient, _ topics: Topics,
        progress: (Double) -> Void
    ) async throws -> Int {
        let olderFiles = Set(older.flatMap(\.files).map(\.sha256))
        let chunkBytes = offer.chunkBytes
        var (sent, pieces, messages) = (0, [String](), 0)
        do {
            for file in offer.files {
                let bytes = try FileIO.read("\(bundle.path)/\(file.name)", limit: file.bytes)
                for chunk in 0..<offer.chunkCount(file) {
                    let piece = Array(bytes[chunk * chunkBytes..<min(bytes.count, (chunk + 1) * chunkBytes)])
                    let topic = topics.modelBlob(file.sha256, chunk: chunk)
                    if !olderFiles.contains(file.sha256) { pieces.append(topic) }
                    try await client.publish(piece, to: topic, qos: .atLeastOnce, retain: true)
                    sent += piece.count
                    messages += 1
                    progress(Double(sent) / Double(offer.modelBytes))
                }
            }
            return messages
        } catch {
            // Nobody would ever take away what no manifest names.
            for topic in pieces {
                try? client.send(
                    UnsafeRawBufferPointer(start: nil, count: 0), to: topic, qos: .atLeastOnce, retain: true)
            }
            throw error
        }
    }

    /// Takes the pieces of older models away that no manifest names any more.
    ///
    /// - Returns: how many messages that were.
    static func removePieces(
        of older: [ModelOffer], but kept: [ModelOffer], _ client: MQTTClient, _ topics: Topics
    ) async throws -> Int {
        let files = Set(kept.flatMap(\.files).map(\.sha256))
        var removed = 0
        for old in older {
            for file in old.files where !files.contains(file.sha256) {
                for chunk in 0..<old.chunkCount(file) {
                    // An empty retained message takes the one before away.
                    try await client.publish(
                        [], to: topics.modelBlob(file.sha256, chunk: chunk), qos: .atLeastOnce, retain: true)
                    removed += 1
                }
            }
        }
        return removed
    }

    /// Gives files to those whose node of a cluster has not kept them, until the subscription ends.
    static func giveWhatIsWanted(
        of bundle: ModelBundle, _ offer: ModelOffer, _ client: MQTTClient, _ topics: Topics
    ) async throws -> MQTTSubscription {
        let answers = Mutex(ModelAnswers())
        return try await client.subscribe(
            to: topics.modelRequests, options: .init(qos: .atLeastOnce, noLocal: true, receivesRetained: false)
        ) { message in
            guard let request = ModelRequest(Array(message.payload)), request.isGiven != true,
                let file = offer.files.first(where: { $0.sha256 == request.file })
            else { return }
            let isDue = answers.withLock { answers in
                answers.heard(request, now: .now, delay: .zero)
                return !answers.time(.now).isEmpty
            }
            guard isDue, let bytes = try? FileIO.read("\(bundle.path)/\(file.name)", limit: file.bytes) else { return }
            ModelRequest(file: file.sha256, isGiven: true).json.withUnsafeBytes {
                try? client.send($0, to: topics.modelRequests, qos: .atLeastOnce)
            }
            send(bytes, file, offer, client, topics)
        }
    }

    /// The offer that the broker has kept on a topic.
    static func keptOffer(_ topic: String, _ client: MQTTClient) async throws -> ModelOffer? {
        let manifests = try await client.subscribe(to: topic, options: .init(qos: .atLeastOnce))
        // What is kept comes before the answer to this.
        await manifests.end(within: limit)
        for try await message in manifests where !message.payload.isEmpty { return try? ModelOffer(message.payload) }
        return nil
    }

    /// What an offer's `model.json` says, where the broker has kept it; anybody may have written it.
    static func describe(
        _ offer: ModelOffer?, _ client: MQTTClient, _ topics: Topics
    ) async throws -> Before? {
        guard let offer, let file = offer.files.first, file.bytes <= 16 << 20,
            let bytes = try await contents(file, offer, client, topics)
        else { return nil }
        return (try? ModelBundle.manifest(decoding: bytes, name: file.name)).map {
            Before(name: $0.name, input: $0.network.input, branches: $0.network.branches.count)
        }
    }

    /// A file of an offer, verified; nil where the broker has not kept all of it.
    static func contents(
        _ file: ModelOffer.File, _ offer: ModelOffer, _ client: MQTTClient, _ topics: Topics
    ) async throws -> [UInt8]? {
        var download = BlobDownload(file, chunkBytes: offer.chunkBytes)
        // By their own topics: not every broker gives what it keeps to wildcards. Some at a time wait in memory.
        for first in stride(from: 0, to: offer.chunkCount(file), by: 64) {
            let pieces = try await client.subscribe(
                to: topics.modelBlob(file.sha256, chunk: first), options: .init(qos: .atLeastOnce))
            for chunk in first + 1..<max(first + 1, min(offer.chunkCount(file), first + 64)) {
                try await pieces.add(topics.modelBlob(file.sha256, chunk: chunk), options: .init(qos: .atLeastOnce))
            }
            await pieces.end(within: limit)
            for try await message in pieces {
                guard let chunk = Int(Topics.sensor(of: message.topic)),
                    case .complete(let bytes) = message.payload.withUnsafeBytes({ download.add($0, chunk: chunk) })
                else { continue }
                return bytes
            }
        }
        return nil
    }

    /// Sends a file without waiting.
    static func send(
        _ bytes: [UInt8], _ file: ModelOffer.File, _ offer: ModelOffer, _ client: MQTTClient, _ topics: Topics
    ) {
        for chunk in 0..<offer.chunkCount(file) {
            let range = chunk * offer.chunkBytes..<min(bytes.count, (chunk + 1) * offer.chunkBytes)
            bytes[range].withUnsafeBytes {
                try? client.send(
                    $0, to: topics.modelBlob(file.sha256, chunk: chunk), qos: .atLeastOnce, retain: true)
            }
        }
    }
}
