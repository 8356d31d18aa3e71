import LCPDatasets
import LCPModels

extension DataSpecification {
    /// Pictures like those that will come, the same number of each class: of the training set, as a model takes them.
    func calibrationPictures(_ count: Int, seed: UInt64, for manifest: ModelManifest) throws -> [UInt8] {
        let set = try trainingSet(
            seed: seed, size: manifest.network.input.imageSize(manifest.preprocessing),
            signal: manifest.preprocessing.signal)
        LeftOut.tell(set.leftOut, of: name)
        LeftOut.tell(notes: set.notes, of: name)
        guard set.count > count else { return set.pixels }
        return try set.split(validation: count, seed: seed).validation.pixels
    }
}
