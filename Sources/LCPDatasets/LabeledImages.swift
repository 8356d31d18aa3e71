public import Images
import Platform
public import Signals

public typealias ImageSize = Images.ImageSize

/// Images of one size, or windows of a signal, and their true classes where they are known.
public struct LabeledImages: Sendable {
    public var height: Int
    public var width: Int
    public var channels: Int
    /// All pixels, image after image, HWC; of a signal the bytes of its numbers, FP32.
    public var pixels: [UInt8]
    /// What the numbers are; nil for pixels.
    public var signal: Signal?
    /// How many of the windows before have samples that a window has, too.
    var overlap = 0
    /// As many as images, or empty.
    public var labels: [UInt16]
    /// Files that could not be read and were left out: a sentence for each.
    public var leftOut: [String] = []
    /// What is odd about those that were read: a sentence for each kind.
    public var notes: [String] = []

    public init(height: Int, width: Int, channels: Int, pixels: [UInt8] = [], labels: [UInt16] = []) {
        self.height = height
        self.width = width
        self.channels = channels
        self.pixels = pixels
        self.labels = labels
    }

    /// The size of each image.
    public var size: ImageSize { ImageSize(height: height, width: width, channels: channels) }

    /// Bytes of one image.
    public var imageSize: Int { height * width * channels * (signal == nil ? 1 : 4) }

    /// The number of images.
    public var count: Int { pixels.count / imageSize }

    /// The pixels of one image.
    public subscript(index: Int) -> ArraySlice<UInt8> { pixels[index * imageSize..<(index + 1) * imageSize] }

    /// Both sets, one after the other; they must have the same size.
    public static func + (left: Self, right: Self) -> Self {
        var result = left
        result.append(right)
        return result
    }

    /// Adds the images of another set, which must have the same size.
    public mutating func append(_ other: Self) {
        precondition(size == other.size, "images of different sizes cannot be joined")
        pixels += other.pixels
        labels += other.labels
        leftOut += other.leftOut
        notes += other.notes
    }

    /// The first images only.
    public func prefix(_ count: Int) -> Self {
        var result = self
        result.pixels = Array(pixels.prefix(count * imageSize))
        result.labels = Array(labels.prefix(count))
        return result
    }

    /// Some of the images, in the order of `indices`.
    public func selecting(_ indices: [Int]) -> Self {
        var result = Self(height: height, width: width, channels: channels)
        (result.signal, result.overlap) = (signal, overlap)
        result.pixels.reserveCapacity(indices.count * imageSize)
        for index in indices { result.pixels += self[index] }
        if !labels.isEmpty { result.labels = indices.map { labels[$0] } }
        return result
    }

    /// The images with rows and columns swapped.
    func transposed() -> Self {
        var result = Self(height: width, width: height, channels: channels, labels: labels)
        result.pixels.reserveCapacity(pixels.count)
        for image in stride(from: 0, to: pixels.count, by: imageSize) {
            for column in 0..<width {
                for row in 0..<height {
                    let place = image + (row * width + column) * channels
                    result.pixels += pixels[place..<place + channels]
                }
            }
        }
        return result
    }

    /// The number of images of each class, from class 0 to the highest that is there, and at least `classes` of them.
    public func imagesPerClass(classes: Int = 0) -> [Int] {
        var result = [Int](repeating: 0, count: max(classes, labels.max().map { Int($0) + 1 } ?? 0))
        for label in labels { result[Int(label)] += 1 }
        return result
    }

    /// Takes images out of a training set to make choices on, so that no choice is made on the test set.
    ///
    /// Each class gives its share, chosen at random; unlabelled images are one class. The same seed takes the same images, and
    /// both parts keep their order. Of windows that overlap each class gives its last ones, and those that share samples with them
    /// are in neither part.
    ///
    /// - Throws: ``DatasetError`` where not one image would be left.
    public func split(
        validation validationCount: Int, seed: UInt64
    ) throws(DatasetError) -> (training: LabeledImages, validation: LabeledImages) {
        let count = count
        guard (0..<max(count, 1)).contains(validationCount) else {
            throw DatasetError(
                "\(validationCount) images cannot be taken for validation out of \(count): at least one is left to train on"
            )
        }
        let unlabelled = labels.isEmpty
        var members = [[Int]](repeating: [], count: unlabelled ? 1 : Int(labels.max() ?? 0) + 1)
        for index in 0..<count { members[unlabelled ? 0 : Int(labels[index])].append(index) }

        // Every class gives the whole part of its share, and those with the largest remainders one more.
        var taken = members.map { $0.count * validationCount / max(count, 1) }
        let remainders = members.map { $0.count * validationCount % max(count, 1) }
        let open = validationCount - taken.reduce(0, +)
        let order = members.indices.sorted { (remainders[$0], $1) > (remainders[$1], $0) }
        for label in order.prefix(open) { taken[label] += 1 }

        var isTaken = [Bool](repeating: false, count: count)
        var isShared = isTaken
        for label in members.indices {
            guard overlap == 0 else {
                let first = members[label].count - taken[label]
                for place in members[label][first...] { isTaken[place] = true }
                guard taken[label] > 0 else { continue }
                for place in members[label][max(0, first - overlap)..<first] { isShared[place] = true }
                continue
            }
            var random = SeededGenerator(seed: seed, stream: UInt64(label))
            for position in 0..<taken[label] {
                members[label].swapAt(position, position + random.index(members[label].count - position))
                isTaken[members[label][position]] = true
            }
        }
        let training = (0..<count).filter { !isTaken[$0] && !isShared[$0] }
        return (selecting(training), selecting((0..<count).filter { isTaken[$0] }))
    }
}

/// Why data could not be read: one sentence with the file and the reason.
public struct DatasetError: Error, Hashable, CustomStringConvertible {
    public let description: String
    package init(_ description: String) { self.description = description }
}
