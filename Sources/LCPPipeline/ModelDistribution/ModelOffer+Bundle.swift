import LCPModels
import LCPWire
import Platform

extension ModelOffer {
    /// Describes a bundle.
    ///
    /// - Parameter number: of the push.
    /// - Throws: ``ModelBundleError`` or ``PipelineError`` where a file cannot be read.
    init(_ bundle: ModelBundle, chunkBytes: Int, number: UInt64? = nil) throws {
        let files = try (["model.json"] + bundle.manifest.files.map(\.name)).map { name in
            let bytes = try FileIO.read("\(bundle.path)/\(name)")
            return File(name: name, sha256: SHA256.hex(bytes), bytes: bytes.count)
        }
        self.init(
            name: bundle.manifest.name, model: bundle.hash.description, chunkBytes: chunkBytes, files: files,
            number: number)
    }
}
