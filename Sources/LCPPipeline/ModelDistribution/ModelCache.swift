import Glibc
import LCPModels
import LCPWire
import Platform

/// Models that came over MQTT, on disk: a folder for each, named by the model's hash, with the files that were needed.
struct ModelCache: Sendable {
    let path: String
    /// The SHA-256 in hexadecimal, of bytes that are read from disk.
    var digest: @Sendable ([UInt8]) -> String = { SHA256.hex($0) }
    /// The most models that are kept; the oldest go first.
    static let maximumModels = 8

    /// `$LCP_CACHE`, systemd's `$CACHE_DIRECTORY`, `$XDG_CACHE_HOME/lcp` or `~/.cache/lcp`.
    static var standard: ModelCache {
        let folder =
            environmentVariable("LCP_CACHE") ?? environmentVariable("CACHE_DIRECTORY")
            ?? environmentVariable("XDG_CACHE_HOME").map { "\($0)/lcp" }
            ?? environmentVariable("HOME").map { "\($0)/.cache/lcp" } ?? "/var/tmp/lcp-\(getuid())"
        return ModelCache(path: "\(folder)/models")
    }

    func folder(_ offer: ModelOffer) -> String { "\(path)/\(offer.model)" }

    func path(of file: ModelOffer.File, _ offer: ModelOffer) -> String { "\(folder(offer))/\(file.name)" }

    /// Whether a file is there with the right contents.
    func has(_ file: ModelOffer.File, of offer: ModelOffer) -> Bool {
        guard let bytes = try? FileIO.read(path(of: file, offer), limit: file.bytes) else { return false }
        return digest(bytes) == file.sha256
    }

    /// Keeps a file, whole or not at all.
    ///
    /// - Throws: ``FileError``, for example on a full disk.
    func write(_ bytes: [UInt8], _ file: ModelOffer.File, of offer: ModelOffer) throws(FileError) {
        try FileIO.makeFolder(folder(offer))
        try FileIO.write(bytes, to: path(of: file, offer))
    }

    /// Opens the bundle of an offer; its `model.json` must be there, and be the one that the offer names.
    func bundle(_ offer: ModelOffer) throws -> ModelBundle {
        let bundle = try ModelBundle(path: folder(offer))
        guard bundle.hash.description == offer.model, bundle.network.branches.count == offer.branchCount else {
            throw PipelineError(
                .modelMismatch, "the model's manifest does not fit its model.json: push the model again")
        }
        return bundle
    }

    /// Keeps a model from being taken away by any process, for as long as what is returned lives.
    func hold(_ offer: ModelOffer) -> Hold? { Hold("\(folder(offer))/model.json", exclusive: false) }

    /// A lock on a model.
    final class Hold: Sendable {
        private let descriptor: Int32

        fileprivate init?(_ path: String, exclusive: Bool) {
            descriptor = open(path, O_RDONLY | O_CLOEXEC)
            guard descriptor >= 0 else { return nil }
            guard flock(descriptor, (exclusive ? LOCK_EX : LOCK_SH) | LOCK_NB) == 0 else {
                close(descriptor)
                return nil
            }
        }

        deinit { close(descriptor) }
    }

    /// Takes the oldest models away where there are too many, never those that are held.
    func prune() {
        guard let names = try? FileIO.list(path), names.count > Self.maximumModels else { return }
        let aged = names.map { name -> (name: String, time: Int) in
            var status = stat()
            return (name, stat("\(path)/\(name)/model.json", &status) == 0 ? status.st_mtim.tv_sec : 0)
        }.sorted { ($0.time, $0.name) < ($1.time, $1.name) }
        for (name, _) in aged.prefix(names.count - Self.maximumModels) {
            // Without a model.json there is nothing that could be held.
            let file = "\(path)/\(name)/model.json"
            let hold = Hold(file, exclusive: true)
            guard hold != nil || !FileIO.exists(file) else { continue }
            for file in (try? FileIO.list("\(path)/\(name)")) ?? [] { FileIO.remove("\(path)/\(name)/\(file)") }
            FileIO.removeEmptyFolder("\(path)/\(name)")
        }
    }
}
