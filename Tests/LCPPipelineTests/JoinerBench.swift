import LCPInference
import Tensors
import Testing

@testable import LCPPipeline

/// A joiner with a plain way in: models by number, shares of two numbers (v, −v).
struct JoinerBench {
    /// An action, with models by number.
    enum Outcome: Equatable {
        /// Bit by bit, the branches of the answer; the first number of its sum.
        case answered(UInt64, of: String = "cam", branches: UInt64, model: Int = 0, sum: Float? = nil)
        case dropped(FrameJoiner.Drop)
        case armed(milliseconds: Int)
        case armedLateness(milliseconds: Int)
        case asked(UInt64, missing: UInt64)
        case retired(Int)
    }

    static let start = ContinuousClock.now
    var joiner: FrameJoiner
    var now = Self.start
    /// Whether outcomes tell sums.
    var tellsSums = false
    private var hashes: [ModelHash] = []

    init(
        branches: [Int] = [3], order: PredictionOrder = .sensor, maximumOpen: Int = 4, deadline: Int = 100
    ) {
        joiner = FrameJoiner(order: order, deadline: .milliseconds(deadline), now: Self.start)
        for count in branches { _ = add(branches: count, maximumOpen: maximumOpen) }
    }

    static func hash(_ model: Int) -> ModelHash { ModelHash([UInt8(model)] + [UInt8](repeating: 7, count: 15))! }

    mutating func add(branches: Int, parity: Int? = nil, maximumOpen: Int = 4) -> [Outcome] {
        let hash = Self.hash(hashes.count)
        hashes.append(hash)
        joiner.prefer(hash)
        return told(
            joiner.add(
                hash, branches: JoinedBranches(count: branches, parity: parity), classes: 2, maximumOpen: maximumOpen,
                now: now))
    }

    /// A branch's share of a frame is received.
    mutating func receive(
        _ branch: Int, frame: UInt64 = 1, session: UInt64 = 5, sensor: String = "cam", model: Int = 0,
        value: Float = 1, served: UInt64? = nil
    ) -> [Outcome] {
        let share = FrameJoiner.Share(
            key: FrameKey(sensor: sensor, session: session, frame: frame), model: Self.hash(model), branch: branch,
            computeTime: UInt32(branch) + 1)
        return told(
            joiner.receive(share, served: served, now: now) {
                // A parity branch has a row for each of the others.
                for row in 0..<$0.count / 2 {
                    $0[2 * row] = value * Float(row + 1)
                    $0[2 * row + 1] = -value
                }
            })
    }

    /// Time passes, and the deadline's timer fires.
    mutating func deadline(after milliseconds: Int) -> [Outcome] {
        now += .milliseconds(milliseconds)
        return told(joiner.deadlineReached(now: now))
    }

    /// Time passes, and it is looked whether a branch is late.
    mutating func lateness(after milliseconds: Int) -> [Outcome] {
        now += .milliseconds(milliseconds)
        return told(joiner.latenessDue(now: now))
    }

    mutating func finish() -> [Outcome] { told(joiner.finish(now: now)) }
    mutating func retireUnused() -> [Outcome] { told(joiner.retireUnused(now: now)) }

    private func told(_ actions: [FrameJoiner.Action]) -> [Outcome] {
        actions.map { action in
            switch action {
            case .answer(let answer):
                .answered(
                    answer.frame.key.frame, of: answer.frame.key.sensor, branches: answer.frame.branches,
                    model: hashes.firstIndex(of: answer.model) ?? -1, sum: tellsSums ? answer.sum[0] : nil)
            case .drop(let drop): .dropped(drop)
            case .arm(let time): .armed(milliseconds: Int((time - Self.start) / .milliseconds(1)))
            case .armLateness(let time): .armedLateness(milliseconds: Int((time - Self.start) / .milliseconds(1)))
            case .ask(let key, let missing): .asked(key.frame, missing: missing)
            case .retire(let model): .retired(hashes.firstIndex(of: model) ?? -1)
            }
        }
    }
}
