import LCPInference
import LCPModels
import LCPWire
import Tensors

/// What the aggregator needs of one model: what its branches send, and how predictions are made of that.
final class JoinedModel {
    /// What a branch sends.
    struct Output {
        var kind: TensorMessageHeader.Kind
        /// FP32 numbers.
        var count: Int
    }

    let name: String
    /// Of the classes, in their order.
    let labels: [String]
    let model: ModelHash
    /// The images that it takes.
    let input: FeatureMapShape
    let outputs: [Output]
    /// Multiplications of each branch for a frame.
    let costs: [Double]
    let join: BranchJoin
    private var writer: PredictionWriter
    /// Whether it came with lcp and was never pushed, which every prediction says.
    var isFallback: Bool {
        get { writer.isFallback }
        set { writer.isFallback = newValue }
    }

    var branchCount: Int { outputs.count }
    /// The most probable class of the last prediction, and its probability.
    var best: (class: Int, confidence: Float) { writer.best }

    /// - Throws: ``ModelBundleError`` or ``NetworkError``.
    init(_ bundle: ModelBundle) throws {
        let network = bundle.network
        outputs = try network.branches.indices.map { branch in
            try network.output(of: branch) == .partialLogits
                ? Output(kind: .partialLogits, count: network.classes)
                : Output(kind: .features, count: try network.featureCount(of: branch))
        }
        costs = try network.branches.indices.map { Double(try network.cost(of: $0).macs) }
        name = bundle.manifest.name
        labels = bundle.manifest.labels
        model = bundle.hash
        input = network.input
        join = try BranchJoin(
            network: network, merge: bundle.mergeParameters(), missingScale: bundle.manifest.missingScale)
        writer = PredictionWriter(labels: bundle.manifest.labels, model: bundle.manifest.name)
    }

    /// Makes the prediction of a frame.
    ///
    /// - Parameters:
    ///   - latency: from capture to now, nanoseconds; nil where it is unknown.
    ///   - time: now, nanoseconds since 1970 UTC.
    ///   - body: gets the JSON, which is valid only inside.
    func withPrediction<Result>(
        of answer: FrameJoiner.Answer, now: ContinuousClock.Instant, latency: Int64?, time: Int64,
        _ body: (UnsafeRawBufferPointer) throws -> Result
    ) rethrows -> Result {
        let frame = answer.frame
        withUnsafeTemporaryAllocation(of: Float.self, capacity: join.classes) { probabilities in
            _ = probabilities.initialize(fromContentsOf: answer.sum)
            join.finish(probabilities, received: frame.branches)
            Softmax.apply(to: probabilities)
            writer.write(
                AnsweredFrame(
                    sensor: frame.key.sensor, number: frame.key.frame, label: frame.label, branches: frame.branches,
                    missing: join.branches.missing(frame.branches),
                    hasStandIn: join.branches.usesParity(frame.branches),
                    computeTime: frame.computeTime),
                probabilities: UnsafeBufferPointer(probabilities), joinTime: now - frame.opened, latency: latency,
                time: time)
        }
        return try writer.bytes.withUnsafeBytes(body)
    }
}

/// The time from a frame's capture to its prediction.
enum FrameLatency {
    /// One beyond this says more about clocks than about the pipeline.
    static let longest: Int64 = 3_600_000_000_000

    /// Nanoseconds; nil where the capture time is unknown or implausible.
    ///
    /// - Parameters:
    ///   - captureTime: nanoseconds since 1970 UTC by the sensor's clock, 0 where unknown.
    ///   - now: the same by this machine's clock.
    static func since(_ captureTime: Int64, now: Int64) -> Int64? {
        guard captureTime > 0 else { return nil }
        let (passed, overflow) = now.subtractingReportingOverflow(captureTime)
        return !overflow && (0...longest).contains(passed) ? passed : nil
    }
}
