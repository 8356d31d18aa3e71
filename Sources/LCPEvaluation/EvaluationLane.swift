import Images
import LCPInference
import LCPModels
import LCPWire

/// The engines of one thread. It is handed to one thread at a time, and so needs no lock.
final class EvaluationLane: @unchecked Sendable {
    private let engines: [BranchEngine]
    private let join: BranchJoin
    private let shares: UnsafeMutableBufferPointer<Float>
    private let logits: UnsafeMutableBufferPointer<Float>

    init(join: BranchJoin, engine: (Int) throws -> BranchEngine) throws {
        self.join = join
        engines = try (0..<join.branches.count).map(engine)
        shares = .allocate(capacity: join.branches.rowCount * join.classes)
        shares.initialize(repeating: 0)
        logits = .allocate(capacity: join.classes)
        logits.initialize(repeating: 0)
    }

    deinit {
        shares.deallocate()
        logits.deallocate()
    }

    /// Runs branches on one image; those that are missing keep the shares of the image before.
    func run(
        _ pixels: UnsafeRawBufferPointer, missing: UInt64 = 0, encoding: FrameEncoding = .raw,
        features: FeatureEncoding = .fp32
    ) throws {
        guard case .jpeg(let quality) = encoding else {
            return try run(missing, features) { try $0.run(pixels: pixels) }
        }
        let input = engines[0].input
        let image = Image(height: input.height, width: input.width, channels: input.channels, pixels: Array(pixels))
        try image.throughJPEG(quality: quality).pixels.withUnsafeBytes { pixels in
            try run(missing, features) { try $0.run(pixels: pixels) }
        }
    }

    /// The same on FP32 numbers that are normalised already, HWC.
    func run(normalized: UnsafeRawBufferPointer, missing: UInt64) throws {
        try run(missing, .fp32) { try $0.run(normalized: normalized) }
    }

    private func run(
        _ missing: UInt64, _ features: FeatureEncoding, _ compute: (BranchEngine) throws -> Void
    ) throws {
        for (branch, engine) in engines.enumerated() where missing & UInt64(1) << UInt64(branch) == 0 {
            try compute(engine)
            let rows = join.branches.rows(of: branch)
            let share = UnsafeMutableBufferPointer(
                rebasing: shares[rows.lowerBound * join.classes..<rows.upperBound * join.classes])
            guard features != .fp32 else {
                join.share(of: branch, UnsafeRawBufferPointer(engine.output), into: share)
                continue
            }
            let values = try Self.written(engine.output, as: features)
            values.withUnsafeBytes { join.share(of: branch, $0, into: share) }
        }
    }

    /// Numbers after they were written and read again.
    private static func written(_ values: UnsafeBufferPointer<Float>, as encoding: FeatureEncoding) throws -> [Float] {
        try withUnsafeTemporaryAllocation(byteCount: values.count * encoding.dtype.size, alignment: 8) { data in
            guard let scale = encoding.encode(values, into: data) else {
                throw InferenceError(
                    "a branch computes numbers that are not finite: the weights are too large or damaged")
            }
            return [Float](unsafeUninitializedCapacity: values.count) { result, count in
                let room = UnsafeMutableBufferPointer(rebasing: result[..<values.count])
                encoding.decode(UnsafeRawBufferPointer(data), scale: scale, into: room)
                count = values.count
            }
        }
    }

    /// The shares of the image that was run last, [branches, classes].
    var allShares: [Float] { Array(shares) }

    /// The logits of the image that was run last. Valid until the next call.
    func logits(missing: UInt64) -> UnsafeBufferPointer<Float> {
        let received = join.branches.all & ~missing
        BranchJoin.sum(UnsafeBufferPointer(shares), of: join.branches, received: received, into: logits)
        join.finish(logits, received: received)
        return UnsafeBufferPointer(logits)
    }

    /// Evaluates one block of images after the other until none is left or somebody stops the work.
    ///
    /// - Parameter blockDone: called after every block.
    func evaluate(_ work: EvaluationWork, blockDone: () -> Void = {}) -> EvaluationTally {
        var tally = EvaluationTally(classes: join.classes, subsets: work.masks.count)
        while let block = work.nextBlock() {
            for image in work.images(of: block) {
                guard !work.isStopped else { return tally }
                do { try evaluate(image, block: block, work, &tally) } catch {
                    work.fail(error)
                    return tally
                }
                work.imageDone()
            }
            blockDone()
        }
        return tally
    }

    private func evaluate(_ image: Int, block: Int, _ work: EvaluationWork, _ tally: inout EvaluationTally) throws {
        try work.withPixels(of: image) { try run($0, encoding: work.encoding, features: work.features) }
        let truth = work.labels[image]
        for (index, mask) in work.masks.enumerated() {
            let logits = logits(missing: mask)
            let answer = Answer(logits)
            guard answer.confidence.isFinite else {
                throw InferenceError(
                    "image \(image) gives numbers that are not finite: the weights of the model are too large or damaged"
                )
            }
            if index == 0 {
                tally.add(answer, image: image, truth: truth, logits: logits, block: block)
            } else {
                tally.add(answer, truth: truth, subset: index)
            }
        }
    }
}
