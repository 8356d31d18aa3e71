import LCPDatasets
import Platform

/// What a training is really trained on, so that a checkpoint is only gone on with from the same images: a folder or a file may
/// have others in it by then.
///
/// Drawn digits follow from their number and the seed, and are not in it. SHA-256 takes 1.5 GB of pixels a second where
/// the processor has instructions for it: reading and decoding images takes many times as long.
struct DataDigest: Codable, Hashable {
    /// Images that are trained on, and those set aside for validation.
    var images: Int
    var validationImages: Int
    /// Of sizes, pixels, labels and the names of the classes, in hexadecimal digits.
    var sha256: String

    /// - Parameters:
    ///   - sets: what is trained on; nil for drawn digits.
    ///   - classes: the classes' names.
    init(sets: [LabeledImages?], validation: TrainingSet?, classes: [String]) {
        let stream = SHA256.Stream()
        func add(_ text: String) { Array(text.utf8).withUnsafeBytes(stream.append) }
        // Every part begins with its length: what ends one cannot begin the next.
        func add(_ pixels: [UInt8], _ labels: [UInt16]) {
            add("\(pixels.count) \(labels.count)\n")
            pixels.withUnsafeBytes(stream.append)
            labels.withUnsafeBytes(stream.append)
        }
        for set in sets {
            add(set.map { "\($0.height)×\($0.width)×\($0.channels)\n" } ?? "drawn\n")
            if let set { add(set.pixels, set.labels) }
        }
        add(validation?.pixels ?? [], validation?.labels ?? [])
        for name in classes { add("\(name.utf8.count) \(name)\n") }
        images = sets.reduce(0) { $0 + ($1?.count ?? 0) }
        validationImages = validation?.labels.count ?? 0
        sha256 = stream.hex()
    }

    /// Why a training on `other` does not go on with one on this data; nil where it does.
    func difference(from other: DataDigest) -> String? {
        guard self != other else { return nil }
        func text(_ digest: DataDigest) -> String {
            "\(digest.images) images"
                + (digest.validationImages > 0 ? " and \(digest.validationImages) for validation" : "")
        }
        return (images, validationImages) == (other.images, other.validationImages)
            ? "the images, their labels or the names of the classes are not those that it was trained on"
            : "it was trained on \(text(self)), and now there are \(text(other))"
    }
}
