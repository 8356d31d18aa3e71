import LCPModels
import LCPWire
import Synchronization

/// The images that several threads share out among themselves.
final class EvaluationWork: Sendable {
    /// Images that one thread takes at a time.
    static let blockSize = 64

    let labels: [Int]
    /// The sets of missing branches, the one without any first.
    let masks: [UInt64]
    let encoding: FrameEncoding
    let features: FeatureEncoding
    private let pixels: [UInt8]
    private let imageSize: Int
    private let next = Atomic<Int>(0)
    private let done = Atomic<Int>(0)
    private let stopped = Atomic<Bool>(false)
    private let failure = Mutex<(any Error)?>(nil)
    private let total = Mutex<EvaluationTally?>(nil)

    init(
        pixels: [UInt8], labels: [Int], imageSize: Int, masks: [UInt64], encoding: FrameEncoding,
        features: FeatureEncoding
    ) {
        self.encoding = encoding
        self.features = features
        self.pixels = pixels
        self.labels = labels
        self.imageSize = imageSize
        self.masks = masks
    }

    var blockCount: Int { (labels.count + Self.blockSize - 1) / Self.blockSize }

    /// A block that nobody has taken yet.
    func nextBlock() -> Int? {
        let block = next.wrappingAdd(1, ordering: .relaxed).oldValue
        return block < blockCount && !isStopped ? block : nil
    }

    func images(of block: Int) -> Range<Int> {
        block * Self.blockSize..<min(labels.count, (block + 1) * Self.blockSize)
    }

    func withPixels(of image: Int, _ body: (UnsafeRawBufferPointer) throws -> Void) rethrows {
        try pixels.withUnsafeBytes {
            try body(UnsafeRawBufferPointer(rebasing: $0[image * imageSize..<(image + 1) * imageSize]))
        }
    }

    func imageDone() { done.wrappingAdd(1, ordering: .relaxed) }

    /// The share of the images that is done, 0 to 1.
    var fraction: Double { Double(done.load(ordering: .relaxed)) / Double(max(1, labels.count)) }

    var isStopped: Bool { stopped.load(ordering: .relaxed) }

    func stop() { stopped.store(true, ordering: .relaxed) }

    /// Stops the work; the first error is the one that counts.
    func fail(_ error: any Error) {
        failure.withLock { if $0 == nil { $0 = error } }
        stop()
    }

    /// Adds what one thread has counted.
    func add(_ tally: EvaluationTally) {
        total.withLock {
            if $0 == nil { $0 = tally } else { $0! += tally }
        }
    }

    /// What all threads have counted, once they have ended.
    ///
    /// - Throws: the error that stopped the work, or `CancellationError` where somebody did.
    func result() throws -> EvaluationTally {
        if let error = failure.withLock({ $0 }) { throw error }
        guard !isStopped, let tally = total.withLock({ $0 }) else { throw CancellationError() }
        return tally
    }
}
