import FaultInjection
import Glibc
import Images
import HostileInputs
import LCPEvaluation
import LCPModels
import MQTT

/// Brokers that die, and messages that come twice, late, damaged, or from strangers.
extension TrialRunner {
    func broker(_ pipeline: TrialPipeline, _ result: inout TrialResult) async throws {
        let bundle = try ModelBundle.find("lenet-split4")
        try await push(bundle, to: pipeline)
        try await pipeline.startRoles(workers: 4, branches: 4, ["--qos", "1"])
        let length = length(.broker)
        let outage = 0.25 * length
        async let streamed = pipeline.stream("cam", rate: 100, seconds: length, ["--qos", "1"])
        try await Task.sleep(for: .seconds(0.25 * length))
        pipeline.killBroker()
        try await Task.sleep(for: .seconds(outage))
        let before = pipeline.answers(of: "cam").count
        let births = pipeline.statuses
        try pipeline.restartBroker()
        let restarted = ContinuousClock.now
        let fresh = try await pipeline.arrivals(of: Array(births.keys), after: restarted)
        let model = try await pipeline.modelIsBack(within: 10)
        let frames = try await streamed
        result.add("outage_s", outage)
        result.add("statuses_back_after_s", Self.seconds(restarted, fresh), atMost: 3)
        result.add("model_back_after_s", Self.seconds(restarted, model), atMost: 3)
        let answers = pipeline.answers(of: "cam")
        if answers.count > before {
            result.add("first_prediction_after_s", Self.seconds(restarted, answers[before].arrival), atMost: 3)
        }
        result.add("frames_buffered", outage * 100)
        count(answers, of: frames, into: &result)
        result.add("predictions_out_of_order", Double(Self.disorder(answers)))
    }

    func aggregator(_ pipeline: TrialPipeline, _ result: inout TrialResult) async throws {
        try await pipeline.startRoles(workers: 4, branches: 4, ["--qos", "1"])
        let length = length(.aggregator)
        async let streamed = pipeline.stream("cam", rate: 100, seconds: length, ["--qos", "1"])
        try await Task.sleep(for: .seconds(0.3 * length))
        try pipeline.signal("aggregator", SIGKILL)
        let before = pipeline.answers(of: "cam").count
        try await Task.sleep(for: .seconds(2))
        try pipeline.start(.aggregator, "aggregator", ["--deadline", "100", "--qos", "1"])
        let started = ContinuousClock.now
        let frames = try await streamed
        let answers = pipeline.answers(of: "cam")
        if answers.count > before {
            result.add("first_prediction_after_s", Self.seconds(started, answers[before].arrival), atMost: 3)
        }
        try conclude(pipeline, frames, answers, &result)
    }

    func frozen(_ pipeline: TrialPipeline, _ result: inout TrialResult) async throws {
        try await pipeline.startRoles(workers: 4, branches: 4, ["--qos", "1"])
        let length = length(.frozen)
        async let streamed = pipeline.stream("cam", rate: 100, seconds: length, ["--qos", "1"])
        try await Task.sleep(for: .seconds(0.25 * length))
        pipeline.signalBroker(SIGSTOP)
        try await Task.sleep(for: .seconds(0.4 * length))
        pipeline.signalBroker(SIGCONT)
        let frames = try await streamed
        try conclude(pipeline, frames, pipeline.answers(of: "cam"), &result)
    }

    func pictures(_ pipeline: TrialPipeline, _ result: inout TrialResult) async throws {
        try await pipeline.startRoles(workers: 4, branches: 4)
        let length = length(.pictures)
        let picture = try Image(
            height: 4000, width: 6000, channels: 1, pixels: [UInt8](repeating: 0, count: 24_000_000)
        ).png()
        async let streamed = pipeline.stream("cam", rate: 50, seconds: length)
        let start = ContinuousClock.now
        var sent = 0
        for (rate, end) in [(3.0, 0.5 * length), (10, 0.9 * length)] {
            while ContinuousClock.now - start < .seconds(end) {
                try await pipeline.client.publish(picture, to: pipeline.topics.input("stranger"))
                sent += 1
                try await Task.sleep(for: .seconds(1 / rate))
            }
        }
        let frames = try await streamed
        let answers = pipeline.answers(of: "cam")
        result.add("picture_bytes", Double(picture.count))
        result.add("pictures", Double(sent))
        result.add("pictures_answered", Double(pipeline.answers(of: "stranger").count))
        count(answers, of: frames, into: &result)
        result.add("frames_incomplete_share", result["frames_incomplete", default: 0] / Double(frames), atMost: 0)
        countJoins(answers, into: &result)
    }

    private func conclude(
        _ pipeline: TrialPipeline, _ frames: Int, _ answers: [TrialPipeline.Answer], _ result: inout TrialResult
    ) throws {
        count(answers, of: frames, into: &result)
        // It ends with 0 where it knows that each was answered.
        result.add("exit_status_of_sensor", Double(try pipeline.process("cam").poll() ?? -1), atMost: 0)
        let reference = try TrialReference()
        let changed = try answers.count { try $0.prediction.missing.isEmpty && !reference.agrees($0.prediction) }
        result.add("predictions_changed", Double(changed), atMost: 0)
    }

