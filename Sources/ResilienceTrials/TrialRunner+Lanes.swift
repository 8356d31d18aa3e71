import Glibc
import LCPModels
import LCPWire

/// Devices that are many, or unlike each other.
extension TrialRunner {
    /// Milliseconds that a branch takes on the fast device, and on the one that is four times slower.
    private static let times = (fast: 10.0, slow: 40.0)

    func unequal(_ pipeline: TrialPipeline, _ result: inout TrialResult) async throws {
        let length = length(.unequal)
        func worker(_ branch: Int, _ time: Double) -> [String] {
            ["--branch", "\(branch)", "--model", "lenet-split2", "--service-time", "\(time)"]
        }
        try pipeline.start(.worker, "fast", worker(0, Self.times.fast))
        try pipeline.start(.worker, "other", worker(1, 1))
        try pipeline.start(.aggregator, "aggregator", ["--deadline", "1000", "--model", "lenet-split2"])
        try await pipeline.wait("both branches are served") {
            TrialPipeline.served($0).count == 2 && $0["aggregator"]?.state == .ready
        }
        try await pipeline.watchShares(of: 0)
        let half = 500 / Self.times.fast
        let alone = try await pipeline.stream("alone", rate: half, seconds: 0.25 * length)
        try pipeline.start(.worker, "slow", worker(0, Self.times.slow))
        try await pipeline.wait("the slow device is dealt to") { $0["slow"]?.lanes?.first?.isEmpty == false }
        let before = pipeline.shares.count
        let calm = try await pipeline.stream("calm", rate: half, seconds: 0.25 * length)
        let shares = pipeline.shares.count - before
        let p99 = ["alone", "calm"].map { sensor in
            Self.percentile(pipeline.answers(of: sensor).compactMap(\.prediction.latencyMilliseconds).sorted(), 0.99)
        }
        result.add("frames", Double(alone + calm))
        let answered = pipeline.answers(of: "alone").count + pipeline.answers(of: "calm").count
        result.add("frames_lost", Double(alone + calm - answered), atMost: 0)
        result.add("calm_latency_p99_ms", p99[1])
        result.add("calm_latency_p99_share", p99[1] / p99[0], atMost: 1.3)
        result.add("computed_twice_percent", 100 * Double(shares - calm) / Double(calm), atMost: 5)
        // Twice what both can do.
        let all = 1000 / Self.times.fast + 1000 / Self.times.slow
        _ = try await pipeline.stream("flood", rate: 2 * all, seconds: 0.5 * length)
        let whole = pipeline.answers(of: "flood").filter(\.prediction.missing.isEmpty).map(\.arrival)
        guard let last = whole.last else { return result.add("answered_of_capacity_share", 0, atLeast: 0.9) }
        // The first frames teach how many can be computed.
        let window = 0.25 * length
        let late = whole.count { $0 > last - .seconds(window) }
        result.add("answered_of_capacity_share", Double(late) / window / all, atLeast: 0.9)
    }

    /// Of two devices with the same branch one gets a tenth of a processor: what that does to frames that come slowly.
    func throttled(_ pipeline: TrialPipeline, _ result: inout TrialResult) async throws {
        let length = length(.throttled)
        let model = ["--model", "lenet-split2"]
        for (name, branch) in [("fast", 0), ("slow", 0), ("other", 1)] {
            try pipeline.start(.worker, name, ["--branch", "\(branch)"] + model)
        }
        try pipeline.start(.aggregator, "aggregator", model)
        try await pipeline.wait("all are dealt to") { statuses in
            ["fast", "slow", "other"].allSatisfy { statuses[$0]?.lanes?.first?.isEmpty == false }
        }
        let slow = try pipeline.process("slow").processID
        // As a share of the processor would: 90 ms of 100 it does not run.
        let throttle = Task {
            while !Task.isCancelled {
                Glibc.kill(slow, SIGSTOP)
                try? await Task.sleep(for: .milliseconds(90))
                Glibc.kill(slow, SIGCONT)
                try? await Task.sleep(for: .milliseconds(10))
            }
        }
        let frames = try await pipeline.stream("cam", rate: 100, seconds: length)
        throttle.cancel()
        await throttle.value
        let answers = pipeline.answers(of: "cam")
        count(answers, of: frames, into: &result)
        let latencies = answers.compactMap(\.prediction.latencyMilliseconds)
        result.add("latency_p50_ms", Self.percentile(latencies.sorted(), 0.5), atMost: 10)
        let late = latencies.dropFirst(latencies.count / 2)
        result.add("latency_p99_of_the_second_half_ms", Self.percentile(late.sorted(), 0.99))
    }

