import Glibc
import LCPModels
import LCPWire

/// The models of the ``ModelCache`` that this process uses: it verifies every file once, and keeps others from taking them away.
struct ModelStore {
    let cache: ModelCache
    /// The models that were asked for last, the latest at the end.
    private var known: [Known] = []
    /// The models that this process runs, or is about to run: no other one may take them away.
    private var holds: [(model: String, hold: ModelCache.Hold)] = []

    /// What was verified of a model.
    private struct Known {
        let model: String
        var files: [ModelOffer.File: FileIdentity] = [:]
        var bundle: (bundle: ModelBundle, file: FileIdentity)?
    }

    /// What tells a file from one that was changed, or put in its place, afterwards: as good as its owner is honest, and what the
    /// weights are read from is verified once more when they are.
    private struct FileIdentity: Equatable {
        var device: UInt64
        var inode: UInt64
        var size: Int64
        /// Of the contents and of the inode, seconds and nanoseconds.
        var times: [Int]

        init?(_ path: String) {
            var status = stat()
            guard stat(path, &status) == 0 else { return nil }
            device = UInt64(status.st_dev)
            inode = UInt64(status.st_ino)
            size = Int64(status.st_size)
            times = [
                status.st_mtim.tv_sec, status.st_mtim.tv_nsec, status.st_ctim.tv_sec, status.st_ctim.tv_nsec,
            ]
        }
    }

    /// More models are not kept in mind: offers may come without end.
    private static let maximumKnown = 4
    /// The one before is still run while another takes its place, and a third may be tried.
    private static let maximumHolds = 3

    init(_ cache: ModelCache) { self.cache = cache }

    /// Whether a file is on disk with the right contents, which are read only where they may have changed.
    mutating func has(_ file: ModelOffer.File, of offer: ModelOffer) -> Bool {
        let index = remember(offer)
        guard let identity = FileIdentity(cache.path(of: file, offer)) else { return false }
        if known[index].files[file] == identity { return true }
        known[index].files[file] = nil
        guard cache.has(file, of: offer) else { return false }
        known[index].files[file] = identity
        return true
    }

    /// Keeps a file whose contents are verified.
    ///
    /// - Throws: ``FileError``, for example on a full disk.
    mutating func keep(_ bytes: [UInt8], _ file: ModelOffer.File, of offer: ModelOffer) throws {
        try cache.write(bytes, file, of: offer)
        known[remember(offer)].files[file] = FileIdentity(cache.path(of: file, offer))
    }

    /// Opens a model whose files are there, and holds it from now on.
    ///
    /// - Throws: ``ModelBundleError`` or ``PipelineError`` where it is not the one that was offered.
    mutating func open(_ offer: ModelOffer) throws -> ModelBundle {
        if !holds.contains(where: { $0.model == offer.model }), let hold = cache.hold(offer) {
            holds = holds.suffix(Self.maximumHolds - 1) + [(offer.model, hold)]
        }
        cache.prune()
        let index = remember(offer)
        let identity = FileIdentity("\(cache.folder(offer))/model.json")
        if let opened = known[index].bundle, opened.file == identity { return opened.bundle }
        let bundle = try cache.bundle(offer)
        known[index].bundle = identity.map { (bundle, $0) }
        return bundle
    }

    /// The place of a model among those that are kept in mind.
    private mutating func remember(_ offer: ModelOffer) -> Int {
        let entry = known.first { $0.model == offer.model } ?? Known(model: offer.model)
        known.removeAll { $0.model == offer.model }
        known = known.suffix(Self.maximumKnown - 1) + [entry]
        return known.count - 1
    }
}
