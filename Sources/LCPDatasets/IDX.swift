import Platform

/// The IDX format of MNIST: big-endian; two zero bytes, a type, the number of dimensions, the dimensions as u32, the data. A file
/// may be compressed by gzip.
public enum IDX {
    /// The most bytes that a compressed file may unpack to: EMNIST's largest has 550 MB.
    private static let maximumBytes = 1 << 30

    /// Files, and how they differ from MNIST's.
    public struct Files: Sendable, Hashable {
        public var images: String
        public var labels: String?
        /// The label of the first class: EMNIST's letters begin at 1.
        public var firstLabel = 0
        /// Whether each image lies column by column, as EMNIST's do.
        public var isTransposed = false

        public init(images: String, labels: String? = nil) {
            self.images = images
            self.labels = labels
        }

        /// What can be written behind `idx:`.
        public static let form = "IMAGES,LABELS[,first=N][,transposed]"

        /// Reads `IMAGES[,LABELS][,first=N][,transposed]`.
        ///
        /// - Throws: ``DatasetError`` for anything else.
        public init(_ text: some StringProtocol) throws(DatasetError) {
            var parts = String(text).split(separator: ",", omittingEmptySubsequences: false).map(String.init)
            var (first, isTransposed) = (0, false)
            while let last = parts.last, parts.count > 1 {
                if last == "transposed" {
                    isTransposed = true
                } else if last.hasPrefix("first=") {
                    guard let number = Int(last.dropFirst(6)), (0...255).contains(number) else {
                        throw DatasetError("idx:\(text): \(last) is the label of the first class, 0 to 255")
                    }
                    first = number
                } else {
                    break
                }
                parts.removeLast()
            }
            guard (1...2).contains(parts.count), parts.allSatisfy({ !$0.isEmpty }) else {
                throw DatasetError("idx:\(text) has to name one or two files: idx:\(Self.form)")
            }
            self.init(images: parts[0], labels: parts.count > 1 ? parts[1] : nil)
            (firstLabel, self.isTransposed) = (first, isTransposed)
        }

        /// What stands behind the files.
        var options: String { (firstLabel > 0 ? ",first=\(firstLabel)" : "") + (isTransposed ? ",transposed" : "") }
    }

    /// Reads unsigned bytes with the given number of dimensions.
    package static func decode(_ bytes: [UInt8], rank: Int, name: String) throws(DatasetError) -> (
        dimensions: [Int], data: ArraySlice<UInt8>
    ) {
        guard bytes.count >= 4, bytes[0] == 0, bytes[1] == 0 else { throw DatasetError("\(name) is not an IDX file") }
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
    /// - Throws: ``DatasetError`` for a missing, truncated or other file, or a label below the first.
    public static func read(_ files: Files) throws(DatasetError) -> LabeledImages {
        let (dimensions, data) = try decode(try bytes(files.images), rank: 3, name: files.images)
        var result = LabeledImages(height: dimensions[1], width: dimensions[2], channels: 1, pixels: Array(data))
        if files.isTransposed { result = result.transposed() }
        if let labels = files.labels {
            let (count, classes) = try decode(try bytes(labels), rank: 1, name: labels)
            guard count[0] == dimensions[0] else {
                throw DatasetError(
                    "\(files.images) has \(dimensions[0]) images, \(labels) has \(count[0]) labels: they do not belong together"
                )
            }
            if let low = classes.min(), low < files.firstLabel {
                throw DatasetError("\(labels) has the label \(low), and the first is said to be \(files.firstLabel)")
            }
            result.labels = classes.map { UInt16($0) - UInt16(files.firstLabel) }
            if result.labels.min() ?? 0 > 0 {
                result.notes.append(
                    "no image of \(files.images) has the label \(files.firstLabel): where labels begin at 1, say so, "
                        + "idx:IMAGES,LABELS,first=1")
            }
        }
        return result
    }

    /// MNIST's or Fashion-MNIST's training or test set out of a folder with its four files, named as on their home pages.
    public static func mnist(folder: String, training: Bool) throws(DatasetError) -> LabeledImages {
        let prefix = training ? "train" : "t10k"
        // The files are called both ways, depending on who unpacked them, and may still be packed.
        for (dot, end) in [("-", ""), (".", ""), ("-", ".gz"), (".", ".gz")] {
            let images = "\(folder)/\(prefix)-images\(dot)idx3-ubyte\(end)"
            if FileIO.exists(images) {
                let labels = "\(folder)/\(prefix)-labels\(dot)idx1-ubyte\(end)"
                let result = try read(Files(images: images, labels: labels))
                if let wrong = result.labels.firstIndex(where: { $0 > 9 }) {
                    throw DatasetError(
                        "image \(wrong) has the label \(result.labels[wrong]) in \(labels), the highest is 9: the file is damaged or another one"
                    )
                }
                return result
            }
        }
        throw DatasetError(
            "there is no \(prefix)-images-idx3-ubyte in \(folder): it needs the four files of MNIST or Fashion-MNIST"
        )
    }

    private static func bytes(_ path: String) throws(DatasetError) -> [UInt8] {
        let bytes: [UInt8]
        do { bytes = try FileIO.read(path) } catch { throw DatasetError("\(error)") }
        guard bytes.starts(with: [0x1F, 0x8B]) else { return bytes }
        return try Gzip.decompress(bytes, limit: maximumBytes, name: path)
    }
}
