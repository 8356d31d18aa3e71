import FoundationEssentials
import Glibc
import LCPWire
import Platform

extension TrialRunner {
    /// Three aggregators share eight sensors. One dies, one hangs and comes back, and one ends.
    func aggregators(_ pipeline: TrialPipeline, _ result: inout TrialResult) async throws {
        try await pipeline.startRoles(workers: 4, branches: 4, ["--qos", "1"])
        for name in ["aggregator-2", "aggregator-3"] {
            try pipeline.start(.aggregator, name, ["--deadline", "\(Int(Self.deadline))", "--qos", "1"])
        }
        try await pipeline.wait("three aggregators share the sensors") { statuses in
            statuses.values.filter { $0.role == .aggregator }.compactMap(\.buckets).reduce(0, +) == Topics.bucketCount
        }
        let length = length(.aggregators)
        let sensors = (1...8).map { "cam-\($0)" }
        async let streamed = withThrowingTaskGroup(of: Int.self) { group in
            for sensor in sensors {
                group.addTask { try await pipeline.stream(sensor, rate: 12.5, seconds: length, ["--qos", "1"]) }
            }
            return try await group.reduce(0, +)
        }
        try await Task.sleep(for: .seconds(0.15 * length))
        try pipeline.signal("aggregator", SIGKILL)
        try await Task.sleep(for: .seconds(0.25 * length))
        try pipeline.signal("aggregator-2", SIGSTOP)
        try await Task.sleep(for: .seconds(4))
        try pipeline.signal("aggregator-2", SIGCONT)
        try await Task.sleep(for: .seconds(max(1, 0.75 * length - 4 - 0.4 * length)))
        try pipeline.signal("aggregator-3", SIGTERM)
        let frames = try await streamed

        var (lost, twice, incomplete, statuses) = (0, 0, 0, 0)
        var (latencies, gaps): ([Double], [Double]) = ([], [])
        let reference = try TrialReference()
        var changed = 0
        for sensor in sensors {
            let answers = pipeline.answers(of: sensor)
            let times = Dictionary(grouping: answers, by: \.prediction.frame).mapValues(\.count)
            lost += (0..<frames / sensors.count).count { times["\($0)"] == nil }
            twice += times.values.count { $0 > 1 }
            incomplete += answers.count { !$0.prediction.missing.isEmpty }
            changed += try answers.count { try $0.prediction.missing.isEmpty && !reference.agrees($0.prediction) }
            latencies += answers.compactMap(\.prediction.latencyMilliseconds)
            gaps += zip(answers, answers.dropFirst()).map { Self.seconds($0.arrival, $1.arrival) }
            if try pipeline.process(sensor).poll() != 0 { statuses += 1 }
        }
        result.add("frames", Double(frames))
        result.add("frames_lost", Double(lost), atMost: 0)
        result.add("frames_answered_twice", Double(twice), atMost: 0)
        result.add("frames_incomplete", Double(incomplete))
        result.add("predictions_changed", Double(changed), atMost: 0)
        result.add("sensors_failed", Double(statuses), atMost: 0)
        result.add("latency_p99_ms", Self.percentile(latencies.sorted(), 0.99), atMost: Self.deadline + 2000)
        result.add("longest_pause_s", gaps.max() ?? .nan, atMost: 2.5)
    }
}
