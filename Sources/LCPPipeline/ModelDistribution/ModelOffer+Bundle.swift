import LCPModels
import LCPWire
import Platform

extension ModelOffer {
    /// Describes a bundle.
    ///
    /// - Throws: ``ModelBundleError`` or ``PipelineError`` where a file cannot be read.
    init(_ bundle: ModelBundle, chunkBytes: Int) throws {
        let files = try (["model.json"] + bundle.manifest.files.map(\.name)).map { name in
            let bytes = try FileIO.read("\(bundle.path)/\(name)")
            return File(name: name, sha256: SHA256.hex(bytes), bytes: bytes.count)
        }
        self.init(
            name: bundle.manifest.name, model: bundle.hash.description, chunkBytes: chunkBytes, files: files)
    }
}
