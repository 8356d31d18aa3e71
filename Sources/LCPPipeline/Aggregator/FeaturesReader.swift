import LCPWire
import Tensors

/// Reads what branches send, and refuses what cannot be joined: no I/O.
struct FeaturesReader {
    /// Features that can be joined.
    struct Features {
        var header: TensorMessageHeader
        var sensor: String
        var branch: Int
        var model: JoinedModel
        /// FP32 numbers, all finite, at any address; valid until the next message is read, and as long as its payload.
        var values: UnsafeRawBufferPointer

        /// Hands the branch's share to the join. Here, because Swift 6.2 takes no closure in an actor that has a pointer in it.
        func deliver(
            to joiner: inout FrameJoiner, served: UInt64?, now: ContinuousClock.Instant
        ) -> [FrameJoiner.Action] {
            let share = FrameJoiner.Share(
                key: FrameKey(sensor: sensor, session: header.session, frame: header.frame), model: header.model,
                branch: branch, captureTime: header.captureTime, label: header.label, computeTime: header.computeTime)
            return joiner.receive(share, served: served, now: now) {
                model.join.share(of: branch, values, into: $0)
            }
        }
    }

    /// Why a message is not joined: the name of its counter and a sentence.
    struct Refusal: Error {
        var reason: String
        var description: String

        init(_ reason: String, _ description: String) {
            (self.reason, self.description) = (reason, description)
        }
    }

    private struct Source {
        var branch: Int
        var sensor: String
    }

    /// Where the numbers of the last message stand that was not FP32.
    private final class Scratch {
        private(set) var numbers = UnsafeMutableBufferPointer<Float>(start: nil, count: 0)

        func room(for count: Int) -> UnsafeMutableBufferPointer<Float> {
            if numbers.count < count {
                numbers.deallocate()
                numbers = .allocate(capacity: count)
                numbers.initialize(repeating: 0)
            }
            return UnsafeMutableBufferPointer(rebasing: numbers[..<count])
        }

        deinit { numbers.deallocate() }
    }

    private let scratch = Scratch()
    private let topics: Topics
    private var sources: [String: Source] = [:]
    /// The most topics that are remembered.
    private static let maximumSources = 4096

    init(topics: Topics) { self.topics = topics }

    /// Reads a message.
    ///
    /// - Parameters:
    ///   - models: those that are joined; the last one is named where none fits.
    /// - Throws: ``Refusal``.
    mutating func read(
        _ topic: String, _ payload: UnsafeRawBufferPointer, isRetained: Bool, models: [JoinedModel]
    ) throws(Refusal) -> Features {
        guard !isRetained else {
            throw Refusal("retained", "\(topic) was retained by the broker: stale features are not joined")
        }
        guard let source = source(of: topic) else {
            throw Refusal("bad_topic", "\(topic) is not a features topic")
        }
        let header: TensorMessageHeader
        do { header = try TensorMessage.decode(payload) } catch {
            throw Refusal(error.rawValue, "\(topic): \(error)")
        }
        guard let model = models.first(where: { $0.model == header.model }) else {
            throw Refusal(
                "other_model",
                "\(topic): the worker runs model \(header.model), this aggregator \(models.last?.model.description ?? "none"): give both the same bundle"
            )
        }
        // A message's branch is below its count, or it could not be read.
        guard Int(header.branchCount) == model.branchCount, Int(header.branch) == source.branch else {
            throw Refusal("bad_branch", "\(topic): it names branch \(header.branch) of \(header.branchCount)")
        }
        let output = model.outputs[source.branch]
        guard header.kind == output.kind, let encoding = FeatureEncoding(header.dtype),
            encoding == .fp32 || header.version2 != nil, header.shape.elementCount == output.count
        else {
            throw Refusal(
                "wrong_shape",
                "\(topic): \(header.dtype.name) \(header.shape) where \(output.count) numbers are expected")
        }
        let data = UnsafeRawBufferPointer(rebasing: payload[header.size...])
        let values = numbers(data, encoding, scale: header.version2?.scale ?? 0, count: output.count)
        let isFinite = (0..<output.count).allSatisfy {
            values.loadUnaligned(fromByteOffset: 4 * $0, as: Float.self).isFinite
        }
        guard isFinite else { throw Refusal("not_finite", "\(topic): it holds infinity or not-a-number") }
        return Features(header: header, sensor: source.sensor, branch: source.branch, model: model, values: values)
    }

    /// The numbers as FP32: the data itself where it is that.
    private func numbers(
        _ data: UnsafeRawBufferPointer, _ encoding: FeatureEncoding, scale: Float, count: Int
    ) -> UnsafeRawBufferPointer {
        guard encoding != .fp32 else { return data }
        let room = scratch.room(for: count)
        encoding.decode(data, scale: scale, into: room)
        return UnsafeRawBufferPointer(room)
    }

    private mutating func source(of topic: String) -> Source? {
        if let known = sources[topic] { return known }
        guard let (branch, sensor) = topics.featuresParts(of: topic) else { return nil }
        if sources.count >= Self.maximumSources { sources.removeAll(keepingCapacity: true) }
        let source = Source(branch: branch, sensor: sensor)
        sources[topic] = source
        return source
    }
}
