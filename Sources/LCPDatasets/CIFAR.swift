import Platform

/// The binary files of CIFAR-10 and CIFAR-100 (Krizhevsky 2009): records of one or two labels and 32 × 32 pixels, plane by plane.
public enum CIFAR {
    static let height = 32
    static let width = 32

    /// CIFAR-10's training or test set out of a folder with `data_batch_1.bin` to `data_batch_5.bin` and `test_batch.bin`.
    ///
    /// - Throws: ``DatasetError`` with the file and the reason.
    public static func ten(folder: String, training: Bool) throws(DatasetError) -> LabeledImages {
        guard training else {
            return try read(try find("test_batch.bin", in: folder, archive: tenFolder, name: "CIFAR-10"), .ten)
        }
        var result = LabeledImages(height: height, width: width, channels: 3)
        var first: (file: String, count: Int)?
        for batch in 1...5 {
            let file = try find("data_batch_\(batch).bin", in: folder, archive: tenFolder, name: "CIFAR-10")
            let images = try read(file, .ten)
            if let first, first.count != images.count {
                throw DatasetError(
                    "\(file) has \(images.count) images and \(first.file) has \(first.count): one of them is not whole")
            }
            first = (file, images.count)
            result.append(images)
        }
        return result
    }

    /// CIFAR-100's training or test set with its 100 fine labels, out of a folder with `train.bin` and `test.bin`.
    ///
    /// - Throws: ``DatasetError`` with the file and the reason.
    public static func hundred(folder: String, training: Bool) throws(DatasetError) -> LabeledImages {
        let name = training ? "train.bin" : "test.bin"
        return try read(try find(name, in: folder, archive: hundredFolder, name: "CIFAR-100"), .hundred)
    }

    // MARK: The format

    /// What stands before the pixels of an image.
    package enum Record {
        /// The label.
        case ten
        /// The coarse label, which is not used, and the fine one.
        case hundred

        var labelBytes: Int { self == .ten ? 1 : 2 }
        var classes: Int { self == .ten ? 10 : 100 }
    }

    package static func decode(_ bytes: [UInt8], _ record: Record, name: String) throws(DatasetError) -> LabeledImages {
        guard !bytes.starts(with: [0x1F, 0x8B]) || bytes.count % (record.labelBytes + 3072) == 0 else {
            throw DatasetError("\(name) is compressed: unpack it with tar xzf")
        }
        let plane = height * width
        let size = record.labelBytes + 3 * plane
        guard !bytes.isEmpty, bytes.count % size == 0 else {
            throw DatasetError(
                "\(name) has \(bytes.count) bytes, which is no number of images of \(size) bytes each: it may be truncated"
            )
        }
        let count = bytes.count / size
        var result = LabeledImages(height: height, width: width, channels: 3)
        result.labels.reserveCapacity(count)
        for index in 0..<count {
            let label = bytes[index * size + record.labelBytes - 1]
            guard label < record.classes else {
                throw DatasetError(
                    "image \(index) of \(name) has the label \(label), the highest is \(record.classes - 1): the file is damaged or another one"
                )
            }
            result.labels.append(UInt16(label))
        }
        result.pixels = [UInt8](unsafeUninitializedCapacity: count * 3 * plane) { pixels, written in
            bytes.withUnsafeBufferPointer { bytes in
                var target = 0
                for index in 0..<count {
                    let red = index * size + record.labelBytes
                    for position in red..<red + plane {
                        pixels[target] = bytes[position]
                        pixels[target + 1] = bytes[position + plane]
                        pixels[target + 2] = bytes[position + 2 * plane]
                        target += 3
                    }
                }
                written = target
            }
        }
        return result
    }

    // MARK: Files

    private static let tenFolder = "cifar-10-batches-bin"
    private static let hundredFolder = "cifar-100-binary"

    /// The path of a file, also where the archive's own folder was left around it.
    private static func find(
        _ file: String, in folder: String, archive: String, name: String
    ) throws(DatasetError) -> String {
        for path in ["\(folder)/\(file)", "\(folder)/\(archive)/\(file)"] where FileIO.exists(path) { return path }
        throw DatasetError("there is no \(file) in \(folder): it needs the files of \(name)'s binary version, unpacked")
    }

    private static func read(_ path: String, _ record: Record) throws(DatasetError) -> LabeledImages {
        let bytes: [UInt8]
        do { bytes = try FileIO.read(path, limit: 1 << 30) } catch { throw DatasetError("\(error)") }
        return try decode(bytes, record, name: path)
    }
}