    func repeats(_ pipeline: TrialPipeline, _ result: inout TrialResult) async throws {
        // Frames and features; were predictions duplicated behind the aggregator, their readers would see it.
        let topics = ["+/+/input/+", "+/+/features/+/+"]
        let proxy = try ChaosProxy(
            broker: try MQTTAddress(pipeline.url),
            plan: FaultPlan(
                seed: 1,
                faults: [
                    Fault(.duplicate, topics: topics),
                    Fault(.reorder(distance: 1, patience: 20), topics: topics, probability: 0.1),
                ]))
        defer { proxy.close() }
        try await pipeline.startPinned(branches: 4, deadline: 5000, url: proxy.url)
        let frames = try await pipeline.stream("cam", rate: 100, seconds: length(.repeats), url: proxy.url)
        let answers = pipeline.answers(of: "cam")
        count(answers, of: frames, into: &result)
        let reference = try TrialReference()
        result.add("predictions_changed", Double(try answers.count { try !reference.agrees($0.prediction) }), atMost: 0)
        let counters = proxy.counters
        result.add(
            "messages_duplicated", Double(counters.toBroker.duplicated + counters.fromBroker.duplicated), atLeast: 1)
        result.add(
            "messages_reordered", Double(counters.toBroker.reordered + counters.fromBroker.reordered), atLeast: 1)
    }

    func hostile(_ pipeline: TrialPipeline, _ result: inout TrialResult) async throws {
        try await pipeline.startRoles(workers: 4, branches: 4)
        // A shortened trial is run beside other work, where a thousand a second would be an overload, which is another trial.
        let rate = 1000 * min(1, max(0.2, scale))
        let total = Int(100 * scale * rate)
        async let streamed = pipeline.stream("valid", rate: 50, seconds: length(.hostile))
        try await Task.sleep(for: .seconds(2))
        // Whatever is allocated once is there after the first fifth.
        try await attack(pipeline, total / 5, rate: rate, seed: 1)
        let before = try Self.memory(of: pipeline)
        try await attack(pipeline, total - total / 5, rate: rate, seed: 2)
        let frames = try await streamed
        // The counters of five seconds later hold everything.
        try await Task.sleep(for: .seconds(5.5))
        let after = try Self.memory(of: pipeline)
        result.add("hostile_messages", Double(total))
        addGrowth(from: before, to: after, into: &result)
        let ended = try pipeline.processNames.count { try $0 != "valid" && pipeline.hasEnded($0) }
        result.add("processes_ended", Double(ended), atMost: 0)
        let counted = pipeline.statistics.mapValues { $0.dropped }
        for (role, drops) in counted.sorted(by: { $0.key < $1.key }) where role != "valid" {
            result.add("dropped_by_\(role)", Double(drops.values.reduce(0, +)), atLeast: 1)
        }
        result.add("causes_counted", Double(Set(counted.values.flatMap(\.keys)).count), atLeast: 1)
        count(pipeline.answers(of: "valid"), of: frames, into: &result)
        let reference = try TrialReference()
        let changed = try pipeline.answers(of: "valid").count { try !reference.agrees($0.prediction) }
        result.add("predictions_changed", Double(changed), atMost: 0)
    }

    /// Sends hostile messages to every topic that a role reads, so many a second.
    private func attack(_ pipeline: TrialPipeline, _ count: Int, rate: Double, seed: UInt64) async throws {
        let topics = pipeline.topics
        let fixtures = Fixtures(path: "")
        func damaged(_ seeds: [[UInt8]]) -> [[UInt8]] { seeds.flatMap { [$0] + Seeds.json(from: $0) } }
        // Each with a seed of its own, so that a kind that is added changes nothing in the others.
        let kinds: [(stream: UInt64, format: Format, inputs: [[UInt8]], topic: (Int) -> String)] = [
            (
                0, .message, Seeds.messages(fixtures),
                { topics.features(branch: $0 % 6, sensor: "untrusted-\($0 % 500)") }
            ),
            (
                1, .message, Seeds.messages(fixtures) + Seeds.images(fixtures),
                { topics.input("untrusted-\($0 % 500)") }
            ),
            (5, .json, damaged(Seeds.offers), { _ in topics.modelManifest }),
            (6, .json, damaged(Seeds.statuses), { topics.status(.worker, "untrusted-\($0 % 500)") }),
            (11, .json, damaged(Seeds.aggregatorBeats), { topics.group($0 % 2 == 0 ? "a" : "untrusted-\($0 % 500)") }),
            (7, .json, damaged(Seeds.flowPlans), { _ in topics.flow }),
            (9, .plain, Seeds.jpegs(fixtures), { topics.input("untrusted-\($0 % 500)") }),
            (10, .png, Seeds.pngs, { topics.input("untrusted-\($0 % 500)") }),
        ]
        var lanes = kinds.map { kind in
            (topic: kind.topic, inputs: kind.inputs, mutator: Mutator(kind.format, seed: seed &+ kind.stream))
        }
        for number in 0..<count {
            let lane = number % lanes.count
            let bytes = lanes[lane].mutator.next(from: lanes[lane].inputs)
            try await pipeline.client.publish(bytes, to: lanes[lane].topic(number / lanes.count))
            if number % 20 == 19 { try await Task.sleep(for: .seconds(20 / rate)) }
        }
    }

    /// How many predictions come before an earlier frame's.
    static func disorder(_ answers: [TrialPipeline.Answer]) -> Int {
        let numbers = answers.compactMap { Int($0.prediction.frame) }
        return zip(numbers, numbers.dropFirst()).count { $0 > $1 }
    }

    static func memory(of pipeline: TrialPipeline) throws -> [String: Int] {
        try pipeline.ofEach(pipeline.memory)
    }
}
