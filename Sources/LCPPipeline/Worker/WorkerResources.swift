import Glibc
import LCPInference
import LCPModels
import LCPWire
import MQTT
import Platform
import Synchronization

/// What the branches of a worker share.
final class WorkerResources: Sendable {
    let gate = FlowGate()
    let pictures = PictureCache()
    let features: FeatureFormat
    let bareInputs = BareInputs()
    /// Whether the broker deals inputs out to the replicas of a branch; otherwise each of them computes all.
    var sharesInputs: Bool {
        get { dealsInputs.load(ordering: .relaxed) }
        set { dealsInputs.store(newValue, ordering: .relaxed) }
    }
    private let dealsInputs = Atomic<Bool>(true)
    /// Whether inputs come by lanes only.
    var inputsAreDealt: Bool {
        get { areDealt.load(ordering: .relaxed) }
        set { areDealt.store(newValue, ordering: .relaxed) }
    }
    private let areDealt = Atomic<Bool>(false)
    /// Whether features go to the topics of the sensors' buckets.
    var sendsByBucket: Bool {
        get { byBucket.load(ordering: .relaxed) }
        set { byBucket.store(newValue, ordering: .relaxed) }
    }
    private let byBucket = Atomic<Bool>(false)
    /// For short ones and, by true, for large ones.
    private let decoders = Mutex<[Bool: PictureDecoder]>([:])
    private let threads: Int
    private let startedPool = Mutex<ThreadPool?>(nil)
    /// What computes the branches; nil for this processor.
    let device: BranchWorker.Device?

    /// - Parameter threads: how many compute a branch.
    init(features: FeatureFormat, threads: Int, device: BranchWorker.Device? = nil) {
        (self.features, self.threads, self.device) = (features, threads, device)
    }

    /// Prepares a branch.
    func computer(_ bundle: ModelBundle, branch: Int) throws -> any BranchComputer {
        if let device { return try device.attach(bundle, branch) }
        return try BranchEngine(bundle: bundle, branch: branch, pool: try pool())
    }

    /// The threads that compute the branches; nil where there is one for each. They are started when the first branch is made
    /// that is long enough for several.
    func pool() throws(InferenceError) -> ThreadPool? {
        guard threads > 1 else { return nil }
        return try startedPool.withLock { pool throws(InferenceError) in
            if let pool { return pool }
            let started = try ThreadPool(threads: threads)
            pool = started
            return started
        }
    }

    /// Decodes a picture on a thread of its own, so that ``pictures`` has it; what cannot be decoded fails for whoever asks next.
    ///
    /// - Parameter isLarge: whether it takes long, so that others are not to wait for it: those have another thread, which gives
    ///   way to all.
    func decode(_ payload: [UInt8], _ decoders: [InputDecoder], isLarge: Bool = false) async {
        // Where no thread can be started, who asks next decodes it.
        let decoder = self.decoders.withLock { decoders in
            if decoders[isLarge] == nil { decoders[isLarge] = try? PictureDecoder(givesWay: isLarge) }
            return decoders[isLarge]
        }
        await decoder?.decode(payload, decoders)
    }
}

/// A thread on which a worker decodes pictures.
private actor PictureDecoder {
    private nonisolated let executor: EventLoop
    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    init(givesWay: Bool) throws {
        executor = try EventLoop(name: "pictures")
        // Of this thread alone.
        if givesWay { executor.execute { setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, 10) } }
    }

    func decode(_ payload: [UInt8], _ decoders: [InputDecoder]) {
        for decoder in decoders { _ = payload.withUnsafeBytes { try? decoder.decode($0) } }
    }
}

/// How a worker writes its branches' numbers: as it was told, once every aggregator reads that.
final class FeatureFormat: Sendable {
    private let wanted: FeatureEncoding
    private let isReadByAll = Atomic<Bool>(false)

    init(_ wanted: FeatureEncoding) { self.wanted = wanted }

    var encoding: FeatureEncoding { isReadByAll.load(ordering: .relaxed) ? wanted : .fp32 }

    /// Takes who is there.
    ///
    /// - Returns: a sentence where what is sent changes.
    func update(_ presence: Presence) -> String? {
        guard wanted != .fp32 else { return nil }
        let aggregators = presence.all(.aggregator)
        let old = aggregators.first { !$0.readsTensorMessages(of: 2) }
        let isRead = !aggregators.isEmpty && old == nil
        guard isReadByAll.exchange(isRead, ordering: .relaxed) != isRead else { return nil }
        if isRead { return "features are sent as \(wanted.rawValue)" }
        return old.map { "features are sent as fp32, because the aggregator \($0.id) reads nothing else" }
    }
}
