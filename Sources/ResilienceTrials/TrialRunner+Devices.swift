import Glibc
import LCPWire

/// Devices that die, hang, come and go.
extension TrialRunner {
    private static let rate = 200.0

    func kill(_ pipeline: TrialPipeline, _ result: inout TrialResult, spare: Bool) async throws {
        // Were the others free to, one of them would take the branch on beside its own: these have a branch each, and no more.
        if spare {
            try await pipeline.startRoles(workers: 5, branches: 4)
        } else {
            try await pipeline.startPinned(branches: 4)
        }
        let length = length(result.trial)
        async let streamed = pipeline.stream("cam", rate: Self.rate, seconds: length)
        try await Task.sleep(for: .seconds(0.3 * length))
        let (victim, branch) = try Self.single(pipeline)
        try pipeline.signal(victim, SIGKILL)
        let death = ContinuousClock.now
        if spare {
            let taken = try await pipeline.wait("another worker has branch \(branch)") { statuses in
                statuses.values.contains {
                    $0.id != victim && $0.state == .ready && $0.serves?.contains(branch) == true
                }
            }
            let frames = try await streamed
            result.add("taken_over_after_s", Self.seconds(death, taken), atMost: 2)
            try conclude(pipeline, frames, without: branch, since: death, &result)
        } else {
            let frames = try await streamed
            try conclude(pipeline, frames, without: branch, since: death, &result)
            let late = pipeline.answers(of: "cam").filter { $0.arrival > death + .seconds(2) }
            result.add(
                "join_p50_after_2_s_ms", Self.percentile(late.compactMap(\.prediction.joinMilliseconds).sorted(), 0.5))
            result.add("frames_complete_after_death", Double(late.count { $0.prediction.missing.isEmpty }), atMost: 0)
        }
    }

    func pause(_ pipeline: TrialPipeline, _ result: inout TrialResult) async throws {
        try await pipeline.startRoles(workers: 5, branches: 4)
        let length = length(.pause)
        async let streamed = pipeline.stream("cam", rate: Self.rate, seconds: length)
        try await Task.sleep(for: .seconds(0.2 * length))
        let (victim, branch) = try Self.single(pipeline)
        try pipeline.signal(victim, SIGSTOP)
        let stopped = ContinuousClock.now
        let taken = try await pipeline.wait("another worker has branch \(branch)") { statuses in
            statuses.values.contains { $0.id != victim && $0.state == .ready && $0.serves?.contains(branch) == true }
        }
        try await Task.sleep(until: stopped + .seconds(0.5 * length), clock: .continuous)
        try pipeline.signal(victim, SIGCONT)
        let continued = ContinuousClock.now
        let back = try await pipeline.wait("\(victim) is back") { statuses in
            statuses[victim]?.state == .ready && statuses[victim]?.serves?.isEmpty == false
        }
        let frames = try await streamed
        result.add("taken_over_after_s", Self.seconds(stopped, taken), atMost: 2)
        result.add("back_after_s", Self.seconds(continued, back), atMost: 3)
        try conclude(pipeline, frames, without: branch, since: stopped, &result)
        let late = pipeline.answers(of: "cam").filter { $0.arrival > continued }
        result.add("frames_incomplete_after_return", Double(late.count { !$0.prediction.missing.isEmpty }))
        let reference = try TrialReference()
        let changed = try pipeline.answers(of: "cam").count { try !reference.agrees($0.prediction) }
        result.add("predictions_changed", Double(changed), atMost: 0)
    }

    /// A worker that alone has a branch, and that branch.
    private static func single(_ pipeline: TrialPipeline) throws -> (String, Int) {
        let served = TrialPipeline.served(pipeline.statuses)
        for status in pipeline.statuses.values.sorted(by: { $0.id < $1.id }) {
            if let branch = status.serves?.first, served[branch] == 1 { return (status.id, branch) }
        }
        throw PipelineError(.processFailed, "no branch has a single worker")
    }

    private func conclude(
        _ pipeline: TrialPipeline, _ frames: Int, without branch: Int, since death: ContinuousClock.Instant,
        _ result: inout TrialResult
    ) throws {
        let answers = pipeline.answers(of: "cam")
        count(answers, of: frames, into: &result)
        countJoins(answers, into: &result)
        let incomplete = answers.filter { $0.prediction.missing == [branch] }
        if !incomplete.isEmpty {
            result.add("accuracy_incomplete_percent", 100 * Self.accuracy(incomplete))
            let numbers = incomplete.compactMap { UInt64($0.prediction.frame) }
            result.add(
                "accuracy_by_evaluate_percent", 100 * (try TrialReference().accuracy(numbers, missing: [branch])))
        }
        result.add("accuracy_percent", 100 * Self.accuracy(answers))
    }

    // MARK: Replicas

    func replica(_ pipeline: TrialPipeline, _ result: inout TrialResult) async throws {
        let length = length(.replica)
        // One branch is slow, so that it alone says how many frames are computed.
        let slow = ["--service-time", "\(Self.serviceTime)"]
        try await pipeline.startPinned(branches: 4, deadline: 1000) { $0 == 0 ? slow : [] }
        try await pipeline.watchShares(of: 0)
        async let streamed = pipeline.stream("flood", rate: 250, seconds: length)
        try await Task.sleep(for: .seconds(0.4 * length))
        let before = ContinuousClock.now
        try pipeline.start(.worker, "more", ["--branch", "0"] + slow)
        let added = try await pipeline.wait("the replica is ready") { TrialPipeline.served($0)[0] == 2 }
        _ = try await streamed
        let shares = pipeline.shares
        func rate(_ from: ContinuousClock.Instant, _ seconds: Double) -> Double {
            Double(shares.count { $0 >= from && $0 < from + .seconds(seconds) }) / seconds
        }
        let window = 0.3 * length
        let one = rate(before - .seconds(window), window)
        let two = rate(added + .seconds(2), window)
        result.add("frames_per_s_of_one", one)
        result.add("frames_per_s_of_two", two)
        result.add("gain_of_replicas_share", (two - one) / one, atLeast: 0.85)

        // And one leaves, while nothing is too much for those who stay.
        async let steady = pipeline.stream("cam", rate: 30, seconds: 0.4 * length)
        try await Task.sleep(for: .seconds(0.15 * length))
        let status = try pipeline.process("more").stop()
        let frames = try await steady
        result.add("exit_status_after_sigterm", Double(status), atMost: 0)
        count(pipeline.answers(of: "cam"), of: frames, into: &result)
        let incomplete = pipeline.answers(of: "cam").count { !$0.prediction.missing.isEmpty }
        result.add("frames_lost_by_leaving", Double(incomplete), atMost: 0)
    }
}
