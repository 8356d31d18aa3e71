import LCPModels
import LCPWire
import Platform

/// Joins the frames that a model is tried on, and compares what it says of each with what the pipeline's model says: nothing of it is
/// published but the counts.
final class CanaryJoin {
    /// What a model said of a frame.
    struct Word: Equatable {
        var `class`: Int
        var confidence: Float
        /// From capture to the join, nanoseconds; nil where it is unknown.
        var latency: Int64?
        var isWhole: Bool
    }

    private struct Side {
        var confidence = 0.0
        var latencies = LatencyWindow()

        mutating func add(_ word: Word) {
            confidence += Double(word.confidence)
            if let latency = word.latency { latencies.add(milliseconds: Double(latency) / 1e6) }
        }

        func statistics(_ name: String, of frames: UInt64) -> RoleStatistics.Canary.Side {
            var side = RoleStatistics.Canary.Side(name: name, confidence: confidence / Double(max(1, frames)))
            if let times = latencies.percentiles([50, 99]) {
                (side.latencyP50, side.latencyP99) = (times[0], times[1])
            }
            return side
        }
    }

    let offer: CanaryOffer
    let model: JoinedModel
    var joiner: FrameJoiner
    private var frames: UInt64 = 0
    private var agreed: UInt64 = 0
    private var incomplete: UInt64 = 0
    private var present = Side()
    private var tried = Side()
    /// What one of the two has said of a frame that the other has not answered yet, and the frames in their order.
    private var words: [FrameKey: (isTried: Bool, word: Word)] = [:]
    private var order: [FrameKey] = []
    private var oldest = 0

    /// Frames of which one model has said nothing yet.
    static let maximumWaiting = 1024

    init(_ offer: CanaryOffer, _ model: JoinedModel, deadline: Duration, now: ContinuousClock.Instant) {
        (self.offer, self.model) = (offer, model)
        joiner = FrameJoiner(order: .none, deadline: deadline, now: now)
        _ = joiner.add(model.model, branches: model.join.branches, classes: model.join.classes, now: now)
    }

    /// One of the two has answered a frame; those that are not of the share are left out.
    func heard(_ key: FrameKey, _ word: Word, isTried: Bool) {
        guard offer.takes(session: key.session, frame: key.frame) else { return }
        guard let other = words[key], other.isTried != isTried else { return keep(key, word, isTried) }
        words[key] = nil
        guard word.isWhole, other.word.isWhole else {
            incomplete += 1
            return
        }
        frames += 1
        if word.class == other.word.class { agreed += 1 }
        present.add(isTried ? other.word : word)
        tried.add(isTried ? word : other.word)
    }

    private func keep(_ key: FrameKey, _ word: Word, _ isTried: Bool) {
        words[key] = (isTried, word)
        if order.count < Self.maximumWaiting {
            order.append(key)
        } else {
            // The other never came.
            if words.removeValue(forKey: order[oldest]) != nil { incomplete += 1 }
            order[oldest] = key
            oldest = (oldest + 1) % Self.maximumWaiting
        }
    }

    /// - Parameter name: the pipeline's model's.
    func statistics(beside name: String) -> RoleStatistics.Canary {
        .init(
            model: offer.offer.model, share: offer.share, frames: frames, agreed: agreed, incomplete: incomplete,
            present: present.statistics(name, of: frames), tried: tried.statistics(model.name, of: frames))
    }
}
