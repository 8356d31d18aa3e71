/// Predictions sorted by their confidence, for the expected calibration error (Guo et al. 2017, section 2).
///
/// Confidences are added as integers, so that the sums do not depend on the order of the images.
struct CalibrationBins: Sendable, Hashable {
    /// The number of bins; bin i holds the confidences above i/15 and up to (i + 1)/15.
    static let count = 15
    private static let unit = 0x1p32

    private(set) var images = [Int](repeating: 0, count: count)
    private(set) var right = [Int](repeating: 0, count: count)
    private var confidence = [Int](repeating: 0, count: count)

    /// - Parameter value: the confidence, 0 to 1.
    mutating func add(confidence value: Float, isRight: Bool) {
        let inside = Double(max(0, min(1, value)))
        let bin = max(0, min(Self.count - 1, Int((inside * Double(Self.count)).rounded(.up)) - 1))
        images[bin] += 1
        if isRight { right[bin] += 1 }
        confidence[bin] += Int((inside * Self.unit).rounded())
    }

    static func += (left: inout Self, right: Self) {
        for bin in 0..<count {
            left.images[bin] += right.images[bin]
            left.right[bin] += right.right[bin]
            left.confidence[bin] += right.confidence[bin]
        }
    }

    /// All images, and those that are right.
    var totalImages: Int { images.reduce(0, +) }
    var totalRight: Int { right.reduce(0, +) }

    /// The share that is right; 0 without images.
    var accuracy: Double { totalImages > 0 ? Double(totalRight) / Double(totalImages) : 0 }

    /// Σ (images in a bin / images) · |accuracy − confidence|.
    var error: Double {
        let total = Double(totalImages)
        guard total > 0 else { return 0 }
        return (0..<Self.count).reduce(0) {
            $0 + abs(Double(right[$1]) - Double(confidence[$1]) / Self.unit) / total
        }
    }

    /// The bins as they are reported.
    var bins: [Evaluation.ConfidenceBin] {
        (0..<Self.count).map { bin in
            let count = Double(max(1, images[bin]))
            return .init(
                images: images[bin], confidence: Double(confidence[bin]) / Self.unit / count,
                accuracy: Double(right[bin]) / count)
        }
    }
}