    // MARK: Many

    func many(_ pipeline: TrialPipeline, _ result: inout TrialResult) async throws {
        for count in scale >= 1 ? [60, 200] : [16] {
            let names = (0..<count).map { "w\(count)-\($0)" }
            try await push(try ModelBundle.find("lenet-split4"), to: pipeline)
            if count != 200 {
                try pipeline.start(.aggregator, "aggregator", [])
                try await pipeline.wait("the aggregator is ready") { $0["aggregator"]?.state == .ready }
            }
            let begin = ContinuousClock.now
            for name in names { try pipeline.start(.worker, name, ["--threads", "1"]) }
            func areSettled(_ statuses: [String: RoleStatus], _ names: [String], branches: Int) -> Bool {
                names.allSatisfy { name in
                    guard let status = statuses[name] else { return false }
                    return status.state == .ready && status.branches == branches && status.next == nil
                        && status.serves?.count == 1 && status.claims == status.serves
                        && status.lanes?.first?.isEmpty == false
                }
            }
            let joined = try await pipeline.wait("\(count) workers have a branch each", seconds: 60) {
                areSettled($0, names, branches: 4)
            }
            let limit = count <= 60 ? 3.0 : 10.0
            result.add("join_of_\(count)_s", Self.seconds(begin, joined), atMost: limit)
            async let streamed = pipeline.stream("cam\(count)", rate: 50, seconds: max(6, length(.many) / 4))
            try await Task.sleep(for: .seconds(1))
            let pushing = ContinuousClock.now
            try await push(try ModelBundle.find("lenet-split8"), to: pipeline)
            let pushed = try await pipeline.wait("\(count) workers run the next model", seconds: 60) {
                areSettled($0, names, branches: 8)
            }
            result.add("push_to_\(count)_s", Self.seconds(pushing, pushed), atMost: limit)
            let (gone, rest) = (names.prefix(count / 2), Array(names.suffix(count - count / 2)))
            let leaving = ContinuousClock.now
            for name in gone { try pipeline.process(name).ask() }
            let left = try await pipeline.wait("\(count / 2) workers have left", seconds: 60) { statuses in
                gone.allSatisfy { statuses[$0]?.state == .disconnected } && areSettled(statuses, rest, branches: 8)
            }
            result.add("leave_of_\(count / 2)_s", Self.seconds(leaving, left), atMost: limit)
            let frames = try await streamed
            let answers = pipeline.answers(of: "cam\(count)")
            let numbers = Set(answers.map(\.prediction.frame))
            result.add("frames_\(count)", Double(frames))
            result.add("frames_lost_\(count)", Double(frames - numbers.count), atMost: 0)
            let incomplete = answers.count { !$0.prediction.missing.isEmpty }
            result.add("frames_incomplete_\(count)", Double(incomplete))
            let lost = pipeline.statuses.values.count { $0.state == .lost }
            result.add("workers_cut_off_\(count)", Double(lost), atMost: 0)
            for name in rest { try pipeline.process(name).ask() }
            try await pipeline.wait("all have left", seconds: 60) { statuses in
                rest.allSatisfy { statuses[$0]?.state == .disconnected }
            }
        }
    }
}
