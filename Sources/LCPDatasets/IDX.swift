import Platform

/// The IDX format of MNIST: big-endian; two zero bytes, a type, the number of dimensions, the dimensions as u32, the data.
public enum IDX {
    /// Reads unsigned bytes with the given number of dimensions.
    package static func decode(_ bytes: [UInt8], rank: Int, name: String) throws(DatasetError) -> (
        dimensions: [Int], data: ArraySlice<UInt8>
    ) {
        guard bytes.count >= 4, bytes[0] == 0, bytes[1] == 0 else {
            let hint = bytes.starts(with: [0x1F, 0x8B]) ? ": it is compressed; unpack it with gunzip" : ""
            throw DatasetError("\(name) is not an IDX file\(hint)")
        }
        guard bytes[2] == 8 else { throw DatasetError("\(name) holds other numbers than unsigned bytes") }
        guard Int(bytes[3]) == rank else {
            throw DatasetError(
                "\(name) has \(bytes[3]) dimensions where \(rank) are needed: images and labels may be swapped")
        }
        guard bytes.count >= 4 + 4 * rank else { throw DatasetError("\(name) ends in its header") }
        var dimensions: [Int] = []
        var size = 1
        for index in 0..<rank {
            let dimension = bytes[4 + 4 * index..<8 + 4 * index].reduce(0) { $0 << 8 | Int($1) }
            let (product, overflow) = size.multipliedReportingOverflow(by: dimension)
            guard !overflow, dimension > 0 else { throw DatasetError("\(name) has impossible dimensions") }
            size = product
            dimensions.append(dimension)
        }
        let data = bytes[(4 + 4 * rank)...]
        guard data.count == size else {
            throw DatasetError("\(name) announces \(size) bytes of data and has \(data.count): it may be truncated")
        }
        return (dimensions, data)
    }

    /// Reads images, and labels where there are some.
    ///
    /// - Throws: ``DatasetError`` for a missing, truncated or other file.
    public static func read(images: String, labels: String? = nil) throws(DatasetError) -> LabeledImages {
        let (dimensions, data) = try decode(try bytes(images), rank: 3, name: images)
        var result = LabeledImages(height: dimensions[1], width: dimensions[2], channels: 1, pixels: Array(data))
        if let labels {
            let (count, classes) = try decode(try bytes(labels), rank: 1, name: labels)
            guard count[0] == dimensions[0] else {
                throw DatasetError(
                    "\(images) has \(dimensions[0]) images, \(labels) has \(count[0]) labels: they do not belong together"
                )
            }
            result.labels = classes.map(UInt16.init)
        }
        return result
    }

    /// MNIST's or Fashion-MNIST's training or test set out of a folder with its four files, named as on their home pages.
    public static func mnist(folder: String, training: Bool) throws(DatasetError) -> LabeledImages {
        let prefix = training ? "train" : "t10k"
        // The files are called both ways, depending on who unpacked them.
        for dot in ["-", "."] {
            let images = "\(folder)/\(prefix)-images\(dot)idx3-ubyte"
            if FileIO.exists(images) {
                let labels = "\(folder)/\(prefix)-labels\(dot)idx1-ubyte"
                let result = try read(images: images, labels: labels)
                if let wrong = result.labels.firstIndex(where: { $0 > 9 }) {
                    throw DatasetError(
                        "image \(wrong) has the label \(result.labels[wrong]) in \(labels), the highest is 9: the file is damaged or another one"
                    )
                }
                return result
            }
        }
        throw DatasetError(
            "there is no \(prefix)-images-idx3-ubyte in \(folder): it needs the four files of MNIST or Fashion-MNIST, unpacked"
        )
    }

    private static func bytes(_ path: String) throws(DatasetError) -> [UInt8] {
        do { return try FileIO.read(path) } catch { throw DatasetError("\(error)") }
    }
}
